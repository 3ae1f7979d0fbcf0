package promotion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// restoreTries is how often a deployment of the old shares is attempted. Of all calls this one matters most, so that it
	// is repeated after refusals too, not only when the target does not answer.
	restoreTries = 3
	// settleLooks is how often the target is looked at while it is watched.
	settleLooks = 5
)

// restoring is what to put back. unsettled says that a deployment of something else may still be on its way, because the
// call that asked for it was cut off: then what the target shows now proves nothing.
type restoring struct {
	promotion string
	shares    []Share
	version   string // that the promotion made, "" when it made none
	unsettled bool
}

// overtaken reports whether somebody else deployed since: what is live is neither what was there before the promotion nor
// holds its version. That stays as it is: who deployed by other means in the middle of a promotion had a reason.
func (r restoring) overtaken(live []Share) bool {
	return len(live) > 0 && !sameShares(live, r.shares) && !(r.version != "" && involves(live, r.version))
}

// restore makes the old shares the deployment again, and says whether anything else was live. It asks first: a placing that
// never arrived leaves nothing to put back. When something may be on its way it sends the old shares whatever is shown, so
// that they come after it, and watches whether it comes later still.
func (a *attempt) restore(ctx context.Context, step string, old restoring) (changed bool, err error) {
	live, err := a.Target.Inspect(ctx)
	there := err == nil && sameShares(live.Shares, old.shares)
	if there && !old.unsettled {
		return false, nil
	}
	if err == nil && old.overtaken(live.Shares) {
		return false, &OverriddenError{Environment: a.environment().Name, Live: live.Shares}
	}
	sent := a.send(ctx, step, old)
	if !old.unsettled {
		return !there, sent
	}
	late, err := a.settle(ctx, step, old)
	if err != nil {
		return true, errors.Join(sent, err)
	}
	return !there || late, nil // a refused repetition does not count when the old shares were there all the time
}

// settle watches for as long as a deployment may be on its way, and puts back what comes. nil means that the old shares
// were live at the end; a watch that could not be finished proves nothing.
func (a *attempt) settle(ctx context.Context, step string, old restoring) (late bool, err error) {
	a.progress(step, fmt.Sprintf("a call was cut off: watching for %s that its deployment does not come late", a.Settle))
	for range settleLooks {
		select {
		case <-ctx.Done():
			return late, fmt.Errorf("watch for a deployment that comes late: %w", ctx.Err())
		case <-time.After(a.Settle / settleLooks):
		}
		var live State
		err = a.ask(ctx, step, func(ctx context.Context) (err error) {
			live, err = a.Target.Inspect(ctx)
			return err
		})
		if err != nil {
			err = fmt.Errorf("watch for a deployment that comes late: %w", err)
		} else if old.overtaken(live.Shares) {
			return late, &OverriddenError{Environment: a.environment().Name, Live: live.Shares}
		} else if !sameShares(live.Shares, old.shares) {
			late = true
			a.progress(step, describeShares(live.Shares)+" came late; putting back again")
			err = a.send(ctx, step, old)
		}
	}
	return late, err
}

// send makes the old shares the deployment, trying again after every kind of failure.
func (a *attempt) send(ctx context.Context, step string, old restoring) error {
	routing := Routing{Shares: old.shares, Message: routingMessage(old.promotion, step), Back: true, Anew: old.unsettled}
	var err error
	for range restoreTries {
		err = a.ask(ctx, step, func(ctx context.Context) error { return a.Target.Route(ctx, old.promotion, routing) })
		if err == nil || ctx.Err() != nil {
			break
		}
		a.progress(step, "not put back yet: "+err.Error())
	}
	if err != nil {
		return fmt.Errorf("route %s: %w", describeShares(old.shares), err)
	}
	return nil
}

func routingMessage(promotion, step string) string {
	return fmt.Sprintf("penstock %s: %s", promotion, step)
}

// routes reports whether a step changes the deployment.
func routes(step string) bool {
	return step == StepPlace || step == StepPutBack || step == StepReturn || strings.HasPrefix(step, StepShift)
}

// askedShare is what the new version was to get of the traffic at the latest by that step; all of it where that is not known.
func askedShare(step string) float64 {
	switch step {
	case StepPlace, StepSmoke, StepGates:
		return 0
	}
	share := 100.0
	if _, err := fmt.Sscanf(step, StepShift+"%g", &share); err != nil {
		return 100
	}
	return share
}

// sameShares takes no notice of the order, which is not settled where two versions have the same share.
func sameShares(a, b []Share) bool {
	order := func(x, y Share) int { return cmp.Compare(x.Version, y.Version) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
}
