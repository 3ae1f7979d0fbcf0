// Package wire is how a gate host and a gate set speak: the handshake, the limits that both sides know and the generated
// gRPC code. Only packages gates and gates/host import it; authors never see it.
package wire

import "fmt"

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative gates.proto

// ProtocolVersion is the version of gates.proto. It changes only when old and new cannot speak with each other at all;
// everything smaller is a matter of the versions that cross in Describe.
const ProtocolVersion = 1

// MaxMessageBytes bounds one message in either direction. A verdict of a thousand findings takes about one megabyte.
const MaxMessageBytes = 8 << 20

// CookieKey and CookieValue are the variable by which a host tells a set that it is no person who starts it. They are a
// courtesy, not a protection: what protects is the checksum of the binary and the certificates that both sides make anew
// for each start.
const (
	CookieKey   = "PENSTOCK_GATES"
	CookieValue = "c1d2f0a1-penstock-gates-over-grpc"
)

// The other variables of the handshake. The first is go-plugin's, whose client starts sets; the others are ours, so that
// no set needs to make a certificate or a socket.
const (
	ClientCertificate = "PLUGIN_CLIENT_CERT"  // the host's, in PEM
	SetCertificate    = "PENSTOCK_SET_CERT"   // what the set shows itself with, in PEM
	SetKey            = "PENSTOCK_SET_KEY"    // its private key, PKCS #8 in PEM
	SetSocket         = "PENSTOCK_SET_SOCKET" // the path of the socket that it inherits; not on Windows
)

// ListenerDescriptor is the number of the inherited socket, which listens already.
const ListenerDescriptor = 3

// handshakeLine is the one line that a set prints once it can be asked: the version of go-plugin's handshake, ours, where, and how.
func handshakeLine(network, address string) string {
	return fmt.Sprintf("1|%d|%s|%s|grpc|\n", ProtocolVersion, network, address)
}
