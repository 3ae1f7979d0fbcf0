package promotion_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
)

func putBackFailed(err error) bool {
	_, ok := errors.AsType[*promotion.PutBackError](err)
	return ok
}

// late is a target on which one deployment comes after the call that asked for it was cut off. Like Cloudflare's it leaves
// shares alone that are current already.
type late struct {
	promotion.Target
	deploy func(shares ...promotion.Share)
	live   func() []promotion.Share
	// cutOff is told of each routing; true cuts it off.
	cutOff func(routing promotion.Routing) bool
	// with is the error of what was cut off; a cancel when nil.
	with error
	// after is how many calls later the deployment comes.
	after int

	pending []promotion.Share
	anew    int
}

func (l *late) comes() {
	if l.pending == nil {
		return
	}
	if l.after--; l.after == 0 {
		l.deploy(l.pending...)
		l.pending = nil
	}
}

func (l *late) Inspect(ctx context.Context) (promotion.State, error) {
	defer l.comes()
	return l.Target.Inspect(ctx)
}

func (l *late) Route(ctx context.Context, id string, routing promotion.Routing) error {
	if l.cutOff != nil && l.cutOff(routing) {
		l.cutOff, l.pending = nil, routing.Shares
		if l.with != nil {
			return l.with
		}
		return fmt.Errorf("send it: %w", context.Canceled)
	}
	defer l.comes()
	if routing.Anew {
		l.anew++
	} else if slices.Equal(l.live(), routing.Shares) {
		return nil
	}
	return l.Target.Route(ctx, id, routing)
}

// Ctrl-C cuts off the call that gives the new version everything. Whenever that deployment comes, before the old shares are
// sent or while they are watched, they are live in the end.
func TestADeploymentThatComesAfterItsErrorIsPutBackToo(t *testing.T) {
	t.Parallel()
	for after := 1; after <= 6; after++ {
		t.Run(fmt.Sprintf("%d calls later", after), func(t *testing.T) {
			t.Parallel()
			b := newBench("update")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			target := &late{Target: b.cloud, deploy: b.cloud.Deploy, live: b.cloud.Live, after: after}
			target.cutOff = func(routing promotion.Routing) bool {
				if len(routing.Shares) == 1 {
					cancel()
				}
				return len(routing.Shares) == 1
			}
			b.options.Target = target
			result, err := promotion.Promote(ctx, b.options, b.plan(t))
			if err != nil || result.Phase != promotion.RolledBack || !errors.Is(result.Cause, context.Canceled) {
				t.Errorf("%+v, %v", result, err)
			}
			if target.pending != nil {
				t.Error("it never came")
			}
			if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("old")}) {
				t.Errorf("recorded as put back, and live is %v", live)
			}
		})
	}
}

// A call that was cut off, and asked again with an answer, may still come: the answer is the second one's.
func TestADeploymentThatWasAskedForTwiceIsWatchedForToo(t *testing.T) {
	t.Parallel()
	for after := 2; after <= 6; after++ {
		b := newBench("update")
		target := &late{Target: b.cloud, deploy: b.cloud.Deploy, live: b.cloud.Live, after: after, with: promotion.ErrUnreachable}
		target.cutOff = func(routing promotion.Routing) bool { return len(routing.Shares) == 1 }
		b.options.Target, b.options.Waits = target, []time.Duration{0}
		plan, err := promotion.MakePlan(t.Context(), b.cloud, promotion.Basis{App: "app", Environment: b.environment, Bundle: &bundle.Bundle{Digest: "sha256:late-1"}})
		if err != nil {
			t.Fatal(err)
		}
		result, err := promotion.Promote(t.Context(), b.options, plan)
		if err != nil || result.Phase != promotion.RolledBack || target.pending != nil {
			t.Errorf("%d calls later: %+v, %v; still to come: %v", after, result, err, target.pending)
		}
		if live := b.cloud.Live(); !slices.Equal(live, []promotion.Share{all("old")}) {
			t.Errorf("%d calls later: recorded as put back, and live is %v", after, live)
		}
	}
}

// The same where the first look sees the old shares: the very first placing is cut off. They are sent all the same.
func TestTheOldSharesAreSentThoughTheyAreShown(t *testing.T) {
	t.Parallel()
	for after := 1; after <= 6; after++ {
		b := newBench("update")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		target := &late{Target: b.cloud, deploy: b.cloud.Deploy, live: b.cloud.Live, after: after}
		target.cutOff = func(promotion.Routing) bool { cancel(); return true }
		b.options.Target = target
		result, err := promotion.Promote(ctx, b.options, b.plan(t))
		if live := b.cloud.Live(); err != nil || result.Phase != promotion.RolledBack || !slices.Equal(live, []promotion.Share{all("old")}) {
			t.Errorf("%d calls later: %s, %v; live is %v", after, result.Phase, err, live)
		}
		if target.anew == 0 {
			t.Errorf("%d calls later: no new deployment of the old shares was asked for", after)
		}
	}
}

// A process dies with its call on the way; the deployment comes while the next promotion looks at what was left.
func TestADeploymentThatComesAfterADeathIsPutBackToo(t *testing.T) {
	t.Parallel()
	for after := 1; after <= 4; after++ {
		b := newBench("update")
		count := newWire(b.scenario.cloud(), newBench("update").journal)
		if _, err := b.attempt(t, count, "dead"); err != nil {
			t.Fatal(err)
		}
		w := wrong(b.cloud, b.journal, slices.Index(count.Calls, "route")+1, promotiontest.KillBefore)
		_, _ = b.attempt(t, w, "dead")
		b.journal.HolderDied()
		dead := b.cloud.Tagged("dead")[0].ID

		plan := b.plan(t)
		b.options.Target = &late{Target: b.cloud, deploy: b.cloud.Deploy, live: b.cloud.Live, after: after, pending: []promotion.Share{all(dead)}}
		result := b.ends(t, plan, promotion.Completed)
		if result.Previous != "old" || b.journal.Last("dead").State != promotion.RolledBack {
			t.Errorf("%d calls later: %+v; %+v", after, result, b.journal.Last("dead"))
		}
	}
}

func TestAPutBackThatFailsIsToldApart(t *testing.T) {
	t.Parallel()
	b := newBench("canary with gates and smoke stages")
	asked := 0
	b.options.Judge = judge(func(gates.Phase, promotion.Address) (promotion.Ruling, error) {
		asked++
		return promotion.Ruling{Allowed: asked < 3, Blocking: []string{"a/c"}, Summary: "9 % errors"}, nil // no at 50 %
	})
	b.options.Target = &stubborn{Target: b.cloud, refusals: 1000, routed: -2} // place, 10 and 50 go well
	result, err := promotion.Promote(t.Context(), b.options, b.plan(t))
	if blocked, ok := errors.AsType[*promotion.BlockedError](err); ok {
		t.Errorf("looks like a gate's no: %v", blocked)
	}
	failed, ok := errors.AsType[*promotion.PutBackError](err)
	if !ok || !errors.Is(result.Cause, failed) || failed.Share != 50 || failed.Version != b.cloud.Tagged("p1")[0].ID {
		t.Fatalf("%+v, %v", result, err)
	}
	if _, ok := errors.AsType[*promotion.BlockedError](failed.Cause); !ok || failed.Err == nil {
		t.Errorf("cause %v, error %v", failed.Cause, failed.Err)
	}
	for _, want := range []string{"probably has 50 %", "old at 100 %", "9 % errors", "503 try later", "`penstock deploy --env production`"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if result.NextStep != failed.NextStep() || result.Phase != promotion.Failed {
		t.Errorf("%+v", result)
	}
}

// Nobody can say what is live after an promotiontest.Outage: what was asked for last counts.
func TestWhatIsProbablyLiveInAnOutage(t *testing.T) {
	t.Parallel()
	s := scenarios["canary with gates and smoke stages"]
	for routing, want := range []float64{0, 10, 50, 100} {
		clean := newWire(s.cloud(), newBench("update").journal)
		if _, err := s.attempt(t, clean, "p1"); err != nil {
			t.Fatal(err)
		}
		at := 0
		for seen := -1; seen < routing; at++ {
			if clean.Calls[at] == "route" {
				seen++
			}
		}
		w := wrong(s.cloud(), newBench("update").journal, at, promotiontest.Outage)
		_, err := s.attempt(t, w, "p1")
		if failed, ok := errors.AsType[*promotion.PutBackError](err); !ok || failed.Share != want {
			t.Errorf("routing %d: %v, want %g %%", routing, err, want)
		}
	}
}
