package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/buildinfo"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/internal/replay"
	"github.com/penstock-ci/penstock/internal/report/terminal"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// endTime bounds what is done after a run's end: closing sessions, plugins and the ledger.
const endTime = 30 * time.Second

// runFlags are the flags of commands that run stages.
type runFlags struct {
	dryRunGates  []string
	environment  string
	as           string // who began it; "" is found out
	sign         string // the key that proves it; "" for none
	noCache      bool
	explainCache bool
	parallelism  int
	hub          hubFlags
	executor     string
	// only are the build stages that are run; all when it is nil.
	only []string
	// dryRun and seed are of a migration: only look; what to execute behind it, nil for nothing.
	dryRun bool
	seed   *promotion.Seed
	// command is how the record calls a run that is less than the pipeline's; "" for the whole.
	command string
}

func (f *runFlags) addTo(command *cobra.Command, what string) {
	environmentFlag(command, &f.environment, what)
	command.Flags().BoolVar(&f.noCache, "no-cache", false, "run every stage, also those whose result is known")
	command.Flags().BoolVar(&f.explainCache, "explain-cache", false, "say for each stage what decided between running it and taking it from the cache")
	command.Flags().StringVar(&f.as, "as", "", "who begins the run, by the `name` that approvers go by; git's user.email when it is left out")
	command.Flags().StringVar(&f.sign, "sign", "", "prove who begins the run: "+signUsage)
	command.Flags().StringArrayVar(&f.dryRunGates, "dry-run-gate", nil, "ask this `gate` and tell what it says without letting it block; repeat it for more (deploy: only locally)")
	executorFlag(command, &f.executor)
	command.Flags().IntVar(&f.parallelism, "parallelism", 0, "how many stages run at once, as a `number`; that of the processors when 0")
	f.hub.addTo(command)
	command.Flags().BoolVar(&f.hub.ownPolicy, "own-policy", false, "judge a pull request by its own pipeline and not by its base's; refused for a fork")
}

// run is one run of the pipeline: what check, plan and deploy share. It is made by begin, ended by finish or abandon, and
// used by one goroutine.
type run struct {
	shared *common
	flags  runFlags
	id     string
	began  time.Time
	folder string
	// root is where the source is read: the folder itself, or what was kept of it.
	root        string
	place       string // of the app in the source, whose root is that of its workspace; "" when it is all of the source
	rules       string // where the pipeline, its pins and its signers are read: root, or a pull request's base
	rulesCommit string // at which they were read; "" for the run's own source
	author      *event.Identity
	begun       promotion.Beginning
	resumes     *resumption      // nil for a run that begins
	asked       promotion.Policy // what the environment asks of people
	builtDigest string           // of the bundle that the stages made
	waivers     []promotion.Waiver
	clockBehind time.Duration // by how much this machine's clock is behind what the ledger says already
	pipeline    *pipelines.Pipeline
	fitted      *pipelines.Pipeline // the pipeline as the app's folder has it; it differs from what runs in a workspace
	environment *pipelines.Environment
	source      *snapshot.Snapshot
	secrets     secretValues
	// hides takes the values of secrets out of what gates say; it is replaced when there are more of them.
	hides atomic.Pointer[redact.Redactor]

	bus       *engine.Bus
	ledger    *ledger.Ledger
	record    *ledger.Recorder
	session   engine.Session
	gates     *gatehost.Host
	state     string        // the state folder
	questions *replay.Store // what gates are asked; nil until one is
	stages    engine.Outcome
	// sourceDir and history are what gates may be granted beside the reports; openEvidence fills them in.
	sourceDir string
	history   *gates.History
	// evidence gathers what no stage leaves; nil when there are no gates.
	evidence *evidenceSource
	// cloud is the local Cloudflare of this run, nil until it is needed.
	cloud *daemon.Handle
	// edge is where that serves the app's public name; nil without one.
	edge *gates.Edge
	// slot is what was deployed to the environment's slot in this command, nil when it has none.
	slot *slotted
	hub  *hub
	// hubPatience bounds what is still sent to GitHub at the end; the reporter's own bound when zero.
	hubPatience time.Duration

	endings []func(context.Context) error
}

// begin fits the pipeline, snapshots the source and opens all that a run needs. Nothing has run when it returns.
func begin(ctx context.Context, shared *common, flags runFlags, promotes bool) (*run, error) {
	return beginFrom(ctx, shared, flags, promotes, nil)
}

// beginFrom is begin for what an earlier run left; nil begins with the folder.
func beginFrom(ctx context.Context, shared *common, flags runFlags, promotes bool, from *resumption) (_ *run, err error) {
	if flags.parallelism < 0 {
		return nil, fail(ExitUsage, "for example --parallelism 4; 0 takes the number of processors", fmt.Errorf("%d stages cannot run at once", flags.parallelism))
	}
	folder, err := shared.appFolder()
	if err != nil {
		return nil, err
	}
	r := &run{shared: shared, flags: flags, id: ulid.Make().String(), began: time.Now(), folder: folder, root: folder, resumes: from}
	r.hides.Store(redact.New(nil)) // until its secrets are known
	defer func() {
		if err != nil {
			err = errors.Join(err, r.end(ctx))
		}
	}()
	if from != nil {
		r.folder, r.place = from.run.Info.Folder, from.run.Info.Place
		r.root = filepath.Join(from.source.Root, filepath.FromSlash(r.place))
		folder = r.folder
		r.ending(func(context.Context) error { return os.RemoveAll(from.source.Root) })
		if !from.elsewhere {
			r.id = from.run.ID
		}
	}
	top := folder
	if from == nil {
		top, r.place = appfacts.SourceRoot(folder)
	}
	state, err := shared.streams.stateDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, noState(state, err)
	}
	r.state = state
	if err := r.findHub(ctx); err != nil {
		return nil, err
	}
	if r.rules, err = r.judgedBy(ctx, state); err != nil {
		return nil, err
	}
	fitted, problems, err := appfacts.Fit(r.rules)
	if err != nil {
		return nil, r.unfitPolicy(err)
	}
	if problems.Err() != nil {
		// What is wrong with gates is told with the rest, where it can be found out.
		if host, err := openGates(shared.streams, r.rules, state, r.hide); err == nil && flags.only == nil {
			wrong, _, _ := namedGates(ctx, host, fitted, r.rules)
			problems = append(problems, wrong...)
			problems.Sort()
			r.ending(func(ctx context.Context) error { return host.Close(ctx) })
		}
		return nil, r.unfitPolicy(problems)
	}
	if r.pipeline, err = fitted.For(flags.environment); err != nil {
		return nil, fail(ExitUsage, "choose one with --env, or add it to penstock.yaml (`penstock init` writes one)", err)
	}
	r.fitted = r.pipeline
	moved := pipelines.Within(*r.fitted, r.place)
	r.pipeline = &moved
	r.environment = r.pipeline.Environment(flags.environment)
	if err := tryGates(r.pipeline, r.environment, flags.dryRunGates, promotes); err != nil {
		return nil, err
	}
	if err := namedStages(r.pipeline, flags.only); err != nil {
		return nil, err
	}
	if r.gates, err = openGates(shared.streams, r.rules, state, r.hide); err != nil {
		return nil, err
	}
	r.ending(func(ctx context.Context) error { return r.gates.Close(ctx) })
	var unasked []string
	if flags.only == nil {
		var wrong pipelines.Problems
		if wrong, unasked, err = namedGates(ctx, r.gates, *r.pipeline, r.rules); err != nil {
			return nil, err
		}
		if len(wrong) > 0 {
			return nil, r.unfitPolicy(append(problems, wrong...))
		}
	}
	if flags.command == commandSmoke {
		r.flags.only = neededBySmoke(r.pipeline)
	}
	if from != nil {
		r.source = from.source
	} else if r.source, err = snapshot.Take(ctx, top, snapshot.Options{StateDir: state}); err != nil {
		return nil, err
	}
	if r.secrets, err = shared.streams.secrets(folder, r.pipeline, r.environment); err != nil {
		return nil, err
	}
	r.hides.Store(redact.New(r.hidden()))
	if r.ledger, err = openLedger(ctx, state); err != nil {
		return nil, err
	}
	r.ending(func(context.Context) error { return r.ledger.Close() })
	if err := r.trustRecord(ctx, promotes); err != nil {
		return nil, err
	}
	if err := r.findAuthor(ctx, promotes); err != nil {
		return nil, err
	}
	executor, err := r.openExecutor(state)
	if err != nil {
		return nil, err
	}
	if r.session, err = executor.Open(ctx, r.pipeline, r.source); err != nil {
		return nil, noSession(executor.Name(), err)
	}
	r.ending(func(ctx context.Context) error { return r.session.Close(ctx) })
	if err := r.narrow(ctx); err != nil {
		return nil, err
	}
	r.gates.Prepare(ctx, setsOf(r.pipeline.Gates)...)
	if from != nil && !from.elsewhere { // somebody else may have gone on with it since it was looked at
		if err := r.ledger.Claim(ctx, r.id); err != nil {
			return nil, err
		}
	}
	r.openObservers(executor.Name(), promotes, problems)
	for _, text := range unasked {
		r.note("warning", text)
	}
	return r, nil
}

// findAuthor says who began the run and signs that: of one that goes on, whoever began it then. One that nobody could approve
// is refused before it has done anything.
func (r *run) findAuthor(ctx context.Context, promotes bool) error {
	r.begun = promotion.Beginning{Run: r.id, App: r.pipeline.Name, Environment: r.environment.Name, Source: r.source.Digest}
	if r.resumes != nil && !r.resumes.elsewhere {
		r.author, r.begun.Signature = r.resumes.run.Info.By, r.resumes.run.Info.BySigned
		r.begun.By = r.author
		return nil
	}
	who := r.shared.streams.whoami(ctx, r.folder, r.flags.as)
	r.author, r.begun.By = &who, &who
	if r.flags.sign != "" {
		if err := r.shared.streams.sign(ctx, r.begun.Sign, r.flags.sign); err != nil {
			return fail(ExitUsage, noSigner, err)
		}
	}
	if !promotes || r.environment.Signers == "" {
		return nil
	}
	policy, err := r.policy()
	if err != nil {
		return err
	}
	var refused *promotion.RefusedError
	if err := policy.TooFew(r.begun); errors.As(err, &refused) {
		return fail(ExitBlocked, refused.NextStep, refused)
	}
	if r.flags.sign != "" && policy.Proven(r.begun) == nil {
		who.Kind = event.IdentitySSH
	}
	return nil
}

// ending adds something to be closed; the last added is closed first.
func (r *run) ending(close func(context.Context) error) { r.endings = append(r.endings, close) }

// end closes everything, under a context that outlives the run's.
func (r *run) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	var problems []error
	for i := len(r.endings) - 1; i >= 0; i-- {
		problems = append(problems, r.endings[i](ctx))
	}
	r.endings = nil
	return errors.Join(problems...)
}

// openObservers starts telling. The view has a bus of its own, so that a terminal that is held or breaks can cost neither
// the record its events nor the run its end.
func (r *run) openObservers(executor string, promotes bool, problems pipelines.Problems) {
	r.record = r.ledger.Observer()
	view := newView(r.shared)
	shown := engine.NewBus(r.id, view)
	r.bus = engine.NewBus(r.id, hiding{r.hide, fanOut{r.record, shown, r.openHub()}})
	if live, ok := view.(*terminal.Live); ok {
		r.on(r.shared.streams.killed, live.Close)
	}
	r.ending(r.closeObservers(shown))
	r.on(r.shared.streams.stopping, func() {
		r.note("warning", "stopping: processes are ended and traffic is put back where it was; Ctrl-C once more stops now")
	})
	info := &event.RunInfo{
		App: r.pipeline.Name, Folder: r.folder, Place: r.place, Environment: r.environment.Name, Commit: r.source.Commit, Branch: r.source.Branch,
		Dirty: r.source.Dirty, SourceDigest: r.source.Digest, Files: len(r.source.Files), Executor: executor,
	}
	if seed := r.flags.seed; seed != nil {
		info.Seed = &event.Seed{File: seed.File, Again: seed.Again, BesideData: seed.BesideData}
	}
	info.Command, info.DryRun, info.Rules = r.flags.command, r.flags.dryRun, r.rulesCommit
	info.By, info.BySigned = r.author, r.begun.Signature
	info.Approvers, info.SelfApproval = r.environment.Approvers, r.environment.SelfApproval
	info.Signed = r.environment.Signers != ""
	if r.resumes != nil {
		info.Resumed = !r.resumes.elsewhere
		if r.resumes.elsewhere {
			info.From = r.resumes.run.ID
		}
	}
	for _, stage := range r.pipeline.StagesAt(pipelines.WhenBuild) {
		if !r.flags.asked(r.pipeline, stage.Name) {
			continue
		}
		info.Stages = append(info.Stages, event.Stage{Name: stage.Name, Title: stage.Title, Needs: stage.Needs, Moment: string(pipelines.WhenBuild)})
	}
	for _, ref := range r.pipeline.Gates {
		if r.asks(ref, promotes) {
			info.Gates = append(info.Gates, event.Gate{Name: ref.Gate, Phase: ref.Phase, Enforcement: string(ref.Enforcement), DryRun: ref.DryRun})
		}
	}
	switch {
	case promotes && r.flags.command == commandMigrate:
		info.Steps = promotion.MigrationSteps(*r.environment, r.hasGates(gates.PhasePromote), r.hasGates(gates.PhaseBake), r.flags.seed != nil)
	case promotes:
		info.Steps = promotion.Steps(*r.environment, r.hasGates(gates.PhasePromote), r.hasGates(gates.PhaseBake))
	}
	r.bus.Observe(event.Event{Type: event.RunStarted, Time: r.began, RunInfo: info})
	r.noteHub()
	if r.clockBehind > clockSlack {
		r.note("warning", fmt.Sprintf("this machine's clock is %s behind the newest entry of the ledger: what expires is judged by the ledger's time", r.clockBehind.Round(time.Minute)))
	}
	if link, target := r.source.LeadingOut("."); link != "" {
		r.note("warning", fmt.Sprintf("%q is a link out of the app's folder, to %q: what lies there belongs to no digest, and no gate looks at it", link, target))
	}
	for _, problem := range problems {
		level := "warning"
		if problem.Severity == pipelines.SeverityNote {
			level = "info"
		}
		r.note(level, problem.String())
	}
}

// closeObservers waits until everything is on record; what could not be shown is only said.
func (r *run) closeObservers(shown *engine.Bus) func(context.Context) error {
	return func(ctx context.Context) error {
		err := errors.Join(r.bus.Close(ctx), r.record.Close(ctx))
		if problem := shown.Close(ctx); problem != nil {
			fmt.Fprintf(r.shared.streams.Err, "penstock: not everything could be shown: %v\n", problem)
		}
		return err
	}
}

// on calls do when the signal, the closing of a channel, comes during this run.
func (r *run) on(signal <-chan struct{}, do func()) {
	if signal == nil {
		return
	}
	over := make(chan struct{})
	go func() {
		select {
		case <-signal:
			do()
		case <-over:
		}
	}()
	r.ending(func(context.Context) error { close(over); return nil })
}

// unfit gives what is wrong with the app's files its exit code.
func unfit(folder string, err error) error {
	info, found := os.Stat(folder)
	if errors.Is(found, fs.ErrNotExist) {
		return fail(ExitUsage, "name the app's folder with -C", fmt.Errorf("there is no folder %s", folder))
	}
	if found == nil && !info.IsDir() {
		return fail(ExitUsage, "name the folder that it is in with -C", fmt.Errorf("%s is a file", folder))
	}
	return fail(ExitUsage, "mend what is named, then run the same command again", fmt.Errorf("%s:\n%w", folder, err))
}

// tryGates makes dry runs of the named gates. What goes to people is judged as penstock.yaml says, which others review: there
// a gate that counts cannot be switched off by whoever types the command.
func tryGates(pipeline *pipelines.Pipeline, environment *pipelines.Environment, names []string, promotes bool) error {
	for _, name := range names {
		found := false
		for i := range pipeline.Gates {
			ref := &pipeline.Gates[i]
			if ref.Gate != name {
				continue
			}
			found = true
			if promotes && environment.Target != localTarget && ref.Enforcement != pipelines.Advisory {
				return fail(ExitUsage, "try it with `penstock check --dry-run-gate "+name+"`, or say dryRun: true in penstock.yaml",
					fmt.Errorf("%s is %s in %s, where a command cannot make a dry run of it", name, ref.Enforcement, environment.Name))
			}
			ref.DryRun = true
		}
		if !found {
			return fail(ExitUsage, "name a gate of the pipeline; `penstock gates list` shows all that there are", fmt.Errorf("the pipeline has no gate %q", name))
		}
	}
	return nil
}

func (r *run) hasGates(phase gates.Phase) bool {
	for _, ref := range r.pipeline.Gates {
		if ref.Phase == phase && ref.AskedIn(r.environment.Name) {
			return true
		}
	}
	return false
}

// narrow leaves the gates that are asked by a command that does less than the pipeline. One that cannot be described stays: it
// says why when it is asked, and blocks.
func (r *run) narrow(ctx context.Context) error {
	narrowed, ok := map[string]func(pipelines.GateRef, gates.Description) (pipelines.GateRef, bool){
		commandSmoke: gateOfSmoke, commandMigrate: gateOfMigration,
	}[r.flags.command]
	if !ok {
		return nil
	}
	var kept []pipelines.GateRef
	for _, ref := range r.pipeline.Gates {
		if !ref.AskedIn(r.environment.Name) {
			continue
		}
		info, err := r.gates.Describe(ctx, ref.Gate)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			kept = append(kept, ref)
		} else if ref, asked := narrowed(ref, info.Description); asked {
			kept = append(kept, ref)
		}
	}
	r.pipeline.Gates = kept
	return nil
}

// asks reports whether a run will ask the gate.
func (r *run) asks(ref pipelines.GateRef, promotes bool) bool {
	switch {
	case r.flags.command == commandSmoke || r.flags.command == commandMigrate: // they are narrowed
		return true
	case r.flags.only != nil: // single stages are judged by nobody
		return false
	default:
		return ref.Phase == gates.PhaseBuild || promotes && ref.AskedIn(r.environment.Name)
	}
}

func (r *run) note(level, text string) {
	r.bus.Observe(event.Event{Type: event.Note, Level: level, Text: text})
}

// built is what the stages and the build gates came to.
type built struct {
	bundle    *bundle.Bundle // nil when the stages did not get that far
	judgement engine.Judgement
}

// build runs the stages, reads the bundle and asks the build gates. Gates are asked even when a stage failed: they say
// where. The error carries the exit code of what stopped it.
func (r *run) build(ctx context.Context) (built, error) {
	var made built
	if err := r.runBuild(ctx, nil); err != nil {
		return made, err
	}
	stages := r.stages
	var bundleProblem error
	if stages.Passed() {
		made.bundle, bundleProblem = r.readBundle(ctx)
		if made.bundle != nil {
			r.builtDigest = made.bundle.Digest
		}
		if bundleProblem == nil && r.resumes != nil {
			if r.resumes.elsewhere {
				bundleProblem = r.sameCode(made)
			} else {
				made.bundle = r.resumes.bundle // what was judged and decided on, also when the stages made another one now
			}
		}
		if bundleProblem == nil && made.bundle != nil {
			r.bus.Observe(event.Event{Type: event.BundleBuilt, Bundle: &event.Bundle{
				Digest: made.bundle.Digest, Code: made.bundle.Code(), Size: made.bundle.Size(), Modules: len(made.bundle.Modules),
			}})
		}
	}
	if err := r.openEvidence(ctx); err != nil {
		return made, err
	}
	var err error
	made.judgement, err = engine.Judge(ctx, r.judgeOptions(made, gates.PhaseBuild))
	switch {
	case ctx.Err() != nil:
		return made, context.Cause(ctx)
	case err != nil:
		return made, err
	case !stages.Passed():
		return made, stageFailure(stages)
	case bundleProblem != nil:
		return made, bundleProblem
	default:
		return made, refused(made.judgement)
	}
}

// runBuild runs the named build stages and what they need, or all of them.
func (r *run) runBuild(ctx context.Context, only []string) error {
	session := r.session
	if r.flags.explainCache {
		session = withExplanations(session, func(text string) { r.note("info", text) })
	}
	stages, err := engine.Run(ctx, engine.Options{
		Run: r.id, Pipeline: r.pipeline, Session: session, Observer: r.bus, Parallelism: r.flags.parallelism,
		NoCache: r.flags.noCache, Secrets: r.secrets.stages, KeepGoing: true, Only: only,
	})
	if err != nil {
		return err
	}
	r.stages = stages
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// openEvidence makes what gates may ask for beside the reports: the snapshot as files, without what git ignores (secrets
// in .dev.vars, packages), and a view of the history. What cannot be had is missing for the gates, which say so.
func (r *run) openEvidence(ctx context.Context) error {
	if len(r.pipeline.Gates) == 0 {
		return nil
	}
	reader, ok := r.session.(engine.SourceReader)
	if !ok {
		return errors.New("this executor cannot hand out the source")
	}
	source, err := reader.SourceDir(ctx)
	if err != nil {
		return err
	}
	r.sourceDir = filepath.Join(source, filepath.FromSlash(r.place))
	r.evidence = &evidenceSource{run: r, dir: filepath.Join(filepath.Dir(source), "evidence")}
	if r.source.Commit == "" {
		return nil
	}
	// Beside the snapshot: that folder goes with the session, also that of a run which died.
	history, err := snapshot.TakeHistory(ctx, r.folder, filepath.Join(filepath.Dir(source), "history"))
	if err != nil {
		r.note("warning", "gates cannot look at the history: "+err.Error())
		return nil
	}
	if history != nil {
		r.history = &gates.History{Dir: history.Dir, Folder: history.Folder, Bases: r.bases(ctx)}
	}
	return nil
}

// keepingAsked is the run's gates, and what they are asked is kept. It is tidied when the run ends.
func (r *run) keepingAsked() engine.Gatekeeper {
	if r.questions == nil {
		r.questions = replay.Open(filepath.Join(r.state, replayDir))
		r.ending(func(context.Context) error { return r.questions.Tidy(time.Now()) })
	}
	return keepingAsked{Gatekeeper: r.gates, store: r.questions, hide: r.hide, complain: func(err error) {
		r.note("info", "what a gate was asked is not kept for backtests: "+err.Error())
	}}
}

// appIn is the app's folder where a stage had its source, "" for a stage that had none: findings are told by the app's own paths.
func (r *run) appIn(source string) string {
	if source == "" {
		return ""
	}
	return filepath.Join(source, filepath.FromSlash(r.place))
}

// judgeOptions are those of every phase; the phase's own address is filled in by whoever asks.
func (r *run) judgeOptions(made built, phase gates.Phase) engine.JudgeOptions {
	stages, reports := engine.Evidence(r.fitted, r.stages.Results)
	for i := range stages {
		stages[i].Root = r.appIn(stages[i].Root)
	}
	for i := range reports {
		reports[i].Root = r.appIn(reports[i].Root)
	}
	request := gates.Request{
		Run: gates.Run{
			ID: r.id, App: r.pipeline.Name, Environment: r.environment.Name, Commit: r.source.Commit, SourceDigest: r.source.Digest,
			Edge: r.edge,
		},
		Stages: stages, Reports: reports, SourceDir: r.sourceDir, History: r.history,
	}
	if made.bundle != nil {
		request.Run.BundleDigest = made.bundle.Digest
	}
	options := engine.JudgeOptions{
		Run: r.id, Gatekeeper: r.keepingAsked(), Gates: r.pipeline.Gates, Phase: phase, Environment: r.environment.Name,
		Request: request, Observer: r.bus,
	}
	if r.evidence != nil { // nil in an interface would not be nil
		options.Evidence = r.evidence
	}
	if made.bundle != nil {
		options.Waiver = r.waiver(made.bundle.Digest)
	}
	return options
}

// readBundle parses what the bundle stage wrote; nil when the pipeline has no such stage.
func (r *run) readBundle(ctx context.Context) (*bundle.Bundle, error) {
	result := r.stages.Result(pipelines.StageBundle)
	if result == nil {
		return nil, nil
	}
	reader, ok := r.session.(engine.OutputReader)
	if !ok {
		return nil, errors.New("this executor cannot hand out the bundle")
	}
	form, err := reader.OutputPath(ctx, *result, path.Join(r.place, pipelines.BundleFile))
	if err != nil {
		return nil, fmt.Errorf("find the bundle: %w", err)
	}
	file, err := os.Open(form)
	if err != nil {
		return nil, fmt.Errorf("open the bundle: %w", err)
	}
	defer file.Close()
	made, err := bundle.Parse(file, result.Root)
	if err != nil {
		return nil, fail(ExitStageFailed, "look at the stage's output: `penstock check --json`", fmt.Errorf("read what the stage %s wrote: %w", pipelines.StageBundle, err))
	}
	if made, err = r.withAssets(ctx, reader, *result, made); err != nil {
		return nil, err
	}
	return made, nil
}

// withAssets adds the static files that the stage left, when the environment has some, and keeps their list, so that the next
// plan can name what changes.
func (r *run) withAssets(ctx context.Context, reader engine.OutputReader, result engine.Result, made *bundle.Bundle) (*bundle.Bundle, error) {
	config, err := wrangler.Load(r.root)
	if err != nil {
		return nil, err
	}
	worker, err := config.For(r.environment.WranglerEnv)
	if err != nil {
		return nil, err
	}
	leaves := slices.Contains(r.pipeline.Stage(result.Stage).Outputs, path.Join(r.place, pipelines.AssetsFolder))
	switch {
	case !leaves && worker.Assets == nil:
		return made, nil
	case !leaves:
		return nil, fail(ExitStageFailed, "let the stage copy assets.directory to "+pipelines.AssetsFolder+" and list that among its outputs",
			fmt.Errorf("%s has assets, and the stage %s leaves no static files", config.File, result.Stage))
	}
	if worker.Assets != nil && worker.Assets.Directory != "" {
		if link, target := r.source.LeadingOut(path.Join(r.place, filepath.ToSlash(worker.Assets.Directory))); link != "" {
			return nil, fail(ExitStageFailed, "put what is to be served into the folder itself",
				fmt.Errorf("%q is a link out of the app's folder, to %q, and would be served to everybody with %s", link, target, worker.Assets.Directory))
		}
	}
	folder, err := reader.OutputPath(ctx, result, path.Join(r.place, pipelines.AssetsFolder))
	if err != nil {
		return nil, fmt.Errorf("find the static files: %w", err)
	}
	var served bundle.AssetConfig
	if worker.Assets != nil {
		served = bundle.AssetConfig{
			HTMLHandling: worker.Assets.HTMLHandling, NotFoundHandling: worker.Assets.NotFoundHandling, RunWorkerFirst: worker.Assets.RunWorkerFirst,
		}
	}
	assets, err := bundle.ReadAssets(folder, served)
	if err != nil {
		return nil, fail(ExitStageFailed, "look at assets.directory in "+config.File, err)
	}
	if worker.Assets == nil && len(assets.Files) == 0 {
		return made, nil // a build may add static files, and did not
	}
	made = made.WithAssets(assets)
	kept := vaultIn(r.state)
	if err := errors.Join(kept.KeepAssetList(made), kept.PruneAssetLists(time.Now().Add(-keptFor))); err != nil {
		r.note("warning", "the next plan cannot name the static files that change: "+err.Error())
	}
	return made, nil
}

// finish tells how the run ended, closes everything, and returns the error that carries the exit code.
func (r *run) finish(ctx context.Context, result event.Result, cause error) error {
	code, nextStep := classify(cause)
	var stuck *promotion.PutBackError
	if cause != nil && errors.Is(context.Cause(ctx), context.Canceled) && code != ExitRolledBack && !errors.As(cause, &stuck) {
		code, nextStep = classify(context.Cause(ctx))
	}
	result.ExitCode, result.Duration = int(code), time.Since(r.began)
	if result.Outcome == "" || code == ExitInterrupted {
		result.Outcome = code.Outcome()
	}
	if cause != nil && result.Reason == "" {
		result.Reason = cause.Error()
	}
	if result.NextStep == "" {
		result.NextStep = nextStep
	}
	r.bus.Observe(event.Event{Type: event.RunFinished, Result: &result})
	r.closeHub(ctx)
	if err := r.end(ctx); err != nil {
		// The run has been told already; what could not be closed is told beside it and never passes for done.
		fmt.Fprintf(r.shared.streams.Err, "penstock: ending the run: %v\n", err)
		if code == ExitDone {
			code = ExitInternal
		}
	}
	if code == ExitDone {
		return nil
	}
	return &failure{code: code, err: &toldError{code: code}}
}

func stageFailure(stages engine.Outcome) error {
	var failed, errored []string
	for _, result := range stages.Results {
		switch result.Outcome {
		case event.Failed:
			failed = append(failed, result.Stage)
		case event.Errored:
			errored = append(errored, result.Stage+": "+result.Why)
		default:
		}
	}
	if len(errored) > 0 {
		return fail(ExitStageFailed, "mend what keeps it from running, then run the same command again", fmt.Errorf("could not run %s", list(errored)))
	}
	return fail(ExitStageFailed, "mend what is shown above, then run the same command again", fmt.Errorf("failed: %s", list(failed)))
}

func blockedBy(judgement engine.Judgement) string {
	var names []string
	for _, judged := range judgement.Blocking() {
		names = append(names, judged.Ref.Gate)
	}
	return "blocked by " + list(names)
}

// ledgerFile is the ledger's name in the state folder.
const ledgerFile = "ledger.db"

// noState is that nothing can be kept in the state folder: its disk is full, it is a file, or somebody else's.
func noState(state string, err error) error {
	return fail(ExitUsage, "let PENSTOCK_STATE_DIR name a folder that you may write to, on a disk with room; it is "+state+" now", err)
}

func openLedger(ctx context.Context, state string) (*ledger.Ledger, error) {
	opened, err := ledger.Open(ctx, filepath.Join(state, ledgerFile))
	var unusable *ledger.FileError
	switch {
	case err == nil || ctx.Err() != nil:
		return opened, err
	case errors.As(err, &unusable):
		return nil, fail(ExitUsage, unusable.NextStep, fmt.Errorf("ledger %s %s", unusable.Path, unusable.Why))
	default:
		return nil, noState(state, err)
	}
}

// hide takes the values of the run's secrets out of a text.
func (r *run) hide(text string) string { return r.hides.Load().String(text) }

// openGates finds the sets of this build, and those that the app's penstock.lock pins. hide takes secrets out of what they
// say; nil where there are none.
func openGates(streams *Streams, folder, state string, hide func(string) string) (*gatehost.Host, error) {
	sets, err := gatehost.Shipped(filepath.Dir(streams.Executable), buildinfo.GatePins)
	if err != nil {
		return nil, fail(ExitUsage, "", err)
	}
	return openLocked(folder, state, sets, hide)
}

// openLocked opens the shipped sets and those that the app locks.
func openLocked(folder, state string, shipped []gatehost.PluginRef, hide func(string) string) (*gatehost.Host, error) {
	locked, err := gatehost.ReadLock(filepath.Join(folder, gatehost.LockName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // most apps have no gates of strangers
		return nil, fail(ExitUsage, "", err)
	}
	return gatehost.New(gatehost.Options{
		Sets: append(shipped, locked...), ScratchDir: filepath.Join(state, "gates"), KnownDir: filepath.Join(state, "gate-sets"), Redact: hide,
	}), nil
}
