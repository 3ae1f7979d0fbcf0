package cli

import (
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// bases are what this run's source is rightly compared with: the base of its pull request, or else the commit that is live in
// its environment, as far as the ledger knows it.
func (r *run) bases(ctx context.Context) []gates.Base {
	if r.hub != nil && r.hub.place.Base != "" {
		return []gates.Base{{Commit: r.hub.place.Base, Name: "the pull request's base " + r.hub.place.BaseRef}}
	}
	commit, err := r.liveCommit(ctx)
	if err != nil {
		r.note("warning", "gates are not told what is live: "+err.Error())
	}
	if commit == "" {
		return nil
	}
	return []gates.Base{{Commit: commit, Name: "what is live in " + r.environment.Name}}
}

// liveCommit is the commit of the promotion that made the version that is live, also after a return to it; "" when there is
// none, or it was made from no commit. Where the source had changes besides, they count as new until they are committed.
func (r *run) liveCommit(ctx context.Context) (string, error) {
	state, err := r.ledger.Environment(ctx, r.pipeline.Name, r.environment.Name)
	if err != nil || state.Version == "" {
		return "", err
	}
	recorded, _, err := r.ledger.Promotions(ctx, r.pipeline.Name, maxPromotions)
	if err != nil {
		return "", fmt.Errorf("find what is live in %s: %w", r.environment.Name, err)
	}
	for _, one := range recorded {
		made := one.Checkpoint.Kind == "" && one.Checkpoint.State == promotion.Completed && one.Checkpoint.Version == state.Version
		if made && one.Environment == r.environment.Name {
			return one.Info.Commit, nil
		}
	}
	return "", nil
}
