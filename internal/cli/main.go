// Package cli is the command line: flags, options, output, exit codes. It is the one place that wires concrete types
// together; only cmd/penstock imports it.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/penstock-ci/penstock/pipelines"
)

// killTime is how long the second interrupt leaves to killing what still runs. Whoever outlives it meets the minder.
const killTime = 2 * time.Second

// errInterrupted is the cause of a run's end by Ctrl-C or a polite kill.
var errInterrupted error = interruption{}

// interruption is a cancellation that people are told in their words.
type interruption struct{}

func (interruption) Error() string { return "stopped by Ctrl-C or a signal" }
func (interruption) Unwrap() error { return context.Canceled }

// Main runs one command line and returns the process's exit code. The first interrupt stops cleanly: processes are
// stopped, traffic is put back, state is saved. The second stops now: what is left behind is recognised by the next run.
func Main(streams Streams) ExitCode {
	if done, code := background(streams); done {
		return code
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	streams.stopping, streams.killed = make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stoppingSignals()...)
	defer signal.Stop(signals)
	surviveClosedPipes()
	go func() {
		<-signals
		cancel(errInterrupted)
		close(streams.stopping)
		<-signals
		close(streams.killed)
		time.Sleep(killTime)
		os.Exit(int(ExitInterrupted))
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
	if errors.As(err, &told) {
		return code
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		code, nextStep = ExitInterrupted, ""
	}
	// A wrong flag ends the reading of flags, so a --json behind it was not seen.
	asJSON := root.PersistentFlags().Changed("json") || slices.Contains(streams.Args, "--json")
	complain(&streams, asJSON, code, err, nextStep)
	return code
}

// toldError carries an exit code for something that has been shown already.
type toldError struct{ code ExitCode }

func (e *toldError) Error() string { return e.code.Outcome() }

// alreadyTold keeps only the exit code of what went wrong, for what is in the one JSON value that was printed. That it could not be
// printed is told like everything else.
func alreadyTold(problem, printing error) error {
	if printing != nil {
		return errors.Join(printing, problem)
	}
	if problem == nil {
		return nil
	}
	code, _ := classify(problem)
	return &failure{code: code, err: &toldError{code: code}}
}

// complaint is what kept a command from its work, for programs.
type complaint struct {
	Outcome  string             `json:"outcome"`
	ExitCode ExitCode           `json:"exitCode"`
	Error    string             `json:"error"`
	Problems pipelines.Problems `json:"problems,omitempty"`
	NextStep string             `json:"nextStep,omitempty"`
}

// complain tells what kept a command from its work: what, then the next step; as JSON on the standard output for programs.
func complain(streams *Streams, asJSON bool, code ExitCode, err error, nextStep string) {
	if asJSON {
		var problems pipelines.Problems
		errors.As(err, &problems)
		encoder := json.NewEncoder(streams.Out) // one line: it may come after the lines of a run
		encoder.SetEscapeHTML(false)
		// A reader that went away has the exit code.
		_ = encoder.Encode(complaint{code.Outcome(), code, err.Error(), problems, nextStep})
		return
	}
	if code == ExitInterrupted {
		fmt.Fprintln(streams.Err, "penstock: stopped")
		return
	}
	fmt.Fprintf(streams.Err, "penstock: %v\n", err)
	if nextStep != "" {
		fmt.Fprintf(streams.Err, "next: %s\n", nextStep)
	}
}
