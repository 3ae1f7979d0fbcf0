package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/internal/replay"
	"github.com/penstock-ci/penstock/internal/snapshot"
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
	// alone lets the run go on without the shared ledger of its environment, where it cannot be asked: it changes nothing there.
	alone bool
	// command is how the record calls a run that is less than the pipeline's; "" for the whole.
	command string
	// purpose is the command that runs the pipeline and deploys nothing; "" for one that deploys.
	purpose string
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
	listed    []string // bundles whose lists of static files the plan was made with, by digest
	kept      *record  // the ledger with what goes with it
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
	here := folder
	r := &run{shared: shared, flags: flags, id: ulid.Make().String(), began: time.Now(), folder: folder, root: folder, resumes: from}
	r.hides.Store(redact.New(nil)) // until its secrets are known
	defer func() {
		if err != nil {
			err = errors.Join(err, r.end(ctx))
		}
	}()
	if from != nil {
		r.place = from.run.Info.Place
		r.root = filepath.Join(from.source.Root, filepath.FromSlash(r.place))
		if from.shared == "" { // else its folder may be on another machine
			r.folder, folder = from.run.Info.Folder, from.run.Info.Folder
		}
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
	if from != nil {
		if err := r.agreesWith(here, r.folder); err != nil {
			return nil, err
		}
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
	if err := r.openRecord(ctx); err != nil {
		return nil, err
	}
	if promotes && r.kept.store != nil { // not only once all is built and nothing can be kept
		if err := mayBeShared(r.source); err != nil {
			return nil, err
		}
		if err := r.kept.store.HasBucket(ctx); err != nil {
			return nil, whyUnaskedOr(err, *r.environment)
		}
	}
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
	r.gates.Prepare(ctx, setsOf(r.askedGates(promotes))...)
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

// openRecord opens the ledger of the run's environment.
func (r *run) openRecord(ctx context.Context) (err error) {
	if r.environment.Ledger == (pipelines.SharedLedger{}) {
		r.kept, err = ownRecord(ctx, r.state)
	} else if r.kept, err = r.shared.sharedRecord(ctx, r.state, r.root, r.pipeline.Name, *r.environment, r.cloud); err == nil && r.kept.unasked != nil {
		unasked := r.kept.unasked
		err = errors.Join(r.kept.close(ctx))
		if err == nil && r.flags.alone {
			fmt.Fprintf(r.shared.streams.Err, "warning: %v; this run is on record on this machine alone, and knows of no waivers there\n", unasked)
			r.kept, err = ownRecord(ctx, r.state)
		} else if err == nil {
			err = unasked
		}
	}
	if err != nil {
		return err
	}
	r.ledger = r.kept.Ledger
	if r.kept.cloud != nil { // there is one for all of the run
		r.cloud = r.kept.cloud
	}
	r.ending(r.kept.close)
	if from := r.resumes; from != nil && !from.elsewhere && from.dir != r.kept.dir {
		return fail(ExitBlocked, "begin anew: `penstock deploy --env "+r.environment.Name+"`",
			fmt.Errorf("run %s is on another record than the one that its pipeline names for %s", r.id, r.environment.Name))
	}
	return nil
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

// ledgerFile is the ledger's name in the state folder.
const ledgerFile = "ledger.db"

// noState is that nothing can be kept in the state folder: its disk is full, it is a file, or somebody else's.
func noState(state string, err error) error {
	return fail(ExitUsage, "let PENSTOCK_STATE_DIR name a folder that you may write to, on a disk with room; it is "+state+" now", err)
}

func openLedger(ctx context.Context, dir string) (*ledger.Ledger, error) {
	return openLedgerWith(ctx, dir, nil)
}

// openLedgerWith opens the ledger in a folder, as a copy of a line where there is one.
func openLedgerWith(ctx context.Context, dir string, line ledger.Line) (opened *ledger.Ledger, err error) {
	path := filepath.Join(dir, ledgerFile)
	if line == nil {
		opened, err = ledger.Open(ctx, path)
	} else {
		opened, err = ledger.OpenShared(ctx, path, line)
	}
	var unusable *ledger.FileError
	switch {
	case err == nil || ctx.Err() != nil:
		return opened, err
	case errors.As(err, &unusable):
		return nil, fail(ExitUsage, unusable.NextStep, fmt.Errorf("ledger %s %s", unusable.Path, unusable.Why))
	default:
		return nil, noState(dir, err)
	}
}

// hide takes the values of the run's secrets out of a text.
func (r *run) hide(text string) string { return r.hides.Load().String(text) }
