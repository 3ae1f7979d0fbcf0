// Package cli is the command line: flags, options, output, exit codes. It is the one place that wires concrete types
// together; only cmd/penstock imports it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// killTime is how long the second interrupt leaves to killing what still runs. Whoever outlives it meets the minder.
const killTime = 2 * time.Second

// errInterrupted is the cause of a run's end by Ctrl-C or a polite kill.
var errInterrupted = fmt.Errorf("interrupted: %w", context.Canceled)

// Main runs one command line and returns the process's exit code. The first interrupt stops cleanly: processes are
// stopped, traffic is put back, state is saved. The second stops now: what is left behind is recognised by the next run.
func Main(streams Streams) ExitCode {
	if done, code := background(streams); done {
		return code
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	streams.killed = make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		cancel(errInterrupted)
		fmt.Fprintln(streams.Err, "\nstopping: processes are ended and traffic is put back where it was; once more stops now")
		if _, ok := <-signals; ok {
			close(streams.killed)
			time.Sleep(killTime)
			os.Exit(int(ExitInterrupted))
		}
	}()
	return Run(ctx, streams)
}

// Run runs one command line under ctx.
func Run(ctx context.Context, streams Streams) ExitCode {
	root := newRoot(&streams)
	root.SetArgs(streams.Args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	code, nextStep := classify(err)
	var told *toldError
	if !errors.As(err, &told) {
		explain(&streams, err, nextStep)
	}
	return code
}

// toldError carries an exit code for something that has been shown already.
type toldError struct{ code ExitCode }

func (e *toldError) Error() string { return e.code.Outcome() }

// explain writes an error for people: what, then the next step.
func explain(streams *Streams, err error, nextStep string) {
	if code, _ := classify(err); code == ExitInterrupted {
		fmt.Fprintln(streams.Err, "penstock: stopped")
		return
	}
	fmt.Fprintf(streams.Err, "penstock: %v\n", err)
	if nextStep != "" {
		fmt.Fprintf(streams.Err, "next: %s\n", nextStep)
	}
}
