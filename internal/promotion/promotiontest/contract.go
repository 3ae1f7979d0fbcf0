package promotiontest

import (
	"errors"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// JournalContract checks what promotion.Journal promises of a journal that holds nothing yet.
func JournalContract(t *testing.T, open func(t *testing.T) promotion.Journal) {
	acquire := func(t *testing.T, journal promotion.Journal, environment, id string) promotion.Lease {
		t.Helper()
		lease, err := journal.Acquire(t.Context(), "app", environment, id)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	checkpoint := func(t *testing.T, journal promotion.Journal, lease promotion.Lease, id string, phase promotion.Phase) error {
		t.Helper()
		told := event.Event{Type: event.StepFinished, Run: "r", Step: &event.Step{Name: "x"}}
		return journal.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: id, Run: "r", State: phase}, told)
	}
	t.Run("one promotion for each environment", func(t *testing.T) {
		journal := open(t)
		first := acquire(t, journal, "production", "p1")
		_, err := journal.Acquire(t.Context(), "app", "production", "p2")
		busy, ok := errors.AsType[*promotion.BusyError](err)
		if !ok || !errors.Is(err, promotion.ErrBusy) || busy.Promotion != "p1" || busy.Holder == "" || busy.Since.IsZero() {
			t.Fatalf("%v", err)
		}
		acquire(t, journal, "staging", "p2")
		for range 2 {
			if err := journal.Release(t.Context(), first); err != nil {
				t.Fatal(err)
			}
		}
		if next := acquire(t, journal, "production", "p3"); next.Token <= first.Token || len(next.Abandoned) != 0 {
			t.Errorf("%+v", next)
		}
	})
	t.Run("an outdated token", func(t *testing.T) {
		journal := open(t)
		old := acquire(t, journal, "production", "p1")
		again := acquire(t, journal, "production", "p1")
		if err := checkpoint(t, journal, old, "p1", promotion.Leased); !errors.Is(err, promotion.ErrLeaseLost) {
			t.Errorf("old: %v", err)
		}
		if err := journal.Release(t.Context(), old); err != nil {
			t.Errorf("release of a lost lease: %v", err)
		}
		if err := checkpoint(t, journal, again, "p1", promotion.Leased); err != nil {
			t.Errorf("new: %v", err)
		}
		if err := journal.Release(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if err := checkpoint(t, journal, again, "p1", promotion.Leased); !errors.Is(err, promotion.ErrLeaseLost) {
			t.Errorf("released: %v", err)
		}
	})
	t.Run("what did not end is abandoned, newest first, until it ends", func(t *testing.T) {
		journal := open(t)
		for _, step := range []struct {
			id    string
			phase promotion.Phase
		}{{"p1", promotion.Shifting}, {"p2", promotion.Completed}, {"p3", promotion.AwaitingApproval}, {"p4", promotion.Leased}} {
			lease := acquire(t, journal, "production", step.id)
			if err := errors.Join(checkpoint(t, journal, lease, step.id, step.phase), journal.Release(t.Context(), lease)); err != nil {
				t.Fatal(err)
			}
		}
		lease := acquire(t, journal, "production", "p5")
		if len(lease.Abandoned) != 2 || lease.Abandoned[0].Promotion != "p4" || lease.Abandoned[1].Promotion != "p1" {
			t.Fatalf("%+v", lease.Abandoned)
		}
		if err := errors.Join(checkpoint(t, journal, lease, "p1", promotion.RolledBack), journal.Release(t.Context(), lease)); err != nil {
			t.Fatal(err)
		}
		if left := acquire(t, journal, "production", "p6").Abandoned; len(left) != 1 || left[0].Promotion != "p4" {
			t.Errorf("%+v", left)
		}
	})
	t.Run("an end is final and can be told again", func(t *testing.T) {
		journal := open(t)
		lease := acquire(t, journal, "production", "p1")
		for range 2 {
			if err := checkpoint(t, journal, lease, "p1", promotion.RolledBack); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkpoint(t, journal, lease, "p1", promotion.Completed); err == nil {
			t.Error("rolled back became completed")
		}
	})
}
