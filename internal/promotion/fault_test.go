package promotion_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
	"github.com/penstock-ci/penstock/pipelines"
)

// fault is one way in which one call to a port goes wrong.
type fault string

const (
	refused         fault = "refused"          // not done, and said so
	lostReply       fault = "lost reply"       // done, and an error came back
	unreachable     fault = "unreachable"      // not done, nothing known
	unreachableLost fault = "unreachable lost" // done, nothing known
	outage          fault = "outage"           // from this call on the target is gone
	journalOutage   fault = "journal outage"   // from this call on nothing can be recorded
	cancelBefore    fault = "cancel before"    // Ctrl-C just before the call
	cancelAfter     fault = "cancel after"     // Ctrl-C just after it
	killBefore      fault = "kill before"      // the process dies before the call
	killAfter       fault = "kill after"       // the process dies after it
)

var faults = []fault{refused, lostReply, unreachable, unreachableLost, outage, journalOutage, cancelBefore, cancelAfter, killBefore, killAfter}

var errInjected = errors.New("injected")

// wire stands between a promotion and every port that it has, counts the calls, and lets one go wrong.
type wire struct {
	cloud   *promotiontest.Cloud
	journal *promotiontest.Journal
	at      int // the call that goes wrong, from 1; 0 for none
	fault   fault
	cancel  context.CancelFunc

	calls []string
	dead  bool
}

func (w *wire) call(name string, target bool, do func() error) error {
	w.calls = append(w.calls, name)
	n := len(w.calls)
	switch {
	case w.dead:
		return errInjected
	case w.at == 0 || n < w.at:
		return do()
	case w.fault == outage:
		if target {
			return fmt.Errorf("%w: %w", promotion.ErrUnreachable, errInjected)
		}
		return do()
	case w.fault == journalOutage:
		if !target {
			return errInjected
		}
		return do()
	case n > w.at:
		return do()
	}
	switch w.fault {
	case lostReply:
		return errors.Join(do(), errInjected)
	case unreachable:
		return fmt.Errorf("%w: %w", promotion.ErrUnreachable, errInjected)
	case unreachableLost:
		return errors.Join(do(), promotion.ErrUnreachable, errInjected)
	case cancelBefore:
		w.cancel()
		return do()
	case cancelAfter:
		defer w.cancel()
		return do()
	case killBefore:
		w.dead = true
		return errInjected
	case killAfter:
		defer func() { w.dead = true }()
		return errors.Join(do(), errInjected)
	default:
		return errInjected
	}
}

func (w *wire) Inspect(ctx context.Context) (state promotion.State, err error) {
	err = w.call("inspect", true, func() (err error) { state, err = w.cloud.Inspect(ctx); return err })
	return state, err
}

func (w *wire) Diff(ctx context.Context, live promotion.State, b *bundle.Bundle) (diff promotion.Diff, err error) {
	err = w.call("diff", true, func() (err error) { diff, err = w.cloud.Diff(ctx, live, b); return err })
	return diff, err
}

func (w *wire) Provision(ctx context.Context, id string, d promotion.Diff) (made []event.Change, err error) {
	err = w.call("provision", true, func() (err error) { made, err = w.cloud.Provision(ctx, id, d); return err })
	return made, err
}

func (w *wire) Prepare(ctx context.Context, id string, live promotion.State, b *bundle.Bundle) (did string, err error) {
	err = w.call("prepare", true, func() (err error) { did, err = w.cloud.Prepare(ctx, id, live, b); return err })
	return did, err
}

func (w *wire) Backup(ctx context.Context, id string) (backup promotion.Backup, err error) {
	err = w.call("backup", true, func() (err error) { backup, err = w.cloud.Backup(ctx, id); return err })
	return backup, err
}

func (w *wire) Migrate(ctx context.Context, id string, applied func(promotion.Migration)) error {
	return w.call("migrate", true, func() error { return w.cloud.Migrate(ctx, id, applied) })
}

func (w *wire) Upload(ctx context.Context, id string, b *bundle.Bundle) (version string, err error) {
	err = w.call("upload", true, func() (err error) { version, err = w.cloud.Upload(ctx, id, b); return err })
	if err != nil {
		return "", err // a lost reply carries no id
	}
	return version, nil
}

func (w *wire) Route(ctx context.Context, id string, routing promotion.Routing) error {
	return w.call("route", true, func() error { return w.cloud.Route(ctx, id, routing) })
}

func (w *wire) Address(ctx context.Context, version string) (address promotion.Address, err error) {
	err = w.call("address", true, func() (err error) { address, err = w.cloud.Address(ctx, version); return err })
	return address, err
}

func (w *wire) Probe(ctx context.Context, address promotion.Address, version string, smoke pipelines.Smoke) (report promotion.Report, err error) {
	err = w.call("probe", true, func() (err error) { report, err = w.cloud.Probe(ctx, address, version, smoke); return err })
	return report, err
}

func (w *wire) RunSmoke(ctx context.Context, moment string, address promotion.Address, version string, log io.Writer) (bool, string, error) {
	err := w.call("smoke stages", true, ctx.Err)
	return err == nil, "12 checks passed", err
}

func (w *wire) Judge(ctx context.Context, phase gates.Phase, address promotion.Address, version string) (promotion.Ruling, error) {
	err := w.call("judge", true, ctx.Err)
	return promotion.Ruling{Allowed: true, Summary: "1 gate passed"}, err
}

func (w *wire) Record(ctx context.Context, e event.Event) error {
	return w.call("record", false, func() error { return w.journal.Record(ctx, e) })
}

func (w *wire) Acquire(ctx context.Context, app, environment, id string) (lease promotion.Lease, err error) {
	err = w.call("acquire", false, func() (err error) { lease, err = w.journal.Acquire(ctx, app, environment, id); return err })
	return lease, err
}

func (w *wire) Checkpoint(ctx context.Context, lease promotion.Lease, state promotion.Checkpoint, told ...event.Event) error {
	return w.call("checkpoint "+state.Step, false, func() error { return w.journal.Checkpoint(ctx, lease, state, told...) })
}

func (w *wire) Release(ctx context.Context, lease promotion.Lease) error {
	return w.call("release", false, func() error { return w.journal.Release(ctx, lease) })
}

// scenario is a place and what is promoted there.
type scenario struct {
	environment pipelines.Environment
	gates       []promotion.GateFact
	stages      bool
	cloud       func() *promotiontest.Cloud
}

var (
	green  = &bundle.Bundle{Digest: "sha256:green"}
	first  = promotion.Migration{Database: "db", Name: "0001.sql", Digest: "sha256:01"}
	second = promotion.Migration{Database: "db", Name: "0002.sql", Digest: "sha256:02"}
)

func all(version string) promotion.Share { return promotion.Share{Version: version, Percentage: 100} }

var scenarios = map[string]scenario{
	"first deployment": {
		environment: pipelines.Environment{Name: "production", Provision: true},
		cloud: func() *promotiontest.Cloud {
			return &promotiontest.Cloud{Wanted: []promotion.Migration{first, second}, Missing: []event.Change{{Action: "create", Kind: "database", Name: "db"}}}
		},
	},
	"update": {
		environment: pipelines.Environment{Name: "production", Steps: []float64{100}},
		cloud: func() *promotiontest.Cloud {
			cloud := &promotiontest.Cloud{Wanted: []promotion.Migration{first}}
			cloud.Deploy(all("old"))
			return cloud
		},
	},
	"canary with gates and smoke stages": {
		environment: pipelines.Environment{Name: "production", Steps: []float64{10, 50, 100}, Bake: time.Microsecond},
		gates:       []promotion.GateFact{{Gate: "a/b", Phase: gates.PhasePromote}, {Gate: "a/c", Phase: gates.PhaseBake}},
		stages:      true,
		cloud: func() *promotiontest.Cloud {
			cloud := &promotiontest.Cloud{Wanted: []promotion.Migration{first}}
			cloud.Deploy(all("old"))
			return cloud
		},
	},
	"two versions are live": {
		environment: pipelines.Environment{Name: "production"},
		cloud: func() *promotiontest.Cloud {
			cloud := &promotiontest.Cloud{}
			cloud.Deploy(promotion.Share{Version: "a", Percentage: 60}, promotion.Share{Version: "b", Percentage: 40})
			return cloud
		},
	},
}

// attempt promotes green as promotion id.
func (s scenario) attempt(t *testing.T, w *wire, id string) (promotion.Result, error) {
	t.Helper()
	basis := promotion.Basis{App: "app", Environment: s.environment, Bundle: green, Gates: s.gates}
	plan, err := promotion.MakePlan(t.Context(), w.cloud, basis)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.cancel = cancel
	options := promotion.Options{
		Target: w, Journal: w, Prober: w, Run: "run-" + id, Promotion: id, Waits: []time.Duration{0, 0}, BakeInterval: time.Hour,
		Settle: time.Nanosecond,
	}
	if s.gates != nil {
		options.Judge = w
	}
	if s.stages {
		options.SmokeStages = w
	}
	return promotion.Promote(ctx, options, plan)
}

// TestEveryFaultAtEveryCall runs each scenario once to learn which calls it makes, and then once for each call and each way
// in which it can go wrong. Whatever happens: nothing is misused, what is live is the new version or what was there before,
// the journal never says otherwise, and the next promotion succeeds.
func TestEveryFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean := &wire{cloud: s.cloud(), journal: &promotiontest.Journal{}}
			clean.cloud.Held = clean.journal.Held
			result, err := s.attempt(t, clean, "p1")
			if err != nil || result.Phase != promotion.Completed {
				t.Fatalf("without a fault: %+v, %v", result, err)
			}
			if len(clean.calls) < 20 {
				t.Fatalf("only %d calls: %v", len(clean.calls), clean.calls)
			}
			for at := range len(clean.calls) {
				for _, fault := range faults {
					w := &wire{cloud: s.cloud(), journal: &promotiontest.Journal{}, at: at + 1, fault: fault}
					w.cloud.Held = w.journal.Held
					t.Run(fmt.Sprintf("%s at %d %s", fault, at+1, clean.calls[at]), func(t *testing.T) {
						s.check(t, w, clean.calls[at])
						unrecorded := fault == refused && strings.HasPrefix(clean.calls[at], "checkpoint ")
						if end := at == len(clean.calls)-2; unrecorded && !end {
							stopped(t, w)
						}
					})
				}
			}
			t.Logf("%d calls × %d faults", len(clean.calls), len(faults))
		})
	}
}

// stopped checks that nothing went forward after what could not be recorded.
func stopped(t *testing.T, w *wire) {
	t.Helper()
	if state := w.journal.Last("p1").State; state == promotion.Completed {
		t.Error("completed without a record of every step")
	}
	for _, call := range w.calls[w.at:] {
		if slices.Contains([]string{"provision", "prepare", "bookmark", "migrate", "upload", "probe", "judge", "smoke stages"}, call) {
			t.Errorf("%s was called after a step that could not be recorded", call)
		}
	}
}

func (s scenario) check(t *testing.T, w *wire, call string) {
	before := w.cloud.Live()
	result, err := s.attempt(t, w, "p1")
	killed := w.dead
	placeholder := []promotion.Share{all("placeholder")}
	live := w.cloud.Live()
	isNew := len(w.cloud.Tagged("p1")) == 1 && slices.Equal(live, []promotion.Share{all(w.cloud.Tagged("p1")[0].ID)})
	isOld := slices.Equal(live, before) || before == nil && slices.Equal(live, placeholder)
	if len(w.cloud.Tagged("p1")) > 1 {
		t.Errorf("uploaded twice: %v", w.cloud.Tagged("p1"))
	}

	if !killed {
		switch result.Phase {
		case promotion.Completed:
			if !isNew {
				t.Errorf("completed, and live is %v", live)
			}
		case promotion.RolledBack, promotion.Cancelled, promotion.Superseded:
			if !isOld {
				t.Errorf("%s, and live is %v, before it was %v", result.Phase, live, before)
			}
		case promotion.Failed:
			if !isOld && err == nil {
				t.Errorf("failed without an error, and live is %v, before it was %v", live, before)
			}
		default:
			t.Errorf("ended in phase %q", result.Phase)
		}
		if result.Phase != promotion.Completed && result.Cause == nil {
			t.Error("no cause")
		}
		if result.Phase != promotion.Completed && result.NextStep == "" {
			t.Error("no next step")
		}
		if err == nil && w.journal.Last("p1").State != result.Phase {
			t.Errorf("the result is %s, the journal says %s", result.Phase, w.journal.Last("p1").State)
		}
		if err == nil && call != "release" && w.journal.Held() && w.fault != journalOutage {
			t.Error("the lease is still held")
		}
		single := w.fault != outage && w.fault != journalOutage
		if single && !isNew && !isOld {
			t.Errorf("after one fault live is neither the new nor the old: %v", live)
		}
	}
	asked := slices.Contains([]string{"inspect", "diff", "provision", "prepare", "bookmark", "migrate", "upload", "route", "address"}, call)
	if asked && (w.fault == unreachable || w.fault == unreachableLost) && result.Phase != promotion.Completed {
		t.Errorf("one call without an answer ended the promotion: %s, %v", result.Phase, result.Cause)
	}
	begins := slices.Contains([]string{"record", "acquire", "checkpoint lease"}, call)
	if w.fault != outage && w.fault != journalOutage && !killed && !begins && err != nil {
		t.Errorf("the end is not settled after one fault: %v", err)
	}
	switch state := w.journal.Last("p1").State; {
	case state == promotion.Completed && !isNew, state.Ended() && state != promotion.Completed && !isOld:
		t.Errorf("the journal says %s, and live is %v", state, live)
	}

	w.journal.HolderDied() // the process that ran the first attempt is gone by now
	again := &wire{cloud: w.cloud, journal: w.journal}
	result, err = s.attempt(t, again, "p2")
	if err != nil || result.Phase != promotion.Completed {
		t.Fatalf("the next promotion: %+v, %v", result, err)
	}
	if live := w.cloud.Live(); len(live) != 1 || live[0].Percentage != 100 || live[0].Version != result.Version {
		t.Errorf("after the next promotion live is %v, the result names %s", live, result.Version)
	}
	if got, want := len(w.cloud.Applied()), len(w.cloud.Wanted); got != want {
		t.Errorf("%d migrations are applied, want %d", got, want)
	}
	for _, id := range []string{"p1", "p2"} {
		if state := w.journal.Last(id); state.Promotion != "" && !state.State.Ended() {
			t.Errorf("promotion %s is left in %s", id, state.State)
		}
	}
	if w.journal.Held() {
		t.Error("the next promotion kept its lease")
	}
	if complaints := w.cloud.Complaints(); len(complaints) > 0 {
		t.Errorf("misuse: %q", complaints)
	}
}
