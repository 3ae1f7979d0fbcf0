package promotion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// Options are a promotion's ports and ids. Target, Journal, Prober, Run and Promotion must be set.
type Options struct {
	Target  Target
	Journal Journal
	Prober  Prober
	// Watcher probes a version that is being watched: it took its place before, so that a wrong answer needs less patience.
	// nil means Prober.
	Watcher Prober
	// SmokeStages is nil when the pipeline has no smoke stages.
	SmokeStages SmokeStages
	// Judge must be set when the plan names gates of the promote or bake phase.
	Judge Judge
	// Observer is told of the steps. The promotion itself writes them to the journal, so an observer need not.
	Observer event.Observer

	Run       string // id of the run, for events
	Promotion string // id of this promotion; the tag of the version that it uploads

	// Log gets the output of the smoke stages; nil discards it.
	Log io.Writer
	// CleanUp bounds putting things back, which goes on when the run's context has ended. 2 minutes when zero.
	CleanUp time.Duration
	// Settle is for how long the target is watched after putting back while a deployment may still be on its way, because
	// the call that asked for it was cut off. 10 seconds when zero.
	Settle time.Duration
	// Waits are the pauses before the target is asked again after it could not be reached; nil means 0.5, 2 and 5 seconds.
	Waits []time.Duration
	// BakeInterval is how often the new version is probed while it is watched. 10 seconds when zero.
	BakeInterval time.Duration
	// JudgeInterval is how often the gates of the bake phase are asked while it is watched. 30 seconds when zero.
	JudgeInterval time.Duration
}

func (o Options) withDefaults() Options {
	if o.Observer == nil {
		o.Observer = event.ObserverFunc(func(event.Event) {})
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.CleanUp == 0 {
		o.CleanUp = 2 * time.Minute
	}
	if o.Settle == 0 {
		o.Settle = 10 * time.Second
	}
	if o.Waits == nil {
		o.Waits = []time.Duration{500 * time.Millisecond, 2 * time.Second, 5 * time.Second}
	}
	if o.Watcher == nil {
		o.Watcher = o.Prober
	}
	if o.BakeInterval == 0 {
		o.BakeInterval = 10 * time.Second
	}
	if o.JudgeInterval == 0 {
		o.JudgeInterval = 30 * time.Second
	}
	return o
}

func (o Options) validate(plan Plan) error {
	switch {
	case o.Target == nil || o.Journal == nil || o.Prober == nil:
		return errors.New("promotion needs a target, a journal and a prober")
	case o.Run == "" || o.Promotion == "":
		return errors.New("promotion needs the run's id and its own")
	case plan.Digest == "":
		return errors.New("promotion needs a plan with a digest: make it with MakePlan")
	case o.Judge == nil && (plan.judgedAt(gates.PhasePromote) || plan.judgedAt(gates.PhaseBake)):
		return errors.New("the plan names gates of the promotion, and there is nobody to ask them")
	}
	return checkTrafficSteps(plan.Basis.Environment)
}

// Promote makes the plan real in its environment, or puts traffic back as it was.
//
// A plan of the kind [KindMigration] is the data half alone: see forwardData for its order.
//
// The order: lease, put back what a dead promotion left, check that the plan still holds, provision, prepare, bookmark,
// migrate, upload, place beside the old version without traffic, smoke by override, promote gates, shift step by step,
// smoke what everybody gets, bake. Whatever fails after the placing, a cancelled ctx included, ends in a deployment of the
// shares that were there before, made under a context that outlives ctx. Migrations are never undone here: the result
// says so and names the bookmark.
//
// The error is nil when the end is known and on record, whatever it is: read Result.Phase and Result.Cause. It is not nil
// when the promotion could not begin ([*BusyError], a journal that does not write) or when its end could not be reached or
// recorded; the result then says as much as is known. Ask it first for [*PutBackError], traffic may be on a version that
// failed, and then for [ErrLeaseLost], another promotion took over: it can wrap what stopped the promotion as well.
func Promote(ctx context.Context, options Options, plan Plan) (Result, error) {
	if err := options.validate(plan); err != nil {
		return Result{Promotion: options.Promotion, Phase: Failed, Cause: err}, err
	}
	a := &attempt{Options: options.withDefaults(), plan: plan}
	a.state = Checkpoint{
		Promotion: options.Promotion, Run: options.Run, State: Planned, Plan: plan.Digest, Bundle: plan.Basis.Bundle.Digest,
		Kind: plan.Basis.Kind,
	}
	a.goesBackTo(plan.Live)
	forward := a.forward
	if plan.Basis.Kind == KindMigration {
		a.state.Bundle, forward = "", a.forwardData
	}
	if err := a.acquire(ctx); err != nil {
		return Result{Promotion: options.Promotion, Phase: Failed, Cause: err, Version: plan.Live.Live(), NextStep: nextAfter(err)}, err
	}
	cause := forward(ctx)
	if cause == nil {
		return a.complete(ctx)
	}
	if stopped := ctx.Err(); stopped != nil && !errors.Is(cause, stopped) {
		cause = fmt.Errorf("%w: %w", stopped, cause) // what a cancelled call says of itself seldom names the cancel
	}
	return a.stop(ctx, cause)
}

// attempt is one promotion under way. It is used by one goroutine.
type attempt struct {
	Options
	plan  Plan
	lease Lease
	state Checkpoint

	upToDate    bool
	served      string // the version that takes the traffic when this one is put back; "" for none but a placeholder
	provisioned []event.Change
	prepared    string
	migrating   bool
	migrated    []Migration
	// unsettled says that a routing ended without an answer, so that its deployment may come late.
	unsettled bool
}

func (a *attempt) environment() pipelines.Environment { return a.plan.Basis.Environment }

// acquire is the only step that cannot be written as a checkpoint before it begins: there is no lease yet.
func (a *attempt) acquire(ctx context.Context) error {
	began := time.Now()
	step := a.describe(StepLease)
	started := a.event(event.StepStarted, step)
	if err := a.Journal.Record(ctx, started); err != nil {
		return fmt.Errorf("record the beginning of promotion %s: %w", a.Promotion, err)
	}
	a.Observer.Observe(started)
	lease, err := a.Journal.Acquire(ctx, a.plan.Basis.App, a.environment().Name, a.Promotion)
	if err == nil {
		a.lease = lease
		step.Detail = fmt.Sprintf("lease %d of %s", lease.Token, a.environment().Name)
		step.Duration = time.Since(began)
		a.state.State, a.state.Step, a.state.Done = Leased, StepLease, true
		finished := a.event(event.StepFinished, step)
		if err = a.checkpoint(ctx, finished); err == nil {
			a.Observer.Observe(finished)
			return nil
		}
		a.release(ctx)
	}
	step.Duration, step.Error = time.Since(began), err.Error()
	finished := a.event(event.StepFinished, step)
	a.Observer.Observe(finished)
	// The end of a step that did not happen changes nothing; when it cannot be written either, the first error says why.
	_ = a.Journal.Record(context.WithoutCancel(ctx), finished)
	return fmt.Errorf("take the lease of %s: %w", a.environment().Name, err)
}

// forward goes through the steps until one fails; nil means that the new version serves everybody and is sound.
func (a *attempt) forward(ctx context.Context) error {
	recovered, err := a.recover(ctx)
	if err != nil {
		return err
	}
	if err := a.step(ctx, StepCheck, Leased, func(ctx context.Context) (done, error) { return a.check(ctx, recovered) }); err != nil {
		return err
	}
	if a.upToDate {
		a.state.Version = a.plan.Live.Live()
		return a.step(ctx, StepVerify, Leased, a.verifyLive)
	}
	if a.environment().Provision {
		if err := a.step(ctx, StepProvision, Leased, a.provision); err != nil {
			return err
		}
	}
	steps := []struct {
		name  string
		phase Phase
		do    func(context.Context) (done, error)
	}{
		{StepPrepare, Leased, a.prepare},
		{StepBookmark, BackedUp, a.bookmark},
		{StepMigrate, Migrated, a.migrate},
		{StepUpload, Uploaded, a.upload},
		{StepPlace, Uploaded, a.place},
		{StepSmoke, Smoked, a.smokeBeforeTraffic},
	}
	for _, step := range steps {
		if err := a.step(ctx, step.name, step.phase, step.do); err != nil {
			return err
		}
	}
	if a.plan.judgedAt(gates.PhasePromote) {
		if err := a.step(ctx, StepGates, Smoked, a.promoteGates); err != nil {
			return err
		}
	}
	for _, share := range trafficSteps(a.environment()) {
		if err := a.step(ctx, shiftName(share), Shifting, func(ctx context.Context) (done, error) { return a.shift(ctx, share) }); err != nil {
			return err
		}
	}
	if err := a.step(ctx, StepVerify, Shifting, a.verify); err != nil {
		return err
	}
	if a.environment().Bake > 0 || a.plan.judgedAt(gates.PhaseBake) {
		return a.step(ctx, StepBake, Baking, a.bake)
	}
	return nil
}

// check makes the plan again under the lease: only now can nobody else of ours change what is live.
func (a *attempt) check(ctx context.Context, recovered bool) (done, error) {
	var fresh Plan
	err := a.ask(ctx, StepCheck, func(ctx context.Context) (err error) {
		fresh, err = MakePlan(ctx, a.Target, a.plan.Basis)
		return err
	})
	if err != nil {
		return done{}, err
	}
	detail := "as planned, " + describeShares(fresh.Live.Shares) + " is live"
	if fresh.Digest != a.plan.Digest {
		stale := &StaleError{Environment: a.environment().Name, Planned: a.plan.Digest, Live: fresh.Digest, Why: whatChanged(a.plan, fresh)}
		// Putting back what a dead promotion left can change the very thing that the plan was made against. The gates
		// judged the bundle and still hold; people approved a digest, and must be asked again.
		if !recovered || len(a.environment().Approvers) > 0 {
			return done{}, stale
		}
		detail = "planned again after putting back: " + stale.Why
		a.Observer.Observe(event.Event{Type: event.PlanMade, Time: time.Now(), Run: a.Run, Plan: new(fresh.Event())})
	}
	a.plan = fresh
	a.state.Plan, a.state.URL = fresh.Digest, fresh.Live.URL
	a.goesBackTo(fresh.Live)
	if fresh.Diff.UpToDate {
		a.upToDate = true
		if a.state.Kind == KindMigration {
			return done{detail: "nothing is pending any more"}, nil
		}
		return done{detail: "version " + short(fresh.Live.Live()) + " is already what the plan asks for"}, nil
	}
	if len(fresh.Diff.MissingSecrets) > 0 {
		return done{}, &MissingError{Environment: a.environment().Name, Kind: "secret", Names: fresh.Diff.MissingSecrets}
	}
	if len(fresh.Diff.Missing) > 0 && !a.environment().Provision {
		return done{}, &MissingError{Environment: a.environment().Name, Kind: "resource", Names: changeNames(fresh.Diff.Missing)}
	}
	return done{detail: detail}, nil
}

func (a *attempt) provision(ctx context.Context) (done, error) {
	if len(a.plan.Diff.Missing) == 0 {
		return done{detail: "nothing is missing", skipped: true}, nil
	}
	err := a.ask(ctx, StepProvision, func(ctx context.Context) error {
		made, err := a.Target.Provision(ctx, a.Promotion, a.plan.Diff)
		if err == nil {
			a.provisioned = made
		}
		return err
	})
	if err != nil {
		return done{}, fmt.Errorf("create %s: %w", strings.Join(changeNames(a.plan.Diff.Missing), ", "), err)
	}
	return done{detail: "created " + strings.Join(changeNames(a.provisioned), ", ")}, nil
}

func (a *attempt) prepare(ctx context.Context) (done, error) {
	err := a.ask(ctx, StepPrepare, func(ctx context.Context) error {
		did, err := a.Target.Prepare(ctx, a.Promotion, a.plan.Live, a.plan.Basis.Bundle)
		if did != "" {
			a.prepared = did
		}
		return err
	})
	if err != nil {
		return done{}, fmt.Errorf("prepare the Worker: %w", err)
	}
	// Preparing may deploy: a placeholder the first time, the old code with new Durable Object classes later. What is live
	// now is what there is to go back to, whether or not the reply that said so arrived.
	var live State
	err = a.ask(ctx, StepPrepare, func(ctx context.Context) (err error) {
		live, err = a.Target.Inspect(ctx)
		return err
	})
	if err != nil {
		return done{}, fmt.Errorf("inspect the prepared Worker: %w", err)
	}
	if live.Live() == "" {
		return done{}, errors.New("prepare the Worker: it still has no version to go back to; look at the Worker's deployments")
	}
	a.goesBackTo(live)
	if live.URL != "" {
		a.state.URL = live.URL
	}
	for _, version := range live.Versions {
		if version.Tag == a.Promotion {
			a.state.Version = version.ID
		}
	}
	return done{detail: a.prepared, skipped: a.prepared == ""}, nil
}

// goesBackTo notes what was live before this promotion routed anything.
func (a *attempt) goesBackTo(live State) {
	a.state.Previous, a.served = append([]Share{}, live.Shares...), "" // none is an empty list for those who read JSON
	if id := live.Live(); id != "" && !IsPlaceholder(versionOf(live, id)) {
		a.served = id
	}
}

func (a *attempt) bookmark(ctx context.Context) (done, error) {
	err := a.ask(ctx, StepBookmark, func(ctx context.Context) (err error) {
		var backup Backup
		if backup, err = a.Target.Backup(ctx, a.Promotion); err == nil {
			a.state.Bookmark, a.state.Marks, a.state.Exports = backup.Bookmark, backup.Marks, backup.Exports
		}
		return err
	})
	if err != nil {
		return done{}, fmt.Errorf("back the database up: %w", err)
	}
	if a.environment().Backup == pipelines.BackupNone {
		return done{detail: "the environment wants none", skipped: true}, nil
	}
	if a.state.Bookmark == "" {
		return done{detail: "no database", skipped: true}, nil
	}
	detail := a.state.Bookmark
	for _, export := range a.state.Exports {
		detail += fmt.Sprintf("; %s is whole in %s (%d bytes)", export.Database, export.File, export.Size)
	}
	return done{detail: detail}, nil
}

func (a *attempt) migrate(ctx context.Context) (done, error) {
	a.migrating = true
	err := a.ask(ctx, StepMigrate, func(ctx context.Context) error {
		return a.Target.Migrate(ctx, a.Promotion, a.plan.Diff.Migrations, func(migration Migration) {
			if !slices.Contains(a.migrated, migration) {
				a.migrated = append(a.migrated, migration)
				a.state.Migrations = slices.Clone(a.migrated)
				a.progress(StepMigrate, migration.Name+" applied to "+migration.Database)
			}
		})
	})
	if err != nil {
		return done{}, fmt.Errorf("apply migrations: %w", err)
	}
	if len(a.migrated) == 0 {
		return done{detail: "none is pending", skipped: true}, nil
	}
	return done{detail: strings.Join(migrationNames(a.migrated), ", ")}, nil
}

func (a *attempt) upload(ctx context.Context) (done, error) {
	if a.state.Version != "" {
		return done{detail: "version " + short(a.state.Version) + " of this promotion is there already", skipped: true}, nil
	}
	err := a.ask(ctx, StepUpload, func(ctx context.Context) (err error) {
		a.state.Version, err = a.Target.Upload(ctx, a.Promotion, a.plan.Basis.Bundle)
		return err
	})
	if err != nil {
		return done{}, fmt.Errorf("upload the new version: %w", err)
	}
	return done{detail: "version " + short(a.state.Version)}, nil
}

// place makes the new version reachable by override while the old one keeps all traffic. A deployment holds two versions
// at most, so of two live ones the larger takes everything until the switch; putting back restores both.
func (a *attempt) place(ctx context.Context) (done, error) {
	shares := a.sharesAt(0)
	if err := a.routeOwn(ctx, StepPlace, shares); err != nil {
		return done{}, err
	}
	return done{detail: describeShares(shares)}, nil
}

func (a *attempt) smokeBeforeTraffic(ctx context.Context) (done, error) {
	return a.smoke(ctx, StepSmoke, BeforeTraffic, a.state.Version, a.state.Version)
}

func (a *attempt) promoteGates(ctx context.Context) (done, error) {
	return a.judge(ctx, StepGates, gates.PhasePromote, a.state.Version)
}

func (a *attempt) shift(ctx context.Context, share float64) (done, error) {
	shares := a.sharesAt(share)
	name := shiftName(share)
	if err := a.routeOwn(ctx, name, shares); err != nil {
		return done{}, err
	}
	if share == 100 {
		return done{detail: describeShares(shares)}, nil
	}
	// While only some get the new version it must be sound for them before more do.
	watched, err := a.watch(ctx, vigil{step: name, moment: whileShifting, override: a.state.Version, time: a.environment().StepBake})
	if err != nil {
		return done{}, err
	}
	return done{detail: describeShares(shares) + watched}, nil
}

func (a *attempt) verify(ctx context.Context) (done, error) {
	return a.smoke(ctx, StepVerify, AfterSwitch, "", a.state.Version)
}

// verifyLive makes sure that what needs no deployment at least answers.
func (a *attempt) verifyLive(ctx context.Context) (done, error) {
	version := a.state.Version
	if a.environment().Smoke.Version != pipelines.ProofRequired {
		version = "" // nothing was deployed, so that no other version can be answering
	}
	report, err := a.probe(ctx, StepVerify, "up-to-date", "", version)
	return done{detail: report.Summary}, err
}

// bake watches the new version with all traffic on it.
func (a *attempt) bake(ctx context.Context) (done, error) {
	watched, err := a.watch(ctx, vigil{step: StepBake, moment: whileBaking, time: a.environment().Bake})
	return done{detail: strings.TrimPrefix(watched, "; ")}, err
}

// vigil is one time of watching. override is the version to ask for, "" for what everybody gets.
type vigil struct {
	step, moment, override string
	time                   time.Duration
}

// watch probes the new version and asks the bake gates, again and again until the time is over, and then once more: a time
// shorter than an interval must not pass unseen, nor must what broke since the last one. A gate that says no ends it at once;
// one that has no answer yet must have one at the end. It returns what was seen, beginning with "; ".
func (a *attempt) watch(ctx context.Context, v vigil) (string, error) {
	end := time.NewTimer(v.time)
	defer end.Stop()
	tick := time.NewTicker(a.BakeInterval)
	defer tick.Stop()
	judged := a.plan.judgedAt(gates.PhaseBake)
	asked := time.Now()
	for probes := 1; ; probes++ {
		over := v.time == 0
		if !over {
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-end.C:
				over = true
			case <-tick.C:
			}
		}
		if v.time > 0 || v.step != StepBake { // without a time it was probed just before
			if _, err := a.probe(ctx, v.step, v.moment, v.override, a.state.Version); err != nil {
				return "", err
			}
		}
		switch {
		case over && judged:
			ruled, err := a.judge(ctx, v.step, gates.PhaseBake, v.override)
			return a.seen(v, probes, ruled.detail), err
		case over:
			return a.seen(v, probes, ""), nil
		case judged && time.Since(asked) >= a.JudgeInterval:
			asked = time.Now()
			if err := a.judgeMeanwhile(ctx, v); err != nil {
				return "", err
			}
		}
	}
}

func (a *attempt) seen(v vigil, probes int, ruled string) string {
	said := ""
	if v.time > 0 {
		said = fmt.Sprintf("; sound for %s, probed %d times", gates.Span(v.time.Round(time.Second)), probes)
	}
	if ruled != "" {
		said += "; " + ruled
	}
	return said
}

// judgeMeanwhile asks the bake gates in the middle of a watch.
func (a *attempt) judgeMeanwhile(ctx context.Context, v vigil) error {
	_, err := a.judge(ctx, v.step, gates.PhaseBake, v.override)
	if blocked, ok := errors.AsType[*BlockedError](err); ok && blocked.undecided {
		a.progress(v.step, "no answer yet: "+blocked.Summary)
		return nil
	}
	return err
}

// shareDecimals rounds what is left of the traffic to what people write: 100 - 8.04 is not quite 91.96 in floating point.
const shareDecimals = 1e6

// sharesAt is the deployment in which the new version takes that percentage and the old one the rest.
func (a *attempt) sharesAt(share float64) []Share {
	if share == 100 {
		return []Share{{Version: a.state.Version, Percentage: 100}}
	}
	old := State{Shares: a.state.Previous}.Live()
	return []Share{{Version: old, Percentage: math.Round((100-share)*shareDecimals) / shareDecimals}, {Version: a.state.Version, Percentage: share}}
}

// routeOwn routes where nobody else has deployed meanwhile. Between the look and the deployment there is a moment in which
// somebody still can: Cloudflare has no deployment that is made only when another one is current.
func (a *attempt) routeOwn(ctx context.Context, step string, shares []Share) error {
	var live State
	err := a.ask(ctx, step, func(ctx context.Context) (err error) {
		live, err = a.Target.Inspect(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("look at what is live before routing %s: %w", describeShares(shares), err)
	}
	if (restoring{shares: a.state.Previous, version: a.state.Version}).overtaken(live.Shares) {
		return &OverriddenError{Environment: a.environment().Name, Live: live.Shares}
	}
	return a.route(ctx, step, shares)
}

func (a *attempt) route(ctx context.Context, step string, shares []Share) error {
	err := a.ask(ctx, step, func(ctx context.Context) error {
		err := a.Target.Route(ctx, a.Promotion, Routing{Shares: shares, Message: routingMessage(a.Promotion, step)})
		// For good, also when it is asked again and answers: of the first call nothing is known even then.
		a.unsettled = a.unsettled || err != nil
		return err
	})
	if err != nil {
		return fmt.Errorf("route %s: %w", describeShares(shares), err)
	}
	return nil
}

// whatChanged says in words why two plans of the same basis differ.
func whatChanged(planned, fresh Plan) string {
	before, now := sortedShares(planned.Live.Shares), sortedShares(fresh.Live.Shares)
	if !slices.Equal(before, now) {
		return describeShares(now) + " is live now, the plan was made against " + describeShares(before)
	}
	if !slices.Equal(planned.Diff.Migrations, fresh.Diff.Migrations) {
		return fmt.Sprintf("pending migrations are now [%s], they were [%s]", strings.Join(migrationNames(fresh.Diff.Migrations), ", "),
			strings.Join(migrationNames(planned.Diff.Migrations), ", "))
	}
	for _, change := range fresh.Diff.Changes {
		if !slices.Contains(planned.Diff.Changes, change) {
			return fmt.Sprintf("%s %s %s is new", change.Action, change.Kind, change.Name)
		}
	}
	return "what would change is not the same any more"
}

func changeNames(changes []event.Change) []string {
	names := make([]string, len(changes))
	for i, change := range changes {
		names[i] = strings.TrimSpace(change.Kind + " " + change.Name)
	}
	return names
}

func migrationNames(migrations []Migration) []string {
	names := make([]string, len(migrations))
	for i, migration := range migrations {
		names[i] = migration.Name
	}
	return names
}
