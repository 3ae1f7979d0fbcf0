package cli

import (
	"context"
	"errors"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// foresee looks, before a stage is run, at what would end the run however well its stages go: a seed that is not there, an account
// without credentials or out of reach, an app in maintenance. A migration that has nothing to do is over with it. What it cannot find
// out the plan will, with more to say.
func (r *run) foresee(ctx context.Context) (over bool, result event.Result, err error) {
	if err := r.seedIsSource(); err != nil {
		return true, result, err
	}
	if r.environment.Target == localTarget {
		dir, err := r.shared.streams.localDir()
		if err != nil {
			return true, result, err
		}
		// One that does not run serves nobody, and what it has to run on may only come with the packages.
		if _, err := daemon.Status(ctx, dir); err != nil {
			return false, result, nil
		}
	}
	target, err := r.openTarget(ctx)
	if err != nil {
		return true, result, err
	}
	on, err := target.InMaintenance(ctx)
	switch {
	case ctx.Err() != nil:
		return true, result, context.Cause(ctx)
	case errors.Is(err, promotion.ErrUnreachable):
		return true, result, err
	case err == nil && on:
		return true, result, &promotion.MaintenanceError{Environment: r.environment.Name}
	}
	if r.flags.command != commandMigrate || r.flags.seed != nil || r.resumes != nil || anyPending(ctx, target) {
		return false, result, nil
	}
	live, err := target.Inspect(ctx)
	if err != nil {
		return false, result, nil //nolint:nilerr // the plan says it
	}
	result.Version, result.URL, result.Reason = live.Live(), live.URL, nothingPending(r.environment.Name)
	return true, result, nil
}

// anyPending reports whether a migration is pending, or may be.
func anyPending(ctx context.Context, target *cloudflare.Target) bool {
	databases, gaps := target.MigrationPlans(ctx)
	for _, database := range databases {
		if len(database.Pending) > 0 || database.ID == "" { // one that is to be made
			return true
		}
	}
	return len(gaps) > 0
}
