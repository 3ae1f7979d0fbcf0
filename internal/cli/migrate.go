package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// commandMigrate is how the record calls the data half of a deployment.
const commandMigrate = "migrate"

func newMigrate(shared *common) *cobra.Command {
	flags := runFlags{command: commandMigrate}
	seed := promotion.Seed{}
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Apply the pending migrations, with everything around them, and leave the code as it is; seed the database",
		Long: "The data half of a deployment: stages, build gates and the gates of the plan as in `deploy`, approval of exactly these\n" +
			"migrations, then under the environment's lease: smoke of what is live, bookmark and backup, the gates that judge data,\n" +
			"the migrations, and smoke of what is live once more, now on the new schema. No version is uploaded and no traffic moves. A\n" +
			"deployment that follows finds the migrations applied. With --dry-run it shows the SQL and what the gates say, and stops.\n\n" +
			"--seed executes a SQL file behind the migrations, once: the database notes it, and a second time says so. It must only add\n" +
			"rows, and goes beside rows that are there only when told.",
		Example: "  penstock migrate --env production --dry-run\n  penstock migrate --env production\n  penstock migrate --env production --seed seed/minimal.sql",
		RunE: func(command *cobra.Command, _ []string) error {
			var err error
			if flags.seed, err = seedOf(seed); err != nil {
				return err
			}
			ctx := command.Context()
			r, err := begin(ctx, shared, flags, true)
			if err != nil {
				return err
			}
			result, err := r.deploy(ctx)
			return r.finish(ctx, result, err)
		},
	}
	flags.addTo(command, "whose databases they are for")
	command.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show the SQL and what the gates of the plan say, and change nothing")
	command.Flags().StringVar(&seed.File, "seed", "", "a SQL `file` in the app's folder to execute behind the migrations")
	command.Flags().BoolVar(&seed.Again, "again", false, "with --seed: execute it also when it was executed before")
	command.Flags().BoolVar(&seed.BesideData, "beside-data", false, "with --seed: execute it also where there are rows already")
	return command
}

// seedOf is the seed that was asked for; nil for none.
func seedOf(asked promotion.Seed) (*promotion.Seed, error) {
	if asked.File == "" {
		if asked.Again || asked.BesideData {
			return nil, fail(ExitUsage, "name the file with --seed, for example --seed seed/minimal.sql", errors.New("--again and --beside-data are about a seed, and none is named"))
		}
		return nil, nil
	}
	asked.File = path.Clean(filepath.ToSlash(asked.File))
	if path.IsAbs(asked.File) || asked.File == ".." || strings.HasPrefix(asked.File, "../") {
		return nil, fail(ExitUsage, "name a file of the app, relative to its folder", fmt.Errorf("%q is no file of the app's folder", asked.File))
	}
	return &asked, nil
}

// seedIsSource wants the seed to be of the source whose digest names the run.
func (r *run) seedIsSource() error {
	seed := r.flags.seed
	if seed == nil {
		return nil
	}
	inSource := path.Join(r.place, seed.File)
	if slices.ContainsFunc(r.source.Files, func(file snapshot.File) bool { return file.Path == inSource }) {
		return nil
	}
	return fail(ExitUsage, "name a file of the app's folder that git does not ignore", fmt.Errorf("the source has no file %s", seed.File))
}

// The gates that a migration by itself treats by name.
const (
	gateD1         = "cloudflare/d1"
	gateMigrations = "data/migrations"
)

// gateOfMigration leaves the gates that a migration by itself is judged by: all of the build and of the plan, and of the later
// ones those that judge no version and nothing that comes with one. They are asked before the data is touched; whether the
// databases are migrated is asked afterwards.
func gateOfMigration(ref pipelines.GateRef, asks gates.Description) (pipelines.GateRef, bool) {
	switch ref.Phase {
	case gates.PhasePromote, gates.PhaseBake:
	default:
		return ref, true
	}
	if ref.Gate == gateD1 {
		ref.Phase = gates.PhaseBake
		return ref, true
	}
	return ref, ref.Phase == gates.PhasePromote && !asksVersion(asks) && !reads(asks, gates.ReportSmoke, gates.ReportMetrics, gates.ReportEnvironment)
}

// scripts are the texts of the pending migrations, and of the seed.
func scripts(ctx context.Context, target *cloudflare.Target, plan promotion.Plan) ([]event.Script, error) {
	databases, gaps := target.MigrationPlans(ctx)
	if len(gaps) > 0 {
		return nil, fmt.Errorf("read %s: %s", gaps[0].What, gaps[0].Reason)
	}
	var found []event.Script
	for _, database := range databases {
		for _, pending := range database.Pending {
			found = append(found, event.Script{Database: database.Name, File: pending.File, Digest: pending.Digest, SQL: pending.SQL})
		}
	}
	if seed := plan.Diff.Seed; plan.SeedDue() {
		found = append(found, event.Script{Database: seed.Database, File: plan.Basis.Seed.File, Digest: seed.Digest, SQL: seed.SQL})
	}
	return found, nil
}

// beforeMigration ends a run that has nothing to migrate, that only looks, or that must not go on.
func (r *run) beforeMigration(ctx context.Context, made built, plan promotion.Plan) (over bool, result event.Result, err error) {
	result.Version, result.URL = plan.Live.Live(), plan.Live.URL
	if plan.Diff.UpToDate {
		result.Reason = nothingPending(r.environment.Name)
		if seed := plan.Diff.Seed; seed != nil {
			result.Reason += fmt.Sprintf("; %s was executed already, by promotion %s", plan.Basis.Seed.File, seed.Done)
			result.NextStep = fmt.Sprintf("`penstock migrate --env %s --seed %s --again` executes it once more", r.environment.Name, plan.Basis.Seed.File)
		}
		return true, result, nil
	}
	if err := errors.Join(r.standsAlone(plan), plan.RefusesSeed()); err != nil {
		return true, result, err
	}
	if !r.flags.dryRun {
		return false, event.Result{}, nil
	}
	if err := r.judgePlan(ctx, made); err != nil {
		return true, result, err
	}
	result.Reason = fmt.Sprintf("%d pending, none applied: this was a dry run", len(plan.Diff.Migrations))
	if plan.SeedDue() {
		result.Reason += "; the seed was not executed"
	}
	result.NextStep = "`penstock migrate --env " + r.environment.Name + "` applies them"
	return true, result, nil
}

func nothingPending(environment string) string {
	return "nothing to migrate: no migration is pending in " + environment
}

// standsAlone refuses what the live version cannot be expected to live with, where no gate judges that. In a deployment such code
// is live for seconds more; after a migration by itself for as long as nobody deploys.
func (r *run) standsAlone(plan promotion.Plan) error {
	judged := slices.ContainsFunc(r.pipeline.Gates, func(ref pipelines.GateRef) bool { return ref.Gate == gateMigrations && ref.AskedIn(r.environment.Name) })
	if judged || !plan.Live.Serves() {
		return nil
	}
	var breaking []string
	for _, migration := range plan.Diff.Migrations {
		if migration.Breaks != "" {
			breaking = append(breaking, migration.Name+" ("+migration.Breaks+")")
		}
	}
	if len(breaking) == 0 {
		return nil
	}
	return fail(ExitBlocked, "deploy the code that does without it first and let the gate "+gateMigrations+" judge the migration, or let `penstock deploy` take code and data together",
		errors.New("the live version may not work after "+strings.Join(breaking, ", ")))
}

// migrated is the end of a migration that went well.
func (r *run) migrated(ctx context.Context, result event.Result, promoted promotion.Result) (event.Result, error) {
	if promoted.UpToDate {
		result.Reason = nothingPending(r.environment.Name)
	} else {
		var names []string
		for _, migration := range promoted.Migrations {
			names = append(names, migration.Name)
		}
		if promoted.Seed != "" {
			names = append(names, promoted.Seed)
		}
		result.Reason = "applied " + list(names)
		result.NextStep = "`penstock deploy --env " + r.environment.Name + "` takes the code there that needs it; the state before is bookmark " + promoted.Bookmark
	}
	if r.cloud == nil {
		return result, nil
	}
	return result, r.cloud.Keep(context.WithoutCancel(ctx))
}
