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
	if err := l.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: "p-" + run, Run: run, State: state, Plan: plan.Digest}); err != nil {
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
