// Command gateset serves twenty gates that pass without looking at anything, so that what is measured is the asking. It is
// called by the name of its set: the measurement copies the binary to make more sets of it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// count is how many gates the set has; the measurement asks one or all of them.
const count = 20

func main() {
	set := gates.Set{Name: strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe"), Version: "1.0.0"}
	for i := range count {
		set.Gates = append(set.Gates, pass{name: fmt.Sprintf("gate-%d", i)})
	}
	gates.Serve(set)
}

type pass struct{ name string }

func (g pass) Describe() gates.Description {
	return gates.Description{Name: g.name, Title: "passes", Phases: []gates.Phase{gates.PhaseBuild}}
}

func (pass) Evaluate(context.Context, *gates.Request) (*gates.Verdict, error) {
	return &gates.Verdict{Outcome: gates.Pass, Summary: "nothing was looked at"}, nil
}
