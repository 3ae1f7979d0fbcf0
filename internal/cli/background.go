package cli

import (
	"fmt"

	"github.com/penstock-ci/penstock/internal/executor/host"
)

// minderArgument starts this binary as the minder of a run: the process that ends what a killed run leaves behind.
const minderArgument = "__minder"

// background runs the parts of Penstock that are this binary again. done is false for a person's command line.
func background(streams Streams) (done bool, code ExitCode) {
	if len(streams.Args) != 1 || streams.Args[0] != minderArgument {
		return false, ExitDone
	}
	if err := host.RunMinder(streams.In); err != nil {
		fmt.Fprintf(streams.Err, "penstock: minder: %v\n", err)
		return true, ExitInternal
	}
	return true, ExitDone
}
