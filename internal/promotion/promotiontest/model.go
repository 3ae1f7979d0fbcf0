package promotiontest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// Health is how a bundle's versions behave.
type Health string

// The healths. A Late one passes every smoke before it has traffic.
const (
	Good Health = "good"
	Bad  Health = "bad"
	Late Health = "late"
)

// Place is an environment in which others are at work too, and that can be asked what is true. Its calls fail the test
// themselves.
type Place interface {
	// Ports are those of a process that begins now; the one before it is gone, and its lease with it.
	Ports() (promotion.Rewinder, promotion.Prober, promotion.Journal)
	// Environment is what is promoted to; traffic steps and bake are the story's.
	Environment() pipelines.Environment
	// Held says whether the process of the last Ports still holds the lease.
	Held() bool
	// Past lists the promotions on record, newest first.
	Past() []promotion.Checkpoint
	// Bundle is one that was never seen.
	Bundle(Health) *bundle.Bundle
	// Add gives the app one more migration.
	Add(breaking bool)
	Live() []promotion.Share
	// Restores counts how often data was put back.
	Restores() int

	// What others do, without Penstock or by other commands of it.
	Upload() (version string)
	Deploy(...promotion.Share)
	PutSecret()
	Suspend()
	Resume()
}

// Waits is a Place whose journal lets runs wait for people.
type Waits interface {
	Hold(promotion.Hold)
	Decide(promotion.Decision) error
}

// Story is a random sequence of what people, machines and bad luck do to one environment. After each of them it checks what
// must hold always:
//
//   - all traffic goes to versions that exist;
//   - a version that fails has none of it, except while a promotion is known to be unfinished;
//   - what a run tells is what is on record, and that is what is live;
//   - no lease remains;
//   - nothing happens by a plan that no longer holds, or that was rejected;
//   - data is put back only when that was chosen;
//   - a promotion without faults completes, whatever was before.
//
// The same seed and the same place give the same story.
type Story struct {
	t     testing.TB
	place Place
	rand  *rand.Rand

	n         int
	told      []string
	health    map[string]Health // by bundle
	settled   []promotion.Share // what must be live when nothing is unfinished
	suspended bool
	restores  int
	waiting   []waitingRun
	outcomes  map[string]int
}

// Telling says how many stories there are.
type Telling struct {
	Lasts, LastsSlow time.Duration // new stories begin for so long, the latter with PENSTOCK_SLOW
	Steps            int           // of each story
	InCI             int           // how many stories CI tells
}

// Stories tells stories, each in a place of its own, from a random seed on. PENSTOCK_SEED tells that one alone. In CI they are the
// first so many, the same each time: who lands something must not be stopped by what somebody else's commit has in it, and
// whatever a random one finds on a developer's machine is told again by its seed.
func Stories(t *testing.T, telling Telling, place func() Place) {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("PENSTOCK_SEED"), 10, 64)
	once := err == nil
	ci := !once && os.Getenv("CI") != ""
	switch {
	case ci:
		seed = 0
	case !once:
		seed = rand.Uint64N(1_000_000)
	}
	end := time.Now().Add(telling.Lasts)
	if os.Getenv("PENSTOCK_SLOW") != "" {
		end = time.Now().Add(telling.LastsSlow)
	}
	outcomes, told := map[string]int{}, 0
	for ; ; seed++ {
		for how, n := range tellOne(t, place(), seed, telling.Steps) {
			outcomes[how] += n
		}
		told++
		if over := ci && told >= telling.InCI || !ci && time.Now().After(end); once || t.Failed() || over {
			break
		}
	}
	t.Logf("%d stories, the last by PENSTOCK_SEED=%d: %v", told, seed, outcomes)
}

// waitingRun is a plan that somebody looked at.
type waitingRun struct {
	id   string
	plan promotion.Plan
	held bool
}

// tellOne goes through one story of that many steps, and returns how often things ended how.
func tellOne(t testing.TB, place Place, seed uint64, steps int) map[string]int {
	t.Helper()
	s := &Story{t: t, place: place, rand: rand.New(rand.NewPCG(seed, 1)), health: map[string]Health{}, outcomes: map[string]int{}}
	defer func() {
		if t.Failed() {
			t.Logf("seed %d:\n  %s", seed, strings.Join(s.told, "\n  "))
		}
	}()
	s.converge()
	for range steps {
		if s.step(); t.Failed() {
			return s.outcomes
		}
	}
	s.converge()
	return s.outcomes
}

func (s *Story) tell(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *Story) step() {
	switch n := s.rand.IntN(100); {
	case n < 45:
		s.deploy()
	case n < 55:
		s.goOn()
	case n < 70:
		s.rollBack()
	case n < 80:
		s.others()
	case n < 87:
		if !s.suspended && s.unfinished() == nil {
			s.tell("a secret is put")
			s.place.PutSecret()
			s.settled = s.place.Live()
		}
	case n < 94:
		s.maintain(!s.suspended)
	default:
		s.converge()
	}
	s.always()
}

// always checks what holds at any moment at which no process is at work.
func (s *Story) always() {
	s.t.Helper()
	target, _, _ := s.place.Ports()
	state, err := target.Inspect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	sum, taking := 0.0, 0
	for _, share := range state.Shares {
		at := slices.IndexFunc(state.Versions, func(v promotion.Version) bool { return v.ID == share.Version })
		if at < 0 {
			s.t.Errorf("%v has traffic and does not exist", share)
			continue
		}
		sum += share.Percentage
		if share.Percentage > 0 {
			taking++
		}
		health := s.health[state.Versions[at].Bundle]
		if share.Percentage > 0 && (health == Bad || health == Late && s.unfinished() == nil) {
			s.t.Errorf("a %s version has %g %% of the traffic", health, share.Percentage)
		}
	}
	if sum != 100 || taking < 1 || len(state.Shares) > 2 {
		s.t.Errorf("the deployment is %v", state.Shares)
	}
	if s.unfinished() == nil && !s.suspended && !sameTraffic(state.Shares, s.settled) {
		s.t.Errorf("live is %v, and it should be %v", state.Shares, s.settled)
	}
	if n := s.place.Restores(); n != s.restores {
		s.t.Errorf("data was put back %d times, chosen was %d", n, s.restores)
		s.restores = n
	}
}

// unfinished are the promotions without an end.
func (s *Story) unfinished() []promotion.Checkpoint {
	var list []promotion.Checkpoint
	for _, past := range s.place.Past() {
		if !past.State.Ended() && past.State != promotion.Planned && !past.State.Waits() {
			list = append(list, past)
		}
	}
	return list
}

// next is a run with its promotion's id.
func (s *Story) next() string {
	s.n++
	return fmt.Sprintf("p%03d", s.n)
}

func (s *Story) environment() pipelines.Environment {
	steps := [][]float64{{100}, {50, 100}, {10, 50, 100}}
	e := s.place.Environment()
	e.Steps = steps[s.rand.IntN(len(steps))]
	if s.rand.IntN(2) == 0 {
		e.Bake = time.Microsecond
	}
	return e
}

func (s *Story) plan(health Health, environment pipelines.Environment) (promotion.Plan, error) {
	b := s.place.Bundle(health)
	s.health[b.Digest] = health
	target, _, _ := s.place.Ports()
	return promotion.MakePlan(s.t.Context(), target, promotion.Basis{App: "app", Environment: environment, Bundle: b})
}

// deploy promotes something new, or leaves its plan to wait.
func (s *Story) deploy() {
	s.t.Helper()
	health := []Health{Good, Good, Good, Bad, Late}[s.rand.IntN(5)]
	if n := s.rand.IntN(8); n < 2 {
		s.place.Add(n == 0)
	}
	environment := s.environment()
	waits := s.rand.IntN(4) == 0
	if waits {
		environment.Approvers = []string{"bea"}
	}
	id := s.next()
	_, _, journal := s.place.Ports()
	began := event.Event{Type: event.RunStarted, Time: time.Now(), Run: "run-" + id, RunInfo: &event.RunInfo{App: "app", Environment: "production"}}
	if err := journal.Record(s.t.Context(), began); err != nil {
		s.t.Fatal(err)
	}
	plan, err := s.plan(health, environment)
	if _, maintained := errors.AsType[*promotion.MaintenanceError](err); maintained != s.suspended || err != nil && !maintained {
		s.t.Fatalf("the plan, out of service: %v: %v", s.suspended, err)
	}
	switch {
	case err != nil:
		s.tell("%s: no plan during the maintenance", id)
	case waits:
		s.tell("%s: %s, waits for approval", id, health)
		run := waitingRun{id: id, plan: plan}
		if holds, ok := s.place.(Waits); ok {
			holds.Hold(promotion.Hold{
				Run: "run-" + id, Promotion: id, App: "app", Environment: "production", Plan: plan.Digest, Bundle: plan.Basis.Bundle.Digest,
				Policy: promotion.Policy{Approvers: []string{"bea"}, Needed: 1}, Since: time.Now(), Expires: time.Now().Add(time.Hour),
			})
			run.held = true
		}
		s.waiting = append(s.waiting, run)
	default:
		_, _ = s.promote(id, plan, health, s.wire(true)) // judged there, by what is live afterwards
	}
}

// goOn decides about a run that waits, and promotes it whatever was decided: the promotion itself must know.
func (s *Story) goOn() {
	s.t.Helper()
	if len(s.waiting) == 0 {
		return
	}
	i := s.rand.IntN(len(s.waiting))
	run := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	refused := false
	if run.held {
		approve := s.rand.IntN(3) > 0
		decision := promotion.Decision{
			Run: "run-" + run.id, Plan: run.plan.Digest, Approve: approve, By: event.Identity{Kind: event.IdentityGit, Name: "bea"}, Reason: "seen", Time: time.Now(),
		}
		err := s.place.(Waits).Decide(decision)
		refused = err != nil || !approve // a newer run may have passed it
		s.tell("%s: approved: %v (%v)", run.id, approve, err)
	}
	target, _, _ := s.place.Ports()
	fresh, err := promotion.MakePlan(s.t.Context(), target, run.plan.Basis)
	stale := err != nil || fresh.Digest != run.plan.Digest
	before := s.place.Live()
	unfinished := s.unfinished() != nil
	result, err := s.promote(run.id, run.plan, s.health[run.plan.Basis.Bundle.Digest], s.wire(false))
	if refused && (err == nil || !errors.Is(err, promotion.ErrRefused) || !sameTraffic(s.place.Live(), before)) {
		s.t.Errorf("a run that does not wait was gone on with: %+v, %v", result, err)
	}
	if !refused && stale && !unfinished && result.Phase == promotion.Completed {
		s.t.Errorf("it was promoted by a plan that does not hold any more")
	}
}

// wire is the ports of a process, with something that goes wrong half of the time.
func (s *Story) wire(mayFail bool) *Wire {
	target, prober, journal := s.place.Ports()
	w := &Wire{Target: target, Prober: prober, Journal: journal}
	if mayFail && s.rand.IntN(2) == 0 {
		faults := append(slices.Clone(Faults), Meanwhile, Meanwhile)
		w.At, w.Fault = 1+s.rand.IntN(50), faults[s.rand.IntN(len(faults))]
	}
	return w
}

func (s *Story) options(w *Wire, id string) promotion.Options {
	return promotion.Options{
		Target: w, Journal: w, Prober: w, Run: "run-" + id, Promotion: id, Waits: []time.Duration{0, 0}, Settle: time.Nanosecond, BakeInterval: time.Hour,
	}
}

// promote goes through a promotion and compares what it tells, what is on record and what is live.
func (s *Story) promote(id string, plan promotion.Plan, health Health, w *Wire) (promotion.Result, error) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	w.Cancel = cancel
	unfinished, before := s.unfinished() != nil, s.settled
	var foreign []promotion.Share
	w.Meanwhile = func() { foreign = s.somebody() }
	result, err := promotion.Promote(ctx, s.options(w, id), plan)
	s.tell("%s: %s, steps %v, %s at %s: %s, %v, %v", id, health, plan.Basis.Environment.Steps, w.Fault, w.struck(), result.Phase, result.Cause, err)
	if foreign != nil {
		s.tell("%s: meanwhile somebody deployed %v", id, foreign)
	}
	s.outcomes[string(result.Phase)]++
	if w.Dead {
		s.outcomes["killed"]++
	}
	s.ended(id, w, result, err)
	live := s.place.Live()
	settled := func(shares []promotion.Share) bool { return sameTraffic(live, shares) }
	switch last := s.last(id); {
	case last.State == promotion.Completed:
		if health != Good {
			s.t.Errorf("%s: a %s version was promoted", id, health)
		}
		if !settled([]promotion.Share{{Version: last.Version, Percentage: 100}}) && !(foreign != nil && settled(foreign)) {
			s.t.Errorf("%s: on record as completed with %s, and live is %v", id, last.Version, live)
		}
		s.settled = live
	case foreign != nil && s.unfinished() == nil:
		// Nothing can be done about what comes between the last look and the deployment.
		if !settled(foreign) && !(w.struck() == "route" && settled(before)) {
			s.t.Errorf("%s: live is %v; before it was %v, and somebody deployed %v", id, live, before, foreign)
		}
		s.settled = live
	case foreign != nil:
		s.settled = foreign
	}
	if w.Fault == "" && !unfinished && !s.suspended && health == Good && err == nil && result.Phase != promotion.Completed && result.Phase != promotion.Superseded {
		s.t.Errorf("%s: without a fault it ended as %s: %v", id, result.Phase, result.Cause)
	}
	return result, err
}

// ended compares a run's end as told with that on record, and looks for its lease.
func (s *Story) ended(id string, w *Wire, result promotion.Result, err error) {
	s.t.Helper()
	if w.Dead {
		return
	}
	last := s.last(id)
	if err == nil && last.State != result.Phase {
		s.t.Errorf("%s: told as %s, on record as %s", id, result.Phase, last.State)
	}
	if err != nil && last.State == promotion.Completed {
		s.t.Errorf("%s: on record as completed, and told as %v", id, err)
	}
	if result.Phase != promotion.Completed && (result.Cause == nil || result.NextStep == "") {
		s.t.Errorf("%s: it says nothing of why, or of what to do: %+v", id, result)
	}
	if s.place.Held() && w.struck() != "acquire" && w.struck() != "release" && w.Fault != JournalOutage {
		s.t.Errorf("%s: the lease remains", id)
	}
}

func (s *Story) last(id string) promotion.Checkpoint {
	for _, past := range s.place.Past() {
		if past.Promotion == id {
			return past
		}
	}
	return promotion.Checkpoint{}
}

// rollBack goes back to what was live before, or to any version.
func (s *Story) rollBack() {
	s.t.Helper()
	id := s.next()
	w := s.wire(true)
	if w.Fault == Meanwhile {
		w.At = 0
	}
	state, err := w.Target.Inspect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	to := ""
	if s.rand.IntN(2) == 0 {
		to = state.Versions[s.rand.IntN(len(state.Versions))].ID
	}
	r, err := promotion.MakeRollback(s.t.Context(), w.Target, s.place.Past(), "app", s.environment(), to)
	if s.suspended {
		if _, ok := errors.AsType[*promotion.MaintenanceError](err); !ok {
			s.t.Errorf("%s: a rollback during the maintenance: %+v, %v", id, r, err)
		}
		return
	}
	if errors.Is(err, promotion.ErrNoSuchVersion) {
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if health := s.health[r.To.Bundle]; health == Bad || health == Late {
		s.t.Errorf("%s: goes back to a version that is %s", id, health)
	}
	choice := []promotion.DataChoice{promotion.DataUndecided, promotion.DataKept, promotion.DataRestored}[s.rand.IntN(3)]
	if choice == promotion.DataRestored && r.Bookmark == "" {
		return
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	w.Cancel = cancel
	result, err := promotion.Return(ctx, s.options(w, id), w, r, choice)
	s.tell("%s: rollback to %s, %s at %s: %s, %v, %v", id, r.To.ID, w.Fault, w.struck(), result.Phase, result.Cause, err)
	s.outcomes["rollback "+string(result.Phase)]++
	if _, asks := errors.AsType[*promotion.DataError](err); asks {
		if choice != promotion.DataUndecided || len(r.Breaking) == 0 {
			s.t.Errorf("%s: %v", id, err)
		}
		return
	}
	if n := s.place.Restores(); n > s.restores && choice == promotion.DataRestored {
		s.restores = n
	}
	s.ended(id, w, result, err)
	live, there := s.place.Live(), []promotion.Share{{Version: r.To.ID, Percentage: 100}}
	if s.last(id).State == promotion.Completed && !sameTraffic(live, there) {
		s.t.Errorf("%s: on record as completed, and live is %v", id, live)
	}
	if sameTraffic(live, there) {
		s.settled = there // no rollback of a rollback, however it ended
	}
}

// others deploy by their own means.
func (s *Story) others() {
	if s.suspended {
		return
	}
	s.tell("somebody deploys %v", s.somebody())
}

// somebody deploys what a person with wrangler could.
func (s *Story) somebody() []promotion.Share {
	version := s.place.Upload()
	shares := []promotion.Share{{Version: version, Percentage: 100}}
	if live := s.place.Live(); s.rand.IntN(3) == 0 && s.unfinished() == nil {
		shares = []promotion.Share{{Version: live[0].Version, Percentage: 70}, {Version: version, Percentage: 30}}
	}
	s.place.Deploy(shares...)
	s.settled = shares
	return shares
}

func (s *Story) maintain(on bool) {
	s.tell("maintenance: %v", on)
	if on {
		s.place.Suspend()
	} else {
		s.place.Resume()
	}
	s.suspended = on
}

// converge deploys something good without a fault, which must succeed.
func (s *Story) converge() {
	s.t.Helper()
	if s.suspended {
		s.maintain(false)
	}
	id := s.next()
	environment := s.environment()
	plan, err := s.plan(Good, environment)
	if err != nil {
		s.t.Fatal(err)
	}
	w := s.wire(false)
	result, err := s.promote(id, plan, Good, w)
	if err != nil || result.Phase != promotion.Completed {
		s.t.Errorf("%s: a promotion without faults does not come through: %+v, %v", id, result, err)
	}
	if left := s.unfinished(); left != nil {
		s.t.Errorf("%s: left unfinished: %+v", id, left)
	}
}

// sameTraffic compares what people get: shares without traffic do not count.
func sameTraffic(a, b []promotion.Share) bool {
	taking := func(shares []promotion.Share) map[string]float64 {
		list := map[string]float64{}
		for _, share := range shares {
			if share.Percentage > 0 {
				list[share.Version] = share.Percentage
			}
		}
		return list
	}
	return fmt.Sprint(taking(a)) == fmt.Sprint(taking(b))
}
