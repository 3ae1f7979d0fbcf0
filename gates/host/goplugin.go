package host

import (
	"context"
	"errors"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// dispensed is what go-plugin calls the one thing that a set serves.
const dispensed = "gates"

// handshake is the wire's, in go-plugin's words.
var handshake = plugin.HandshakeConfig{
	ProtocolVersion: wire.ProtocolVersion, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
}

// plugins are what go-plugin is to make of a set's connection.
func plugins() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{wire.ProtocolVersion: {dispensed: &asked{}}}
}

// asked joins the generated code to go-plugin.
type asked struct{ plugin.NetRPCUnsupportedPlugin }

// GRPCClient returns a GateSetClient.
func (*asked) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	return wire.NewGateSetClient(connection), nil
}

// GRPCServer is a set's side, which takes no more of go-plugin than its handshake: see gates.Serve.
func (*asked) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a host serves no gates")
}

// withoutBroker keeps go-plugin's client from listening to a set's broker, by which both sides could open more connections. Nobody
// needs one here, and the client starts a goroutine for each that a set announces.
func withoutBroker(ctx context.Context, about *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "a gate set has no broker")
	}
	return open(ctx, about, connection, method, options...)
}
