package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/dagger"
	"github.com/penstock-ci/penstock/internal/executor/host"
)

// The executors by the name that --executor takes.
const (
	executorHost   = "host"
	executorDagger = "dagger"
)

func executorFlag(command *cobra.Command, into *string) {
	command.Flags().StringVar(into, "executor", executorHost, "`where` stages run: "+executorHost+" (processes on this machine) or "+executorDagger+" (containers)")
}

// openExecutor makes the executor that was asked for.
func (r *run) openExecutor(state string) (engine.Executor, error) {
	switch r.flags.executor {
	case executorHost:
		executor := host.New(host.Options{StateDir: state, Minder: []string{r.shared.streams.Executable, minderArgument}})
		r.on(r.shared.streams.killed, executor.Kill)
		return executor, nil
	case executorDagger:
		return dagger.New(dagger.Options{StateDir: state, Waiting: func(what string) {
			fmt.Fprintln(r.shared.streams.Err, "penstock: "+what+"; Ctrl-C stops")
		}}), nil
	default:
		return nil, fail(ExitUsage, "take --executor "+executorHost+" or --executor "+executorDagger, fmt.Errorf("there is no executor %q", r.flags.executor))
	}
}

// noSession gives an executor that cannot begin its exit code.
func noSession(executor string, err error) error {
	var bare *dagger.NoImageError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &bare):
		return fail(ExitUsage, "give each an image in penstock.yaml, or take --executor "+executorHost, err)
	case executor == executorDagger:
		return fail(ExitUnreachable, "see that a Dagger engine runs (`dagger core version`; docs/dagger.md), or take --executor "+executorHost, err)
	default:
		return err
	}
}
