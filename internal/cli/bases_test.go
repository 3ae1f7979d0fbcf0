package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/report/github"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestBases: what is new is new since the pull request's base, or since what is live, also after a return to an older version;
// and nobody guesses where neither is known.
func TestBases(t *testing.T) {
	t.Parallel()
	recorded, err := openLedger(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer recorded.Close()
	promoted := func(id, environment, commit, version string, kind promotion.Kind, state promotion.Phase) {
		t.Helper()
		started := event.Event{Type: event.RunStarted, Time: time.Now(), Run: id, RunInfo: &event.RunInfo{App: "guide", Environment: environment, Commit: commit}}
		if err := recorded.Record(t.Context(), started); err != nil {
			t.Fatal(err)
		}
		lease, err := recorded.Acquire(t.Context(), "guide", environment, "p-"+id)
		if err != nil {
			t.Fatal(err)
		}
		at := promotion.Checkpoint{Promotion: "p-" + id, Run: id, State: state, Version: version, Kind: kind, Plan: "sha256:p", UpdatedAt: time.Now()}
		if err := recorded.Checkpoint(t.Context(), lease, at); err != nil {
			t.Fatal(err)
		}
		if err := recorded.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what, environment string, pull *hub, want ...gates.Base) {
		t.Helper()
		r := &run{ledger: recorded, hub: pull, pipeline: &pipelines.Pipeline{Name: "guide"}, environment: &pipelines.Environment{Name: environment}}
		if diff := cmp.Diff(want, r.bases(t.Context())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	live := func(commit, environment string) gates.Base {
		return gates.Base{Commit: commit, Name: "what is live in " + environment}
	}

	expect("nothing is live", "production", nil)
	promoted("r1", "production", "c1", "v1", "", promotion.Completed)
	promoted("r2", "staging", "c2", "v2", "", promotion.Completed)
	promoted("r3", "production", "c3", "v3", "", promotion.RolledBack)
	expect("the last was put back", "production", nil, live("c1", "production"))
	promoted("r4", "production", "c4", "v4", "", promotion.Completed)
	expect("promoted", "production", nil, live("c4", "production"))
	expect("elsewhere", "staging", nil, live("c2", "staging"))
	promoted("r5", "production", "", "v1", promotion.KindRollback, promotion.Completed)
	expect("somebody went back", "production", nil, live("c1", "production"))
	pull := &hub{place: github.Place{Base: "b1", BaseRef: "main"}}
	expect("a pull request", "production", pull, gates.Base{Commit: "b1", Name: "the pull request's base main"})
	promoted("r6", "production", "", "v6", "", promotion.Completed)
	expect("from no commit", "production", nil)
}
