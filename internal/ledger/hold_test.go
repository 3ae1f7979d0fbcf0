package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// began tells that a run began, and holds it for bea or cyd.
func began(t testing.TB, l *Ledger, run string) promotion.Hold {
	t.Helper()
	author := event.Identity{Kind: event.IdentityGit, Name: "ann"}
	tell(t, l, event.Event{Type: event.RunStarted, Run: run, Time: noon, RunInfo: &event.RunInfo{App: "guide", Environment: "production", By: &author}})
	return promotion.Hold{
		Run: run, Promotion: "p-" + run, App: "guide", Environment: "production", Plan: "sha256:plan", Bundle: "sha256:b", Source: "sha256:s",
		Policy: promotion.Policy{Approvers: []string{"bea", "cyd"}, Needed: 1}, Author: &author, Since: time.Now(), Expires: time.Now().Add(time.Hour),
	}
}

func hold(t testing.TB, l *Ledger, h promotion.Hold) []string {
	t.Helper()
	superseded, err := l.Hold(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	tell(t, l, event.Event{Type: event.RunFinished, Run: h.Run, Time: noon, Result: &event.Result{Outcome: outcomeWaiting, ExitCode: 5}})
	return superseded
}

func approval(run, by string) promotion.Decision {
	return promotion.Decision{ID: run + by, Run: run, Plan: "sha256:plan", Approve: true, By: event.Identity{Kind: event.IdentityGit, Name: by}, Reason: "looked", Time: time.Now()}
}

func stateOf(t testing.TB, l *Ledger, run string) string {
	t.Helper()
	found, err := l.Run(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	return found.State
}

// promote takes a run's promotion from its lease to an end.
func promote(t testing.TB, l *Ledger, run, id string, ends ...promotion.Phase) {
	t.Helper()
	lease, err := l.Acquire(t.Context(), "guide", "production", id)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range ends {
		if err := l.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: id, Run: run, State: end, Version: "v-" + run}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
}

func TestFromWaitingToPromoted(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	hold(t, l, began(t, l, "r1"))
	if got := stateOf(t, l, "r1"); got != "awaiting-approval" {
		t.Fatalf("it is %s", got)
	}
	state, err := l.Environment(t.Context(), "guide", "production")
	if err != nil || len(state.Waiting) != 1 || state.Waiting[0].Run != "r1" || len(state.Unfinished) != 0 {
		t.Fatalf("%v, %+v", err, state)
	}
	if all, err := l.Environments(t.Context(), ""); err != nil || len(all) != 1 {
		t.Fatalf("an environment for which a run waits is not listed: %v %+v", err, all)
	}
	if _, err := l.Decide(t.Context(), approval("r1", "ann")); !errors.Is(err, promotion.ErrRefused) {
		t.Errorf("the author approves: %v", err)
	}
	held, err := l.Decide(t.Context(), approval("r1", "bea"))
	if err != nil || held.State != promotion.Approved || !held.Standing("sha256:plan").Approved {
		t.Fatalf("%v, %+v", err, held)
	}
	// A process goes on with it, and dies.
	tell(t, l, event.Event{Type: event.RunStarted, Run: "r1", Time: noon, RunInfo: &event.RunInfo{App: "guide", Environment: "production", Resumed: true}})
	if got := stateOf(t, l, "r1"); got != Running {
		t.Errorf("a run that goes on is %s", got)
	}
	promote(t, l, "r1", "p-r1", promotion.Leased, promotion.Failed)
	if got, _ := l.Held(t.Context(), "r1"); got.State != promotion.Approved {
		t.Errorf("what failed before it took traffic cannot be tried again: %s", got.State)
	}
	promote(t, l, "r1", "p-again", promotion.Leased, promotion.Completed)
	if got, _ := l.Held(t.Context(), "r1"); got.State != promotion.Completed {
		t.Errorf("after the promotion it is %s", got.State)
	}
	if _, err := l.Decide(t.Context(), approval("r1", "cyd")); !errors.Is(err, promotion.ErrRefused) {
		t.Errorf("a promoted run is approved once more: %v", err)
	}
	sound(t, l)
}

func TestNewerRunsSupersede(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	first, second := began(t, l, "r1"), began(t, l, "r2")
	hold(t, l, first)
	if superseded := hold(t, l, second); len(superseded) != 1 || superseded[0] != "r1" {
		t.Errorf("superseded: %v", superseded)
	}
	if got := stateOf(t, l, "r1"); got != "superseded" {
		t.Errorf("the older is %s", got)
	}
	if _, err := l.Decide(t.Context(), approval("r1", "bea")); !errors.Is(err, promotion.ErrRefused) {
		t.Errorf("a superseded run is approved: %v", err)
	}
	var overtaken *promotion.OvertakenError
	if _, err := l.Hold(t.Context(), first); !errors.As(err, &overtaken) || overtaken.Newer != "r2" {
		t.Errorf("an older run waits again, past a newer one: %v", err)
	}
	// One in another environment is left alone.
	elsewhere := began(t, l, "r3")
	elsewhere.Environment = "staging"
	if superseded := hold(t, l, elsewhere); len(superseded) != 0 {
		t.Errorf("a run to another environment superseded %v", superseded)
	}
	// A newer one that did not have to wait ends the waiting, too.
	began(t, l, "r4")
	promote(t, l, "r4", "p-r4", promotion.Leased, promotion.Completed)
	if got := stateOf(t, l, "r2"); got != "superseded" {
		t.Errorf("an older run waits on past a newer success: %s", got)
	}
	if err := l.Overtaken(t.Context(), "guide", "production", "r2"); !errors.As(err, &overtaken) || overtaken.Newer != "r4" {
		t.Errorf("an older run overtakes a newer success: %v", err)
	}
	if err := l.Overtaken(t.Context(), "guide", "production", "r4"); err != nil {
		t.Errorf("the newest is overtaken: %v", err)
	}
	if err := l.Overtaken(t.Context(), "guide", "production", "unheard-of"); err != nil {
		t.Errorf("a run that only begins is overtaken: %v", err)
	}
	sound(t, l)
}

func TestHeldAgainWithAnotherPlan(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	h := began(t, l, "r1")
	hold(t, l, h)
	if _, err := l.Decide(t.Context(), approval("r1", "bea")); err != nil {
		t.Fatal(err)
	}
	h.Plan, h.Voided = "sha256:other", "live: v1 became v2"
	hold(t, l, h)
	held, err := l.Held(t.Context(), "r1")
	if err != nil || held.State != promotion.AwaitingApproval || held.Standing(held.Plan).Approved {
		t.Fatalf("the old approval counts for the new plan: %v, %+v", err, held)
	}
	if _, err := l.Decide(t.Context(), approval("r1", "bea")); !errors.Is(err, promotion.ErrRefused) {
		t.Errorf("an approval of the old plan is replayed: %v", err)
	}
	again := approval("r1", "bea")
	again.Plan = "sha256:other"
	if held, err = l.Decide(t.Context(), again); err != nil || held.State != promotion.Approved {
		t.Errorf("%v, %+v", err, held)
	}
	sound(t, l)
}

func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	h := began(t, l, "r1")
	h.Expires = time.Now().Add(-time.Second)
	hold(t, l, h)
	if got := stateOf(t, l, "r1"); got != "expired" {
		t.Errorf("it is %s", got)
	}
	if _, err := l.Decide(t.Context(), approval("r1", "bea")); !errors.Is(err, promotion.ErrRefused) {
		t.Errorf("an expired run is approved: %v", err)
	}
	if err := l.Settle(t.Context(), "r1", promotion.Expired, "nobody decided"); err != nil {
		t.Fatal(err)
	}
	if waiting, err := l.Waiting(t.Context(), "", ""); err != nil || len(waiting) != 0 {
		t.Errorf("%v, %+v", err, waiting)
	}
	if err := l.Settle(t.Context(), "r1", promotion.Superseded, "late"); err != nil {
		t.Fatal(err)
	}
	if held, _ := l.Held(t.Context(), "r1"); held.State != promotion.Expired || held.Reason != "nobody decided" {
		t.Errorf("an end was ended again: %+v", held)
	}
	if _, err := l.Held(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	sound(t, l)
}

// TestOneOfManyDecides: whoever comes at the same time, each decision is judged by what was there before it.
func TestOneOfManyDecides(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	hold(t, l, began(t, l, "r1"))
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() {
			mine, err := Open(t.Context(), path)
			if err != nil {
				results[i] = err
				return
			}
			defer mine.Close()
			d := approval("r1", []string{"bea", "cyd"}[i%2])
			d.ID, d.Approve = fmt.Sprint(i), i%4 == 0 // bea says yes and no, cyd says no
			_, results[i] = mine.Decide(t.Context(), d)
		})
	}
	wg.Wait()
	held, err := l.Held(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	rejected := 0
	for _, err := range results {
		if err != nil && !errors.Is(err, promotion.ErrRefused) {
			t.Error(err)
		}
	}
	for _, d := range held.Decisions {
		if !d.Approve {
			rejected++
		}
	}
	if held.State != promotion.Rejected || rejected != 1 {
		t.Errorf("%s after %d rejections in %d decisions", held.State, rejected, len(held.Decisions))
	}
	sound(t, l)
}

// TestARejectionStopsAPromotionOrComesTooLate: whatever a process read before, a run that was rejected does not begin to be
// promoted, does not wait again, and nobody is told that what is being promoted was stopped.
func TestARejectionStopsAPromotionOrComesTooLate(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	h := began(t, l, "r1")
	hold(t, l, h)
	promote(t, l, "r1", "p-r1", promotion.Leased, promotion.Failed) // so that the next attempt has an id of its own
	no := approval("r1", "cyd")
	no.Approve = false

	lease, err := l.Acquire(t.Context(), "guide", "production", "p-2")
	if err != nil {
		t.Fatal(err)
	}
	leased := promotion.Checkpoint{Promotion: "p-2", Run: "r1", State: promotion.Leased}
	if err := l.Checkpoint(t.Context(), lease, leased); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Decide(t.Context(), no); !errors.Is(err, promotion.ErrRefused) || !strings.Contains(err.Error(), "being promoted") {
		t.Errorf("a run is rejected while it is being promoted: %v", err)
	}
	if err := errors.Join(l.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: "p-2", Run: "r1", State: promotion.Failed}), l.Release(t.Context(), lease)); err != nil {
		t.Fatal(err)
	}

	lease, err = l.Acquire(t.Context(), "guide", "production", "p-3")
	if err != nil {
		t.Fatal(err)
	}
	if held, err := l.Decide(t.Context(), no); err != nil || held.State != promotion.Rejected {
		t.Fatalf("%v, %+v", err, held)
	}
	leased.Promotion = "p-3"
	if err := l.Checkpoint(t.Context(), lease, leased); !errors.Is(err, promotion.ErrRefused) || !strings.Contains(err.Error(), "rejected") {
		t.Errorf("a rejected run is promoted: %v", err)
	}
	if _, err := l.Hold(t.Context(), h); !errors.Is(err, promotion.ErrRefused) {
		t.Errorf("a rejected run waits again: %v", err)
	}
	if err := l.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	// Another run is not held up by it.
	promote(t, l, "r2", "p-r2", promotion.Leased, promotion.Completed)
	sound(t, l)
}

// TestOneOfManyGoesOn: of all who go on with a waiting run at the same moment, one does.
func TestOneOfManyGoesOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	hold(t, l, began(t, l, "r1"))
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() {
			mine, err := Open(t.Context(), path)
			if err != nil {
				results[i] = err
				return
			}
			defer mine.Close()
			results[i] = mine.Claim(t.Context(), "r1")
		})
	}
	wg.Wait()
	claimed := 0
	for _, err := range results {
		switch {
		case err == nil:
			claimed++
		case !errors.Is(err, promotion.ErrBusy):
			t.Error(err)
		}
	}
	if got := stateOf(t, l, "r1"); claimed != 1 || got != Running {
		t.Errorf("%d go on, and it is %s", claimed, got)
	}
	tell(t, l, event.Event{Type: event.RunFinished, Run: "r1", Time: noon, Result: &event.Result{Outcome: outcomeWaiting, ExitCode: 5}})
	if err := l.Claim(t.Context(), "r1"); err != nil {
		t.Errorf("nobody is at work on it any more: %v", err)
	}
	if err := l.Claim(t.Context(), "r2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a run that is not there: %v", err)
	}
	sound(t, l)
}

// TestForgedDecisions: a row without an event, or an event that does not follow, is found.
func TestForgedDecisions(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a row":         `INSERT INTO decisions (seq, run, plan, decision) VALUES (99, 'r1', 'sha256:plan', '{"run":"r1","plan":"sha256:plan","approve":true,"by":{"name":"bea"},"reason":"x"}')`,
		"a state":       `UPDATE holds SET state = 'approved'`,
		"another plan":  `UPDATE holds SET hold = json_set(hold, '$.plan', 'sha256:evil')`,
		"other rules":   `UPDATE holds SET hold = json_set(hold, '$.policy', json('{}'))`,
		"a waiver":      `INSERT INTO waivers (id, app, environment, gate, seq, waiver) VALUES ('w', 'guide', 'production', 'a/b', 99, '{}')`,
		"a longer wait": `UPDATE holds SET hold = json_set(hold, '$.expires', '2999-01-01T00:00:00Z')`,
		"an event":      `INSERT INTO events (seq, kind, run, body, hash) SELECT max(seq) + 1, 'decision', 'r1', '{}', zeroblob(32) FROM events`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ledger.db")
			l := open(t, path)
			hold(t, l, began(t, l, "r1"))
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			report, err := l.Verify(t.Context())
			if err != nil || report.OK {
				t.Errorf("not found: %v, %+v", err, report)
			}
		})
	}
}

// TestAnOlderLedgerIsUpgraded: what was recorded stays, several openers at once agree, and the chain holds.
func TestAnOlderLedgerIsUpgraded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	tell(t, l, aRun("r1")...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"DROP TABLE holds", "DROP TABLE decisions", "DROP TABLE waivers", "PRAGMA user_version = 1"} {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			again, err := Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l = open(t, path)
	hold(t, l, began(t, l, "r2"))
	if got := stateOf(t, l, "r1"); !strings.Contains(got, "done") {
		t.Errorf("the old run is %s", got)
	}
	sound(t, l)
}

// TestAClockThatWasSetBack: what has expired by what the ledger says already stays so, whatever the clock says.
func TestAClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	hold(t, l, began(t, l, "r1"))
	tell(t, l, event.Event{Type: event.Note, Run: "r1", Time: time.Now().Add(2 * time.Hour), Text: "later"})
	if now, err := l.Now(t.Context()); err != nil || time.Until(now) < time.Hour {
		t.Errorf("it is %v, %v", now, err)
	}
	var refused *promotion.RefusedError
	if _, err := l.Decide(t.Context(), approval("r1", "bea")); !errors.As(err, &refused) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an approval after the end: %v", err)
	}
}
