package gates

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// Serve answers a host's questions until the host ends the process; it is the whole of a set's main function.
//
// Nothing may be printed to standard output before Serve is called: the first line there is the handshake. What gates
// print later, on either stream, is kept by the host, bounded, and shown when something goes wrong. Started by hand
// rather than by a host, or with a set that is not well formed, Serve says so and exits with status 2.
func Serve(set Set) {
	if os.Getenv(wire.CookieKey) != wire.CookieValue {
		fmt.Fprint(os.Stderr, startedByHand(set))
		os.Exit(2)
	}
	if err := set.check(); err != nil {
		fmt.Fprintf(os.Stderr, "gate set %q cannot be served: %v\n", set.Name, err)
		os.Exit(2)
	}
	go exitWithHost()
	fmt.Fprintf(os.Stderr, "gate set %q cannot be served: %v\n", set.Name, serve(set))
	os.Exit(1)
}

// serve says where the set is asked and answers there. It returns only what keeps it from that.
//
// It is gRPC alone. go-plugin's services beside it, and its listener, are not needed: the host gives the socket and the
// certificates, and reads the streams.
func serve(set Set) error {
	secured, err := identity()
	if err != nil {
		return err
	}
	listener, handshake, err := wire.Listen(os.Getenv)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(secured)),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes))
	wire.RegisterGateSetServer(server, newServer(set))
	if _, err := os.Stdout.WriteString(handshake); err != nil {
		return err
	}
	return server.Serve(listener)
}

// identity is what the host gave this process to show itself with. What a gate starts does not inherit it.
func identity() (*tls.Config, error) {
	secured, err := wire.SetTLS(os.Getenv)
	return secured, errors.Join(err, os.Unsetenv(wire.SetCertificate), os.Unsetenv(wire.SetKey))
}

// startedByHand is what a person reads who runs a set as if it were a command.
func startedByHand(set Set) string {
	names := make([]string, 0, len(set.Gates))
	for _, gate := range set.Gates {
		names = append(names, set.Name+"/"+gate.Describe().Name)
	}
	return fmt.Sprintf("This is the gate set %q, version %s. It serves %s to penstock, which starts it by itself;\n"+
		"it does nothing when started by hand. To use a gate, name it under gates: in penstock.yaml. To write one, read docs/gates.md.\n",
		set.Name, set.Version, strings.Join(names, ", "))
}
