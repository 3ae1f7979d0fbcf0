package account

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// TestStates: nothing but what passed is Passed.
func TestStates(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[gates.Outcome]State{
		gates.Pass: Passed, gates.Warn: Passed, gates.Fail: Failed, gates.Inconclusive: Unknown, gates.Error: Unknown, gates.Pending: Waiting, "": Unknown, "splendid": Unknown,
	} {
		gate := Gate{Gate: event.Gate{Verdict: &gates.Verdict{Outcome: outcome}, Blocks: !outcome.Allows()}}
		if got := gate.StateOf(); got != want {
			t.Errorf("a gate that says %q is %d, want %d", outcome, got, want)
		}
	}
	if (Gate{}).StateOf() != Running || (Stage{}).StateOf() != Running {
		t.Error("what has not answered is not at work")
	}
	for outcome, want := range map[event.Outcome]State{
		event.Passed: Passed, event.Failed: Failed, event.Skipped: Unknown, event.Cancelled: Unknown, event.Errored: Unknown, "": Unknown,
	} {
		if got := (Stage{Stage: event.Stage{Outcome: outcome}, Ended: true}).StateOf(); got != want {
			t.Errorf("a stage that ended as %q is %d, want %d", outcome, got, want)
		}
	}
}

// TestAGateAskedAgain has no verdict until it answers again, and a stage's second attempt is not over.
func TestAGateAskedAgain(t *testing.T) {
	t.Parallel()
	var a Account
	gate := event.Gate{Name: "q/g", Phase: gates.PhaseBake}
	a.Apply(event.Event{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "a", Gates: []event.Gate{gate, gate}, Stages: []event.Stage{{Name: "test", Title: "the tests"}}}})
	if len(a.Gates) != 1 {
		t.Fatalf("two references to a gate are %d rows", len(a.Gates))
	}
	answered := gate
	answered.Verdict = &gates.Verdict{Outcome: gates.Pass}
	a.Apply(event.Event{Type: event.GateFinished, Gate: &answered})
	a.Apply(event.Event{Type: event.GateStarted, Gate: &gate})
	if a.Gates[0].StateOf() != Running {
		t.Error("a gate that is asked again still passes")
	}
	a.Apply(event.Event{Type: event.StageFinished, Stage: &event.Stage{Name: "test", Outcome: event.Passed}})
	a.Apply(event.Event{Type: event.StageStarted, Stage: &event.Stage{Name: "test", Attempt: 2}})
	if a.Stages[0].StateOf() != Running || a.Stages[0].Title != "the tests" {
		t.Errorf("a stage that runs again: %+v", a.Stages[0])
	}
}
