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

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
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
	held        bool             // it ended in order to wait, and can be gone on with
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
