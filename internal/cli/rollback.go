package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// rollbackFlags say where to and what becomes of the data.
type rollbackFlags struct {
	environment, to       string
	codeOnly, restoreData bool
	confirmLoss, dryRun   bool
}

func newRollback(shared *common) *cobra.Command {
	var flags rollbackFlags
	command := &cobra.Command{
		Use:   "rollback",
		Short: "Give all traffic back to an earlier version",
		Long: "Goes back to what was live before, or to any version that --to names: by its id or the beginning of it, its number, or\n" +
			"the run or promotion that made it. Migrations that were applied since decide what becomes of the data: when all of them\n" +
			"only add to the schema, the code goes back alone. Otherwise it shows what a restore of the data would lose, and asks.\n" +
			"A rollback is never forced upon Cloudflare, and never rolled back by itself.",
		Example: "  penstock rollback --env production\n  penstock rollback --env production --to 1a2b3c4d --dry-run\n" +
			"  penstock rollback --env production --to 01JD2Q --restore-data --confirm-loss",
		RunE: func(command *cobra.Command, _ []string) error {
			choice, err := flags.choice()
			if err != nil {
				return err
			}
			ctx := command.Context()
			r, target, err := operate(ctx, shared, flags.environment)
			if err != nil {
				return err
			}
			return r.rollback(ctx, target, flags, choice)
		},
	}
	environmentFlag(command, &flags.environment, "to roll back")
	command.Flags().StringVar(&flags.to, "to", "", "the `version` to go back to, or the run or promotion that made it")
	command.Flags().BoolVar(&flags.codeOnly, "code-only", false, "go back with the data as it is, also when the old code may not work with it")
	command.Flags().BoolVar(&flags.restoreData, "restore-data", false, "put the data back too; needs --confirm-loss")
	command.Flags().BoolVar(&flags.confirmLoss, "confirm-loss", false, "yes, what was written since may be lost")
	command.Flags().BoolVar(&flags.dryRun, "dry-run", false, "say what would be done, and do nothing")
	return command
}

func (f *rollbackFlags) choice() (promotion.DataChoice, error) {
	switch {
	case f.codeOnly && f.restoreData:
		return "", fail(ExitUsage, "choose one of --code-only and --restore-data", errors.New("the data cannot both stay and go back"))
	case f.restoreData && !f.confirmLoss && !f.dryRun:
		return "", fail(ExitUsage, "see with --dry-run what would be lost, then add --confirm-loss", errors.New("--restore-data loses what was written since"))
	case f.codeOnly:
		return promotion.DataKept, nil
	case f.restoreData:
		return promotion.DataRestored, nil
	default:
		return promotion.DataUndecided, nil
	}
}

func (r *run) rollback(ctx context.Context, target *cloudflare.Target, flags rollbackFlags, choice promotion.DataChoice) error {
	planned, err := r.planRollback(ctx, target, flags.to)
	var meanwhile []string
	if err == nil {
		on, unknown := target.Maintenance(ctx)
		meanwhile = readOnlyMeanwhile(on, unknown, flags.environment)
	}
	if err == nil && !(flags.dryRun && len(planned.Breaking) > 0) { // of those a dry run shows what there is instead
		err = restorable(planned, choice)
	}
	if err == nil && flags.dryRun {
		return errors.Join(r.showRollback(planned, choice, meanwhile), r.end(ctx))
	}
	if err == nil && choice == promotion.DataUndecided && len(planned.Breaking) > 0 {
		if choice, err = r.shared.streams.askAboutData(planned); err != nil {
			refused := &promotion.DataError{Rollback: planned}
			err = fail(ExitWaiting, refused.NextStep(), refused)
		}
	}
	if err != nil {
		return errors.Join(err, r.end(ctx))
	}
	if choice != promotion.DataRestored && r.environment.Backup == pipelines.BackupExport {
		target.Environment.Backup = pipelines.BackupBookmark // the data stays, and an emergency cannot wait for a copy of it
	}
	r.announce("rollback", promotion.RollbackSteps(choice))
	r.note("info", fmt.Sprintf("from version %s to version %s of %s", planned.From.ID, planned.To.ID, planned.To.CreatedAt.Local().Format("2006-01-02 15:04")))
	for _, warning := range meanwhile {
		r.note("warning", warning)
	}
	returned, err := promotion.Return(ctx, promotion.Options{
		Journal: hidingJournal{r.ledger, r.hide}, Prober: probe.HTTP{}, Observer: r.bus, Run: r.id, Promotion: strings.ToLower(ulid.Make().String()),
	}, target, planned, choice)
	for _, left := range returned.NotUndone {
		r.note("warning", "left: "+left)
	}
	result := event.Result{Version: returned.Version, Previous: returned.Previous, URL: returned.URL, NextStep: returned.NextStep}
	if err == nil && returned.Phase == promotion.Completed {
		if returned.Bookmark != "" {
			result.NextStep = "the data that was replaced is bookmark " + returned.Bookmark + ": `penstock restore --env " + r.environment.Name + " --bookmark '" + returned.Bookmark + "' --confirm-loss` brings it back"
		}
		if r.cloud != nil {
			err = r.cloud.Keep(context.WithoutCancel(ctx))
		}
		return r.finish(ctx, result, err)
	}
	return r.finish(ctx, result, promotionFailure(returned, err))
}

// readOnlyMeanwhile says what stays as it is although traffic goes back: tables that a maintenance made read-only. That it cannot be
// found out keeps nobody from an emergency rollback. What takes the app itself out of service refuses a rollback instead.
func readOnlyMeanwhile(on cloudflare.Maintenance, unknown error, environment string) []string {
	switch {
	case unknown != nil:
		return []string{"whether tables of " + environment + " are read-only could not be found out: " + unknown.Error()}
	case len(on.Tables) == 0:
		return nil
	}
	return []string{fmt.Sprintf("%s is in maintenance: %s cannot be written, before and after the rollback; `penstock maintenance off --env %s` ends that",
		environment, gates.Counted(len(on.Tables), "table"), environment)}
}

func (r *run) planRollback(ctx context.Context, target *cloudflare.Target, to string) (promotion.Rollback, error) {
	past, err := r.ledger.Past(ctx, r.pipeline.Name, r.environment.Name)
	if err != nil {
		return promotion.Rollback{}, err
	}
	planned, err := promotion.MakeRollback(ctx, target, past, r.pipeline.Name, *r.environment, to)
	if errors.Is(err, promotion.ErrNoSuchVersion) {
		return promotion.Rollback{}, fail(ExitUsage, "`penstock history --env "+r.environment.Name+"` lists runs with their versions", err)
	}
	return planned, err
}

// restorable refuses to put data back of which no earlier state is known: nothing that was applied since breaks the old code, or Time
// Travel has forgotten it.
func restorable(planned promotion.Rollback, choice promotion.DataChoice) error {
	if choice != promotion.DataRestored || planned.Bookmark != "" {
		return nil
	}
	if len(planned.Breaking) == 0 {
		return fail(ExitUsage, "leave --restore-data out: the old code can run on the data as it is; `penstock restore` puts data back by itself",
			errors.New("nothing was applied since that the old code cannot live with, so that no state of the data belongs to that version"))
	}
	return fail(ExitUsage, "see with --dry-run what there is instead, or go back with --code-only", errors.New("no bookmark of the data is known, so that it cannot be put back"))
}

// plannedRollback is what a rollback would do, for programs.
type plannedRollback struct {
	promotion.Rollback
	Environment string   `json:"environment"`
	CodeOnly    bool     `json:"codeOnly"` // safe without a choice
	Warnings    []string `json:"warnings,omitempty"`
}

// showRollback is the answer of --dry-run.
func (r *run) showRollback(planned promotion.Rollback, choice promotion.DataChoice, meanwhile []string) error {
	if r.shared.json {
		return printJSON(r.shared.streams.Out, plannedRollback{planned, r.environment.Name, len(planned.Breaking) == 0, meanwhile})
	}
	out := r.shared.streams.Out
	fmt.Fprintf(out, "from  version %s\nto    version %s, made %s\n", planned.From.ID, planned.To.ID, planned.To.CreatedAt.Local().Format("2006-01-02 15:04:05"))
	for _, migration := range planned.Since {
		why := migration.Breaks
		if why == "" {
			why = "only adds"
		}
		fmt.Fprintf(out, "since %s on %s: %s\n", migration.Name, migration.Database, why)
	}
	for _, warning := range meanwhile {
		fmt.Fprintf(out, "note  %s\n", warning)
	}
	refused := &promotion.DataError{Rollback: planned}
	switch {
	case len(planned.Breaking) == 0:
		fmt.Fprintln(out, "data  stays: the old code can run on it")
	case choice == promotion.DataKept:
		fmt.Fprintln(out, "data  stays, because you say so with --code-only")
	default:
		fmt.Fprintf(out, "data  %s\nnext: %s\n", planned.LossText(), refused.NextStep())
	}
	return nil
}

var errNobodyToAsk = errors.New("nobody to ask")

// askAboutData asks the person at the terminal; without one, or with any other answer than the words, nothing is decided.
func (s *Streams) askAboutData(planned promotion.Rollback) (promotion.DataChoice, error) {
	in, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errNobodyToAsk
	}
	fmt.Fprintf(s.Err, "%v\n\nType code-only to leave the data as it is", &promotion.DataError{Rollback: planned})
	if planned.Bookmark != "" {
		fmt.Fprint(s.Err, ", restore-data to put it back and lose what was written since")
	}
	fmt.Fprint(s.Err, "; anything else stops: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return "", errNobodyToAsk
	}
	switch answer := promotion.DataChoice(strings.TrimSpace(line)); {
	case answer == promotion.DataKept, answer == promotion.DataRestored && planned.Bookmark != "":
		return answer, nil
	default:
		return "", errNobodyToAsk
	}
}
