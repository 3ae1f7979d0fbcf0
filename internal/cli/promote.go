package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/promotion"
)

func newPromote(shared *common) *cobra.Command {
	var environment, as, sign, executor string
	var hub hubFlags
	command := &cobra.Command{
		Use:   "promote RUN",
		Short: "Go on with a run that waited, or take it to a further environment",
		Long: "Goes on with a run that waits, once everybody approved and every gate is clear: with the source and the bundle of that\n" +
			"run, whatever became of the folder since. The plan is made again. When it is not the one that was approved, the approval\n" +
			"is void, and it says what changed. A run that a gate blocked can be gone on with once the gate is waived.\n\n" +
			"With --env NEXT the source of a run that was promoted goes to another environment; its code must come out the same.",
		Example: "  penstock promote 01JD2QK7\n  penstock promote 01JD2QK7 --env production",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx := command.Context()
			from, err := shared.resume(ctx, args[0], environment)
			if err != nil {
				return err
			}
			flags := runFlags{environment: from.run.Info.Environment, as: as, sign: sign, executor: executor, hub: hub, command: from.run.Info.Command}
			if from.elsewhere {
				flags.environment = environment
			}
			if seed := from.run.Info.Seed; seed != nil {
				flags.seed = &promotion.Seed{File: seed.File, Again: seed.Again, BesideData: seed.BesideData}
			}
			r, err := beginFrom(ctx, shared, flags, true, from)
			if err != nil {
				return errors.Join(err, os.RemoveAll(from.source.Root))
			}
			result, err := r.deploy(ctx)
			return r.finish(ctx, result, err)
		},
	}
	hub.addTo(command)
	command.Flags().StringVarP(&environment, "env", "e", "", "a further `environment`; the run's own when it is left out")
	command.Flags().StringVar(&as, "as", "", "who takes it to a further environment, by the `name` that approvers go by")
	command.Flags().StringVar(&sign, "sign", "", "prove who takes it there: "+signUsage)
	executorFlag(command, &executor)
	return command
}
