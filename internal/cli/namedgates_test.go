package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestNamedGates: what the sets have against the pipeline is told before anything runs; what is kept of them spares a start
// and stops nothing by itself; and of a set that cannot be asked it is only told that.
func TestNamedGates(t *testing.T) {
	t.Parallel()
	folder, state := lockedChatty(t), t.TempDir()
	named := func(pipeline pipelines.Pipeline) (pipelines.Problems, []string) {
		t.Helper()
		host, err := openLocked(folder, state, nil, func(text string) string { return text })
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close(context.WithoutCancel(t.Context()))
		problems, unasked, err := namedGates(t.Context(), host, pipeline, folder)
		if err != nil {
			t.Fatal(err)
		}
		return problems, unasked
	}
	of := func(gate string, phase gates.Phase, config map[string]any) pipelines.Pipeline {
		return pipelines.Pipeline{Gates: []pipelines.GateRef{{Gate: gate, Phase: phase, Config: config}}}
	}
	right := of("chatty/source", gates.PhaseBuild, nil)
	for range 2 { // asked, and known
		if problems, unasked := named(right); len(problems) > 0 || len(unasked) > 0 {
			t.Errorf("%v, %v", problems, unasked)
		}
	}
	for says, pipeline := range map[string]pipelines.Pipeline{
		`did you mean "source"?`:               of("chatty/sorce", gates.PhaseBuild, nil),
		`did you mean "chatty"?`:               of("chaty/source", gates.PhaseBuild, nil),
		"cannot be asked in the phase promote": of("chatty/source", gates.PhasePromote, nil),
		"takes no config":                      of("chatty/source", gates.PhaseBuild, map[string]any{"limit": 1}),
	} {
		if problems, _ := named(pipeline); len(problems) != 1 || !strings.Contains(problems.Error(), says) {
			t.Errorf("want %q: %v", says, problems)
		}
	}

	kept, err := filepath.Glob(filepath.Join(state, "gate-sets", "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	text, err := os.ReadFile(kept[0])
	if err == nil {
		err = os.WriteFile(kept[0], bytes.Replace(text, []byte("source"), []byte("sauces"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if problems, _ := named(right); len(problems) > 0 {
		t.Errorf("what was kept wrongly stops a run: %v", problems)
	}

	if err := os.RemoveAll(filepath.Join(state, "gate-sets")); err != nil {
		t.Fatal(err)
	}
	binaries, err := filepath.Glob(filepath.Join(folder, "penstock-gates-*"))
	if err != nil || len(binaries) != 1 || os.Remove(binaries[0]) != nil {
		t.Fatalf("%v, %v", binaries, err)
	}
	if problems, unasked := named(right); len(problems) > 0 || len(unasked) != 1 || !strings.Contains(unasked[0], "chatty/… cannot be asked: ") {
		t.Errorf("%v, %v", problems, unasked)
	}
}
