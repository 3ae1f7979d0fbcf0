package localcloud

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// ignoreNotFound is for lookups where absence is an answer.
func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// reapply runs what is recorded as a script's current deployment; store.ErrNotFound when there is none. It is how
// changes of triggers, and a restart, reach the runtime. Callers hold deploying, or are alone at start.
func (c *Cloud) reapply(ctx context.Context, name string) error {
	script, err := c.store.Script(ctx, name)
	if err != nil {
		return err
	}
	deployments, err := c.store.Deployments(ctx, name, 1)
	if err != nil {
		return err
	}
	if len(deployments) == 0 {
		return fmt.Errorf("deployment of %s: %w", name, store.ErrNotFound)
	}
	classes, err := c.store.Classes(ctx, name)
	if err != nil {
		return err
	}
	shares := deployments[0].Shares
	if arriving := c.propagation.scripts[name]; arriving != nil {
		if shares = arriving.serving; len(shares) == 0 {
			return nil // the first deployment is on its way
		}
	}
	return c.apply(ctx, script, classes, shares)
}

// apply makes a deployment real. fresh are versions that are not stored yet.
func (c *Cloud) apply(ctx context.Context, script store.Script, classes []runtime.DurableObjectClass, shares []runtime.Share, fresh ...store.Version) error {
	run := runtime.Script{Name: script.Name, Shares: shares, DurableObjects: classes, Crons: script.Crons}
	for _, share := range shares {
		version, err := c.versionAmong(ctx, script.Name, share.VersionID, fresh)
		if err != nil {
			return fmt.Errorf("version %s: %w", share.VersionID, err)
		}
		runnable, err := c.runnable(version)
		if err != nil {
			return err
		}
		run.Versions = append(run.Versions, runnable)
	}
	var err error
	if run.QueueConsumers, err = c.store.QueueConsumers(ctx, script.Name); err != nil {
		return err
	}
	return c.workers.Apply(ctx, run)
}

func (c *Cloud) versionAmong(ctx context.Context, script, id string, fresh []store.Version) (store.Version, error) {
	for _, version := range fresh {
		if version.ID == id {
			return version, nil
		}
	}
	return c.store.Version(ctx, script, id)
}
