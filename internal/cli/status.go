package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
)

func newStatus(shared *common) *cobra.Command {
	var app string
	command := &cobra.Command{
		Use:     "status",
		Short:   "Show what is live in each environment, and who is changing it",
		Example: "  penstock status --json",
		RunE: func(command *cobra.Command, _ []string) error {
			return shared.withLedger(command.Context(), func(record *ledger.Ledger) error {
				states := []ledger.EnvironmentState{}
				var err error
				if record != nil {
					states, err = record.Environments(command.Context(), app)
				}
				if err != nil {
					return err
				}
				if shared.json {
					return printJSON(shared.streams.Out, states)
				}
				showStatus(shared.streams, states)
				return nil
			})
		},
	}
	command.Flags().StringVar(&app, "app", "", "only this `app`")
	return command
}

// showWaiting tells what waits for the environment, and what may pass its gates.
func showWaiting(streams *Streams, state ledger.EnvironmentState) {
	now := time.Now()
	for _, held := range state.Waiting {
		standing := held.Standing(held.Plan)
		what := string(held.StateAt(now))
		if held.State == promotion.AwaitingApproval && what == string(held.State) {
			what = fmt.Sprintf("awaiting approval (%d of %d given)", len(standing.Given), standing.Needed)
		}
		fmt.Fprintf(streams.Out, "  waits:   run %s is %s; `penstock why %s` shows what is missing\n", held.Run, what, held.Run)
	}
	for _, waiver := range state.Waivers {
		fmt.Fprintf(streams.Out, "  waiver:  %s of bundle %s, %s\n", waiver.Gate, brief(waiver.Bundle), waiverLine(waiver))
	}
}

func showStatus(streams *Streams, states []ledger.EnvironmentState) {
	if len(states) == 0 {
		fmt.Fprintln(streams.Out, "nothing has been deployed yet; `penstock deploy --env local` is a beginning")
	}
	for _, state := range states {
		fmt.Fprintf(streams.Out, "%s → %s\n", state.App, state.Name)
		if state.Version == "" {
			fmt.Fprintln(streams.Out, "  live:    nothing that this ledger knows of")
		} else {
			fmt.Fprintf(streams.Out, "  live:    version %s since %s\n", state.Version, state.Since.Local().Format(time.DateTime))
			fmt.Fprintf(streams.Out, "  bundle:  %s\n  run:     %s\n", state.Bundle, state.Run)
			if state.URL != "" {
				fmt.Fprintf(streams.Out, "  url:     %s\n", state.URL)
			}
		}
		showWaiting(streams, state)
		if state.Holder != nil {
			fmt.Fprintf(streams.Out, "  at work: promotion %s by process %d since %s\n", state.Holder.Promotion, state.Holder.Process.PID,
				state.Holder.Since.Local().Format(time.DateTime))
			continue
		}
		for _, left := range state.Unfinished {
			fmt.Fprintf(streams.Out, "  died:    promotion %s while it was %s; the next deploy puts traffic in order first\n", left.Promotion, left.State)
		}
	}
}
