package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/report/terminal"
)

// historyEntry is one run as `history --json` prints it.
type historyEntry struct {
	ID          string        `json:"id"`
	App         string        `json:"app"`
	Environment string        `json:"environment"`
	Command     string        `json:"command,omitempty"` // deploy, plan, rollback, …; absent where an older penstock did not record it
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
			return shared.withShown(command.Context(), func(all []*record) error {
				runs, err := runsOf(command.Context(), all, filter)
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
		ID: run.ID, App: run.Info.App, Environment: run.Info.Environment, Command: commandOf(run.Info), State: run.State, Started: run.Started,
		Commit: run.Info.Commit, Source: run.Info.SourceDigest, Bundle: run.Bundle,
	}
	if run.Result != nil {
		entry.ExitCode, entry.Duration = &run.Result.ExitCode, run.Result.Duration
		entry.Version, entry.Reason = run.Result.Version, run.Result.Reason
	}
	return entry
}

// commandOf is the command that began a run.
func commandOf(info event.RunInfo) string {
	switch {
	case info.Command+info.Purpose != "":
		return info.Command + info.Purpose
	case len(info.Steps) > 0:
		return "deploy"
	default:
		return ""
	}
}

func showHistory(streams *Streams, entries []historyEntry) error {
	if len(entries) == 0 {
		fmt.Fprintln(streams.Out, "nothing has been run yet; `penstock deploy --env local` is a beginning")
		return nil
	}
	width, _, _ := terminalSize(streams.Out)
	return streams.tabulate(historyRows(entries, width))
}

// historyColumn is one column of the list. Where the terminal is too narrow for all of them, short is shown in cell's place, and
// those go that can.
type historyColumn struct {
	title string
	cell  func(historyEntry) string
	short func(historyEntry) string // nil for one that is not shortened
	goes  func([]historyEntry) bool // nil for one that stays
}

// historyColumns are those before the reason, in the order in which they stand.
var historyColumns = []historyColumn{
	// Its beginning is the time to the millisecond, and every command that takes a run takes that.
	{"RUN", func(e historyEntry) string { return e.ID }, func(e historyEntry) string { return e.ID[:min(10, len(e.ID))] }, nil},
	{"STARTED", func(e historyEntry) string { return e.Started.Local().Format(time.DateTime) }, func(e historyEntry) string { return e.Started.Local().Format("01-02 15:04") }, nil},
	{"APP", func(e historyEntry) string { return e.App }, nil, func(entries []historyEntry) bool {
		return !slices.ContainsFunc(entries, func(e historyEntry) bool { return e.App != entries[0].App })
	}},
	{"ENVIRONMENT", func(e historyEntry) string { return e.Environment }, nil, nil},
	{"COMMAND", func(e historyEntry) string { return e.Command }, nil, nil},
	{"STATE", func(e historyEntry) string { return e.State }, nil, nil},
	{"TOOK", func(e historyEntry) string {
		if e.Duration <= 0 {
			return ""
		}
		return gates.Span(e.Duration)
	}, nil, func([]historyEntry) bool { return true }},
	// As much as `rollback --to` and people need; --json has the whole.
	{"VERSION", func(e historyEntry) string { version, _, _ := strings.Cut(e.Version, "-"); return version }, nil, func([]historyEntry) bool { return true }},
}

// historyRows are the list's rows. For a terminal of width columns they are made shorter step by step until they fit; 0 is no terminal,
// where they are whole.
func historyRows(entries []historyEntry, width int) [][]string {
	columns := slices.Clone(historyColumns)
	wide := func() int {
		total := 0
		for _, column := range columns {
			most := utf8.RuneCountInString(column.title)
			for _, entry := range entries {
				most = max(most, utf8.RuneCountInString(column.cell(entry)))
			}
			total += most + len("  ")
		}
		return total
	}
	for i := range columns {
		if width > 0 && wide() > width && columns[i].short != nil {
			columns[i].cell = columns[i].short
		}
	}
	for i := 0; i < len(columns); {
		if width > 0 && wide() > width && columns[i].goes != nil && columns[i].goes(entries) {
			columns = slices.Delete(columns, i, i+1)
		} else {
			i++
		}
	}
	title := "WHY"
	if width > 0 && wide()+len(title) > width { // below its row it needs none
		title = ""
	}
	rows := [][]string{{}}
	for _, column := range columns {
		rows[0] = append(rows[0], column.title)
	}
	rows[0] = append(rows[0], title)
	for _, entry := range entries {
		var row []string
		for _, column := range columns {
			row = append(row, column.cell(entry))
		}
		rows = append(rows, append(row, entry.Reason))
	}
	return rows
}

// withLists makes empty lists of what is on record as none: the record keeps its form, and whoever reads JSON finds lists.
func withLists(promotions []promotion.Checkpoint) {
	for i := range promotions {
		promotions[i].Previous = append([]promotion.Share{}, promotions[i].Previous...)
	}
}

// showRun shows one run as it was told when it ended, with nothing folded.
func (c *common) showRun(ctx context.Context, id string) error {
	return c.withShown(ctx, func(all []*record) error {
		record, run, err := findAmong(ctx, all, id)
		if err != nil {
			return err
		}
		if c.json {
			run.Info.Stages, run.Info.Gates = append([]event.Stage{}, run.Info.Stages...), append([]event.Gate{}, run.Info.Gates...)
			withLists(run.Promotions)
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

// runsOf are the chosen runs of all records, newest first.
func runsOf(ctx context.Context, all []*record, filter ledger.Filter) ([]ledger.RunSummary, error) {
	var runs []ledger.RunSummary
	for _, one := range all {
		found, err := one.Runs(ctx, filter)
		if err != nil {
			return nil, err
		}
		runs = append(runs, found...)
	}
	if len(all) > 1 {
		slices.SortStableFunc(runs, func(a, b ledger.RunSummary) int { return b.Started.Compare(a.Started) })
	}
	if filter.Limit > 0 && len(runs) > filter.Limit {
		runs = runs[:filter.Limit]
	}
	return runs, nil
}
