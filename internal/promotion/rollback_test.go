package promotion_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
	"github.com/penstock-ci/penstock/pipelines"
)

var (
	adding   = promotion.Migration{Database: "db", Name: "0002.sql", Digest: "sha256:02"}
	breaking = promotion.Migration{Database: "db", Name: "0003.sql", Digest: "sha256:03", Breaks: "it takes something away: TABLE users"}
)

// years is an app that was promoted several times, each time with the migrations up to then.
type years struct {
	cloud    *promotiontest.Cloud
	journal  *promotiontest.Journal
	versions []string
	seen     []event.Event
}

var production = pipelines.Environment{Name: "production", Provision: true}

func promoted(t *testing.T, migrations ...[]promotion.Migration) *years {
	t.Helper()
	y := &years{cloud: &promotiontest.Cloud{}, journal: &promotiontest.Journal{}}
	y.cloud.Held = y.journal.Held
	for i, wanted := range migrations {
		y.cloud.Wanted = append(y.cloud.Wanted, wanted...)
		y.promote(t, fmt.Sprintf("p%d", i+1), fmt.Sprintf("sha256:%d", i+1))
	}
	return y
}

func (y *years) options(id string) promotion.Options {
	return promotion.Options{
		Target: y.cloud, Journal: y.journal, Prober: y.cloud, Run: "RUN" + strings.ToUpper(id), Promotion: id, Waits: []time.Duration{}, Settle: 5 * time.Millisecond,
		Observer: event.ObserverFunc(func(e event.Event) { y.seen = append(y.seen, e) }),
	}
}

func (y *years) promote(t *testing.T, id, digest string) {
	t.Helper()
	plan, err := promotion.MakePlan(t.Context(), y.cloud, promotion.Basis{App: "app", Environment: production, Bundle: &bundle.Bundle{Digest: digest}})
	if err != nil {
		t.Fatal(err)
	}
	result, err := promotion.Promote(t.Context(), y.options(id), plan)
	if err != nil || result.Phase != promotion.Completed {
		t.Fatalf("%+v, %v", result, err)
	}
	y.versions = append(y.versions, result.Version)
}

// past is what the ledger would tell, newest first.
func (y *years) past() []promotion.Checkpoint {
	var past []promotion.Checkpoint
	for _, c := range slices.Backward(y.journal.History()) {
		if !slices.ContainsFunc(past, func(p promotion.Checkpoint) bool { return p.Promotion == c.Promotion }) {
			past = append(past, c)
		}
	}
	return past
}

func (y *years) rollback(t *testing.T, to string) promotion.Rollback {
	t.Helper()
	r, err := promotion.MakeRollback(t.Context(), y.cloud, y.past(), "app", production, to)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (y *years) live(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff([]promotion.Share{all(want)}, y.cloud.Live()); diff != "" {
		t.Error(diff)
	}
	if complaints := y.cloud.Complaints(); len(complaints) > 0 {
		t.Errorf("misuse: %q", complaints)
	}
}

// TestARollbackToARunByItsBeginning: as much of a run's id as lists show is enough, and less is no id.
func TestARollbackToARunByItsBeginning(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, nil, nil)
	past := y.past()
	for i := range past {
		if past[i].Version == y.versions[0] {
			past[i].Run = "01M8A73Y9JW51B1DED1GZK36CR"
		}
	}
	r, err := promotion.MakeRollback(t.Context(), y.cloud, past, "app", production, "01M8A73Y9J")
	if err != nil || r.To.ID != y.versions[0] {
		t.Errorf("%+v, %v", r.To, err)
	}
	if _, err := promotion.MakeRollback(t.Context(), y.cloud, past, "app", production, "01M8A73"); !errors.Is(err, promotion.ErrNoSuchVersion) {
		t.Error(err)
	}
}

func TestARollbackGoesToWhatWasLiveBefore(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, []promotion.Migration{adding}, nil)
	r := y.rollback(t, "")
	if r.From.ID != y.versions[2] || r.To.ID != y.versions[1] || len(r.Since) != 0 {
		t.Fatalf("%+v", r)
	}
	y.seen = nil
	result, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, r, promotion.DataUndecided)
	if err != nil || result.Phase != promotion.Completed || result.Version != y.versions[1] || result.Previous != y.versions[2] {
		t.Fatalf("%+v, %v", result, err)
	}
	y.live(t, y.versions[1])
	var steps []string
	for _, e := range y.seen {
		if e.Type == event.StepFinished {
			steps = append(steps, e.Step.Name+": "+e.Step.Title)
		}
	}
	var announced []string
	for _, step := range promotion.RollbackSteps(promotion.DataUndecided) {
		announced = append(announced, step.Name+": "+step.Title)
	}
	if diff := cmp.Diff(announced, steps); diff != "" {
		t.Error(diff)
	}
	if last := y.journal.Last("r1"); last.State != promotion.Completed || last.Kind != promotion.KindRollback || last.Bundle != "sha256:2" {
		t.Errorf("%+v", last)
	}
	// What came by a rollback is not rolled back by itself.
	_, err = promotion.MakeRollback(t.Context(), y.cloud, y.past(), "app", production, "")
	if !errors.Is(err, promotion.ErrNoSuchVersion) || !strings.Contains(err.Error(), "came by a rollback") {
		t.Error(err)
	}
	if named := y.rollback(t, y.versions[2]); named.To.ID != y.versions[2] {
		t.Errorf("%+v", named)
	}
}

func TestAVersionCanBeNamedInManyWays(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, nil, nil)
	for _, name := range []string{y.versions[0], "p1", "RUNP1", "runp1", "2", "v2"} {
		if r := y.rollback(t, name); r.To.ID != y.versions[0] {
			t.Errorf("%s means %s", name, r.To.ID)
		}
	}
	y.cloud.Suspend()
	maintenance := y.cloud.Live()[0].Version
	y.cloud.Resume()
	for name, why := range map[string]string{
		"nothing": "neither", "versio": "give more of it", y.versions[2]: "all traffic already", "placeholder": "placeholder",
		maintenance: "out of service",
	} {
		_, err := promotion.MakeRollback(t.Context(), y.cloud, y.past(), "app", production, name)
		if !errors.Is(err, promotion.ErrNoSuchVersion) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheDataQuestion(t *testing.T) {
	t.Parallel()
	t.Run("migrations that add", func(t *testing.T) {
		t.Parallel()
		y := promoted(t, []promotion.Migration{first}, []promotion.Migration{adding})
		r := y.rollback(t, "")
		if len(r.Since) != 1 || len(r.Breaking) != 0 {
			t.Fatalf("%+v", r)
		}
		if _, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, r, promotion.DataUndecided); err != nil {
			t.Fatal(err)
		}
		y.live(t, y.versions[0])
	})
	t.Run("a migration that breaks is asked about", func(t *testing.T) {
		t.Parallel()
		y := promoted(t, []promotion.Migration{first}, []promotion.Migration{adding, breaking}, nil)
		r := y.rollback(t, y.versions[0])
		if len(r.Since) != 2 || len(r.Breaking) != 1 || r.Bookmark != "bookmark-1" || len(r.Lost) != 1 || r.Lost[0].Rows != 2 {
			t.Fatalf("%+v", r)
		}
		calls := len(y.journal.Events())
		_, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, r, promotion.DataUndecided)
		refused, ok := errors.AsType[*promotion.DataError](err)
		if !ok || !strings.Contains(err.Error(), "0003.sql") || !strings.Contains(err.Error(), "at least 2 of users") || !strings.Contains(refused.NextStep(), "--restore-data") {
			t.Fatal(err)
		}
		if len(y.journal.Events()) != calls {
			t.Error("a refusal left events")
		}
		y.live(t, y.versions[2])
	})
	t.Run("code only", func(t *testing.T) {
		t.Parallel()
		y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
		if _, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, y.rollback(t, ""), promotion.DataKept); err != nil {
			t.Fatal(err)
		}
		y.live(t, y.versions[0])
		if len(y.cloud.Restored()) != 0 || len(y.cloud.Applied()) != 2 {
			t.Errorf("%v, %v", y.cloud.Restored(), y.cloud.Applied())
		}
	})
	t.Run("restored", func(t *testing.T) {
		t.Parallel()
		y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
		result, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, y.rollback(t, ""), promotion.DataRestored)
		if err != nil || result.Bookmark != "undo-bookmark-2" || y.journal.Last("r1").Undo != result.Bookmark {
			t.Fatalf("%+v, %v", result, err)
		}
		y.live(t, y.versions[0])
		if diff := cmp.Diff([]string{"0001.sql"}, y.cloud.Applied()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("to code whose data was put back since", func(t *testing.T) {
		t.Parallel()
		y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
		if _, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, y.rollback(t, ""), promotion.DataRestored); err != nil {
			t.Fatal(err)
		}
		r := y.rollback(t, y.versions[1])
		if len(r.Breaking) != 1 || r.Breaking[0].Name != "0003.sql" || r.Bookmark != "" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("another tool's migration", func(t *testing.T) {
		t.Parallel()
		y := promoted(t, []promotion.Migration{first}, nil)
		y.cloud.Apply("9999.sql")
		r := y.rollback(t, "")
		if len(r.Breaking) != 1 || !strings.HasPrefix(r.Bookmark, "time-") || !strings.Contains(r.Source, "time travel") {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("a migration that came after the question", func(t *testing.T) {
		t.Parallel()
		y := promoted(t, []promotion.Migration{first}, nil)
		r := y.rollback(t, "")
		y.cloud.Apply("9999.sql")
		result, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, r, promotion.DataUndecided)
		if err != nil || result.Phase != promotion.Superseded {
			t.Fatalf("%+v, %v", result, err)
		}
		y.live(t, y.versions[1])
	})
}

func TestARollbackThatFailsStays(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, nil)
	y.cloud.Broken = "sha256:1"
	options := y.options("r1")
	result, err := promotion.Return(t.Context(), options, y.cloud, y.rollback(t, ""), promotion.DataUndecided)
	if err != nil || result.Phase != promotion.Failed || result.Version != y.versions[0] || !strings.Contains(result.NextStep, "penstock deploy") {
		t.Fatalf("%+v, %v", result, err)
	}
	if diff := cmp.Diff([]promotion.Share{all(y.versions[0])}, y.cloud.Live()); diff != "" {
		t.Error(diff)
	}
}

// forgetful does not answer when it is asked for a bookmark.
type forgetful struct {
	*promotiontest.Cloud
	err error
}

func (f *forgetful) BookmarkBefore(context.Context, time.Time) (string, error) { return "", f.err }

// That there is no bookmark is an answer, on which people decide. That nobody answered is none.
func TestABookmarkThatCouldNotBeAskedForIsNotOneThatIsNotThere(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, nil)
	y.cloud.Apply("9999.sql")
	if _, err := promotion.MakeRollback(t.Context(), &forgetful{y.cloud, promotion.ErrUnreachable}, y.past(), "app", production, ""); !errors.Is(err, promotion.ErrUnreachable) {
		t.Errorf("nobody answered: %v", err)
	}
	r, err := promotion.MakeRollback(t.Context(), &forgetful{y.cloud, errors.New("older than 30 days")}, y.past(), "app", production, "")
	if err != nil || len(r.Breaking) != 1 || r.Bookmark != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Who asked for the data too, and stopped it before that, is told that the old code meets the new data.
func TestARollbackThatIsStoppedBeforeTheDataSaysSo(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	options := y.options("r1")
	options.Observer = event.ObserverFunc(func(e event.Event) {
		if e.Type == event.StepFinished && e.Step.Name == promotion.StepReturn {
			stop()
		}
	})
	result, err := promotion.Return(ctx, options, y.cloud, y.rollback(t, ""), promotion.DataRestored)
	if err != nil || result.Phase != promotion.Failed || len(y.cloud.Restored()) != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if !slices.ContainsFunc(result.NotUndone, func(s string) bool {
		return strings.HasPrefix(s, "data: it was not put back") && strings.Contains(s, "--bookmark 'bookmark-1'")
	}) {
		t.Errorf("%q", result.NotUndone)
	}
}

// coarse knows of every migration ever, as a clock of whole seconds may.
type coarse struct{ *promotiontest.Cloud }

func (c coarse) AppliedSince(ctx context.Context, _ time.Time) ([]promotion.Applied, error) {
	return c.Cloud.AppliedSince(ctx, time.Time{})
}

// A version is not kept from working by the migration that it came with, though both are of the same second.
func TestAVersionsOwnMigrationIsNotSince(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{breaking}, []promotion.Migration{adding})
	r, err := promotion.MakeRollback(t.Context(), coarse{y.cloud}, y.past(), "app", production, "")
	if err != nil || r.To.ID != y.versions[0] || len(r.Breaking) != 0 || len(r.Since) != 1 || r.Since[0].Name != adding.Name {
		t.Errorf("%+v, %v", r, err)
	}
}

// halfway restores one database of two.
type halfway struct{ *promotiontest.Cloud }

func (h halfway) RestoreData(ctx context.Context, id, bookmark string) (string, error) {
	undo, err := h.Cloud.RestoreData(ctx, id, bookmark)
	return undo, errors.Join(err, errors.New("the second database: whether it was done is not known"))
}

// Of several databases, one that was put back does not stand for all.
func TestARestoreThatStopsHalfwayIsNotTakenForDone(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
	result, err := promotion.Return(t.Context(), y.options("r1"), halfway{y.cloud}, y.rollback(t, ""), promotion.DataRestored)
	if err != nil || result.Phase != promotion.Failed || result.Bookmark != "undo-bookmark-2" {
		t.Fatalf("%+v, %v", result, err)
	}
	if !slices.ContainsFunc(result.NotUndone, func(s string) bool {
		return strings.HasPrefix(s, "data: whether all of it was put back is not known") && strings.Contains(s, "undo-bookmark-2") && strings.Contains(s, "is bookmark bookmark-2")
	}) {
		t.Errorf("%q", result.NotUndone)
	}
}

// refusing deploys nothing.
type refusing struct{ *promotiontest.Cloud }

func (refusing) Route(context.Context, string, promotion.Routing) error {
	return errors.New("secrets were changed")
}

// As long as the newer code has all traffic, nobody is to be told to put the data back under it.
func TestARollbackWhoseTrafficIsRefusedAsksForNoRestore(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
	result, err := promotion.Return(t.Context(), y.options("r1"), refusing{y.cloud}, y.rollback(t, ""), promotion.DataRestored)
	if err != nil || result.Phase != promotion.Failed || result.Version != y.versions[1] {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, said := range result.NotUndone {
		if strings.HasPrefix(said, "data:") {
			t.Error(said)
		}
	}
}

// TestEveryFaultAtEveryStepOfARollback: whatever goes wrong at whatever call, the version that it came from never gets
// traffic back once it was taken away, the data is put back at most once, and the next promotion ends what did not.
func TestEveryFaultAtEveryStepOfARollback(t *testing.T) {
	t.Parallel()
	runs := 0
	for _, fault := range promotiontest.Faults {
		for at := 1; ; at++ {
			y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
			r := y.rollback(t, "")
			ctx, cancel := context.WithCancel(t.Context())
			w := wrong(y.cloud, y.journal, at, fault)
			w.Cancel = cancel
			options := y.options("r1")
			options.Journal, options.Prober, options.Observer = w, w, nil
			result, err := promotion.Return(ctx, options, w, r, promotion.DataRestored)
			cancel()
			if len(w.Calls) < at {
				break
			}
			runs++
			where := fmt.Sprintf("%s at call %d (%s)", fault, at, w.Calls[at-1])
			if n := len(y.cloud.Restored()); n > 1 {
				t.Errorf("%s: the data was put back %d times", where, n)
			}
			if len(y.cloud.Restored()) == 1 && y.cloud.Live()[0].Version != y.versions[0] {
				t.Errorf("%s: old data under new code", where)
			}
			last := y.journal.Last("r1")
			if result.Phase == promotion.Completed && (y.cloud.Live()[0].Version != y.versions[0] || len(y.cloud.Restored()) != 1) {
				t.Errorf("%s: completed, and it is not so (%v)", where, err)
			}
			if last.State == promotion.RolledBack || last.State == promotion.Completed && result.Phase != promotion.Completed && err == nil {
				t.Errorf("%s: on record as %s, told as %s", where, last.State, result.Phase)
			}
			reached := y.cloud.Live()[0].Version
			y.journal.HolderDied()
			y.cloud.Broken = ""
			lease, err := y.journal.Acquire(t.Context(), "app", "production", "p9")
			if err != nil {
				t.Fatal(err)
			}
			for _, left := range lease.Abandoned {
				if left.Kind != promotion.KindRollback {
					t.Errorf("%s: left %+v", where, left)
				}
			}
			y.journal.HolderDied()
			y.promote(t, "p3", "sha256:3")
			if ended := y.journal.Last("r1"); ended.State != "" && !ended.State.Ended() {
				t.Errorf("%s: still %s after the next promotion", where, ended.State)
			}
			for _, c := range y.journal.History() {
				if c.Promotion == "p3" && len(c.Previous) > 0 && c.Step == promotion.StepPrepare && c.Previous[0].Version != reached {
					t.Errorf("%s: %s was put back to %s", where, reached, c.Previous[0].Version)
				}
			}
		}
	}
	if runs < 100 {
		t.Errorf("only %d runs", runs)
	}
}

// TestNoWayBackToWhatWasStopped: a version that gates or smoke tests stopped is not gone back to, by whatever name.
func TestNoWayBackToWhatWasStopped(t *testing.T) {
	t.Parallel()
	y := promoted(t, nil, nil, nil)
	to := y.versions[1]
	for name, row := range map[string]struct {
		change  func(promotion.Checkpoint) []promotion.Checkpoint
		refused bool
	}{
		"it completed": {func(c promotion.Checkpoint) []promotion.Checkpoint { return []promotion.Checkpoint{c} }, false},
		"it was put back": {func(c promotion.Checkpoint) []promotion.Checkpoint {
			c.State = promotion.RolledBack
			return []promotion.Checkpoint{c}
		}, true},
		"it failed before any traffic": {func(c promotion.Checkpoint) []promotion.Checkpoint {
			c.State = promotion.Failed
			return []promotion.Checkpoint{c}
		}, true},
		"it was not made by Penstock": {func(promotion.Checkpoint) []promotion.Checkpoint { return nil }, false},
		"a rollback to it did not work": {func(c promotion.Checkpoint) []promotion.Checkpoint {
			c.Kind, c.State = promotion.KindRollback, promotion.Failed
			return []promotion.Checkpoint{c}
		}, false},
		"it failed once and completed once": {func(c promotion.Checkpoint) []promotion.Checkpoint {
			failed := c
			failed.Promotion, failed.State = "p9", promotion.Failed
			return []promotion.Checkpoint{failed, c}
		}, false},
	} {
		var past []promotion.Checkpoint
		for _, c := range y.past() {
			if c.Version == to {
				past = append(past, row.change(c)...)
			} else {
				past = append(past, c)
			}
		}
		_, err := promotion.MakeRollback(t.Context(), y.cloud, past, "app", production, to)
		if (err != nil) != row.refused || row.refused && !errors.Is(err, promotion.ErrNoSuchVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A bookmark that Time Travel has forgotten is found out before anything moves, and the nearest export is named.
func TestAForgottenBookmarkIsFoundOutBeforeTrafficMoves(t *testing.T) {
	t.Parallel()
	y := promoted(t, []promotion.Migration{first}, []promotion.Migration{breaking})
	kept := y.rollback(t, "")
	if kept.Gone != "" || kept.Bookmark == "" || kept.Taken.IsZero() {
		t.Fatalf("%+v", kept)
	}
	y.cloud.Forgets = time.Now().Add(time.Hour)
	r := y.rollback(t, "")
	if r.Bookmark != "" || !strings.Contains(r.LossText(), "too old") || !strings.Contains(r.LossText(), "penstock restore") {
		t.Errorf("%q: %s", r.Bookmark, r.LossText())
	}
	live := y.cloud.Live()
	if _, err := promotion.Return(t.Context(), y.options("r1"), y.cloud, r, promotion.DataRestored); err == nil {
		t.Error("went on without a bookmark")
	}
	// It was forgotten between the plan and the lease.
	result, err := promotion.Return(t.Context(), y.options("r2"), y.cloud, kept, promotion.DataRestored)
	if err != nil || result.Phase != promotion.Failed || !strings.Contains(fmt.Sprint(result.Cause), "too old") {
		t.Errorf("%+v, %v", result, err)
	}
	if diff := cmp.Diff(live, y.cloud.Live()); diff != "" {
		t.Errorf("traffic moved: %s", diff)
	}
}
