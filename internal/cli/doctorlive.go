package cli

import (
	"context"
	"slices"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// judgeLive asks the gates of the checklists that judge an environment or the version in it, about what is live now. A
// promotion asks them of the version that it makes live; this changes nothing. Where nothing is live, those that ask a
// version are left out, and the others judge the environment alone.
func (r *run) judgeLive(ctx context.Context, made built, target *cloudflare.Target, live promotion.State) ([]engine.Judgement, error) {
	var judgements []engine.Judgement
	version := servedVersion(live.Shares)
	var address promotion.Address
	if version != "" {
		var err error
		if address, err = target.Address(ctx, version); err != nil {
			return nil, err
		}
	}
	for _, phase := range []gates.Phase{gates.PhasePromote, gates.PhaseBake} {
		options := r.judgeOptions(made, phase)
		options.Waiver = nil                  // what was waived is no better for it
		options.Request.Run.BundleDigest = "" // that of what is live is not at hand
		still, asking := r.checklistGates(ctx, phase)
		for _, part := range []struct {
			refs  []pipelines.GateRef
			about bool // a version
		}{{still, false}, {asking, true}} {
			if len(part.refs) == 0 || (part.about && version == "") {
				continue
			}
			options.Gates = part.refs
			options.Request.Run.VersionID = version // what it is bound to counts, not only what the account has
			if part.about {
				options.Request.Run.URL, options.Request.Run.PublicURL = address.URL, address.URL
				options.Gatekeeper = versionKeeper{Gatekeeper: options.Gatekeeper, address: address, version: version, smoke: r.environment.Smoke}
			}
			judgement, err := engine.Judge(ctx, options)
			if err != nil {
				return judgements, err
			}
			judgements = append(judgements, judgement)
		}
	}
	return judgements, nil
}

// servedVersion is the version that most visitors get; "" when none is live.
func servedVersion(shares []promotion.Share) string {
	var served promotion.Share
	for _, share := range shares {
		if share.Percentage > served.Percentage {
			served = share
		}
	}
	return served.Version
}

// checklistGates are the gates of a phase that some line of the checklists names: those that ask no version, and those that do.
func (r *run) checklistGates(ctx context.Context, phase gates.Phase) (still, asking []pipelines.GateRef) {
	for _, ref := range r.pipeline.Gates {
		if ref.Phase != phase || !ref.AskedIn(r.environment.Name) || !inChecklists(ref.Gate) {
			continue
		}
		// One that cannot be described is asked all the same, and its answer says why.
		if info, err := r.gates.Describe(ctx, ref.Gate); err == nil && info.Description.Needs.Version {
			asking = append(asking, ref)
		} else {
			still = append(still, ref)
		}
	}
	return still, asking
}

func inChecklists(gate string) bool {
	return slices.ContainsFunc(guideLists, func(list guideList) bool {
		return slices.ContainsFunc(list.lines, func(line guideLine) bool { return slices.Contains(line.gates, gate) })
	})
}
