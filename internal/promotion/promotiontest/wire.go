package promotiontest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// Fault is one way in which one call to a port goes wrong.
type Fault string

// The faults.
const (
	Refused         Fault = "refused"          // not done, and said so
	LostReply       Fault = "lost reply"       // done, and an error came back
	Unreachable     Fault = "unreachable"      // not done, nothing known
	UnreachableLost Fault = "unreachable lost" // done, nothing known
	Outage          Fault = "outage"           // from this call on the target is gone
	JournalOutage   Fault = "journal outage"   // from this call on nothing can be recorded
	CancelBefore    Fault = "cancel before"    // Ctrl-C just before the call
	CancelAfter     Fault = "cancel after"     // Ctrl-C just after it
	KillBefore      Fault = "kill before"      // the process dies before the call
	KillAfter       Fault = "kill after"       // the process dies after it

	// Meanwhile is somebody else's change just before the call; it is none of Faults, because what comes of it is another question.
	Meanwhile Fault = "meanwhile"
)

// Faults are all of them.
var Faults = []Fault{Refused, LostReply, Unreachable, UnreachableLost, Outage, JournalOutage, CancelBefore, CancelAfter, KillBefore, KillAfter}

var errInjected = errors.New("injected")

// Wire stands between a promotion and every port that it has, counts the calls, and lets one go wrong.
type Wire struct {
	Target  promotion.Rewinder
	Prober  promotion.Prober
	Journal promotion.Journal
	At      int // the call that goes wrong, from 1; 0 for none
	Fault   Fault
	Cancel  context.CancelFunc
	// Meanwhile is what somebody else does, for the fault of that name.
	Meanwhile func()

	Calls []string // that were made, by name
	Dead  bool     // a kill has struck
}

// struck names the call that went wrong, "" when none did.
func (w *Wire) struck() string {
	if w.At == 0 || len(w.Calls) < w.At {
		return ""
	}
	return w.Calls[w.At-1]
}

func (w *Wire) call(name string, target bool, do func() error) error {
	w.Calls = append(w.Calls, name)
	n := len(w.Calls)
	switch {
	case w.Dead:
		return errInjected
	case w.At == 0 || n < w.At:
		return do()
	case w.Fault == Outage:
		if target {
			return fmt.Errorf("%w: %w", promotion.ErrUnreachable, errInjected)
		}
		return do()
	case w.Fault == JournalOutage:
		if !target {
			return errInjected
		}
		return do()
	case n > w.At:
		return do()
	}
	switch w.Fault {
	case LostReply:
		return errors.Join(do(), errInjected)
	case Unreachable:
		return fmt.Errorf("%w: %w", promotion.ErrUnreachable, errInjected)
	case UnreachableLost:
		return errors.Join(do(), promotion.ErrUnreachable, errInjected)
	case CancelBefore:
		w.Cancel()
		return do()
	case CancelAfter:
		defer w.Cancel()
		return do()
	case Meanwhile:
		w.Meanwhile()
		return do()
	case KillBefore:
		w.Dead = true
		return errInjected
	case KillAfter:
		defer func() { w.Dead = true }()
		return errors.Join(do(), errInjected)
	default:
		return errInjected
	}
}

// Inspect implements promotion.Target.
func (w *Wire) Inspect(ctx context.Context) (state promotion.State, err error) {
	err = w.call("inspect", true, func() (err error) { state, err = w.Target.Inspect(ctx); return err })
	return state, err
}

// Diff implements promotion.Target.
func (w *Wire) Diff(ctx context.Context, live promotion.State, b *bundle.Bundle) (diff promotion.Diff, err error) {
	err = w.call("diff", true, func() (err error) { diff, err = w.Target.Diff(ctx, live, b); return err })
	return diff, err
}

// Provision implements promotion.Target.
func (w *Wire) Provision(ctx context.Context, id string, d promotion.Diff) (made []event.Change, err error) {
	err = w.call("provision", true, func() (err error) { made, err = w.Target.Provision(ctx, id, d); return err })
	return made, err
}

// Prepare implements promotion.Target.
func (w *Wire) Prepare(ctx context.Context, id string, live promotion.State, b *bundle.Bundle) (did string, err error) {
	err = w.call("prepare", true, func() (err error) { did, err = w.Target.Prepare(ctx, id, live, b); return err })
	return did, err
}

// Backup implements promotion.Target.
func (w *Wire) Backup(ctx context.Context, id string) (backup promotion.Backup, err error) {
	err = w.call("backup", true, func() (err error) { backup, err = w.Target.Backup(ctx, id); return err })
	return backup, err
}

// Migrate implements promotion.Target.
func (w *Wire) Migrate(ctx context.Context, id string, planned []promotion.Migration, applied func(promotion.Migration)) error {
	return w.call("migrate", true, func() error { return w.Target.Migrate(ctx, id, planned, applied) })
}

// LookAtSeed implements promotion.Seeder, for a target that does.
func (w *Wire) LookAtSeed(ctx context.Context, file string) (found promotion.Seeding, err error) {
	err = w.call("look at seed", true, func() (err error) { found, err = w.Target.(promotion.Seeder).LookAtSeed(ctx, file); return err })
	return found, err
}

// Seed implements promotion.Seeder, for a target that does.
func (w *Wire) Seed(ctx context.Context, id, file, digest string) error {
	return w.call("seed", true, func() error { return w.Target.(promotion.Seeder).Seed(ctx, id, file, digest) })
}

// Upload implements promotion.Target.
func (w *Wire) Upload(ctx context.Context, id string, b *bundle.Bundle) (version string, err error) {
	err = w.call("upload", true, func() (err error) { version, err = w.Target.Upload(ctx, id, b); return err })
	if err != nil {
		return "", err // a lost reply carries no id
	}
	return version, nil
}

// Route implements promotion.Target.
func (w *Wire) Route(ctx context.Context, id string, routing promotion.Routing) error {
	return w.call("route", true, func() error { return w.Target.Route(ctx, id, routing) })
}

// Address implements promotion.Target.
func (w *Wire) Address(ctx context.Context, version string) (address promotion.Address, err error) {
	err = w.call("address", true, func() (err error) { address, err = w.Target.Address(ctx, version); return err })
	return address, err
}

// Probe implements promotion.Prober.
func (w *Wire) Probe(ctx context.Context, address promotion.Address, version string, smoke pipelines.Smoke) (report promotion.Report, err error) {
	err = w.call("probe", true, func() (err error) { report, err = w.Prober.Probe(ctx, address, version, smoke); return err })
	return report, err
}

// RunSmoke implements promotion.SmokeStages.
func (w *Wire) RunSmoke(ctx context.Context, moment string, address promotion.Address, version string, log io.Writer) (bool, string, error) {
	err := w.call("smoke stages", true, ctx.Err)
	return err == nil, "12 checks passed", err
}

// Judge implements promotion.Judge.
func (w *Wire) Judge(ctx context.Context, phase gates.Phase, address promotion.Address, version string) (promotion.Ruling, error) {
	err := w.call("judge", true, ctx.Err)
	return promotion.Ruling{Allowed: true, Summary: "1 gate passed"}, err
}

// Record implements promotion.Journal.
func (w *Wire) Record(ctx context.Context, e event.Event) error {
	return w.call("record", false, func() error { return w.Journal.Record(ctx, e) })
}

// Acquire implements promotion.Journal.
func (w *Wire) Acquire(ctx context.Context, app, environment, id string) (lease promotion.Lease, err error) {
	err = w.call("acquire", false, func() (err error) { lease, err = w.Journal.Acquire(ctx, app, environment, id); return err })
	return lease, err
}

// Checkpoint implements promotion.Journal.
func (w *Wire) Checkpoint(ctx context.Context, lease promotion.Lease, state promotion.Checkpoint, told ...event.Event) error {
	return w.call("checkpoint "+state.Step, false, func() error { return w.Journal.Checkpoint(ctx, lease, state, told...) })
}

// Release implements promotion.Journal.
func (w *Wire) Release(ctx context.Context, lease promotion.Lease) error {
	return w.call("release", false, func() error { return w.Journal.Release(ctx, lease) })
}

// InMaintenance implements promotion.Rewinder.
func (w *Wire) InMaintenance(ctx context.Context) (bool, error) { return w.Target.InMaintenance(ctx) }

// AppliedSince implements promotion.Rewinder.
func (w *Wire) AppliedSince(ctx context.Context, moment time.Time) (applied []promotion.Applied, err error) {
	err = w.call("applied since", true, func() (err error) { applied, err = w.Target.AppliedSince(ctx, moment); return err })
	return applied, err
}

// BookmarkBefore implements promotion.Rewinder.
func (w *Wire) BookmarkBefore(ctx context.Context, moment time.Time) (string, error) {
	return w.Target.BookmarkBefore(ctx, moment)
}

// BeyondTimeTravel implements promotion.Rewinder.
func (w *Wire) BeyondTimeTravel(ctx context.Context, moment time.Time) (string, error) {
	return w.Target.BeyondTimeTravel(ctx, moment)
}

// Written implements promotion.Rewinder.
func (w *Wire) Written(ctx context.Context, marks []promotion.Mark) ([]promotion.Written, error) {
	return w.Target.Written(ctx, marks)
}

// RestoreData implements promotion.Rewinder.
func (w *Wire) RestoreData(ctx context.Context, id, bookmark string) (undo string, err error) {
	err = w.call("restore", true, func() (err error) { undo, err = w.Target.RestoreData(ctx, id, bookmark); return err })
	return undo, err
}
