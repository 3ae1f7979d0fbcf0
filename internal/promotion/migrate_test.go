package promotion_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
	"github.com/penstock-ci/penstock/pipelines"
)

// someProbes are what a version is asked in these tests; promotiontest answers any.
var someProbes = pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/"}}}

// dataAlone is the data half of "update", with gates on both sides of the migrations.
func dataAlone() scenario {
	s := scenarios["update"]
	s.kind = promotion.KindMigration
	s.environment.Smoke = someProbes
	s.gates = []promotion.GateFact{{Gate: "data/backup", Phase: gates.PhasePromote}, {Gate: "cloudflare/d1", Phase: gates.PhaseBake}}
	return s
}

func newDataBench() *bench {
	b := newBench("update")
	b.scenario = dataAlone()
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		return promotion.Ruling{Allowed: true}, nil
	})
	return b
}

func TestDataAlone(t *testing.T) {
	t.Parallel()
	b := newDataBench()
	plan := b.plan(t)
	if len(plan.Diff.Changes) != 1 || plan.Diff.Changes[0].Kind != promotion.ChangeMigration {
		t.Errorf("the plan would change %+v", plan.Diff.Changes)
	}
	result := b.ends(t, plan, promotion.Completed)
	if result.Version != "old" || result.Previous != "old" || !slices.Equal(result.Migrations, []promotion.Migration{first}) {
		t.Errorf("%+v", result)
	}
	if !slices.Equal(b.cloud.Live(), []promotion.Share{all("old")}) || len(b.cloud.Tagged("p1")) > 0 {
		t.Errorf("live is %v, uploaded were %v", b.cloud.Live(), b.cloud.Tagged("p1"))
	}
	state := b.journal.Last("p1")
	if state.Kind != promotion.KindMigration || state.Version != "" || state.Bundle != "" || state.Touched || state.Bookmark == "" {
		t.Errorf("on record is %+v", state)
	}
	var announced, started []string
	for _, step := range promotion.MigrationSteps(b.environment, true, true, b.seed != nil) {
		announced = append(announced, step.Name+": "+step.Title)
	}
	for _, e := range b.seen {
		if e.Type == event.StepStarted {
			started = append(started, e.Step.Name+": "+e.Step.Title)
		}
	}
	if diff := cmp.Diff(announced, started); diff != "" {
		t.Errorf("other steps than announced:\n%s", diff)
	}

	// A deployment finds them applied, and another migration finds nothing.
	again := *b
	again.options.Promotion = "p2"
	if result := again.ends(t, again.plan(t), promotion.Completed); !result.UpToDate {
		t.Errorf("%+v", result)
	}
	deploy := newBench("update")
	deploy.cloud, deploy.journal = b.cloud, b.journal
	deploy.options.Target, deploy.options.Journal, deploy.options.Prober, deploy.options.Promotion = b.cloud, b.journal, b.cloud, "p3"
	if plan := deploy.plan(t); len(plan.Diff.Migrations) > 0 {
		t.Errorf("the deployment would apply %v", plan.Diff.Migrations)
	}
	deploy.ends(t, deploy.plan(t), promotion.Completed)
}

// An approval of one half must never count for the whole.
func TestPlansOfHalvesDiffer(t *testing.T) {
	t.Parallel()
	b := newDataBench()
	half := b.plan(t)
	b.kind = ""
	if whole := b.plan(t); whole.Digest == half.Digest {
		t.Error("a deployment has the digest of its data half")
	}
	b.kind = promotion.KindMigration
	b.cloud.Wanted = []promotion.Migration{{Database: "db", Name: "0001.sql", Digest: "sha256:edited"}}
	if edited := b.plan(t); edited.Digest == half.Digest {
		t.Error("another text has the same digest")
	}
}

func TestDataAloneStops(t *testing.T) {
	t.Parallel()
	says := func(phase gates.Phase) promotion.Judge {
		return judge(func(asked gates.Phase, _ promotion.Address) (promotion.Ruling, error) {
			return promotion.Ruling{Allowed: asked != phase, Blocking: []string{"data/backup"}, Summary: "no"}, nil
		})
	}
	for name, tc := range map[string]struct {
		change  func(*bench)
		applied int
		is      func(error) bool
		says    string // the next step
		left    string // in NotUndone
	}{
		"what is live does not work before": {
			func(b *bench) { b.options.Prober = failing{at: 1, of: b.cloud} }, 0, isA[*promotion.SmokeError], "nothing was changed", "",
		},
		"what is live does not work afterwards": {
			func(b *bench) { b.options.Prober = failing{at: 2, of: b.cloud, asked: new(int)} }, 1, isA[*promotion.SmokeError], "penstock restore", "migrations stay applied: 0001.sql; the database before them is bookmark bookmark-0",
		},
		"a gate says no before":                {func(b *bench) { b.options.Judge = says(gates.PhasePromote) }, 0, isA[*promotion.BlockedError], "findings", ""},
		"a gate says no afterwards":            {func(b *bench) { b.options.Judge = says(gates.PhaseBake) }, 1, isA[*promotion.BlockedError], "findings", "migrations stay applied: 0001.sql"},
		"the database refuses the migration":   {func(b *bench) { b.cloud.Refuses = "0001.sql" }, 0, isA[*promotion.MigrationError], "correct the migration", ""},
		"there is nothing to ask what is live": {func(b *bench) { b.environment.Smoke = pipelines.Smoke{} }, 0, nil, "correct", ""},
		"a database is missing and must not be made": {func(b *bench) {
			b.cloud.Missing = []event.Change{{Action: "create", Kind: promotion.ChangeDatabase, Name: "db"}}
		}, 0, isA[*promotion.MissingError], "provision: true", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newDataBench()
			tc.change(b)
			result := b.ends(t, b.plan(t), promotion.Failed)
			if tc.is != nil && !tc.is(result.Cause) {
				t.Errorf("the cause is %v", result.Cause)
			}
			if got := len(b.cloud.Applied()); got != tc.applied {
				t.Errorf("%d migrations are applied, want %d", got, tc.applied)
			}
			if !strings.Contains(result.NextStep, tc.says) {
				t.Errorf("next: %s", result.NextStep)
			}
			if left := strings.Join(result.NotUndone, "\n"); (tc.left == "") != (left == "") || !strings.Contains(left, tc.left) {
				t.Errorf("left: %q", left)
			}
			if !slices.Equal(b.cloud.Live(), []promotion.Share{all("old")}) {
				t.Errorf("live is %v", b.cloud.Live())
			}
		})
	}
}

func isA[E error](err error) bool {
	_, is := errors.AsType[E](err)
	return is
}

// failing is a prober whose answer number at is wrong; with asked nil, every one is.
type failing struct {
	of    promotion.Prober
	at    int
	asked *int
}

func (f failing) Probe(ctx context.Context, address promotion.Address, version string, smoke pipelines.Smoke) (promotion.Report, error) {
	report, err := f.of.Probe(ctx, address, version, smoke)
	if f.asked != nil {
		*f.asked++
	}
	if f.asked == nil || *f.asked == f.at {
		report.OK = false
	}
	return report, err
}

// Before a first deployment there is nothing that could break, and a first database can be made.
func TestDataBeforeAnythingIsLive(t *testing.T) {
	t.Parallel()
	for name, live := range map[string][]promotion.Share{"no Worker": nil, "a placeholder": {all("placeholder")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newDataBench()
			b.cloud = &promotiontest.Cloud{
				Wanted: []promotion.Migration{first, second}, Secrets: []string{"TOKEN"}, Held: b.journal.Held,
				Missing: []event.Change{{Action: "create", Kind: promotion.ChangeDatabase, Name: "db"}, {Action: "create", Kind: "bucket", Name: "videos"}},
			}
			b.options.Target, b.options.Prober = b.cloud, failing{of: b.cloud} // it must not be asked
			b.environment.Provision = true
			if live != nil {
				b.cloud.Placeholder()
			}
			result := b.ends(t, b.plan(t), promotion.Completed)
			if len(b.cloud.Applied()) != 2 || !slices.Equal(b.cloud.Live(), live) {
				t.Errorf("%+v; applied %v, live %v", result, b.cloud.Applied(), b.cloud.Live())
			}
		})
	}
}

// Each of several versions must live with the new schema, and which one answers everybody is left to chance.
func TestDataBesideTwoVersions(t *testing.T) {
	t.Parallel()
	b := newDataBench()
	b.cloud.Deploy(promotion.Share{Version: "a", Percentage: 60}, promotion.Share{Version: "b", Percentage: 40})
	b.ends(t, b.plan(t), promotion.Completed)
	var asked []string
	for _, e := range b.seen {
		if e.Type == event.StepProgress && e.Step.Name == promotion.StepVerify {
			asked = append(asked, e.Text)
		}
	}
	if len(asked) != 2 || !strings.Contains(asked[0], "version a") || !strings.Contains(asked[1], "version b") {
		t.Errorf("asked: %q", asked)
	}
}

// TestEveryFaultAtEveryCallOfDataAlone is the sweep of TestEveryFaultAtEveryCall for the data half: whatever happens, traffic is
// as it was, no migration is applied twice or lost, the journal says no more than is true, and the next deployment goes through.
func TestEveryFaultAtEveryCallOfDataAlone(t *testing.T) {
	t.Parallel()
	plain := dataAlone()
	plain.stages = true
	seeding := plain
	seeding.seed = &promotion.Seed{File: "seed.sql"}
	bare := plain.cloud
	seeding.cloud = func() *promotiontest.Cloud {
		cloud := bare()
		cloud.Seeds = map[string]promotion.Seeding{"seed.sql": {Database: "db", Digest: "sha256:seed"}}
		return cloud
	}
	for name, s := range map[string]scenario{"migrations": plain, "migrations and a seed": seeding} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean := newWire(s.cloud(), &promotiontest.Journal{})
			if result, err := s.attempt(t, clean, "p1"); err != nil || result.Phase != promotion.Completed || len(clean.Calls) < 20 {
				t.Fatalf("without a fault: %+v, %v; %v", result, err, clean.Calls)
			}
			for at := range len(clean.Calls) {
				for _, fault := range promotiontest.Faults {
					t.Run(fmt.Sprintf("%s at %d %s", fault, at+1, clean.Calls[at]), func(t *testing.T) {
						s.checkData(t, wrong(s.cloud(), &promotiontest.Journal{}, at+1, fault))
					})
				}
			}
			t.Logf("%d calls × %d faults", len(clean.Calls), len(promotiontest.Faults))
		})
	}
}

func (s scenario) checkData(t *testing.T, w *wire) {
	old := []promotion.Share{all("old")}
	result, err := s.attempt(t, w, "p1")
	if !slices.Equal(w.cloud.Live(), old) || len(w.cloud.Tagged("p1")) > 0 {
		t.Errorf("live is %v", w.cloud.Live())
	}
	if !w.Dead {
		if result.Phase != promotion.Completed && (result.Cause == nil || result.NextStep == "") {
			t.Errorf("no cause or next step: %+v", result)
		}
		if err == nil && w.journal.Last("p1").State != result.Phase {
			t.Errorf("the result is %s, the journal says %s", result.Phase, w.journal.Last("p1").State)
		}
		said := strings.Join(result.NotUndone, "; ")
		if sown := len(w.cloud.Sown()) > 0; result.Phase != promotion.Completed && w.Fault != promotiontest.Outage && sown && !strings.Contains(said, "seed seed.sql") {
			t.Errorf("a seed that stays is not told: %q", said)
		}
	}
	want := 0
	if s.seed != nil {
		want = 1
	}
	if w.journal.Last("p1").State == promotion.Completed && (len(w.cloud.Applied()) != 1 || len(w.cloud.Sown()) != want) {
		t.Error("the journal says completed, and not all is there")
	}
	w.journal.HolderDied()
	result, err = s.attempt(t, newWire(w.cloud, w.journal), "p2")
	if err != nil || result.Phase != promotion.Completed {
		t.Fatalf("asked again: %+v, %v", result, err)
	}
	if got := w.cloud.Sown(); len(got) != want {
		t.Errorf("the seed was executed %d times, want %d", len(got), want)
	}
	next := scenarios["update"]
	result, err = next.attempt(t, newWire(w.cloud, w.journal), "p3")
	if err != nil || result.Phase != promotion.Completed {
		t.Fatalf("the next deployment: %+v, %v", result, err)
	}
	if got := w.cloud.Applied(); !slices.Equal(got, []string{"0001.sql"}) {
		t.Errorf("applied is %v", got)
	}
	if state := w.journal.Last("p1"); state.Promotion != "" && !state.State.Ended() {
		t.Errorf("the migration is left in %s", state.State)
	}
	if complaints := w.cloud.Complaints(); len(complaints) > 0 {
		t.Errorf("misuse: %q", complaints)
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	due := promotion.Seeding{Database: "db", Digest: "sha256:seed", SQL: "INSERT INTO users VALUES (1);"}
	holds, breaks := due, due
	holds.Holds, breaks.Breaks = "users", "it deletes rows: DELETE FROM users"
	for name, tc := range map[string]struct {
		seed  promotion.Seed
		found promotion.Seeding
		times int // that it was executed before
		want  int // in the end
		says  string
	}{
		"into an empty database":               {promotion.Seed{File: "s.sql"}, due, 0, 1, ""},
		"a second time":                        {promotion.Seed{File: "s.sql"}, holds, 1, 1, ""},
		"again":                                {promotion.Seed{File: "s.sql", Again: true}, holds, 1, 2, ""},
		"beside data":                          {promotion.Seed{File: "s.sql"}, holds, 0, 0, "there are rows in table users"},
		"beside data, told":                    {promotion.Seed{File: "s.sql", BesideData: true}, holds, 0, 1, ""},
		"again of what never was, beside data": {promotion.Seed{File: "s.sql", Again: true}, holds, 0, 0, "there are rows in table users"},
		"more than adding":                     {promotion.Seed{File: "s.sql", BesideData: true}, breaks, 0, 0, "it deletes rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newDataBench()
			b.seed = &tc.seed
			b.cloud.Seeds = map[string]promotion.Seeding{"s.sql": tc.found}
			for range tc.times {
				b.cloud.Held = nil
				if err := b.cloud.Seed(t.Context(), "earlier", "s.sql", "sha256:seed"); err != nil {
					t.Fatal(err)
				}
			}
			complained := len(b.cloud.Complaints()) // it was before the migrations, by somebody else
			b.cloud.Apply("0001.sql")
			plan := b.plan(t)
			if refusal := plan.RefusesSeed(); (refusal == nil) != (tc.says == "") {
				t.Errorf("refused: %v", refusal)
			}
			result, err := promotion.Promote(t.Context(), b.options, plan)
			if err != nil || len(b.cloud.Complaints()) != complained {
				t.Fatalf("%v, %q", err, b.cloud.Complaints())
			}
			if refused := result.Phase == promotion.Failed && errors.Is(result.Cause, promotion.ErrRefused); refused != (tc.says != "") || (refused && !strings.Contains(result.Cause.Error(), tc.says)) {
				t.Errorf("%s: %v", result.Phase, result.Cause)
			}
			if got := len(b.cloud.Sown()); got != tc.want {
				t.Errorf("executed %d times, want %d", got, tc.want)
			}
			if result.UpToDate != (tc.times > 0 && tc.want == tc.times) {
				t.Errorf("up to date: %v", result.UpToDate)
			}
		})
	}
}

// What is executed is part of what people approve.
func TestASeedIsOfThePlan(t *testing.T) {
	t.Parallel()
	b := newDataBench()
	digests := map[string]string{b.plan(t).Digest: "no seed"}
	for name, seed := range map[string]promotion.Seed{"a": {File: "a.sql"}, "b": {File: "b.sql"}, "a, beside data": {File: "a.sql", BesideData: true}, "a, again": {File: "a.sql", Again: true}} {
		b.cloud.Seeds = map[string]promotion.Seeding{"a.sql": {Digest: "sha256:x"}, "b.sql": {Digest: "sha256:x"}}
		b.seed = &seed
		plan := b.plan(t)
		if other := digests[plan.Digest]; other != "" {
			t.Errorf("%s has the digest of %s", name, other)
		}
		digests[plan.Digest] = name
	}
	b.cloud.Seeds = map[string]promotion.Seeding{"a.sql": {Digest: "sha256:edited"}}
	b.seed = &promotion.Seed{File: "a.sql"}
	if other := digests[b.plan(t).Digest]; other != "" {
		t.Errorf("another text has the digest of %s", other)
	}
}

// A rollback takes a migration by itself for what it is: no version came by it, and what it applied counts.
func TestRollbackBesideDataAlone(t *testing.T) {
	t.Parallel()
	b := newDataBench()
	b.cloud.Wanted = []promotion.Migration{{Database: "db", Name: "0001.sql", Breaks: "it renames a table"}}
	b.ends(t, b.plan(t), promotion.Completed)
	past := []promotion.Checkpoint{b.journal.Last("p1")}
	b.cloud.Deploy(all("new"))
	r, err := promotion.MakeRollback(t.Context(), b.cloud, past, "app", b.environment, "old")
	if err != nil || len(r.Breaking) != 1 || r.Bookmark != "bookmark-0" || !strings.Contains(r.Source, "promotion p1") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := promotion.MakeRollback(t.Context(), b.cloud, past, "app", b.environment, "p1"); !errors.Is(err, promotion.ErrNoSuchVersion) || !strings.Contains(err.Error(), "changed the data alone") {
		t.Errorf("to the migration itself: %v", err)
	}
	failed := past[0]
	failed.State = promotion.Failed
	if _, err := promotion.MakeRollback(t.Context(), b.cloud, []promotion.Checkpoint{failed}, "app", b.environment, "old"); err != nil {
		t.Errorf("a migration that failed makes the version that was live no good: %v", err)
	}
}
