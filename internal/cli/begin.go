package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

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
	o := &opening{run: r, here: folder, promotes: promotes}
	o.locate()
	for _, step := range []func(context.Context) error{
		o.makeState, r.findHub, o.findRules, o.fit, o.agree, o.openGates, o.takeSource, o.findSecrets,
		r.openRecord, o.mayKeep, o.trust, o.findAuthor, o.openSession, r.narrow, o.claim,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	r.gates.Prepare(ctx, setsOf(r.askedGates(promotes))...)
	r.openObservers(o.executor, promotes, o.problems)
	for _, text := range o.unasked {
		r.note("warning", text)
	}
	return r, nil
}

// opening is a run that begins, with what only its beginning needs. Its steps are made in the order in which beginFrom names
// them: what is cheap to find out and would end the run anyway comes first.
type opening struct {
	*run
	promotes bool
	here     string // the folder in which the command was typed
	top      string // what is snapshotted: the app's folder, or the root of its workspace

	problems pipelines.Problems // with the pipeline; none that keeps it from running
	unasked  []string           // why gate sets could not be asked what they serve
	executor string             // its name
}

// locate finds where the source lies: the folder, or what was kept of the run that this one goes on with.
func (o *opening) locate() {
	from := o.resumes
	if from == nil {
		o.top, o.place = appfacts.SourceRoot(o.folder)
		return
	}
	o.place = from.run.Info.Place
	o.root = filepath.Join(from.source.Root, filepath.FromSlash(o.place))
	if from.shared == "" { // else its folder may be on another machine
		o.folder = from.run.Info.Folder
	}
	o.ending(func(context.Context) error { return os.RemoveAll(from.source.Root) })
	if !from.elsewhere {
		o.id = from.run.ID
	}
}

func (o *opening) makeState(context.Context) error {
	state, err := o.shared.streams.stateDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return noState(state, err)
	}
	o.state = state
	return nil
}

func (o *opening) findRules(ctx context.Context) (err error) {
	o.rules, err = o.judgedBy(ctx, o.state)
	return err
}

// fit reads the pipeline and takes from it what this environment and these flags ask for.
func (o *opening) fit(ctx context.Context) error {
	fitted, problems, err := appfacts.Fit(o.rules)
	if err != nil {
		return o.unfitPolicy(err)
	}
	if problems.Err() != nil {
		// What is wrong with gates is told with the rest, where it can be found out.
		if host, err := openGates(o.shared.streams, o.rules, o.state, o.hide); err == nil && o.flags.only == nil {
			wrong, _, _ := namedGates(ctx, host, fitted, o.rules)
			problems = append(problems, wrong...)
			problems.Sort()
			o.ending(func(ctx context.Context) error { return host.Close(ctx) })
		}
		return o.unfitPolicy(problems)
	}
	o.problems = problems
	if o.fitted, err = fitted.For(o.flags.environment); err != nil {
		return fail(ExitUsage, "choose one with --env, or add it to penstock.yaml (`penstock init` writes one)", err)
	}
	moved := pipelines.Within(*o.fitted, o.place)
	o.pipeline = &moved
	o.environment = o.pipeline.Environment(o.flags.environment)
	if err := tryGates(o.pipeline, o.environment, o.flags.dryRunGates, o.promotes); err != nil {
		return err
	}
	return namedStages(o.pipeline, o.flags.only)
}

// agree holds what was kept of a run against the folder in which somebody goes on with it.
func (o *opening) agree(context.Context) error {
	if o.resumes == nil {
		return nil
	}
	return o.agreesWith(o.here, o.folder)
}

// openGates finds the gate sets, and holds the pipeline's gates against what the sets serve.
func (o *opening) openGates(ctx context.Context) (err error) {
	if o.gates, err = openGates(o.shared.streams, o.rules, o.state, o.hide); err != nil {
		return err
	}
	o.ending(func(ctx context.Context) error { return o.gates.Close(ctx) })
	if o.flags.only == nil {
		var wrong pipelines.Problems
		if wrong, o.unasked, err = namedGates(ctx, o.gates, *o.pipeline, o.rules); err != nil {
			return err
		}
		if len(wrong) > 0 {
			return o.unfitPolicy(append(o.problems, wrong...))
		}
	}
	if o.flags.command == commandSmoke {
		o.flags.only = neededBySmoke(o.pipeline)
	}
	return nil
}

func (o *opening) takeSource(ctx context.Context) (err error) {
	if o.resumes != nil {
		o.source = o.resumes.source
		return nil
	}
	o.source, err = snapshot.Take(ctx, o.top, snapshot.Options{StateDir: o.state})
	return err
}

func (o *opening) findSecrets(context.Context) (err error) {
	if o.secrets, err = o.shared.streams.secrets(o.folder, o.pipeline, o.environment); err != nil {
		return err
	}
	o.hides.Store(redact.New(o.hidden()))
	return nil
}

// mayKeep finds out whether what a run that waits is made of can be kept for other machines; not only once all is built.
func (o *opening) mayKeep(ctx context.Context) error {
	if !o.promotes || o.kept.store == nil {
		return nil
	}
	if err := mayBeShared(o.source); err != nil {
		return err
	}
	if err := o.kept.store.HasBucket(ctx); err != nil {
		return whyUnaskedOr(err, *o.environment)
	}
	return nil
}

func (o *opening) trust(ctx context.Context) error { return o.trustRecord(ctx, o.promotes) }

func (o *opening) openSession(ctx context.Context) error {
	executor, err := o.openExecutor(o.state)
	if err != nil {
		return err
	}
	o.executor = executor.Name()
	if o.session, err = executor.Open(ctx, o.pipeline, o.source); err != nil {
		return noSession(o.executor, err)
	}
	o.ending(func(ctx context.Context) error { return o.session.Close(ctx) })
	return nil
}

// claim takes a run that waited: somebody else may have gone on with it since it was looked at.
func (o *opening) claim(ctx context.Context) error {
	if o.resumes == nil || o.resumes.elsewhere {
		return nil
	}
	return o.ledger.Claim(ctx, o.id)
}

// openRecord opens the ledger of the run's environment.
func (r *run) openRecord(ctx context.Context) (err error) {
	if r.kept, err = r.findRecord(ctx); err != nil {
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

// findRecord opens the record that machines share where the pipeline names one, else this machine's own. So it does for a run that
// goes on alone where the shared one cannot be asked.
func (r *run) findRecord(ctx context.Context) (*record, error) {
	if r.environment.Ledger == (pipelines.SharedLedger{}) {
		return ownRecord(ctx, r.state)
	}
	kept, err := r.shared.sharedRecord(ctx, r.state, r.root, r.pipeline.Name, *r.environment, r.cloud)
	if err != nil || kept.unasked == nil {
		return kept, err
	}
	if err := kept.close(ctx); err != nil {
		return nil, err
	}
	if !r.flags.alone {
		return nil, kept.unasked
	}
	fmt.Fprintf(r.shared.streams.Err, "warning: %v; this run is on record on this machine alone, and knows of no waivers there\n", kept.unasked)
	return ownRecord(ctx, r.state)
}

// findAuthor says who began the run and signs that: of one that goes on, whoever began it then. One that nobody could approve
// is refused before it has done anything.
func (o *opening) findAuthor(ctx context.Context) error {
	o.begun = promotion.Beginning{Run: o.id, App: o.pipeline.Name, Environment: o.environment.Name, Source: o.source.Digest}
	if o.resumes != nil && !o.resumes.elsewhere {
		o.author, o.begun.Signature = o.resumes.run.Info.By, o.resumes.run.Info.BySigned
		o.begun.By = o.author
		return nil
	}
	who := o.shared.streams.whoami(ctx, o.folder, o.flags.as)
	o.author, o.begun.By = &who, &who
	if o.flags.sign != "" {
		if err := o.shared.streams.sign(ctx, o.begun.Sign, o.flags.sign); err != nil {
			return fail(ExitUsage, noSigner, err)
		}
	}
	if !o.promotes || o.environment.Signers == "" {
		return nil
	}
	policy, err := o.policy()
	if err != nil {
		return err
	}
	var refused *promotion.RefusedError
	if err := policy.TooFew(o.begun); errors.As(err, &refused) {
		return fail(ExitBlocked, refused.NextStep, refused)
	}
	if o.flags.sign != "" && policy.Proven(o.begun) == nil {
		who.Kind = event.IdentitySSH
	}
	return nil
}
