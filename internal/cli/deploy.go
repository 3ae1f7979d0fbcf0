package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

func newDeploy(shared *common) *cobra.Command {
	var flags runFlags
	command := &cobra.Command{
		Use:   "deploy",
		Short: "Take the app through stages and gates to an environment",
		Long: "Runs the pipeline, judges the gates, plans, and promotes: migrations, upload without traffic, smoke, switch, smoke\n" +
			"again. When a step fails after traffic was touched, the old version gets it back.",
		Example: "  penstock deploy --env local\n  penstock deploy --env production --json",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			slot, err := deploySlot(ctx, shared, flags)
			if err != nil {
				return err
			}
			r, err := begin(ctx, shared, flags, true)
			if err != nil {
				return err
			}
			r.slot = slot
			result, err := r.deploy(ctx)
			return r.finish(ctx, result, err)
		},
	}
	flags.addTo(command, "to deploy to")
	return command
}

// deploy builds, plans and promotes. The error carries what stopped it; the result says what is live, as far as is known.
func (r *run) deploy(ctx context.Context) (event.Result, error) {
	if over, result, err := r.foresee(ctx); over {
		return result, err
	}
	made, err := r.build(ctx)
	if err != nil {
		return r.unbuilt(ctx, made, err)
	}
	if err := r.sameAsInSlot(made); err != nil {
		return event.Result{}, err
	}
	if err := errors.Join(r.upstream(ctx), r.throughSlot(ctx)); err != nil {
		return event.Result{}, err
	}
	if err := r.putInOrder(ctx); err != nil {
		return event.Result{}, err
	}
	target, plan, err := r.plan(ctx, made)
	if err != nil {
		return event.Result{}, err
	}
	if r.flags.command == commandMigrate {
		if over, result, err := r.beforeMigration(ctx, made, plan); over {
			return result, err
		}
	}
	if !plan.Diff.UpToDate { // nobody has to clear what changes nothing
		if result, err := r.clear(ctx, made, plan); err != nil {
			return result, err
		}
	}
	judging := r.judgeOptions(made, gates.PhasePromote)
	options := promotion.Options{
		Target: target, Journal: hidingJournal{r.ledger, r.hide}, Prober: probe.HTTP{}, Watcher: watcher, Observer: r.bus, Run: r.id,
		Promotion: r.promotionID(),
		Judge:     proxiedJudge{judge: engine.PromotionJudge{Options: judging}, smoke: r.environment.Smoke},
	}
	r.smokeWith(&options)
	r.integrate(&options)
	r.recordSmoke(&options)
	promoted, err := promotion.Promote(ctx, options, plan)
	result := event.Result{
		Version: promoted.Version, Previous: promoted.Previous, URL: promoted.URL, NextStep: promoted.NextStep,
	}
	for _, undone := range promoted.Undone {
		r.note("info", "put back: "+undone)
	}
	for _, left := range promoted.NotUndone {
		r.note("warning", "not put back: "+left)
	}
	if err == nil && promoted.Phase == promotion.Completed {
		if r.flags.command == commandMigrate {
			return r.migrated(ctx, result, promoted)
		}
		r.keepForNext(ctx, made)
		r.pruneExports(ctx)
		return r.served(ctx, result, promoted)
	}
	return result, promotionFailure(promoted, err)
}

// unbuilt is the end of a run that did not get as far as a plan.
func (r *run) unbuilt(ctx context.Context, made built, cause error) (event.Result, error) {
	if r.flags.dryRun {
		return event.Result{}, cause
	}
	if code, _ := classify(cause); code != ExitWaiting || made.bundle == nil {
		return r.blocked(ctx, made, cause)
	}
	policy, err := r.policy()
	if err != nil {
		return event.Result{}, err
	}
	return r.hold(ctx, made, nil, policy, cause)
}

// judgePlan asks the gates of the plan phase: nothing has been changed yet, and no lease is held while they wait.
func (r *run) judgePlan(ctx context.Context, made built) error {
	if !r.hasGates(gates.PhasePlan) {
		return nil
	}
	judgement, err := engine.Judge(ctx, r.judgeOptions(made, gates.PhasePlan))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	default:
		return refused(judgement)
	}
}

// refusal is a judgement that blocks.
type refusal struct{ judgement engine.Judgement }

// Error names the gates.
func (e *refusal) Error() string { return blockedBy(e.judgement) }

// refused is the error of a judgement that blocks, nil of one that does not.
func refused(judgement engine.Judgement) error {
	switch {
	case judgement.Waiting():
		return fail(ExitWaiting, "see what each waiting gate says above, then run the same command again", &refusal{judgement})
	case judgement.Blocked():
		return fail(ExitBlocked, "do what each gate says above, then run the same command again", &refusal{judgement})
	default:
		return nil
	}
}

// served is the end of a run that went well.
func (r *run) served(ctx context.Context, result event.Result, promoted promotion.Result) (event.Result, error) {
	if promoted.UpToDate {
		result.Reason = "nothing to deploy: what is live was made from this very bundle"
	}
	if r.cloud == nil {
		return result, nil
	}
	if err := r.cloud.Keep(context.WithoutCancel(ctx)); err != nil {
		return result, err
	}
	result.NextStep = "open " + result.URL + " · stop it with `penstock local down`"
	return result, nil
}

// promotionFailure gives the end of a promotion its exit code.
func promotionFailure(promoted promotion.Result, err error) error {
	cause := promoted.Cause
	if err != nil {
		cause = err
	}
	if cause == nil {
		cause = fmt.Errorf("the promotion ended as %s", promoted.Phase)
	}
	var blocked *promotion.BlockedError
	var missing *promotion.MissingError
	var refused *promotion.RefusedError
	var stuck *promotion.PutBackError
	switch {
	case errors.As(cause, &stuck): // before everything that it may also be: traffic may be where it should not
		return fail(ExitInternal, stuck.NextStep(), cause)
	case errors.Is(cause, promotion.ErrLeaseLost):
		return fail(ExitBusy, promoted.NextStep, cause)
	case promoted.Phase == promotion.RolledBack:
		return fail(ExitRolledBack, promoted.NextStep, cause)
	case promoted.Phase == promotion.Superseded:
		return fail(ExitBusy, promoted.NextStep, cause)
	case errors.As(cause, &blocked), errors.As(cause, &missing):
		return fail(ExitBlocked, promoted.NextStep, cause)
	case errors.As(cause, &refused):
		return fail(ExitBlocked, refused.NextStep, cause)
	case errors.Is(cause, promotion.ErrBusy), errors.Is(cause, promotion.ErrUnreachable), errors.Is(cause, context.Canceled):
		return cause
	case err != nil:
		return fail(ExitInternal, promoted.NextStep, cause)
	default:
		return fail(ExitStageFailed, promoted.NextStep, cause)
	}
}

// plan opens the target and computes what a promotion of the bundle would do.
func (r *run) plan(ctx context.Context, made built) (*cloudflare.Target, promotion.Plan, error) {
	if made.bundle == nil {
		return nil, promotion.Plan{}, fail(ExitUsage, "give the pipeline a stage named "+pipelines.StageBundle+" (`penstock init` shows it)",
			errors.New("the pipeline makes no bundle, so there is nothing to deploy"))
	}
	target, err := r.openTarget(ctx)
	if err != nil {
		return nil, promotion.Plan{}, err
	}
	if r.asked, err = r.policy(); err != nil { // gates of the plan are told of it
		return nil, promotion.Plan{}, err
	}
	facts, err := r.gateFacts(ctx, made.judgement)
	if err != nil {
		return nil, promotion.Plan{}, err
	}
	basis := promotion.Basis{App: r.pipeline.Name, Environment: *r.environment, Bundle: made.bundle, Gates: facts}
	if r.flags.command == commandMigrate {
		basis.Kind, basis.Seed = promotion.KindMigration, r.flags.seed
	}
	plan, err := promotion.MakePlan(ctx, target, basis)
	if err == nil && len(plan.Diff.MissingSecrets) > 0 && r.environment.Target == localTarget {
		r.inventSecrets(plan.Diff.MissingSecrets)
		if target, err = r.openTarget(ctx); err == nil {
			plan, err = promotion.MakePlan(ctx, target, basis)
		}
	}
	if err != nil {
		return nil, promotion.Plan{}, operationFailure(err) // what stands against it is in the account, and not a fault of this program
	}
	if r.evidence != nil {
		r.evidence.planned.Store(&planned{target: target, plan: plan})
	}
	told := plan.Event()
	if len(plan.Diff.Migrations) > 0 || plan.SeedDue() { // who decides wants to read them
		if told.Scripts, err = scripts(ctx, target, plan); err != nil {
			return nil, promotion.Plan{}, err
		}
	}
	r.bus.Observe(event.Event{Type: event.PlanMade, Plan: &told})
	return target, plan, nil
}

// gateFacts are the gates that judged the bundle and those that will judge the promotion.
func (r *run) gateFacts(ctx context.Context, judgement engine.Judgement) ([]promotion.GateFact, error) {
	var facts []promotion.GateFact
	for _, judged := range judgement.Gates {
		facts = append(facts, promotion.GateFact{
			Gate: judged.Ref.Gate, Phase: gates.PhaseBuild, Enforcement: judged.Ref.Enforcement, DryRun: judged.Ref.DryRun, Config: judged.Ref.Config,
			Outcome: judged.Verdict.Outcome, SetDigest: judged.Info.SetDigest, Waiver: judged.Waived.ID,
		})
	}
	for _, ref := range r.pipeline.Gates {
		if ref.Phase == gates.PhaseBuild || !ref.AskedIn(r.environment.Name) {
			continue
		}
		info, err := r.gates.Describe(ctx, ref.Gate)
		if err != nil {
			return nil, fail(ExitBlocked, "`penstock gates list` shows the gates that there are", err)
		}
		facts = append(facts, promotion.GateFact{
			Gate: ref.Gate, Phase: ref.Phase, Enforcement: ref.Enforcement, DryRun: ref.DryRun, Config: ref.Config, SetDigest: info.SetDigest,
		})
	}
	return facts, nil
}
