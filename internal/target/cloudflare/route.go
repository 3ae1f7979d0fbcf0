package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// Route makes the shares the current deployment, unless they are already and no new one is asked for, and waits until the
// account shows it. What Cloudflare refuses stays refused, but for one question: what was live a moment ago goes back with the
// secrets that it had, since a version that failed must not keep the traffic for the sake of a new secret.
//
// When the shares give everything to the version of this very promotion, what calls the Worker besides HTTP follows:
// queue consumers, crons, routes and the settings that no version carries. Going back to an older version leaves those
// alone.
func (t *Target) Route(ctx context.Context, id string, routing promotion.Routing) error {
	wanted := routing.Shares
	if err := checkShares(wanted); err != nil {
		return fmt.Errorf("route Worker %s: %w", t.Worker.Name, err)
	}
	shown := func() (bool, error) { return t.routed(ctx, wanted) }
	err := t.deploy(ctx, routing, shown)
	var refused *api.Error
	if errors.As(err, &refused) && refused.Has(api.CodeSecretsChanged) {
		return fmt.Errorf("route Worker %s: %w: secrets were changed after that version was made, and with it the old values would come back; "+
			"deploy its commit again instead, which makes the same code with today's secrets", t.Worker.Name, err)
	}
	if err != nil {
		return fmt.Errorf("route Worker %s: %w", t.Worker.Name, err)
	}
	if err := t.untilShown(ctx, shown); err != nil {
		return fmt.Errorf("route Worker %s: %w", t.Worker.Name, err)
	}
	if len(wanted) != 1 {
		return nil
	}
	own, err := t.taggedVersion(ctx, id)
	if err != nil {
		return err
	}
	if own != wanted[0].Version {
		return nil
	}
	return t.applyTriggers(ctx)
}

// deploy asks for the deployment. One that was asked for anew cannot be told from the one before it by its shares, so that
// a lost reply is answered by asking again: the same deployment twice is the same deployment.
func (t *Target) deploy(ctx context.Context, routing promotion.Routing, shown func() (bool, error)) error {
	body := make([]api.Share, 0, len(routing.Shares))
	for _, share := range routing.Shares {
		body = append(body, api.Share{VersionID: share.Version, Percentage: share.Percentage})
	}
	post := func() error {
		err := t.api.Deploy(ctx, t.Worker.Name, body, routing.Message, false)
		var refused *api.Error
		if routing.Back && errors.As(err, &refused) && refused.Has(api.CodeSecretsChanged) {
			t.note("the version before has other secrets, and goes back with them: %v", err)
			err = t.api.Deploy(ctx, t.Worker.Name, body, routing.Message, true)
		}
		return err
	}
	if routing.Anew {
		return t.repeatHarmless(ctx, post)
	}
	if done, err := shown(); err != nil || done {
		return err
	}
	return t.lookBeforeRepeating(ctx, post, shown)
}

// checkShares holds to Cloudflare's rules, so that a mistake is found without a call.
func checkShares(wanted []promotion.Share) error {
	if len(wanted) < 1 || len(wanted) > 2 {
		return fmt.Errorf("a deployment has one or two versions, not %d", len(wanted))
	}
	sum := 0.0
	for _, share := range wanted {
		if share.Version == "" || share.Percentage < 0 {
			return fmt.Errorf("%v %% for version %q is no share", share.Percentage, share.Version)
		}
		sum += share.Percentage
	}
	if math.Abs(sum-100) > 1e-6 {
		return fmt.Errorf("the shares sum to %v %%, not 100", sum)
	}
	if len(wanted) == 2 && wanted[0].Version == wanted[1].Version {
		return fmt.Errorf("version %s has two shares", wanted[0].Version)
	}
	return nil
}

// routed reports whether the current deployment has exactly these shares.
func (t *Target) routed(ctx context.Context, wanted []promotion.Share) (bool, error) {
	deployments, err := t.api.Deployments(ctx, t.Worker.Name)
	if err != nil || len(deployments) == 0 {
		return false, err
	}
	current := map[string]float64{}
	for _, share := range deployments[0].Versions {
		current[share.VersionID] = share.Percentage
	}
	if len(current) != len(wanted) {
		return false, nil
	}
	for _, share := range wanted {
		if percentage, ok := current[share.Version]; !ok || math.Abs(percentage-share.Percentage) > 1e-6 {
			return false, nil
		}
	}
	return true, nil
}

func (t *Target) untilShown(ctx context.Context, shown func() (bool, error)) error {
	deadline := time.Now().Add(t.pace.shown)
	for {
		done, err := shown()
		if err != nil || done {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: the deployment was accepted and is not shown after %s", promotion.ErrUnreachable, t.pace.shown)
		}
		if err := sleep(ctx, t.pace.poll); err != nil {
			return err
		}
	}
}
