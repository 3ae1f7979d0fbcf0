package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/vault"
	"github.com/penstock-ci/penstock/pipelines"
)

// keptFor is how long what a run is made of is kept after nobody waits for it any more.
const keptFor = 30 * 24 * time.Hour

// policy is what the environment asks of people, with the keys that it takes, as they are where the run's rules are read.
func (r *run) policy() (promotion.Policy, error) { return askedIn(*r.environment, r.rules) }

// askedIn is what an environment asks of people, with the keys that it takes from a folder.
func askedIn(environment pipelines.Environment, folder string) (promotion.Policy, error) {
	policy := promotion.PolicyOf(environment)
	if environment.Signers == "" {
		return policy, nil
	}
	text, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(environment.Signers)))
	if err != nil || strings.TrimSpace(string(text)) == "" {
		return policy, fail(ExitUsage, "write it in the form of ssh-keygen's allowed_signers, or take signers out of the environment",
			fmt.Errorf("environment %s takes signed decisions only, and its file %s cannot be read (%w)", environment.Name, environment.Signers, errors.Join(err, errEmptySigners)))
	}
	policy.Signers = string(text)
	return policy, nil
}

var errEmptySigners = errors.New("it must list keys")

// putInOrder lets what died give back the traffic before a plan is made that people approve: against what it left half done
// no approval could ever hold.
func (r *run) putInOrder(ctx context.Context) error {
	if len(r.environment.Approvers) == 0 || r.flags.dryRun {
		return nil // the promotion does it on its way, if there is to be one
	}
	state, err := r.ledger.Environment(ctx, r.pipeline.Name, r.environment.Name)
	if err != nil || len(state.Unfinished) == 0 {
		return err
	}
	target, err := r.openTarget(ctx)
	if err != nil {
		return err
	}
	err = promotion.PutInOrder(ctx, promotion.Options{
		Target: target, Journal: hidingJournal{r.ledger, r.hide}, Prober: probe.HTTP{}, Watcher: watcher, Observer: r.bus, Run: r.id,
		Promotion: strings.ToLower(ulid.Make().String()),
	}, r.pipeline.Name, promotion.Basis{App: r.pipeline.Name, Environment: *r.environment})
	if err != nil {
		return promotionFailure(promotion.Result{Phase: promotion.Failed}, err)
	}
	return nil
}

// upstream wants the same source to have been promoted to the environment after which this one comes.
func (r *run) upstream(ctx context.Context) error {
	if r.environment.After == "" {
		return nil
	}
	earlier, err := r.ledger.PromotedFrom(ctx, r.pipeline.Name, r.environment.After, r.source.Digest)
	if err != nil || earlier != "" {
		return err
	}
	next := "`penstock deploy --env " + r.environment.After + "` first, then `penstock promote RUN --env " + r.environment.Name + "`"
	return fail(ExitBlocked, next, fmt.Errorf("environment %s comes after %s, which never had this source", r.environment.Name, r.environment.After))
}

// clear asks the gates of the plan and whether people approved; unless all is clear the run is held and the error says for
// what it waits.
func (r *run) clear(ctx context.Context, made built, plan promotion.Plan) (event.Result, error) {
	policy, err := r.policy()
	if err != nil {
		return event.Result{}, err
	}
	r.asked = policy
	waits := r.judgePlan(ctx, made)
	if code, _ := classify(waits); waits != nil && code != ExitWaiting {
		return r.blocked(ctx, made, waits)
	}
	standing := r.standing(policy, plan.Digest)
	if waits == nil && standing.Approved {
		for _, given := range standing.Given {
			r.note("info", fmt.Sprintf("approved by %s: %s", given.By, given.Reason))
		}
		return event.Result{}, nil
	}
	return r.hold(ctx, made, &plan, policy, waits)
}

// standing is what the decisions about this run come to for a plan.
func (r *run) standing(policy promotion.Policy, plan string) promotion.Standing {
	held := promotion.Held{Hold: promotion.Hold{
		Run: r.id, App: r.begun.App, Environment: r.begun.Environment, Source: r.begun.Source, Policy: policy, Author: r.author, Beginning: r.begun.Signature,
	}}
	if r.resumes != nil && r.resumes.held != nil && !r.resumes.elsewhere {
		held.Decisions = r.resumes.held.Decisions
	}
	return held.Standing(plan)
}

// blocked is the end of a run that gates stopped: what can be waived can be gone on with.
func (r *run) blocked(ctx context.Context, made built, cause error) (event.Result, error) {
	code, next := classify(cause)
	var stopped *refusal
	if code != ExitBlocked || made.bundle == nil || !errors.As(cause, &stopped) {
		return event.Result{}, cause
	}
	var waivable []string
	for _, judged := range stopped.judgement.Blocking() {
		if judged.Ref.Enforcement != pipelines.Overridable {
			return event.Result{}, cause
		}
		waivable = append(waivable, judged.Ref.Gate)
	}
	if err := r.keep(ctx, made); err != nil {
		r.note("warning", "the run cannot be gone on with: "+err.Error())
		return event.Result{}, cause
	}
	return event.Result{NextStep: next + "; or `penstock waive " + r.id + " " + waivable[0] + " --reason …` for each, then `penstock promote " + r.id + "`"}, cause
}

// keep puts what the run is made of where it stays.
func (r *run) keep(ctx context.Context, made built) error {
	reader, ok := r.session.(engine.SourceReader)
	if !ok {
		return errors.New("this executor cannot hand out the source")
	}
	dir, err := reader.SourceDir(ctx)
	if err != nil {
		return err
	}
	kept := r.kept.vault()
	if err := errors.Join(kept.KeepBundle(made.bundle), kept.KeepSource(r.source, dir)); err != nil {
		return err
	}
	waiting, err := r.ledger.Waiting(ctx, "", "")
	if err != nil {
		return err
	}
	wanted := map[string]bool{made.bundle.Digest: true, r.source.Digest: true}
	for _, held := range waiting {
		wanted[held.Bundle], wanted[held.Source] = true, true
	}
	before := time.Now().Add(-keptFor)
	if err := kept.Prune(before, wanted); err != nil || r.kept.store == nil {
		return err
	}
	if err := mayBeShared(r.source); err != nil {
		return err
	}
	live, err := r.ledger.Environments(ctx, "")
	if err != nil {
		return err
	}
	for _, state := range live { // what is live is compared with what is to follow it
		wanted[state.Bundle] = true
	}
	for _, digest := range r.listed {
		wanted[digest] = true
	}
	return kept.Share(ctx, r.kept.store, vault.Sharing{Bundle: made.bundle, Source: r.source.Digest, Lists: r.listed, Before: before, Wanted: wanted})
}

// keepForNext keeps what can be taken further: of every environment but one on this machine that none comes after, where
// people deploy all day.
func (r *run) keepForNext(ctx context.Context, made built) {
	comesAfter := slices.ContainsFunc(r.pipeline.Environments, func(env pipelines.Environment) bool { return env.After == r.environment.Name })
	if r.environment.Target == localTarget && !comesAfter {
		return
	}
	if err := r.keep(context.WithoutCancel(ctx), made); err != nil {
		r.note("warning", "it cannot be taken to a further environment: "+err.Error())
	}
}

// hold ends the run so that it waits: durably, without a process. plan is nil while gates of the build wait.
func (r *run) hold(ctx context.Context, made built, plan *promotion.Plan, policy promotion.Policy, waits error) (event.Result, error) {
	now := r.now().UTC()
	held := promotion.Hold{
		Run: r.id, Promotion: r.promotionID(), App: r.pipeline.Name, Environment: r.environment.Name, Bundle: made.bundle.Digest,
		Source: r.source.Digest, Policy: policy, Author: r.author, Beginning: r.begun.Signature, Since: now, Expires: now.Add(promotion.WaitingOf(*r.environment) + longestPause(waits)),
	}
	if plan != nil {
		covers, err := plan.Covers()
		if err != nil {
			return event.Result{}, err
		}
		held.Plan, held.Planned = plan.Digest, covers
	}
	before := r.heldBefore()
	if before != nil {
		held.Since, held.Expires = before.Since, before.Expires
		if len(before.Decisions) > 0 && before.Plan != "" && before.Plan != held.Plan && plan != nil {
			differences, err := promotion.Differences(before.Planned, *plan)
			if err != nil {
				return event.Result{}, err
			}
			held.Voided = strings.Join(differences, "; ")
			r.note("warning", "the plan is not the one that was decided on: "+held.Voided)
		}
	}
	if before == nil || before.Plan != held.Plan {
		if err := r.keep(ctx, made); err != nil {
			return event.Result{}, fmt.Errorf("keep what the run is made of: %w", err)
		}
		superseded, err := r.ledger.Hold(ctx, held)
		var overtaken *promotion.OvertakenError
		if errors.As(err, &overtaken) {
			return event.Result{}, fail(ExitBlocked, "`penstock history` shows the newer one", err)
		}
		if err != nil {
			return event.Result{}, err
		}
		for _, run := range superseded {
			r.note("info", "run "+run+" waited for the same environment and is superseded by this one")
		}
	}
	return r.waiting(held, before, waits)
}

// longestPause is how long the gates that wait say that they do: a freeze must not outlast what it makes wait.
func longestPause(waits error) time.Duration {
	var stopped *refusal
	if !errors.As(waits, &stopped) {
		return 0
	}
	var longest time.Duration
	for _, judged := range stopped.judgement.Blocking() {
		if judged.Verdict.Pending != nil {
			longest = max(longest, judged.Verdict.Pending.AskAgain)
		}
	}
	return longest
}

// waiting says for what the run waits, and what to do.
func (r *run) waiting(held promotion.Hold, before *promotion.Held, waits error) (event.Result, error) {
	var reasons, next []string
	if waits != nil {
		reasons = append(reasons, strings.Replace(waits.Error(), "blocked by", "waits for", 1))
	}
	standing := r.standing(held.Policy, held.Plan)
	if held.Plan != "" && !standing.Approved {
		reasons = append(reasons, fmt.Sprintf("waits for %d of %s to approve plan %s%s", standing.Missing(), list(held.Policy.Approvers), brief(held.Plan), oneMore(standing)))
		next = append(next, "`penstock approve "+r.id+" --reason …`")
	}
	if held.Voided != "" && before != nil && len(before.Decisions) > 0 {
		reasons = append(reasons, "what was decided is void: "+held.Voided)
	}
	if waits != nil {
		next = append(next, "once the gates are clear, `penstock promote "+r.id+"` goes on")
	} else {
		next = append(next, "`penstock promote "+r.id+"` goes on")
	}
	r.held = true
	return event.Result{Reason: strings.Join(reasons, "; "), NextStep: strings.Join(next, ", then ") + "; `penstock why " + r.id + "` shows what is missing"}, fail(ExitWaiting, "", errors.New(strings.Join(reasons, "; ")))
}

// oneMore says why one approval more is needed than the environment asks for.
func oneMore(standing promotion.Standing) string {
	if !standing.Unproven {
		return ""
	}
	return " (one more than usual: nobody signed who began the run)"
}

// heldBefore is what was held of this very run, nil when it never waited.
func (r *run) heldBefore() *promotion.Held {
	if r.resumes == nil || r.resumes.elsewhere {
		return nil
	}
	return r.resumes.held
}

// promotionID is the id under which the run waited, as long as no attempt was made under it; else a new one.
func (r *run) promotionID() string {
	if before := r.heldBefore(); before != nil {
		for _, attempt := range r.resumes.run.Promotions {
			if attempt.Promotion == before.Promotion && attempt.State.Waits() {
				return before.Promotion
			}
		}
	}
	return strings.ToLower(ulid.Make().String())
}

// clockSlack is by how much clocks of machines may differ before it is told.
const clockSlack = 5 * time.Minute

// trustRecord makes sure that the ledger is what was written to it, where what it says decides: about waivers, about what was
// promoted elsewhere, and where people decide. It also learns by which time what expires is judged.
func (r *run) trustRecord(ctx context.Context, promotes bool) error {
	current, err := r.ledger.Now(ctx)
	if err != nil {
		return err
	}
	r.clockBehind = max(time.Until(current), 0)
	if r.waivers, err = r.ledger.Waivers(ctx, r.pipeline.Name, r.environment.Name, current); err != nil {
		return err
	}
	if len(r.waivers) > 0 {
		if r.asked, err = r.policy(); err != nil {
			return err
		}
	}
	if len(r.waivers) > 0 || promotes && (r.environment.After != "" || len(r.environment.Approvers) > 0) {
		return verifyLedger(ctx, r.ledger, "what it says about "+r.environment.Name)
	}
	return nil
}

// verifyLedger refuses to go by a ledger that was changed.
func verifyLedger(ctx context.Context, record *ledger.Ledger, what string) error {
	report, err := record.Verify(ctx)
	if err == nil && !report.OK {
		err = fail(ExitBlocked, "`penstock verify` shows what is wrong with the ledger", fmt.Errorf("%s does not count: the ledger was changed: %s", what, report.Problems[0]))
	}
	return err
}

// now is the time by which what expires is judged.
func (r *run) now() time.Time { return time.Now().Add(r.clockBehind) }

// waiver finds what lets a gate that blocks pass; it is asked for each verdict that blocks.
func (r *run) waiver(bundle string) func(pipelines.GateRef, gates.Phase, gates.Verdict) (engine.Waived, bool) {
	return func(ref pipelines.GateRef, phase gates.Phase, verdict gates.Verdict) (engine.Waived, bool) {
		for _, waiver := range r.waivers {
			if waiver.Covers(r.environment.Name, ref.Gate, phase, ref.Enforcement, bundle, verdict, r.now()) {
				if err := waiver.Counts(r.asked, r.begun); err != nil {
					r.note("warning", fmt.Sprintf("the waiver of %s by %s does not count for this run: %v", ref.Gate, waiver.By, err))
					continue
				}
				return engine.Waived{ID: waiver.ID, Text: waiverLine(waiver)}, true
			}
		}
		return engine.Waived{}, false
	}
}

func waiverLine(waiver promotion.Waiver) string {
	return fmt.Sprintf("waived by %s until %s: %s", waiver.By, waiver.Expires.Local().Format("2006-01-02 15:04"), waiver.Reason)
}

// sameCode wants the bundle for a further environment to be of the code that was tested in the one before.
func (r *run) sameCode(made built) error {
	before := r.resumes.bundle
	if made.bundle == nil || made.bundle.Code() == before.Code() {
		return nil
	}
	return fail(ExitBlocked, "see which of its modules depend on the environment; what differs should be a var or a binding",
		fmt.Errorf("the code for %s is not the code that run %s took to %s: %s", r.environment.Name, r.resumes.run.ID, r.resumes.run.Info.Environment, differingModules(before, made.bundle)))
}

func differingModules(before, now *bundle.Bundle) string {
	var differ []string
	for _, module := range now.Modules {
		same := slices.ContainsFunc(before.Modules, func(was bundle.Module) bool {
			return was.Name == module.Name && was.ContentType == module.ContentType && bytes.Equal(was.Body, module.Body)
		})
		if !same {
			differ = append(differ, module.Name)
		}
	}
	for _, was := range before.Modules {
		if !slices.ContainsFunc(now.Modules, func(module bundle.Module) bool { return module.Name == was.Name }) {
			differ = append(differ, was.Name+" (gone)")
		}
	}
	if len(differ) == 0 {
		return "its static files"
	}
	return list(differ)
}
