// Package goplugin says the wire's handshake in go-plugin's words, which both sides use: the host to start sets, a set to
// serve.
package goplugin

import (
	"context"
	"errors"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// Name is the one thing that a set dispenses.
const Name = "gates"

// Handshake is the wire's.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion: wire.ProtocolVersion, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
}

// Plugin joins the generated code to go-plugin. Its zero value is what a host uses; a set fills Gates.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Gates wire.GateSetServer
}

// GRPCServer registers the set. go-plugin calls it once per process.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	if p.Gates == nil {
		return errors.New("serve gates: no set was given")
	}
	wire.RegisterGateSetServer(server, p.Gates)
	return nil
}

// GRPCClient returns a GateSetClient.
func (*Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	return wire.NewGateSetClient(connection), nil
}

// Plugins are those of a host.
func Plugins() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{wire.ProtocolVersion: {Name: &Plugin{}}}
}
