package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/ledger/d1line"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/internal/vault"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// record is an open ledger with what goes with it: this machine's own, or its copy of one that machines share.
type record struct {
	*ledger.Ledger
	dir string // with the ledger and the vault in it
	// app is of which app a shared ledger was opened; "" for this machine's own.
	app   string
	name  string            // of the shared ledger's database; "" for this machine's own
	store *cloudflare.Store // nil for this machine's own, and for one that could not be asked
	// unasked is why a shared ledger could not be asked, so that this machine may not know all of it; nil when it knows.
	unasked error
	cloud   *daemon.Handle // the local Cloudflare that was started for it, if it was
}

// close closes the ledger, and what was started for it.
func (r *record) close(ctx context.Context) error {
	var problems []error
	if r.Ledger != nil {
		problems = append(problems, r.Ledger.Close())
	}
	if r.cloud != nil {
		problems = append(problems, r.cloud.Close(ctx))
	}
	return errors.Join(problems...)
}

// vault is where what the runs of this record are made of is kept.
func (r *record) vault() vault.Vault { return vaultIn(r.dir) }

// sharedDir is where the copies of shared ledgers are, in the state folder: each in a folder for its account and database.
const sharedDir = "shared"

// ownRecord opens this machine's own ledger.
func ownRecord(ctx context.Context, state string) (*record, error) {
	opened, err := openLedger(ctx, state)
	if err != nil {
		return nil, err
	}
	return &record{Ledger: opened, dir: state}, nil
}

// sharedRecord opens this machine's copy of an environment's shared ledger and brings it up to date. Where the shared one cannot be
// asked, the record says why and is as this machine last saw it, without a ledger where it never did. That it was changed is an error.
// cloud is the local Cloudflare when one runs for the caller already; else one is started where it is needed.
func (c *common) sharedRecord(ctx context.Context, state, root, app string, environment pipelines.Environment, cloud *daemon.Handle) (_ *record, err error) {
	r := &record{app: app, name: environment.Ledger.D1}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close(context.WithoutCancel(ctx)))
		}
	}()
	options, started, err := c.storeOptions(ctx, root, environment, cloud)
	r.cloud = started
	if options.AccountID != "" {
		r.dir = filepath.Join(state, sharedDir, fileName(options.AccountID), fileName(environment.Ledger.D1))
	}
	if err == nil {
		r.store, err = cloudflare.OpenStore(ctx, options)
	}
	if err != nil {
		if r.unasked = whyUnasked(err, environment); r.unasked == nil {
			return nil, err
		}
		return r, r.openCopy(ctx)
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, noState(state, err)
	}
	if r.Ledger, err = openLedgerWith(ctx, r.dir, d1line.In(r.store)); err != nil {
		return nil, err
	}
	if err := r.Pull(ctx); err != nil {
		if r.unasked = whyUnasked(err, environment); r.unasked == nil {
			return nil, err
		}
	}
	return r, nil
}

// openCopy opens what this machine last saw of a ledger that cannot be asked, if it ever did.
func (r *record) openCopy(ctx context.Context) error {
	if r.dir == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(r.dir, ledgerFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	opened, err := openLedger(ctx, r.dir)
	r.Ledger = opened
	return err
}

// mayBeShared refuses a source with a file that holds secrets by its name: all of a source goes to the bucket, and what is neither tracked nor
// ignored by git is part of it. Examples are for everybody, and so is what Vite reads without .local in its name.
func mayBeShared(source *snapshot.Snapshot) error {
	for _, file := range source.Files {
		name := path.Base(file.Path)
		vars := name == devVars || strings.HasPrefix(name, devVars+".") && !slices.Contains([]string{".example", ".sample", ".template"}, path.Ext(name))
		if vars || strings.HasPrefix(name, ".env.") && path.Ext(name) == ".local" {
			return fail(ExitUsage, "name it in .gitignore (and take it out of git: `git rm --cached`)", fmt.Errorf("%s is part of the source, which goes to the shared bucket, and such a file holds secrets", file.Path))
		}
	}
	return nil
}

// whyUnasked is the error of a shared ledger that could not be asked, with what to do about it; nil for any other error.
func whyUnasked(err error, environment pipelines.Environment) error {
	name := environment.Ledger.D1
	var known *failure
	switch {
	case errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, cloudflare.ErrNoStore):
		return fail(ExitUsage, "`penstock provision --env "+environment.Name+"` makes it", fmt.Errorf("there is no shared ledger yet: %w", err))
	case cloudflare.IsDenied(err):
		return fail(ExitUsage, "give the token D1 > Edit and Workers R2 Storage > Edit; it needs no more to approve and to look", fmt.Errorf("the shared ledger %s cannot be asked: %w", name, err))
	case errors.Is(err, promotion.ErrUnreachable):
		return fail(ExitUnreachable, "check the network, then run the same command again", fmt.Errorf("the shared ledger %s cannot be reached: %w", name, err))
	case errors.As(err, &known) && (known.code == ExitUsage || known.code == ExitUnreachable):
		return fail(known.code, known.nextStep, fmt.Errorf("the shared ledger %s cannot be asked: %w", name, known.err))
	default:
		return nil
	}
}

// whyUnaskedOr is whyUnasked, or the error itself.
func whyUnaskedOr(err error, environment pipelines.Environment) error {
	return cmp.Or(whyUnasked(err, environment), err)
}

// storeOptions say where an environment's shared ledger is. The folder root has the wrangler config, which may name the account.
func (c *common) storeOptions(ctx context.Context, root string, environment pipelines.Environment, cloud *daemon.Handle) (cloudflare.StoreOptions, *daemon.Handle, error) {
	options := cloudflare.StoreOptions{Database: environment.Ledger.D1, Bucket: environment.Ledger.R2, Folder: environment.Ledger.D1}
	if environment.Target == localTarget {
		var started *daemon.Handle
		if cloud == nil {
			folder, err := c.appFolder()
			if err != nil {
				return options, nil, err
			}
			if started, err = c.streams.startLocalCloud(ctx, filepath.Join(folder, "node_modules")); err != nil {
				return options, nil, err
			}
			cloud = started
		}
		options.BaseURL, options.Token, options.AccountID = cloud.Info.APIURL, cloud.Info.Token, cloud.Info.AccountID
		return options, started, nil
	}
	options.BaseURL, options.Token = c.streams.Env("CLOUDFLARE_API_BASE_URL"), c.streams.Env("CLOUDFLARE_API_TOKEN")
	if options.AccountID = c.streams.Env("CLOUDFLARE_ACCOUNT_ID"); options.AccountID == "" {
		config, err := wrangler.Load(root)
		if err != nil {
			return options, nil, unfit(root, err)
		}
		worker, err := config.For(environment.WranglerEnv)
		if err != nil {
			return options, nil, unfit(root, err)
		}
		options.AccountID = worker.AccountID
	}
	if options.Token == "" || options.AccountID == "" {
		return options, nil, fail(ExitUsage, "set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID", errors.New("there is no token or no account id to ask with"))
	}
	return options, nil, nil
}

// sharing are the app's environments whose record is shared, one for each ledger; none where its folder has no pipeline that says so.
func (c *common) sharing() (folder, app string, environments []pipelines.Environment, err error) {
	if folder, err = c.appFolder(); err != nil {
		return "", "", nil, err
	}
	text, err := os.ReadFile(filepath.Join(folder, pipelines.FileName))
	if err != nil || !pipelines.MayShare(text) {
		return folder, "", nil, nil // such a folder may be any
	}
	fitted, problems, err := appfacts.Fit(folder)
	if err = errors.Join(err, problems.Err()); err != nil {
		return "", "", nil, unfit(folder, err)
	}
	for _, environment := range fitted.Environments {
		same := func(other pipelines.Environment) bool {
			return other.Ledger == environment.Ledger && other.Target == environment.Target
		}
		if environment.Ledger != (pipelines.SharedLedger{}) && !slices.ContainsFunc(environments, same) {
			environments = append(environments, environment)
		}
	}
	return folder, fitted.Name, environments, nil
}

// withRecords opens this machine's own ledger, where there is one, and those that the app in this folder shares. A shared one that
// could not be asked says why, and may have no ledger at all.
func (c *common) withRecords(ctx context.Context, use func([]*record) error) (err error) {
	state, err := c.streams.stateDir()
	if err != nil {
		return err
	}
	folder, app, environments, err := c.sharing()
	if err != nil {
		return err
	}
	var all []*record
	defer func() {
		for _, one := range all {
			err = errors.Join(err, one.close(context.WithoutCancel(ctx)))
		}
	}()
	if _, err := os.Stat(filepath.Join(state, ledgerFile)); !errors.Is(err, fs.ErrNotExist) {
		own, err := ownRecord(ctx, state)
		if err != nil {
			return err
		}
		all = append(all, own)
	}
	for _, environment := range environments {
		shared, err := c.sharedRecord(ctx, state, folder, app, environment, nil)
		if err != nil {
			return err
		}
		all = append(all, shared)
	}
	return use(all)
}

// withShown is withRecords for a command that only shows: what could not be asked is said, and what this machine knows is shown.
func (c *common) withShown(ctx context.Context, use func([]*record) error) error {
	return c.withRecords(ctx, func(all []*record) error {
		var known []*record
		for _, one := range all {
			if one.unasked != nil {
				c.warnUnasked(one)
			}
			if one.Ledger != nil {
				known = append(known, one)
			}
		}
		return use(known)
	})
}

func (c *common) warnUnasked(one *record) {
	what := "what follows is what this machine last saw of it, and may be old"
	if one.Ledger == nil {
		what = "this machine never saw it, so that nothing of it is shown"
	}
	_, next := classify(one.unasked)
	fmt.Fprintf(c.streams.Err, "warning: %v; %s (%s)\n", one.unasked, what, next)
}

// withRecordOf opens the record of one environment of the app in this folder, to show what it says; nil where there is none.
func (c *common) withRecordOf(ctx context.Context, environment pipelines.Environment, use func(*ledger.Ledger) error) error {
	return c.withShown(ctx, func(all []*record) error {
		for _, one := range all {
			if one.name == environment.Ledger.D1 {
				return use(one.Ledger)
			}
		}
		return use(nil)
	})
}

// withCopies opens every ledger of this machine as it is, and asks nobody what is new.
func (c *common) withCopies(ctx context.Context, use func([]*ledger.Ledger) error) (err error) {
	state, err := c.streams.stateDir()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(state, sharedDir, "*", "*", ledgerFile))
	if err != nil {
		return err
	}
	var all []*ledger.Ledger
	defer func() {
		for _, one := range all {
			err = errors.Join(err, one.Close())
		}
	}()
	for _, file := range append([]string{filepath.Join(state, ledgerFile)}, files...) {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		opened, err := openLedger(ctx, filepath.Dir(file))
		if err != nil {
			return err
		}
		all = append(all, opened)
	}
	return use(all)
}

// findAmong finds a run by its id, or an end or beginning of it that no other has, in whichever record has it.
func findAmong(ctx context.Context, all []*record, name string) (*record, ledger.Run, error) {
	var in *record
	var found ledger.Run
	var missing, unasked error
	for _, one := range all {
		unasked = cmp.Or(unasked, one.unasked)
		if one.Ledger == nil {
			continue
		}
		run, err := findRun(ctx, one.Ledger, name)
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			missing = cmp.Or(missing, err)
		case err != nil:
			return nil, ledger.Run{}, err
		case in != nil:
			return nil, ledger.Run{}, fail(ExitUsage, "`penstock history` lists the runs", fmt.Errorf("run %s: several runs begin or end so: %s, %s", name, found.ID, run.ID))
		default:
			in, found = one, run
		}
	}
	switch {
	case in != nil:
		return in, found, nil
	case unasked != nil:
		code, next := classify(unasked)
		return nil, ledger.Run{}, fail(code, next, fmt.Errorf("run %s is not on this machine's record, and %w", name, unasked))
	case missing != nil:
		return nil, ledger.Run{}, missing
	default:
		return nil, ledger.Run{}, fail(ExitUsage, "`penstock deploy --env local` is a beginning", errors.New("nothing has been run yet"))
	}
}

// decideAbout finds the run that somebody wants to decide about or go on with. Of a shared ledger that could not be asked nothing is
// decided: what was said there since may be the opposite.
func (c *common) decideAbout(ctx context.Context, name string, use func(*record, ledger.Run) error) error {
	return c.withRecords(ctx, func(all []*record) (err error) {
		if len(all) == 0 { // made where there is none, as ever
			state, err := c.streams.stateDir()
			if err != nil {
				return err
			}
			own, err := ownRecord(ctx, state)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, own.close(ctx)) }()
			all = []*record{own}
		}
		in, run, err := findAmong(ctx, all, name)
		if err != nil {
			return err
		}
		if in.unasked != nil {
			return in.unasked
		}
		return use(in, run)
	})
}
