package promotion_test

import (
	"context"
	"fmt"
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

// wire is a promotiontest.Wire over places in memory.
type wire struct {
	promotiontest.Wire
	cloud   *promotiontest.Cloud
	journal *promotiontest.Journal
}

// newWire lets nothing go wrong: set At and Fault for that.
func newWire(cloud *promotiontest.Cloud, journal *promotiontest.Journal) *wire {
	return &wire{Wire: promotiontest.Wire{Target: cloud, Prober: cloud, Journal: journal}, cloud: cloud, journal: journal}
}

// wrong is a wire on which one call goes wrong.
func wrong(cloud *promotiontest.Cloud, journal *promotiontest.Journal, at int, fault promotiontest.Fault) *wire {
	w := newWire(cloud, journal)
	w.At, w.Fault = at, fault
	return w
}

// scenario is a place and what is promoted there.
type scenario struct {
	environment pipelines.Environment
	gates       []promotion.GateFact
	stages      bool
	kind        promotion.Kind
	seed        *promotion.Seed
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
	basis := promotion.Basis{App: "app", Environment: s.environment, Bundle: green, Gates: s.gates, Kind: s.kind, Seed: s.seed}
	plan, err := promotion.MakePlan(t.Context(), w.cloud, basis)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.Cancel = cancel
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
			clean := newWire(s.cloud(), &promotiontest.Journal{})
			clean.cloud.Held = clean.journal.Held
			result, err := s.attempt(t, clean, "p1")
			if err != nil || result.Phase != promotion.Completed {
				t.Fatalf("without a fault: %+v, %v", result, err)
			}
			if len(clean.Calls) < 20 {
				t.Fatalf("only %d calls: %v", len(clean.Calls), clean.Calls)
			}
			for at := range len(clean.Calls) {
				for _, fault := range promotiontest.Faults {
					w := wrong(s.cloud(), &promotiontest.Journal{}, at+1, fault)
					w.cloud.Held = w.journal.Held
					t.Run(fmt.Sprintf("%s at %d %s", fault, at+1, clean.Calls[at]), func(t *testing.T) {
						s.check(t, w, clean.Calls[at])
						unrecorded := fault == promotiontest.Refused && strings.HasPrefix(clean.Calls[at], "checkpoint ")
						if end := at == len(clean.Calls)-2; unrecorded && !end {
							stopped(t, w)
						}
					})
				}
			}
			t.Logf("%d calls × %d faults", len(clean.Calls), len(promotiontest.Faults))
		})
	}
}

// stopped checks that nothing went forward after what could not be recorded.
func stopped(t *testing.T, w *wire) {
	t.Helper()
	if state := w.journal.Last("p1").State; state == promotion.Completed {
		t.Error("completed without a record of every step")
	}
	for _, call := range w.Calls[w.At:] {
		if slices.Contains([]string{"provision", "prepare", "bookmark", "migrate", "upload", "probe", "judge", "smoke stages"}, call) {
			t.Errorf("%s was called after a step that could not be recorded", call)
		}
	}
}

func (s scenario) check(t *testing.T, w *wire, call string) {
	before := w.cloud.Live()
	result, err := s.attempt(t, w, "p1")
	killed := w.Dead
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
		if err == nil && call != "release" && w.journal.Held() && w.Fault != promotiontest.JournalOutage {
			t.Error("the lease is still held")
		}
		single := w.Fault != promotiontest.Outage && w.Fault != promotiontest.JournalOutage
		if single && !isNew && !isOld {
			t.Errorf("after one fault live is neither the new nor the old: %v", live)
		}
	}
	asked := slices.Contains([]string{"inspect", "diff", "provision", "prepare", "bookmark", "migrate", "upload", "route", "address"}, call)
	if asked && (w.Fault == promotiontest.Unreachable || w.Fault == promotiontest.UnreachableLost) && result.Phase != promotion.Completed {
		t.Errorf("one call without an answer ended the promotion: %s, %v", result.Phase, result.Cause)
	}
	begins := slices.Contains([]string{"record", "acquire", "checkpoint lease"}, call)
	if w.Fault != promotiontest.Outage && w.Fault != promotiontest.JournalOutage && !killed && !begins && err != nil {
		t.Errorf("the end is not settled after one fault: %v", err)
	}
	switch state := w.journal.Last("p1").State; {
	case state == promotion.Completed && !isNew, state.Ended() && state != promotion.Completed && !isOld:
		t.Errorf("the journal says %s, and live is %v", state, live)
	}

	w.journal.HolderDied() // the process that ran the first attempt is gone by now
	again := newWire(w.cloud, w.journal)
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
