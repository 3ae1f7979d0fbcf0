package promotion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

// recover puts back what earlier promotions left that never reached an end, and records their end. It says whether it
// changed traffic.
func (a *attempt) recover(ctx context.Context) (changed bool, err error) {
	if len(a.lease.Abandoned) == 0 {
		return false, nil
	}
	err = a.step(ctx, StepRecover, Leased, func(ctx context.Context) (done, error) {
		var said []string
		for _, abandoned := range a.lease.Abandoned {
			undid, sentence, err := a.recoverOne(ctx, abandoned)
			if err != nil {
				return done{detail: strings.Join(said, "; ")}, err
			}
			changed = changed || undid
			said = append(said, sentence)
		}
		return done{detail: strings.Join(said, "; ")}, nil
	})
	return changed, err
}

func (a *attempt) recoverOne(ctx context.Context, abandoned Checkpoint) (changed bool, sentence string, err error) {
	name := fmt.Sprintf("promotion %s stopped at %s", abandoned.Promotion, abandoned.Step)
	sentence = name + " before it touched traffic"
	end := Failed
	switch {
	case abandoned.Kind == KindMigration:
		sentence = strings.Replace(name, "promotion", "migration", 1) + "; what it applied stays"
	case abandoned.Kind == KindRollback && abandoned.Touched:
		// There is no rollback of a rollback: what people asked for stays as far as it came.
		sentence = strings.Replace(name, "promotion", "rollback", 1) + "; what it did stays"
	case abandoned.Touched:
		end = RolledBack
		var live State
		err := a.ask(ctx, StepRecover, func(ctx context.Context) (err error) {
			live, err = a.Target.Inspect(ctx)
			return err
		})
		if err == nil && live.Suspended {
			// The end of the maintenance brings back what the promotion left, which must still be known as unfinished then.
			return false, "", &MaintenanceError{Environment: a.environment().Name}
		}
		if err != nil {
			return false, "", a.notPutBack(ctx, abandoned, errors.New(name), fmt.Errorf("inspect what it left: %w", err))
		}
		// It may have died a moment ago, with a deployment on its way.
		old := restoring{promotion: abandoned.Promotion, shares: abandoned.Previous, version: abandoned.Version, unsettled: !abandoned.Done && routes(abandoned.Step)}
		stays := live.Shares
		if !old.overtaken(live.Shares) { // asked here as well, because restoring goes on when it gets no answer
			stays = nil
			changed, err = a.restore(ctx, StepRecover, old)
			if overridden, ok := errors.AsType[*OverriddenError](err); ok {
				stays, err = overridden.Live, nil
			}
		}
		switch {
		case err != nil:
			return changed, "", a.notPutBack(ctx, abandoned, errors.New(name), err)
		case stays != nil:
			sentence = fmt.Sprintf("%s; %s was deployed by somebody else since and stays", name, describeShares(stays))
		case changed:
			sentence = name + "; put back to " + describeShares(abandoned.Previous)
		default:
			sentence = name + "; " + describeShares(abandoned.Previous) + " is live as before it"
		}
	}
	a.progress(StepRecover, sentence)
	if abandoned.Promotion == a.Promotion {
		return changed, sentence, nil // resumed: it has not ended
	}
	abandoned.Died = true
	abandoned.State, abandoned.Done, abandoned.Reason, abandoned.UpdatedAt = end, true, sentence, time.Now().UTC()
	if err := a.Journal.Checkpoint(ctx, a.lease, abandoned); err != nil {
		return changed, "", fmt.Errorf("record the end of promotion %s: %w", abandoned.Promotion, err)
	}
	return changed, sentence, nil
}

// complete records that the promotion reached its end and gives the lease back.
func (a *attempt) complete(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.CleanUp)
	defer cancel()
	defer a.release(ctx)
	result := a.result(Completed, nil)
	result.Version, result.UpToDate = a.state.Version, a.upToDate
	if a.state.Kind == KindMigration {
		result.Version = result.Previous
	}
	if err := a.end(ctx, Completed, ""); err != nil {
		// The version is proven and serves everybody; taking it away again would help nobody. The journal still says that
		// this promotion is under way, so that the next one puts it back or finds it as it is: nothing false is on record.
		result.Cause = err
		result.NextStep = "the new version is live, but that could not be recorded; free the ledger's disk and deploy again"
		return result, err
	}
	return result, nil
}

// stop ends a promotion that cannot go on: traffic is put back if it was touched. There is no way forward from here, and
// a put-back is never itself put back.
func (a *attempt) stop(ctx context.Context, cause error) (Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.CleanUp)
	defer cancel()
	defer a.release(ctx)
	if errors.Is(cause, ErrLeaseLost) {
		return a.tookOver(cause)
	}

	phase := Failed
	if _, ok := errors.AsType[*StaleError](cause); ok {
		phase = Superseded
	} else if errors.Is(cause, context.Canceled) {
		phase = Cancelled
	}
	var undone []string
	var overridden *OverriddenError
	if a.state.Touched {
		phase = RolledBack
		reached := a.state
		detail, err := a.putBack(ctx)
		if errors.Is(err, ErrLeaseLost) {
			return a.tookOver(errors.Join(err, cause))
		}
		if errors.As(err, &overridden) {
			phase, overridden.Cause = Superseded, cause
			if errors.As(cause, new(*OverriddenError)) {
				overridden.Cause = nil
			}
			cause = overridden
		} else if err != nil {
			// No end is recorded: the next promotion finds this one unfinished and puts it back first.
			failed := a.notPutBack(ctx, reached, cause, err)
			result := a.result(Failed, failed)
			result.NotUndone = append([]string{"traffic: " + err.Error()}, a.notUndone(ctx)...)
			result.Version = ""
			result.NextStep = failed.NextStep()
			return result, failed
		}
		if overridden == nil {
			undone = append(undone, detail)
		}
	}
	result := a.result(phase, cause)
	result.Undone = undone
	result.NotUndone = a.notUndone(ctx)
	result.NextStep = nextAfter(cause)
	result.Version = result.Previous
	if overridden != nil {
		result.Version = State{Shares: overridden.Live}.Live()
		result.NotUndone = append([]string{"traffic: " + describeShares(overridden.Live) + " was deployed by somebody else meanwhile and stays"}, result.NotUndone...)
	}
	if err := a.end(ctx, phase, cause.Error()); err != nil {
		return result, fmt.Errorf("record the end of promotion %s after: %w; and that failed: %w", a.Promotion, cause, err)
	}
	if failed, ok := errors.AsType[*PutBackError](cause); ok {
		// This promotion has a settled end, and the one that it found still has none.
		result.Version = ""
		return result, failed
	}
	return result, nil
}

// tookOver ends a promotion that lost its lease: hands off, also off putting back. Who holds the lease now has done that.
func (a *attempt) tookOver(cause error) (Result, error) {
	result := a.result(Failed, cause)
	result.NextStep = "another promotion of " + a.environment().Name + " took over: `penstock status` shows it"
	return result, cause
}

// putBack makes the old shares the deployment again. Traffic comes before the record: a journal that does not write must
// not keep people on a version that failed.
func (a *attempt) putBack(ctx context.Context) (string, error) {
	began := time.Now()
	step := a.describe(StepPutBack)
	a.state.Step, a.state.Done = StepPutBack, false
	started := a.event(event.StepStarted, step)
	unrecorded := a.checkpoint(ctx, started)
	if errors.Is(unrecorded, ErrLeaseLost) {
		return "", unrecorded
	}
	a.Observer.Observe(started)
	_, err := a.restore(ctx, StepPutBack, restoring{promotion: a.Promotion, shares: a.state.Previous, version: a.state.Version, unsettled: a.unsettled})
	step.Duration = time.Since(began)
	if err != nil {
		step.Error = err.Error()
	} else {
		step.Detail = describeShares(a.state.Previous)
		a.state.Done = true
	}
	finished := a.event(event.StepFinished, step)
	a.Observer.Observe(finished)
	if recordErr := a.checkpoint(ctx, finished); recordErr != nil && unrecorded == nil {
		a.progress(StepPutBack, recordErr.Error())
	}
	return "traffic: " + describeShares(a.state.Previous) + " again", err
}

// end records the promotion's end. It is tried twice: after a lost reply the same end is accepted again.
func (a *attempt) end(ctx context.Context, phase Phase, reason string) error {
	a.state.State, a.state.Done, a.state.Reason = phase, true, reason
	err := a.checkpoint(ctx)
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		err = a.checkpoint(ctx)
	}
	return err
}

// release gives the lease back. When that fails the process's own end does it: a dead holder's lease is free.
func (a *attempt) release(ctx context.Context) {
	if err := a.Journal.Release(context.WithoutCancel(ctx), a.lease); err != nil {
		a.progress(StepLease, "the lease could not be given back and ends with this process: "+err.Error())
	}
}

func (a *attempt) result(phase Phase, cause error) Result {
	return Result{
		Promotion: a.Promotion, Phase: phase, Cause: cause, URL: a.state.URL, Bookmark: a.state.Bookmark,
		Previous: a.served, Migrations: a.state.Migrations, Seed: a.state.Seed,
	}
}

// notUndone says what stays. Which migrations were applied is asked of the target, because the reply that would have told
// may be the one that was lost.
func (a *attempt) notUndone(ctx context.Context) []string {
	var said []string
	if len(a.provisioned) > 0 {
		said = append(said, "created: "+strings.Join(changeNames(a.provisioned), ", "))
	}
	if a.prepared != "" {
		said = append(said, "prepared: "+a.prepared)
	}
	if a.migrating && len(a.plan.Diff.Migrations) > 0 {
		if sentence := a.migrationsLeft(ctx); sentence != "" {
			said = append(said, sentence)
		}
	}
	if sentence := a.seedLeft(ctx); sentence != "" {
		said = append(said, sentence)
	}
	if a.state.Version != "" && !a.upToDate {
		said = append(said, "version "+short(a.state.Version)+" stays uploaded, without traffic")
	}
	return said
}

func (a *attempt) migrationsLeft(ctx context.Context) string {
	names := migrationNames(a.migrated)
	live, err := a.Target.Inspect(ctx)
	if err == nil {
		names = nil
		for _, migration := range a.plan.Diff.Migrations {
			if slices.Contains(live.Migrations, migration.Name) {
				names = append(names, migration.Name)
			}
		}
	}
	if len(names) == 0 && err == nil {
		return ""
	}
	sentence := "migrations stay applied: " + strings.Join(names, ", ")
	if err != nil {
		sentence = fmt.Sprintf("migrations may stay applied (known: %d of %d; the target did not say)", len(names), len(a.plan.Diff.Migrations))
	}
	if a.state.Bookmark != "" {
		sentence += "; the database before them is bookmark " + a.state.Bookmark + " (going back to it loses what was written since)"
	}
	return sentence
}

func nextAfter(cause error) string {
	if failed, ok := errors.AsType[*PutBackError](cause); ok {
		return failed.NextStep()
	}
	switch {
	case errors.Is(cause, ErrBusy):
		return "wait for the other promotion, then run this again"
	case errors.Is(cause, ErrUnreachable):
		return "check the network and the target's status page, then run this again"
	case errors.Is(cause, context.Canceled):
		return "run this again when you are ready"
	}
	if _, ok := errors.AsType[*StaleError](cause); ok {
		return "make a new plan with `penstock plan`, or deploy again"
	}
	if overridden, ok := errors.AsType[*OverriddenError](cause); ok {
		return overridden.NextStep()
	}
	if missing, ok := errors.AsType[*MissingError](cause); ok {
		return missing.Error()
	}
	if _, ok := errors.AsType[*MigrationError](cause); ok {
		return "correct the migration that failed, then deploy again; those applied before it are recognised"
	}
	if smoke, ok := errors.AsType[*SmokeError](cause); ok {
		switch smoke.Moment {
		case BeforeData:
			return "nothing was changed: what is live has to work before it can be seen that it still does afterwards; `penstock deploy` takes code and data together"
		case AfterData:
			return "see what version " + short(smoke.Version) + " answered above: deploy a version that works on the new schema, or `penstock restore` to the bookmark, which loses what was written since"
		}
		return "see what version " + short(smoke.Version) + " answered above, correct it, and deploy again"
	}
	if _, ok := errors.AsType[*BlockedError](cause); ok {
		return "see the gates' findings above, correct what they name, and deploy again"
	}
	return "correct what is named above and deploy again"
}

// notPutBack says that what a promotion did to traffic stays, and what its version probably gets of it. It looks once more,
// under a time of its own, because what people must know most is whom the version serves.
func (a *attempt) notPutBack(ctx context.Context, reached Checkpoint, cause, err error) *PutBackError {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	failed := &PutBackError{
		Environment: a.environment().Name, Version: reached.Version, Previous: reached.Previous, Share: askedShare(reached.Step), Cause: cause, Err: err,
	}
	live, lookErr := a.Target.Inspect(ctx)
	if lookErr != nil {
		return failed
	}
	seen := 0.0
	for _, share := range live.Shares {
		if share.Version == reached.Version {
			seen = share.Percentage
		}
	}
	// As long as what was asked for may still come, to see less of it is no comfort.
	if mayCome := !reached.Done && routes(reached.Step); !mayCome || seen > failed.Share {
		failed.Share = seen
	}
	return failed
}

// involves reports whether the deployment holds the version at all, also without traffic.
func involves(shares []Share, version string) bool {
	return slices.ContainsFunc(shares, func(share Share) bool { return share.Version == version })
}
