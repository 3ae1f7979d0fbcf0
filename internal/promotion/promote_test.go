package promotion_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
)

// bench is one promotion with everything it needs, to be changed before it runs.
type bench struct {
	scenario
	cloud   *promotiontest.Cloud
	journal *promotiontest.Journal
	options promotion.Options
	seen    []event.Event
}

func newBench(name string) *bench {
	b := &bench{scenario: scenarios[name], journal: &promotiontest.Journal{}}
	b.cloud = b.scenario.cloud()
	b.cloud.Held = b.journal.Held
	b.options = promotion.Options{
		Target: b.cloud, Journal: b.journal, Prober: b.cloud, Run: "run", Promotion: "p1", Waits: []time.Duration{}, Settle: 5 * time.Millisecond,
		Observer: event.ObserverFunc(func(e event.Event) { b.seen = append(b.seen, e) }),
	}
	return b
}

func (b *bench) plan(t *testing.T) promotion.Plan {
	t.Helper()
	plan, err := promotion.MakePlan(t.Context(), b.cloud, promotion.Basis{App: "app", Environment: b.environment, Bundle: green, Gates: b.gates, Kind: b.kind, Seed: b.seed})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// ends promotes the plan and expects a settled end in that phase.
func (b *bench) ends(t *testing.T, plan promotion.Plan, want promotion.Phase) promotion.Result {
	t.Helper()
	result, err := promotion.Promote(t.Context(), b.options, plan)
	if err != nil || result.Phase != want {
		t.Fatalf("ended %s (%v), %v; want %s", result.Phase, result.Cause, err, want)
	}
	if got := b.journal.Last(b.options.Promotion).State; got != want {
		t.Errorf("the journal says %s, want %s", got, want)
	}
	if complaints := b.cloud.Complaints(); len(complaints) > 0 {
		t.Errorf("misuse: %q", complaints)
	}
	return result
}

type judge func(phase gates.Phase, address promotion.Address) (promotion.Ruling, error)

func (j judge) Judge(_ context.Context, phase gates.Phase, address promotion.Address, _ string) (promotion.Ruling, error) {
	return j(phase, address)
}

func TestTheStepsAreTheOnesAnnounced(t *testing.T) {
	t.Parallel()
	for name, s := range scenarios {
		b := newBench(name)
		b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
			return promotion.Ruling{Allowed: true}, nil
		})
		b.ends(t, b.plan(t), promotion.Completed)
		var announced, started, finished []string
		for _, step := range promotion.Steps(s.environment, s.gates != nil, s.gates != nil) {
			announced = append(announced, step.Name+": "+step.Title)
		}
		for _, e := range b.seen {
			switch e.Type {
			case event.StepStarted:
				started = append(started, e.Step.Name+": "+e.Step.Title)
			case event.StepFinished:
				finished = append(finished, e.Step.Name+": "+e.Step.Title)
			}
		}
		if diff := cmp.Diff(announced, started); diff != "" {
			t.Errorf("%s: started:\n%s", name, diff)
		}
		if diff := cmp.Diff(announced, finished); diff != "" {
			t.Errorf("%s: finished:\n%s", name, diff)
		}
		recorded := 0
		for _, e := range b.journal.Events() {
			if e.Type == event.StepStarted || e.Type == event.StepFinished {
				recorded++
			}
		}
		if recorded != 2*len(announced) {
			t.Errorf("%s: %d step events on record, want %d", name, recorded, 2*len(announced))
		}
	}
}

// 100 - 8.04 is 91.96000000000001 in floating point; nobody wants to read that, and a target need not take it.
func TestSharesHaveNoMoreDecimalsThanTheSteps(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.environment.Steps = []float64{0.1, 8.04, 33.33, 100}
	b.ends(t, b.plan(t), promotion.Completed)
	var told []string
	for _, e := range b.seen {
		if e.Type == event.StepFinished && strings.HasPrefix(e.Step.Name, promotion.StepShift) {
			told = append(told, e.Step.Detail)
		}
	}
	for i, want := range []string{"old at 99.9 %, ", "old at 91.96 %, ", "old at 66.67 %, "} {
		if len(told) != 4 || !strings.HasPrefix(told[i], want) {
			t.Errorf("%q, want %q", told, want)
		}
	}
}

func TestEveryStepIsOnRecordBeforeAndAfterIt(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.ends(t, b.plan(t), promotion.Completed)
	var got []string
	for _, c := range b.journal.History() {
		entry := c.Step + " " + string(c.State)
		if c.Done {
			entry += " done"
		}
		got = append(got, entry)
	}
	want := []string{
		"lease leased done",
		"check leased", "check leased done",
		"prepare leased", "prepare leased done",
		"bookmark leased", "bookmark backed-up done",
		"migrate backed-up", "migrate migrated done",
		"upload migrated", "upload uploaded done",
		"place uploaded", "place uploaded done",
		"smoke uploaded", "smoke smoked done",
		"shift-100 smoked", "shift-100 shifting done",
		"verify shifting", "verify shifting done",
		"verify completed done",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	last := b.journal.Last("p1")
	if last.Version == "" || last.Bundle != green.Digest || last.Bookmark != "bookmark-0" || last.URL == "" || last.Run != "run" || last.Plan == "" {
		t.Errorf("%+v", last)
	}
}

func TestABrokenVersionNeverGetsTraffic(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.cloud.Broken = green.Digest // the cloud complains when it is routed to
	result := b.ends(t, b.plan(t), promotion.RolledBack)
	if smoke, ok := errors.AsType[*promotion.SmokeError](result.Cause); !ok || smoke.Moment != promotion.BeforeTraffic {
		t.Errorf("cause: %v", result.Cause)
	}
	if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("old")}) || result.Version != "old" {
		t.Errorf("live: %v, result: %s", live, result.Version)
	}
	said := strings.Join(append(result.Undone, result.NotUndone...), "\n")
	for _, want := range []string{"old at 100 % again", "0001.sql", "bookmark-0", "loses what was written", "stays uploaded"} {
		if !strings.Contains(said, want) {
			t.Errorf("the result does not say %q:\n%s", want, said)
		}
	}
}

func TestGatesThatSayNoPutBack(t *testing.T) {
	t.Parallel()
	for name, phase := range map[string]gates.Phase{"promote": gates.PhasePromote, "bake": gates.PhaseBake} {
		for how, ruling := range map[string]promotion.Ruling{"no": {Blocking: []string{"a/b"}, Summary: "9 % errors"}, "nothing": {}} {
			b := newBench("canary with gates and smoke stages")
			var asked []promotion.Address
			b.options.Judge = judge(func(p gates.Phase, address promotion.Address) (promotion.Ruling, error) {
				asked = append(asked, address)
				if p == phase {
					return ruling, nil
				}
				return promotion.Ruling{Allowed: true}, nil
			})
			result := b.ends(t, b.plan(t), promotion.RolledBack)
			if blocked, ok := errors.AsType[*promotion.BlockedError](result.Cause); !ok || blocked.Phase != string(phase) {
				t.Errorf("%s, %s: %v", name, how, result.Cause)
			}
			if asked[0].Header.Get("Version") == "" {
				t.Error("the promote gates were not pointed at the version that takes no traffic")
			}
			if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("old")}) {
				t.Errorf("%s, %s: live is %v", name, how, live)
			}
		}
	}
}

func TestGatesWithoutAJudgeStopBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	b := newBench("canary with gates and smoke stages")
	if _, err := promotion.Promote(t.Context(), b.options, b.plan(t)); err == nil {
		t.Error("went on without asking")
	}
	if len(b.journal.Events()) > 0 {
		t.Error("something was done")
	}
}

func TestWhatStopsAPromotionBeforeItTouchesTraffic(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(b *bench)
		phase  promotion.Phase
		want   string
	}{
		"a missing secret":   {func(b *bench) { b.cloud.Secrets = []string{"JWT_SECRET", "API_KEY"} }, promotion.Failed, "lacks JWT_SECRET, API_KEY; give each a value"},
		"a missing resource": {func(b *bench) { b.cloud.Missing = []event.Change{{Kind: "kv", Name: "CACHE"}} }, promotion.Failed, "lacks kv CACHE; create them"},
		"a refused migration": {func(b *bench) {
			b.cloud.Wanted = append(b.cloud.Wanted, second)
			b.cloud.Refuses = second.Name
		}, promotion.Failed, "0002.sql on db failed: no such table (applied before it: 0001.sql)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench("update")
			test.change(b)
			result := b.ends(t, b.plan(t), test.phase)
			if !strings.Contains(result.Cause.Error(), test.want) {
				t.Errorf("cause %q, want %q", result.Cause, test.want)
			}
			if len(b.cloud.Tagged("p1")) > 0 || !slices.Equal(b.cloud.Live(), []promotion.Share{all("old")}) || len(result.Undone) > 0 {
				t.Errorf("live %v, %+v", b.cloud.Live(), result)
			}
		})
	}
}

func TestAStalePlanIsSuperseded(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	plan := b.plan(t)
	b.cloud.Deploy(all("hotfix"))
	result := b.ends(t, plan, promotion.Superseded)
	if stale, ok := errors.AsType[*promotion.StaleError](result.Cause); !ok || !strings.Contains(stale.Why, "hotfix at 100 % is live now, the plan was made against old") {
		t.Errorf("%v", result.Cause)
	}
	if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("hotfix")}) {
		t.Errorf("live: %v", live)
	}
}

func TestNothingToDo(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.ends(t, b.plan(t), promotion.Completed)
	live := b.cloud.Live()
	b.options.Promotion = "p2"
	result := b.ends(t, b.plan(t), promotion.Completed)
	if !result.UpToDate || result.Version != live[0].Version || len(b.cloud.Tagged("p2")) > 0 || !slices.Equal(b.cloud.Live(), live) {
		t.Errorf("%+v", result)
	}
	b.options.Promotion = "p3"
	b.cloud.Broken = green.Digest
	result = b.ends(t, b.plan(t), promotion.Failed)
	if result.Version != live[0].Version || len(result.NotUndone) > 0 {
		t.Errorf("what is live no longer answers: %+v", result)
	}
}

func TestABusyEnvironmentIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	if _, err := b.journal.Acquire(t.Context(), "app", "production", "other"); err != nil {
		t.Fatal(err)
	}
	plan := b.plan(t)
	result, err := promotion.Promote(t.Context(), b.options, plan)
	if !errors.Is(err, promotion.ErrBusy) || !errors.Is(result.Cause, promotion.ErrBusy) || result.NextStep == "" {
		t.Errorf("%+v, %v", result, err)
	}
	if !slices.Equal(b.cloud.Live(), []promotion.Share{all("old")}) || len(b.cloud.Applied()) > 0 {
		t.Error("something was changed")
	}
}

// Whoever lost the lease must keep its hands off, also off putting things back.
func TestALostLeaseStopsWithoutPuttingBack(t *testing.T) {
	t.Parallel()
	b := newBench("canary with gates and smoke stages")
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		b.journal.HolderDied() // thought dead by another, which takes over
		_, err := b.journal.Acquire(t.Context(), "app", "production", "other")
		return promotion.Ruling{Allowed: true}, err
	})
	plan := b.plan(t)
	result, err := promotion.Promote(t.Context(), b.options, plan)
	if !errors.Is(err, promotion.ErrLeaseLost) || result.Phase != promotion.Failed || !strings.Contains(result.NextStep, "took over") {
		t.Errorf("%+v, %v", result, err)
	}
	// As it was when the lease was lost: placed, without traffic.
	if live := b.cloud.Live(); len(live) != 2 || live[0] != all("old") {
		t.Errorf("live: %v", live)
	}
	if !b.journal.Held() {
		t.Error("the other's lease was given back")
	}
}

// dies promotes under id and lets the process die after the nth routing.
func (b *bench) dies(t *testing.T, id string, routings int) {
	t.Helper()
	w := wrong(b.cloud, b.journal, 0, promotiontest.KillAfter)
	clean := newBench("update")
	clean.scenario = b.scenario
	clean.cloud = b.scenario.cloud()
	counter := newWire(clean.cloud, clean.journal)
	if _, err := b.attempt(t, counter, id); err != nil {
		t.Fatal(err)
	}
	for i, call := range counter.Calls {
		if call == "route" {
			if routings--; routings == 0 {
				w.At = i + 1
			}
		}
	}
	_, _ = b.attempt(t, w, id)
	if !w.Dead {
		t.Fatal("did not die")
	}
	b.journal.HolderDied()
}

func TestADeadPromotionIsPutBackFirst(t *testing.T) {
	t.Parallel()
	b := newBench("canary with gates and smoke stages")
	b.dies(t, "dead", 3) // at 50 %
	if live := b.cloud.Live(); live[0].Percentage != 50 {
		t.Fatalf("live: %v", live)
	}
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		return promotion.Ruling{Allowed: true}, nil
	})
	b.ends(t, b.plan(t), promotion.Completed)
	if got := b.journal.Last("dead"); got.State != promotion.RolledBack || !strings.Contains(got.Reason, "put back to old at 100 %") {
		t.Errorf("%+v", got)
	}
	if !slices.ContainsFunc(b.seen, func(e event.Event) bool {
		return e.Type == event.StepFinished && e.Step.Name == promotion.StepRecover && strings.Contains(e.Step.Detail, "put back")
	}) {
		t.Error("the recovery was not told")
	}
}

// People approved a digest; after a recovery that changed what is live they must be asked again.
func TestAnApprovedPlanIsNotRemadeBehindPeoplesBacks(t *testing.T) {
	t.Parallel()
	b := newBench("canary with gates and smoke stages")
	b.environment.Approvers = []string{"ada"}
	b.dies(t, "dead", 4) // at 100 %
	plan := b.plan(t)
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		return promotion.Ruling{Allowed: true}, nil
	})
	b.ends(t, plan, promotion.Superseded)
	if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("old")}) {
		t.Errorf("live: %v", live)
	}
}

func TestADeploymentMadeSinceADeathStays(t *testing.T) {
	t.Parallel()
	b := newBench("canary with gates and smoke stages")
	b.dies(t, "dead", 3)
	b.cloud.Deploy(all("hotfix"))
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) { return promotion.Ruling{}, nil })
	result := b.ends(t, b.plan(t), promotion.RolledBack)
	if result.Version != "hotfix" || !slices.Equal(b.cloud.Live(), []promotion.Share{all("hotfix")}) {
		t.Errorf("%+v, live %v", result, b.cloud.Live())
	}
}

// The same promotion again after a death finds its version by the tag.
func TestAResumedPromotionUploadsOnce(t *testing.T) {
	t.Parallel()
	b := newBench("canary with gates and smoke stages")
	b.dies(t, "p1", 2)
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		return promotion.Ruling{Allowed: true}, nil
	})
	result := b.ends(t, b.plan(t), promotion.Completed)
	if tagged := b.cloud.Tagged("p1"); len(tagged) != 1 || tagged[0].ID != result.Version {
		t.Errorf("%v, %+v", tagged, result)
	}
	if !slices.ContainsFunc(b.seen, func(e event.Event) bool {
		return e.Type == event.StepFinished && e.Step.Name == promotion.StepUpload && e.Step.Skipped
	}) {
		t.Error("the upload was not told as skipped")
	}
}

func TestACancelDuringTheBakePutsBack(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.environment.Bake = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	plan := b.plan(t)
	b.options.Observer = event.ObserverFunc(func(e event.Event) {
		if e.Type == event.StepStarted && e.Step.Name == promotion.StepBake {
			cancel()
		}
	})
	result, err := promotion.Promote(ctx, b.options, plan)
	if err != nil || result.Phase != promotion.RolledBack || !errors.Is(result.Cause, context.Canceled) {
		t.Errorf("%+v, %v", result, err)
	}
	if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("old")}) {
		t.Errorf("live: %v", live)
	}
}

func TestNoStepBeginsAfterACancel(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	plan := b.plan(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.options.Observer = event.ObserverFunc(func(e event.Event) {
		if e.Type == event.StepFinished && e.Step.Name == promotion.StepCheck {
			cancel()
		} else if e.Type == event.StepStarted && ctx.Err() != nil {
			t.Errorf("%s began", e.Step.Name)
		}
	})
	result, err := promotion.Promote(ctx, b.options, plan)
	if err != nil || result.Phase != promotion.Cancelled {
		t.Errorf("%+v, %v", result, err)
	}
}

// stubborn refuses to route so many times once a version was placed.
type stubborn struct {
	promotion.Target
	refusals, routed int
}

func (s *stubborn) Route(ctx context.Context, id string, routing promotion.Routing) error {
	s.routed++
	if s.routed > 1 && s.refusals > 0 {
		s.refusals--
		return errors.New("503 try later")
	}
	return s.Target.Route(ctx, id, routing)
}

func TestPuttingBackIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.cloud.Broken = green.Digest
	b.options.Target = &stubborn{Target: b.cloud, refusals: 2}
	b.ends(t, b.plan(t), promotion.RolledBack)
	if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("old")}) {
		t.Errorf("live: %v", live)
	}
}

func TestAPutBackThatFailsIsSaidAndLeftToTheNextPromotion(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.cloud.Broken = green.Digest
	b.options.Target = &stubborn{Target: b.cloud, refusals: 1000}
	result, err := promotion.Promote(t.Context(), b.options, b.plan(t))
	if err == nil || result.Phase != promotion.Failed || result.Version != "" || !strings.Contains(strings.Join(result.NotUndone, "\n"), "traffic: ") {
		t.Fatalf("%+v, %v", result, err)
	}
	if b.journal.Last("p1").State.Ended() || b.journal.Held() {
		t.Errorf("%+v", b.journal.Last("p1"))
	}
	b.options.Promotion = "p2"
	b.options.Target = &stubborn{Target: b.cloud, refusals: 1000, routed: 1}
	if _, err := promotion.Promote(t.Context(), b.options, b.plan(t)); !putBackFailed(err) || b.journal.Last("p1").State.Ended() {
		t.Errorf("what p1 left is still there, and p2 says %v", err)
	}
	b.cloud.Broken = ""
	b.options.Target, b.options.Promotion = b.cloud, "p3"
	b.ends(t, b.plan(t), promotion.Completed)
	if got := b.journal.Last("p1").State; got != promotion.RolledBack {
		t.Errorf("the first ended %s", got)
	}
}

func TestTheBakeProbes(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.environment.Bake = time.Minute
	b.options.BakeInterval = time.Millisecond
	plan := b.plan(t)
	b.options.Observer = event.ObserverFunc(func(e event.Event) {
		if e.Type == event.StepStarted && e.Step.Name == promotion.StepBake {
			b.cloud.Broken = green.Digest // it breaks under load
		}
	})
	result := b.ends(t, plan, promotion.RolledBack)
	if smoke, ok := errors.AsType[*promotion.SmokeError](result.Cause); !ok || smoke.Moment != "while-baking" {
		t.Errorf("%v", result.Cause)
	}
}

// gradual is an environment in which traffic is shifted in steps that are watched.
func gradual() *bench {
	b := newBench("update")
	b.environment.Steps, b.environment.StepBake = []float64{10, 100}, time.Minute
	b.gates = []promotion.GateFact{{Gate: "health/alerts", Phase: gates.PhaseBake}}
	b.options.BakeInterval, b.options.JudgeInterval = time.Millisecond, time.Millisecond
	return b
}

// Without a time to watch each step, the version is asked once all the same before more traffic follows.
func TestAStepWithoutATimeIsProbed(t *testing.T) {
	t.Parallel()
	b := newBench("update")
	b.environment.Steps = []float64{10, 50, 100}
	most := 0.0
	b.options.Observer = event.ObserverFunc(func(e event.Event) {
		if e.Type != event.StepStarted {
			return
		}
		for _, share := range b.cloud.Live() {
			if share.Version != "old" {
				most = max(most, share.Percentage)
			}
		}
	})
	plan, err := promotion.MakePlan(t.Context(), b.cloud, promotion.Basis{App: "app", Environment: b.environment, Bundle: &bundle.Bundle{Digest: "sha256:late-1"}})
	if err != nil {
		t.Fatal(err)
	}
	result, err := promotion.Promote(t.Context(), b.options, plan)
	smoke, ok := errors.AsType[*promotion.SmokeError](result.Cause)
	if err != nil || result.Phase != promotion.RolledBack || !ok || smoke.Moment != "while-shifting" || most != 10 {
		t.Errorf("%s, %v, %v; it had %g %% of the traffic", result.Phase, result.Cause, err, most)
	}
}

// A version that goes bad at 10 % is put back as soon as a gate sees it, not at the end of the time.
func TestAGateThatSaysNoMidwayPutsBack(t *testing.T) {
	t.Parallel()
	b := gradual()
	asked := 0
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		asked++
		switch {
		case asked < 3:
			return promotion.Ruling{Undecided: true, Blocking: []string{"health/alerts"}, Summary: "too few requests"}, nil
		case asked < 6:
			return promotion.Ruling{Allowed: true}, nil
		default:
			return promotion.Ruling{Blocking: []string{"health/alerts"}, Summary: "9 % errors"}, nil
		}
	})
	before := b.cloud.Live()
	began := time.Now()
	result := b.ends(t, b.plan(t), promotion.RolledBack)
	if blocked, ok := errors.AsType[*promotion.BlockedError](result.Cause); !ok || blocked.Summary != "9 % errors" || asked != 6 {
		t.Errorf("%v after %d asks", result.Cause, asked)
	}
	if took := time.Since(began); took > b.environment.StepBake/2 {
		t.Errorf("it was watched for %s more", took)
	}
	if diff := cmp.Diff(before, b.cloud.Live()); diff != "" {
		t.Error(diff)
	}
}

// No answer until the end is not an answer.
func TestAGateWithoutAnAnswerAtTheEndPutsBack(t *testing.T) {
	t.Parallel()
	b := gradual()
	b.environment.StepBake = 20 * time.Millisecond
	asked := 0
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		asked++
		return promotion.Ruling{Undecided: true, Blocking: []string{"health/alerts"}}, nil
	})
	b.ends(t, b.plan(t), promotion.RolledBack)
	if asked < 2 {
		t.Errorf("asked %d times", asked)
	}
}

// A bake that is shorter than the interval, or as long, sees the version at its end.
func TestABakeEndsWithAProbe(t *testing.T) {
	t.Parallel()
	for name, interval := range map[string]time.Duration{"longer": time.Hour, "equal": time.Millisecond} {
		b := newBench("update")
		b.environment.Bake = time.Millisecond
		b.options.BakeInterval = interval
		plan := b.plan(t)
		b.options.Observer = event.ObserverFunc(func(e event.Event) {
			if e.Type == event.StepStarted && e.Step.Name == promotion.StepBake {
				b.cloud.Broken = green.Digest
			}
		})
		result := b.ends(t, plan, promotion.RolledBack)
		if smoke, ok := errors.AsType[*promotion.SmokeError](result.Cause); !ok || smoke.Moment != "while-baking" {
			t.Errorf("an interval that is %s: %v", name, result.Cause)
		}
	}
}

func TestSharesThatDoNotRiseTo100AreRefused(t *testing.T) {
	t.Parallel()
	for _, steps := range [][]float64{{50}, {0, 100}, {50, 10, 100}, {100, 100}, {50, 101}, {-1, 100}} {
		b := newBench("update")
		b.environment.Steps = steps
		plan := b.plan(t)
		if _, err := promotion.Promote(t.Context(), b.options, plan); err == nil {
			t.Errorf("%v went through", steps)
		}
	}
}

func TestTheJournalInMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	promotiontest.JournalContract(t, func(*testing.T) promotion.Journal { return &promotiontest.Journal{} })
}

// TestAPlaceholderIsNoVersionBefore: what answers 503 until there is a first version was never anybody's version, whether the first
// deployment goes well, is put back, or follows one that failed.
func TestAPlaceholderIsNoVersionBefore(t *testing.T) {
	t.Parallel()
	well := newBench("first deployment")
	if result := well.ends(t, well.plan(t), promotion.Completed); result.Previous != "" || result.Version == "" {
		t.Errorf("before the first version there was %q, now %q", result.Previous, result.Version)
	}
	no := judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		return promotion.Ruling{Summary: "no"}, nil
	})
	badly := newBench("first deployment")
	badly.options.Judge = no
	badly.gates = []promotion.GateFact{{Gate: "health/endpoint", Phase: gates.PhasePromote}}
	if result := badly.ends(t, badly.plan(t), promotion.RolledBack); result.Version != "" || result.Previous != "" {
		t.Errorf("a first deployment that was put back leaves %q, before it %q", result.Version, result.Previous)
	}
	again := newBench("first deployment")
	again.cloud.Placeholder()
	if result := again.ends(t, again.plan(t), promotion.Completed); result.Previous != "" {
		t.Errorf("after a first deployment that failed there was %q", result.Previous)
	}
}
