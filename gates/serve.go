package gates

import (
	"fmt"
	"os"
	"strings"

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
	if err := wire.Serve(newServer(set)); err != nil {
		fmt.Fprintf(os.Stderr, "gate set %q cannot be served: %v\n", set.Name, err)
		os.Exit(1)
	}
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
