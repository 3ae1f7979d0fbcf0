package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

func newTail(shared *common) *cobra.Command {
	var environment string
	var filter cloudflare.TailFilter
	command := &cobra.Command{
		Use:   "tail",
		Short: "Follow what the running Worker does, live",
		Long: "Tells of each invocation with its version, outcome, status and log lines until Ctrl-C. Filters add up. It is not kept:\n" +
			"Workers Logs and Logpush are for that. What a Worker logs is its own; Penstock only takes out secrets that it knows.",
		Example: "  penstock tail --env production --status 5xx\n  penstock tail --env production --version 1a2b3c4d-… --search timeout --json",
		RunE: func(command *cobra.Command, _ []string) error {
			if err := filter.CheckStatuses(); err != nil {
				return fail(ExitUsage, "for example --status 404,5xx", err)
			}
			if filter.Sampling < 0 || filter.Sampling > 1 {
				return fail(ExitUsage, "for example --sampling 0.1", fmt.Errorf("%v is no share of the requests", filter.Sampling))
			}
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			if !shared.json {
				fmt.Fprintf(shared.streams.Err, "listening to %s; Ctrl-C stops\n", target.Worker.Name)
			}
			err = target.Tail(ctx, filter, func(event cloudflare.TailEvent) { r.showTail(event) })
			if ended := r.end(ctx); err == nil {
				err = ended
			}
			return operationFailure(err)
		},
	}
	environmentFlag(command, &environment, "to follow")
	command.Flags().StringVar(&filter.Version, "version", "", "only this `version`, by its whole id")
	command.Flags().StringSliceVar(&filter.Statuses, "status", nil, "only answers of these `statuses`: 404, 5xx")
	command.Flags().StringSliceVar(&filter.Outcomes, "outcome", nil, "only these `outcomes`: ok, exception, exceededCpu, exceededMemory, canceled")
	command.Flags().StringSliceVar(&filter.Methods, "method", nil, "only these HTTP `methods`")
	command.Flags().StringVar(&filter.Search, "search", "", "only with this `text` in a log line")
	command.Flags().Float64Var(&filter.Sampling, "sampling", 0, "only this `share` of the requests, above 0 to 1")
	return command
}

// showTail prints one invocation: as a JSON line, or for people. A reader that went away ends nothing: Ctrl-C does.
func (r *run) showTail(event cloudflare.TailEvent) {
	out := r.shared.streams.Out
	if r.shared.json {
		if line, err := json.Marshal(event); err == nil {
			fmt.Fprintln(out, r.hide(string(line)))
		}
		return
	}
	version, _, _ := strings.Cut(event.Version, "-")
	status := ""
	if event.Status > 0 {
		status = fmt.Sprintf(" → %d", event.Status)
	}
	fmt.Fprintln(out, r.hide(fmt.Sprintf("%s  %s%s  %s  %s", event.Time.Local().Format(time.TimeOnly), oneLine(event.What), status, event.Outcome, version)))
	for _, line := range event.Logs {
		fmt.Fprintln(out, r.hide(fmt.Sprintf("          %s: %s", oneLine(line.Level), oneLine(line.Text))))
	}
	for _, exception := range event.Exceptions {
		fmt.Fprintln(out, r.hide("          exception: "+oneLine(exception)))
	}
}

// oneLine keeps what a Worker logs from playing tricks with the terminal.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || (c >= 0x7f && c <= 0x9f) {
			return ' '
		}
		return c
	}, text)
}
