package ledger

import (
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
)

// onDisk is a place in memory whose record is a real ledger, so that runs can wait there for people.
type onDisk struct {
	*promotiontest.Memory
	t      testing.TB
	ledger *Ledger
	pid    int
}

// Ports implements promotiontest.Place: each process has a number that no living one has, so that it counts as dead.
func (r *onDisk) Ports() (promotion.Rewinder, promotion.Prober, promotion.Journal) {
	r.pid++
	r.ledger.me = thisProcess()
	r.ledger.me.PID, r.ledger.me.Start = 1<<30+r.pid, "never"
	return r.Cloud, r.Cloud, r.ledger
}

func (r *onDisk) Held() bool {
	held, found, err := readLease(r.t.Context(), r.ledger.db, "app", "production")
	if err != nil {
		r.t.Fatal(err)
	}
	return found && !held.released && held.process == r.ledger.me
}

// Past compares the record's tables with each other besides.
func (r *onDisk) Past() []promotion.Checkpoint {
	past, err := r.ledger.Past(r.t.Context(), "app", "production")
	if err != nil {
		r.t.Fatal(err)
	}
	state, err := r.ledger.Environment(r.t.Context(), "app", "production")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, one := range past {
		if one.State != promotion.Completed {
			continue
		}
		if state.Version != one.Version {
			r.t.Errorf("%s completed last, with %s, and the environment is said to have %s", one.Promotion, one.Version, state.Version)
		}
		break
	}
	return past
}

func (r *onDisk) Hold(hold promotion.Hold) {
	if _, err := r.ledger.Hold(r.t.Context(), hold); err != nil {
		r.t.Fatal(err)
	}
}

func (r *onDisk) Decide(decision promotion.Decision) error {
	_, err := r.ledger.Decide(r.t.Context(), decision)
	return err
}

// TestStories tells random stories with a ledger on disk; what must hold is said at promotiontest.Story.
func TestStories(t *testing.T) {
	t.Parallel()
	tellStories(t, func() *Ledger { return fresh(t) })
}

func tellStories(t *testing.T, open func() *Ledger) {
	t.Helper()
	var places []*onDisk
	promotiontest.Stories(t, promotiontest.Telling{Lasts: 2 * time.Second, LastsSlow: time.Minute, Steps: 40, InCI: 8}, func() promotiontest.Place {
		r := &onDisk{Memory: promotiontest.NewMemory(t), t: t, ledger: open()}
		r.Cloud.Held = nil // it would have to read the ledger in the middle of a write
		places = append(places, r)
		return r
	})
	for _, r := range places {
		sound(t, r.ledger)
	}
}
