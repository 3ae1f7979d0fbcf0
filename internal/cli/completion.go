package cli

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/ledger"
)

// completedRuns is how many of the newest runs a shell offers.
const completedRuns = 20

// completeWords lets the shell complete environments and runs. A shell shows no errors while somebody types: where nothing can be
// found out, nothing is offered.
func (c *common) completeWords(root *cobra.Command) {
	for _, command := range append(root.Commands(), root) {
		if command.HasSubCommands() && command != root {
			c.completeWords(command)
		}
		if command.Flags().Lookup("env") != nil {
			_ = command.RegisterFlagCompletionFunc("env", c.completeEnvironments) // fails only where there is no such flag
		}
		if _, takes, _ := strings.Cut(command.Use, " "); strings.HasPrefix(strings.Trim(takes, "[]"), "RUN") && command.Parent() == command.Root() {
			command.ValidArgsFunction = c.completeRuns
		}
	}
}

func (c *common) completeEnvironments(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	folder, err := filepath.Abs(c.folder)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	fitted, _, err := appfacts.Fit(folder)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, environment := range fitted.Environments {
		names = append(names, cobra.CompletionWithDesc(environment.Name, "target "+environment.Target))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (c *common) completeRuns(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	ctx := command.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	_ = c.withCopies(ctx, func(all []*ledger.Ledger) error {
		for _, record := range all {
			runs, err := record.Runs(ctx, ledger.Filter{Limit: completedRuns})
			if err != nil {
				return err
			}
			for _, run := range runs {
				found = append(found, cobra.CompletionWithDesc(run.ID, run.Info.App+" → "+run.Info.Environment+", "+run.State))
			}
		}
		return nil
	})
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
