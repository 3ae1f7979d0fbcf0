package cli

import (
	"slices"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestOnlyAskedSetsArePrepared: copying and verifying a set costs 20 ms of a run that does not ask it.
func TestOnlyAskedSetsArePrepared(t *testing.T) {
	t.Parallel()
	pipeline := &pipelines.Pipeline{Gates: []pipelines.GateRef{
		{Gate: "quality/tests", Phase: gates.PhaseBuild},
		{Gate: "health/smoke", Phase: gates.PhasePromote},
		{Gate: "acme/elsewhere", Phase: gates.PhasePromote, Environments: []string{"production"}},
	}}
	for name, c := range map[string]struct {
		flags    runFlags
		promotes bool
		sets     []string
	}{
		"check":         {runFlags{}, false, []string{"quality"}},
		"deploy":        {runFlags{}, true, []string{"health", "quality"}},
		"single stages": {runFlags{only: []string{"test"}}, false, nil},
	} {
		r := &run{flags: c.flags, pipeline: pipeline, environment: &pipelines.Environment{Name: "staging"}}
		if sets := setsOf(r.askedGates(c.promotes)); !slices.Equal(sets, c.sets) {
			t.Errorf("%s: %v", name, sets)
		}
	}
}
