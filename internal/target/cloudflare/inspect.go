package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// Inspect reads what is live.
func (t *Target) Inspect(ctx context.Context) (promotion.State, error) {
	state := promotion.State{Worker: t.Worker.Name}
	if err := t.inspectWorker(ctx, &state); err != nil {
		return promotion.State{}, fmt.Errorf("inspect Worker %s: %w", t.Worker.Name, err)
	}
	for _, database := range t.Worker.D1Databases {
		id, err := t.findDatabase(ctx, database)
		if err != nil {
			return promotion.State{}, err
		}
		if id == "" {
			continue
		}
		history, err := t.history(ctx, id, database)
		if err != nil {
			return promotion.State{}, err
		}
		state.Migrations = append(state.Migrations, history.applied...)
	}
	var err error
	state.URL, err = t.url(ctx)
	return state, err
}

func (t *Target) inspectWorker(ctx context.Context, state *promotion.State) error {
	deployments, err := t.api.Deployments(ctx, t.Worker.Name)
	if errors.Is(err, api.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	state.Exists = true
	if len(deployments) > 0 {
		state.Shares = shares(deployments[0])
		state.Suspended = strings.HasPrefix(deployments[0].Annotations.Message, maintenanceMark)
	}
	versions, err := t.api.Versions(ctx, t.Worker.Name)
	if err != nil {
		return err
	}
	for _, version := range versions {
		bundle, _ := readMessage(version.Annotations.Message)
		state.Versions = append(state.Versions, promotion.Version{
			ID: version.ID, Number: int(version.Number), Tag: version.Annotations.Tag,
			Message: version.Annotations.Message, CreatedAt: version.Metadata.CreatedOn, Bundle: bundle,
		})
	}
	return nil
}

// shares are a deployment's versions, the largest share first.
func shares(deployment api.Deployment) []promotion.Share {
	list := make([]promotion.Share, 0, len(deployment.Versions))
	for _, version := range deployment.Versions {
		list = append(list, promotion.Share{Version: version.VersionID, Percentage: version.Percentage})
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Percentage > list[j].Percentage })
	return list
}
