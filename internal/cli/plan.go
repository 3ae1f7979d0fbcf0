package cli

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

func newPlan(shared *common) *cobra.Command {
	flags := runFlags{purpose: "plan"}
	command := &cobra.Command{
		Use:     "plan",
		Short:   "Show exactly what a deployment would change",
		Example: "  penstock plan --env production",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, err := begin(ctx, shared, flags, false)
			if err != nil {
				return err
			}
			made, err := r.build(ctx)
			if err != nil {
				return r.finish(ctx, event.Result{}, err)
			}
			_, plan, err := r.plan(ctx, made)
			result := event.Result{}
			if err == nil && !plan.Diff.UpToDate {
				result.NextStep = "`penstock deploy --env " + flags.environment + "` makes it real"
			}
			if err := r.finish(ctx, result, err); err != nil {
				return err
			}
			if !shared.json { // the plan is among the JSON lines already
				showPlan(shared.streams, plan)
			}
			return nil
		},
	}
	flags.addTo(command, "to plan for")
	return command
}

func showPlan(streams *Streams, plan promotion.Plan) {
	told := plan.Event()
	fmt.Fprintf(streams.Out, "\nplan %s\n", told.Digest)
	if told.UpToDate {
		fmt.Fprintln(streams.Out, "  nothing to do: what is live is what this plan asks for")
		return
	}
	changes := slices.DeleteFunc(slices.Clone(told.Changes), func(change event.Change) bool { return change.Action == "keep" })
	_ = streams.tabulate(changeRows(changes)) // to a person's terminal; a closed pipe has nobody to tell
}

func changeRows(changes []event.Change) [][]string {
	rows := make([][]string, len(changes))
	for i, change := range changes {
		rows[i] = []string{"  " + change.Action, change.Kind, change.Name, fromTo(change)}
	}
	return rows
}

func fromTo(change event.Change) string {
	switch {
	case change.From != "" && change.To != "":
		return brief(change.From) + " → " + brief(change.To)
	case change.To != "":
		return "→ " + brief(change.To)
	default:
		return brief(change.From)
	}
}

// digests are cut for people; --json has them whole.
var digests = regexp.MustCompile(`(sha256:[0-9a-f]{12})[0-9a-f]{52}`)

func brief(text string) string { return digests.ReplaceAllString(text, "$1") }
