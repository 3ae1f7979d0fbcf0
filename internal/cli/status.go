package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
)

func newStatus(shared *common) *cobra.Command {
	var app, environment string
	command := &cobra.Command{
		Use:     "status",
		Short:   "Show what is live in each environment, and who is changing it",
		Example: "  penstock status\n  penstock status --env production --json",
		RunE: func(command *cobra.Command, _ []string) error {
			return shared.withShown(command.Context(), func(all []*record) error {
				states := []environmentStatus{}
				for _, record := range all {
					known, err := record.Environments(command.Context(), app)
					if err != nil {
						return err
					}
					for _, state := range known {
						if environment != "" && state.Name != environment {
							continue
						}
						status, err := statusOf(command.Context(), record.Ledger, state)
						if err != nil {
							return err
						}
						withLists(status.Unfinished)
						states = append(states, status)
					}
				}
				if shared.json {
					return printJSON(shared.streams.Out, states)
				}
				if len(states) == 0 && (app != "" || environment != "") {
					fmt.Fprintln(shared.streams.Out, "nothing has been done there yet, as far as this ledger knows; `penstock status` shows all that it knows of")
					return nil
				}
				showStatus(shared.streams, states)
				return nil
			})
		},
	}
	command.Flags().StringVar(&app, "app", "", "only this `app`")
	command.Flags().StringVarP(&environment, "env", "e", "", "only this `environment`")
	return command
}

// environmentStatus is an environment with what was done to it since its promotion, as far as it is on record.
type environmentStatus struct {
	ledger.EnvironmentState
	// Secret is the version that a secret which was put since made live in the promotion's place; "" when none did.
	Secret string `json:"secretVersion,omitempty"`
	// Maintenance is the run that took the environment out of service, or made its databases read-only, and was not ended since.
	Maintenance string `json:"maintenance,omitempty"`
}

// statusOf looks at what was done since the promotion, newest first.
func statusOf(ctx context.Context, record *ledger.Ledger, state ledger.EnvironmentState) (environmentStatus, error) {
	status := environmentStatus{EnvironmentState: state}
	runs, err := record.Runs(ctx, ledger.Filter{App: state.App, Environment: state.Name, Limit: maxOperations})
	if err != nil {
		return status, err
	}
	serviced := false // what is newest is known
	for _, run := range runs {
		if run.Result == nil || run.State != ExitDone.Outcome() {
			continue
		}
		switch run.Info.Command {
		case secretsCommand:
			if status.Secret == "" && run.Result.Previous != "" && run.Finished.After(state.Since) {
				status.Secret = run.Result.Version
			}
		case maintenanceCommand:
			if serviced {
				continue
			}
			whole, err := record.Run(ctx, run.ID)
			if err != nil {
				return status, err
			}
			if serviced = len(whole.Steps) > 0; serviced && whole.Steps[0].Name != stepResume {
				status.Maintenance = run.ID
			}
		}
	}
	return status, nil
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

func showStatus(streams *Streams, states []environmentStatus) {
	if len(states) == 0 {
		fmt.Fprintln(streams.Out, "nothing has been deployed yet; `penstock deploy --env local` is a beginning")
	}
	for _, state := range states {
		fmt.Fprintf(streams.Out, "%s → %s\n", state.App, state.Name)
		if state.Version == "" {
			fmt.Fprintln(streams.Out, "  live:    nothing that this ledger knows of")
		} else {
			fmt.Fprintf(streams.Out, "  live:    version %s since %s\n", state.Version, state.Since.Local().Format(time.DateTime))
			if state.Bundle != "" { // a rollback does not know it
				fmt.Fprintf(streams.Out, "  bundle:  %s\n", state.Bundle)
			}
			fmt.Fprintf(streams.Out, "  run:     %s\n", state.Run)
			if state.URL != "" {
				fmt.Fprintf(streams.Out, "  url:     %s\n", state.URL)
			}
		}
		if state.Secret != "" {
			fmt.Fprintf(streams.Out, "  secret:  put since, which made version %s live in its place, with the same code\n", state.Secret)
		}
		if state.Maintenance != "" {
			fmt.Fprintf(streams.Out, "  service: in maintenance by run %s; `penstock maintenance status --env %s` asks whether it still is\n", state.Maintenance, state.Name)
		}
		showWaiting(streams, state.EnvironmentState)
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
