package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/internal/vault"
	"github.com/penstock-ci/penstock/pipelines"
)

// resumption is an earlier run with which a new process goes on: with its source and its bundle, whatever has become of the
// folder meanwhile.
type resumption struct {
	run    ledger.Run
	held   *promotion.Held // nil when the run did not wait
	source *snapshot.Snapshot
	bundle *bundle.Bundle
	// elsewhere says that the run was promoted already, and another environment is to get the same.
	elsewhere bool
	// dir is where the run's record is, and shared the app whose machines share it; "" for this machine's own.
	dir, shared string
}

// vaultIn is where what runs are made of is kept, in a state folder.
func vaultIn(state string) vault.Vault { return vault.At(filepath.Join(state, "vault")) }

// resume finds a run and opens what it left, for an environment ("" is its own). The caller removes the source's Root.
func (c *common) resume(ctx context.Context, name, environment string) (*resumption, error) {
	state, err := c.streams.stateDir()
	if err != nil {
		return nil, err
	}
	again := &resumption{}
	err = c.decideAbout(ctx, name, func(record *record, run ledger.Run) error {
		again.run, again.dir, again.shared = run, record.dir, record.app
		return again.from(ctx, record, state, environment)
	})
	if err != nil {
		return nil, err
	}
	return again, nil
}

// from judges whether the run can be gone on with, and opens what it left.
func (a *resumption) from(ctx context.Context, record *record, state, environment string) error {
	if a.run.Info.Command != "" && a.run.Info.Command != commandMigrate {
		return fail(ExitUsage, "`penstock history` lists runs of the pipeline", fmt.Errorf("run %s was a %s and built nothing", a.run.ID, a.run.Info.Command))
	}
	if a.run.Info.DryRun {
		return fail(ExitUsage, "`penstock migrate --env "+a.run.Info.Environment+"` does it", fmt.Errorf("run %s was a dry run", a.run.ID))
	}
	// In a ledger that machines share anybody writes who has the token: no name in it leads out of the folder that it is for.
	if strings.ContainsAny(a.run.ID, `/\`) || (a.run.Info.Place != "" && !filepath.IsLocal(filepath.FromSlash(a.run.Info.Place))) {
		return fail(ExitBlocked, "find out who wrote that", fmt.Errorf("run %q in %q is none that penstock could have begun", a.run.ID, a.run.Info.Place))
	}
	// Whether it waits, who decided what, and whether it went well: all of it is worth what the record is worth.
	if err := verifyLedger(ctx, record.Ledger, "what it says about run "+a.run.ID); err != nil {
		return err
	}
	a.elsewhere = environment != "" && environment != a.run.Info.Environment
	if a.elsewhere {
		if err := a.wasPromoted(); err != nil {
			return err
		}
	} else if err := a.waits(ctx, record.Ledger); err != nil {
		return err
	}
	return a.open(ctx, record, state)
}

// agreesWith refuses to go on with a run by its own word alone. Who can write to a shared record can make up a run whose source asks nobody:
// what counts is also whom the folder asks, in which somebody goes on with it. And one on this machine's own record knows nothing of what
// came after it once the environment's record is shared.
func (r *run) agreesWith(folders ...string) error {
	from := r.resumes
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		text, err := os.ReadFile(filepath.Join(folder, pipelines.FileName))
		if from.shared == "" && (err != nil || !pipelines.MayShare(text)) {
			continue // such a folder may be any
		}
		fitted, problems, err := appfacts.Fit(folder)
		if err = errors.Join(err, problems.Err()); err != nil {
			return unfit(folder, err)
		}
		if fitted.Name != r.pipeline.Name {
			if from.shared == "" {
				continue
			}
			return fail(ExitUsage, "go to a checkout of the run's commit, or name its folder with -C", fmt.Errorf("run %s is of %s, and %s is %s", from.run.ID, r.pipeline.Name, folder, fitted.Name))
		}
		environment := fitted.Environment(r.environment.Name)
		if from.shared == "" {
			if environment != nil && environment.Ledger != r.environment.Ledger {
				return fail(ExitBlocked, "begin anew: `penstock deploy --env "+r.environment.Name+"`",
					fmt.Errorf("run %s is on this machine's own record, and that of %s is shared since (%s), where newer runs may be", from.run.ID, r.environment.Name, environment.Ledger.D1))
			}
			continue
		}
		if environment == nil {
			return fail(ExitUsage, "go to a checkout of the run's commit", fmt.Errorf("%s knows no environment %s", folder, r.environment.Name))
		}
		here, err := askedIn(*environment, folder)
		if err != nil {
			return err
		}
		asked, err := r.policy()
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(here, asked) {
			return fail(ExitBlocked, "begin anew; or look at the run's commit, check it out, and run the same command again",
				fmt.Errorf("run %s and the %s in %s do not agree on who must approve for %s, or with which keys", from.run.ID, pipelines.FileName, folder, r.environment.Name))
		}
	}
	return nil
}

// findRun finds a run by its id or an end or beginning of it that no other has.
func findRun(ctx context.Context, record *ledger.Ledger, name string) (ledger.Run, error) {
	id, err := record.Resolve(ctx, name)
	if err == nil {
		var run ledger.Run
		if run, err = record.Run(ctx, id); err == nil {
			return run, nil
		}
	}
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Run{}, fail(ExitUsage, "`penstock history` lists the runs", err)
	}
	return ledger.Run{}, err
}

// wasPromoted wants a run that went well: what did not work in one environment is not for the next.
func (a *resumption) wasPromoted() error {
	promoted := slices.ContainsFunc(a.run.Promotions, func(one promotion.Checkpoint) bool {
		return one.State == promotion.Completed && one.Kind != promotion.KindMigration
	})
	if a.run.State == ExitDone.Outcome() && promoted { // a check is done as well
		return nil
	}
	return fail(ExitBlocked, "`penstock why "+a.run.ID+"` shows what it lacks", fmt.Errorf("run %s to %s is %s: only what was promoted there can go further", a.run.ID, a.run.Info.Environment, a.run.State))
}

// waits wants a run that can go on: it waits, or a gate blocked it that may have been waived since.
func (a *resumption) waits(ctx context.Context, record *ledger.Ledger) error {
	over := func(format string, args ...any) error {
		return fail(ExitBlocked, "`penstock deploy --env "+a.run.Info.Environment+"` begins anew; `penstock history` shows what came after", fmt.Errorf(format, args...))
	}
	if a.run.State == ledger.Running {
		return fail(ExitBusy, "wait for it", fmt.Errorf("run %s is at work: process %d", a.run.ID, a.run.Process.PID))
	}
	held, err := record.Held(ctx, a.run.ID)
	switch {
	case errors.Is(err, ledger.ErrNotFound) && a.run.State == ExitBlocked.Outcome():
		// Its gates are asked again.
	case errors.Is(err, ledger.ErrNotFound):
		return over("run %s does not wait: it is %s", a.run.ID, a.run.State)
	case err != nil:
		return err
	default:
		a.held = &held
		current, err := record.Now(ctx)
		if err != nil {
			return err
		}
		now := held.StateAt(current)
		if now == promotion.Expired && held.State.Waits() {
			held.Reason = "nobody cleared it before " + held.Expires.Local().Format(time.DateTime)
			if err := record.Settle(ctx, a.run.ID, promotion.Expired, held.Reason); err != nil {
				return err
			}
		}
		if !now.Waits() {
			return over("run %s does not wait any more: it is %s%s", a.run.ID, now, because(held.Reason))
		}
	}
	var overtaken *promotion.OvertakenError
	if err := record.Overtaken(ctx, a.run.Info.App, a.run.Info.Environment, a.run.ID); errors.As(err, &overtaken) {
		if a.held != nil {
			err = errors.Join(err, record.Settle(ctx, a.run.ID, promotion.Superseded, err.Error()))
		}
		return over("%w", err)
	} else {
		return err
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// open reads what the run left back from the vault, to which it is brought first from where machines share it.
func (a *resumption) open(ctx context.Context, record *record, state string) error {
	gone := func(err error) error {
		return fail(ExitBlocked, "`penstock deploy --env "+a.run.Info.Environment+"` makes it again", fmt.Errorf("run %s cannot go on: %w", a.run.ID, err))
	}
	if a.run.Bundle == "" {
		return gone(errors.New("it made no bundle"))
	}
	kept := record.vault()
	if record.store != nil {
		if err := kept.Fetch(ctx, record.store, a.run.Bundle, a.run.Info.SourceDigest); errors.Is(err, promotion.ErrUnreachable) || ctx.Err() != nil {
			return err
		} else if cloudflare.IsDenied(err) {
			return fail(ExitUsage, "give the token Workers R2 Storage > Edit", fmt.Errorf("what run %s is made of cannot be fetched: %w", a.run.ID, err))
		} else if err != nil {
			return gone(err)
		}
	}
	var err error
	if a.bundle, err = kept.Bundle(a.run.Bundle); err != nil {
		return gone(err)
	}
	opened := filepath.Join(state, "vault", "open")
	if err := os.MkdirAll(opened, 0o700); err != nil {
		return fmt.Errorf("unpack the source: %w", err)
	}
	folder, err := os.MkdirTemp(opened, a.run.ID+"-*")
	if err != nil {
		return fmt.Errorf("unpack the source: %w", err)
	}
	if a.source, err = kept.OpenSource(a.run.Info.SourceDigest, folder); err != nil {
		return gone(errors.Join(err, os.RemoveAll(folder)))
	}
	a.source.Commit, a.source.Branch, a.source.Dirty = a.run.Info.Commit, a.run.Info.Branch, a.run.Info.Dirty
	return nil
}
