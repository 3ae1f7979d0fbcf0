// Package wire is how a gate host and a gate plugin speak: the handshake, the limits that both sides know and the
// generated gRPC code. Only packages gates and gates/host import it; authors never see it.
package wire

import (
	"context"
	"errors"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative gates.proto

// PluginName is the one thing that a set dispenses.
const PluginName = "gates"

// ProtocolVersion is the version of gates.proto. It changes only when old and new cannot speak with each other at all;
// everything smaller is a matter of the versions that cross in Describe.
const ProtocolVersion = 1

// MaxMessageBytes bounds one message in either direction. A verdict of a thousand findings takes about one megabyte.
const MaxMessageBytes = 8 << 20

// Handshake tells a set from any other program that happens to be started. It is a courtesy, not a protection: what
// protects is the checksum of the binary and the certificates that both sides make anew for each start.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "PENSTOCK_GATES",
	MagicCookieValue: "c1d2f0a1-penstock-gates-over-grpc",
}

// Plugin joins the generated code to go-plugin. Its zero value is what a host uses; a set fills Gates.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Gates GateSetServer
}

// GRPCServer registers the set. go-plugin calls it once per process.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	if p.Gates == nil {
		return errors.New("serve gates: no set was given")
	}
	RegisterGateSetServer(server, p.Gates)
	return nil
}

// GRPCClient returns a GateSetClient.
func (*Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	return NewGateSetClient(connection), nil
}
