package dagger_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dagger.io/dagger/engineconn"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/dagger"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestExplain asks before each of two runs, and after an edit, what decides about the stage.
func TestExplain(t *testing.T) {
	t.Parallel()
	sc := scenarios[slices.IndexFunc(scenarios, func(sc scenario) bool { return sc.name == "passes" })]
	recorded, schema := readRecording(t, fileOf(sc)), loadSchema(t)
	w := newWorld(t, sc, recorded.ID)
	for number := range 2 {
		conn := newReplay(t, schema, w.names, recorded.Sessions[number])
		w.play(t, w.dagger(number, func(context.Context) (engineconn.EngineConn, error) { return conn, nil }), number)
	}
	for i, why := range []string{"first run", "nothing changed since "} {
		if e := w.explains[i]; e.Cached || e.Decider != "the engine" || !strings.HasPrefix(e.Why, why) {
			t.Errorf("run %d: %+v, want %q, for the engine to decide", i, e, why)
		}
	}
	if w.explains[0].Key != w.explains[1].Key {
		t.Error("the same stage has another key")
	}

	write(t, filepath.Join(w.source, "src/a.txt"), "edited\n")
	stage := pipelines.Stage{Name: "make", Image: "another:1", Inputs: []string{"src", "run me.sh", ".recording"}, Run: sc.stages[0].Run}
	e := w.explain(t, newReplay(t, schema, w.names, nil), &stage)
	changed := map[string]bool{}
	for _, part := range e.Parts {
		changed[part.Name] = part.Changed()
	}
	if !strings.Contains(e.Why, "src/a.txt changed") || !strings.Contains(e.Why, "image") || !changed["inputs"] || !changed["definition image"] || changed["definition name"] {
		t.Errorf("after an edit of a file and another image: %+v", e)
	}
}

// explain asks about a stage in a session of its own, which asks the engine nothing.
func (w *world) explain(t *testing.T, conn engineconn.EngineConn, stage *pipelines.Stage) lastrun.Explanation {
	t.Helper()
	source, err := snapshot.Take(t.Context(), w.source, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var executor engine.Executor = dagger.New(dagger.Options{StateDir: w.state, Connect: func(context.Context) (engineconn.EngineConn, error) { return conn, nil }})
	open, err := executor.Open(t.Context(), &pipelines.Pipeline{Name: "scenario", Stages: []pipelines.Stage{*stage}}, source)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close(context.WithoutCancel(t.Context()))
	e, err := open.(lastrun.Explainer).Explain(t.Context(), stage, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
