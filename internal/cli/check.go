package cli

import (
	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/event"
)

func newCheck(shared *common) *cobra.Command {
	flags := runFlags{purpose: "check"}
	command := &cobra.Command{
		Use:     "check",
		Short:   "Run the stages and the build gates, and deploy nothing",
		Example: "  penstock check\n  penstock check --explain-cache",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			flags.alone = true
			r, err := begin(ctx, shared, flags, false)
			if err != nil {
				return err
			}
			result := event.Result{}
			if _, err = r.build(ctx); err == nil {
				result.NextStep = "`penstock deploy --env " + flags.environment + "` takes it there"
			}
			return r.finish(ctx, result, err)
		},
	}
	flags.addTo(command, "whose bundle is built")
	return command
}
