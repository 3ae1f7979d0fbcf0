package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

func promoted(t *testing.T, l *Ledger, environment, run string, state promotion.Phase, plan event.Plan) {
	t.Helper()
	tell(t, l,
		event.Event{Type: event.RunStarted, Time: noon, Run: run, RunInfo: &event.RunInfo{App: "guide", Environment: environment, Commit: "c-" + run, SourceDigest: "sha256:" + run}},
		event.Event{Type: event.PlanMade, Time: noon, Run: run, Plan: &plan})
	lease, err := l.Acquire(t.Context(), "guide", environment, "p-"+run)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: "p-" + run, Run: run, State: state, Plan: plan.Digest, Version: "v-" + run}); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
}

func TestPromotionsAreToldNewestFirst(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	promoted(t, l, "staging", "1", promotion.Completed, event.Plan{Digest: "sha256:1"})
	promoted(t, l, "production", "2", promotion.RolledBack, event.Plan{Digest: "sha256:2"})
	found, complete, err := l.Promotions(t.Context(), "guide", 10)
	if err != nil || !complete || len(found) != 2 {
		t.Fatalf("%+v, %v, %v", found, complete, err)
	}
	newest := found[0]
	if newest.Environment != "production" || newest.Checkpoint.State != promotion.RolledBack || newest.Info.Commit != "c-2" || !newest.Started.Equal(noon) {
		t.Errorf("%+v", newest)
	}
	if found, complete, err := l.Promotions(t.Context(), "guide", 1); err != nil || complete || len(found) != 1 {
		t.Errorf("of two one was asked for: %+v, %v, %v", found, complete, err)
	}
	if found, complete, err := l.Promotions(t.Context(), "other", 1); err != nil || !complete || len(found) != 0 {
		t.Errorf("of another app: %+v, %v, %v", found, complete, err)
	}
}

// The last plan that lists a migration is the one by which it was applied: it is in every plan until then.
func TestMigrationDigestsAreThoseOfTheLastPlan(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	pending := func(name, digest string) event.Change {
		return event.Change{Action: "create", Kind: "migration", Name: name, To: "guide db sha256:" + digest}
	}
	promoted(t, l, "production", "1", promotion.Failed, event.Plan{Changes: []event.Change{pending("0001.sql", "a"), pending("0002.sql", "b")}})
	promoted(t, l, "production", "2", promotion.Completed, event.Plan{Changes: []event.Change{
		pending("0001.sql", "changed"), {Action: "keep", Kind: "migration", Name: "0000.sql", To: "its file no longer exists"},
	}})
	promoted(t, l, "staging", "3", promotion.Completed, event.Plan{Changes: []event.Change{pending("0001.sql", "of staging")}})
	digests, err := l.MigrationDigests(t.Context(), "guide", "production")
	want := map[Migration]string{{"guide db", "0001.sql"}: "sha256:changed", {"guide db", "0002.sql"}: "sha256:b"}
	if diff := cmp.Diff(want, digests); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}

// A migration by itself is a promotion that brought no version: nothing is live by it, no source was taken anywhere by it, and
// what waited with older migrations is superseded all the same.
func TestAMigrationBringsNoVersion(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	promoted(t, l, "production", "1", promotion.Completed, event.Plan{Digest: "sha256:1"})
	before, err := l.Environment(t.Context(), "guide", "production")
	if err != nil {
		t.Fatal(err)
	}
	tell(t, l, event.Event{Type: event.RunStarted, Time: noon, Run: "2", RunInfo: &event.RunInfo{App: "guide", Environment: "production", SourceDigest: "sha256:2"}})
	if _, err := l.Hold(t.Context(), promotion.Hold{Run: "2", Promotion: "p-2", App: "guide", Environment: "production", Plan: "sha256:2", Expires: noon.AddDate(90, 0, 0)}); err != nil {
		t.Fatal(err)
	}
	pending := event.Change{Action: "create", Kind: promotion.ChangeMigration, Name: "0001.sql", To: "db sha256:a"}
	tell(t, l,
		event.Event{Type: event.RunStarted, Time: noon, Run: "3", RunInfo: &event.RunInfo{App: "guide", Environment: "production", Command: "migrate", SourceDigest: "sha256:3"}},
		event.Event{Type: event.PlanMade, Time: noon, Run: "3", Plan: &event.Plan{Digest: "sha256:3", Changes: []event.Change{pending}}})
	lease, err := l.Acquire(t.Context(), "guide", "production", "p-3")
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []promotion.Phase{promotion.Leased, promotion.Migrated, promotion.Completed} {
		at := promotion.Checkpoint{Promotion: "p-3", Run: "3", State: state, Kind: promotion.KindMigration, Plan: "sha256:3"}
		if err := l.Checkpoint(t.Context(), lease, at); err != nil {
			t.Fatal(err)
		}
	}
	after, err := l.Environment(t.Context(), "guide", "production")
	if err != nil || after.Run != before.Run || after.Version != before.Version || after.Bundle != before.Bundle || !after.Since.Equal(before.Since) {
		t.Errorf("live was %+v and is %+v, %v", before, after, err)
	}
	if run, err := l.PromotedFrom(t.Context(), "guide", "production", "sha256:3"); err != nil || run != "" {
		t.Errorf("its source counts as promoted by run %q, %v", run, err)
	}
	if run, err := l.PromotedFrom(t.Context(), "guide", "production", "sha256:1"); err != nil || run != "1" {
		t.Errorf("the source that was promoted: run %q, %v", run, err)
	}
	if held, err := l.Held(t.Context(), "2"); err != nil || held.State != promotion.Superseded || held.Reason != "run 3 is newer and migrated the data" {
		t.Errorf("what waited: %+v, %v", held, err)
	}
	if digests, err := l.MigrationDigests(t.Context(), "guide", "production"); err != nil || digests[Migration{"db", "0001.sql"}] != "sha256:a" {
		t.Errorf("%v, %v", digests, err)
	}
	if report, err := l.Verify(t.Context()); err != nil || !report.OK {
		t.Errorf("%+v, %v", report, err)
	}
}
