package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/report/terminal"
)

// historyEntry is one run as `history --json` prints it.
type historyEntry struct {
	ID          string        `json:"id"`
	App         string        `json:"app"`
	Environment string        `json:"environment"`
	Command     string        `json:"command,omitempty"` // rollback, …; absent for a run of the pipeline
	State       string        `json:"state"`
	ExitCode    *int          `json:"exitCode,omitempty"` // absent while it runs and when it was interrupted
	Started     time.Time     `json:"started"`
	Duration    time.Duration `json:"duration,omitempty"` // nanoseconds
	Commit      string        `json:"commit,omitempty"`
	Source      string        `json:"source"`
	Bundle      string        `json:"bundle,omitempty"`
	Version     string        `json:"version,omitempty"`
	Reason      string        `json:"reason,omitempty"`
}

func newHistory(shared *common) *cobra.Command {
	var filter ledger.Filter
	command := &cobra.Command{
		Use:   "history [RUN]",
		Short: "List runs, newest first, or show one run in full",
		Long: "Lists the runs on record, newest first. With RUN, or as many of its first letters as only one run has, it shows that run:\n" +
			"every stage, what each gate said and measured, and every step of the promotion.",
		Example: "  penstock history --limit 5\n  penstock history 01JD2QK7\n  penstock history --app atomic-guide --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				return shared.showRun(command.Context(), args[0])
			}
			if filter.Limit < 0 {
				return fail(ExitUsage, "for example --limit 5; 0 lists all", fmt.Errorf("there are no %d runs", filter.Limit))
			}
			return shared.withLedger(command.Context(), func(record *ledger.Ledger) error {
				var runs []ledger.RunSummary
				var err error
				if record != nil {
					runs, err = record.Runs(command.Context(), filter)
				}
				if err != nil {
					return err
				}
				entries := make([]historyEntry, 0, len(runs))
				for _, run := range runs {
					entries = append(entries, entryOf(run))
				}
				if shared.json {
					return printJSON(shared.streams.Out, entries)
				}
				if len(entries) == 0 && (filter.App != "" || filter.Environment != "") {
					fmt.Fprintln(shared.streams.Out, "no such run is on record; `penstock history` lists all that are")
					return nil
				}
				return showHistory(shared.streams, entries)
			})
		},
	}
	command.Flags().StringVar(&filter.App, "app", "", "only runs of this `app`")
	command.Flags().StringVarP(&filter.Environment, "env", "e", "", "only runs to this `environment`")
	command.Flags().IntVar(&filter.Limit, "limit", 20, "the `number` of runs; all when 0")
	return command
}

func entryOf(run ledger.RunSummary) historyEntry {
	entry := historyEntry{
		ID: run.ID, App: run.Info.App, Environment: run.Info.Environment, Command: run.Info.Command, State: run.State, Started: run.Started,
		Commit: run.Info.Commit, Source: run.Info.SourceDigest, Bundle: run.Bundle,
	}
	if run.Result != nil {
		entry.ExitCode, entry.Duration = &run.Result.ExitCode, run.Result.Duration
		entry.Version, entry.Reason = run.Result.Version, run.Result.Reason
	}
	return entry
}

func showHistory(streams *Streams, entries []historyEntry) error {
	if len(entries) == 0 {
		fmt.Fprintln(streams.Out, "nothing has been run yet; `penstock deploy --env local` is a beginning")
		return nil
	}
	rows := [][]string{{"RUN", "STARTED", "APP", "ENVIRONMENT", "STATE", "TOOK", "VERSION", "WHY"}}
	for _, entry := range entries {
		took := ""
		if entry.Duration > 0 {
			took = gates.Span(entry.Duration)
		}
		// As much as `rollback --to` and people need; --json has the whole.
		version, _, _ := strings.Cut(entry.Version, "-")
		state := entry.State
		if entry.Command != "" {
			state = entry.Command + ": " + state
		}
		rows = append(rows, []string{entry.ID, entry.Started.Local().Format(time.DateTime), entry.App, entry.Environment, state, took, version, entry.Reason})
	}
	return streams.tabulate(rows)
}

// showRun shows one run as it was told when it ended, with nothing folded.
func (c *common) showRun(ctx context.Context, id string) error {
	return c.withLedger(ctx, func(record *ledger.Ledger) error {
		if record == nil {
			return fail(ExitUsage, "`penstock deploy --env local` is a beginning", errors.New("nothing has been run yet"))
		}
		run, err := findRun(ctx, record, id)
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(c.streams.Out, run)
		}
		told, err := record.Told(ctx, run.ID)
		if err != nil {
			return err
		}
		// One that waited and went on was told again from its beginning.
		for i := len(told) - 1; i > 0; i-- {
			if told[i].Type == event.RunStarted {
				told = told[i:]
				break
			}
		}
		if run.Result == nil { // how it stands, for an end
			told = append(told, event.Event{Type: event.RunFinished, Result: &event.Result{
				Outcome: run.State, ExitCode: int(ExitWaiting), Duration: time.Since(run.Started), NextStep: "`penstock why " + run.ID + "` shows what is in its way",
			}})
		}
		look := terminal.Look{All: true}
		_, _, screen := terminalSize(c.streams.Out)
		if look.Colour = c.streams.colour(screen); screen {
			look.Size = sizeOf(c.streams.Out)
		}
		terminal.Show(c.streams.Out, look, told)
		return nil
	})
}

// withLedger opens the ledger for one command that only reads: where there is none, use gets nil, and none is made.
func (c *common) withLedger(ctx context.Context, use func(*ledger.Ledger) error) error {
	state, err := c.streams.stateDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(state, ledgerFile)); errors.Is(err, fs.ErrNotExist) {
		return use(nil)
	}
	record, err := openLedger(ctx, state)
	if err != nil {
		return err
	}
	return errors.Join(use(record), record.Close())
}
