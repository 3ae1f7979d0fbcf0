package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// slotted is what a slot serves.
type slotted struct {
	name, run string
	code      string // digest of the modules
}

// deploySlot deploys to the environment's slot, in a run of its own, and returns what was deployed there; nil when the
// environment has no slot. What is wrong with the app's files is said by the run that follows.
func deploySlot(ctx context.Context, shared *common, flags runFlags) (*slotted, error) {
	folder, err := shared.appFolder()
	if err != nil {
		return nil, err
	}
	fitted, problems, err := appfacts.Fit(folder)
	if err != nil || problems.Err() != nil {
		return nil, nil // begin fits it again and tells
	}
	environment := fitted.Environment(flags.environment)
	if environment == nil || environment.Strategy != pipelines.StrategySlots {
		return nil, nil
	}
	flags.environment = environment.Slot
	r, err := begin(ctx, shared, flags, true)
	if err != nil {
		return nil, err
	}
	r.slot = &slotted{name: environment.Slot, run: r.id}
	slot := r.slot
	result, err := r.deploy(ctx)
	if err := r.finish(ctx, result, err); err != nil {
		return nil, err
	}
	return slot, nil
}

// sameAsInSlot makes sure that the code which goes on is the very code that the slot was tested with.
func (r *run) sameAsInSlot(made built) error {
	if r.slot == nil || made.bundle == nil {
		return nil
	}
	code := made.bundle.Code()
	switch {
	case r.slot.name == r.environment.Name: // this is the slot's own run
		r.slot.code = code
		return nil
	case r.slot.code != code:
		return fail(ExitBlocked, "let the build make the same code for both environments, and let them differ by their variables",
			fmt.Errorf("the code built for %s is not the code that was tested in %s (run %s)", r.environment.Name, r.slot.name, r.slot.run))
	default:
		r.note("info", fmt.Sprintf("the same code was deployed to %s and tested there by run %s", r.slot.name, r.slot.run))
		return nil
	}
}

// throughSlot wants an environment with a slot to be reached by its slot: also when the folder's penstock.yaml, by which the slot
// was looked for, is not what judges the run, and when a run from elsewhere is taken there.
func (r *run) throughSlot(ctx context.Context) error {
	if r.environment.Strategy != pipelines.StrategySlots || r.slot != nil || (r.resumes != nil && !r.resumes.elsewhere) {
		return nil
	}
	earlier := ""
	if r.resumes != nil || r.flags.command == commandMigrate { // which deploys to no slot itself
		var err error
		if earlier, err = r.ledger.PromotedFrom(ctx, r.pipeline.Name, r.environment.Slot, r.source.Digest); err != nil {
			return err
		}
	}
	if earlier != "" {
		return nil
	}
	return fail(ExitBlocked, "`penstock deploy --env "+r.environment.Slot+"` first", fmt.Errorf("environment %s is reached by its slot %s, which never had this source", r.environment.Name, r.environment.Slot))
}

// integrate adds the integration stages to a promotion to a slot.
func (r *run) integrate(options *promotion.Options) {
	if !r.pipeline.IsSlot(r.environment.Name) || len(r.pipeline.StagesAt(pipelines.WhenIntegration)) == 0 {
		return
	}
	options.SmokeStages = integrated{smoke: options.SmokeStages, integration: proxiedSmoke{proof: r.environment.Smoke.Version, stages: engine.Smoke{
		When: pipelines.WhenIntegration, Environment: r.environment.Name, Options: engine.Options{
			Run: r.id, Pipeline: r.pipeline, Session: r.session, Observer: r.bus, Secrets: r.secrets.stages, Earlier: r.stages.Results, KeepGoing: true,
		},
	}}}
}

// integrated runs the integration stages once the slot serves the version, after the smoke stages. When they fail, the slot is
// put back like any other environment.
type integrated struct {
	smoke       promotion.SmokeStages // nil when there are none
	integration promotion.SmokeStages
}

var _ promotion.SmokeStages = integrated{}

// RunSmoke implements promotion.SmokeStages.
func (i integrated) RunSmoke(ctx context.Context, moment string, address promotion.Address, version string, log io.Writer) (bool, string, error) {
	summary := ""
	if i.smoke != nil {
		ok, said, err := i.smoke.RunSmoke(ctx, moment, address, version, log)
		if err != nil || !ok || moment != promotion.AfterSwitch {
			return ok, said, err
		}
		summary = said + "; "
	}
	if moment != promotion.AfterSwitch {
		return true, "", nil
	}
	ok, said, err := i.integration.RunSmoke(ctx, moment, address, version, log)
	return ok, summary + said, err
}
