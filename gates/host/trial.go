package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
	"github.com/penstock-ci/penstock/internal/redact"
)

// Trial is what came of a question that was put in order to try a set.
type Trial struct {
	Verdict gates.Verdict // as it would be recorded; only when Err is nil
	Err     error         // why the answer does not count: ErrMisbehaved, ErrIncompatible, …
	Output  string        // what the set printed last, when Err is not nil
	Leaked  []string      // names of the passed secrets whose values came back, before the host removed them
	Took    time.Duration
}

// Try asks a gate as [Host.Evaluate] does and tells what a verdict cannot: why an answer does not count, as an error, and
// which secrets the set let out, which the host removes from everything that is shown.
func (h *Host) Try(ctx context.Context, gate string, request gates.Request) Trial {
	began := time.Now()
	var said strings.Builder
	var asked *process
	raw, err := h.question(ctx, gate, request, func(text string) { said.WriteString(text + "\n") }, func(running *process) bool {
		asked = running
		// What it printed is all there only once it has ended.
		return len(request.Secrets) > 0
	})
	trial := Trial{Err: err, Took: time.Since(began)}
	if err == nil {
		text, _ := json.Marshal(raw) // a number that is none cannot be written, and is refused below
		said.Write(text)
		trial.Verdict, trial.Err = sane(raw, h.redactor(request.Secrets))
	}
	if asked != nil {
		if len(request.Secrets) > 0 {
			asked.runner.awaitPrinted()
		}
		said.WriteString(asked.output.String())
	}
	trial.Output = outputOf(trial.Err, h.redactor(request.Secrets))
	for name, value := range request.Secrets {
		if shown := strip(said.String(), true); redact.New(map[string]string{name: value}).String(shown) != shown {
			trial.Leaked = append(trial.Leaked, name)
		}
	}
	slices.Sort(trial.Leaked)
	return trial
}

// outputOf is what a set printed before an error that it caused.
func outputOf(err error, redact func(string) string) string {
	var fault *blamed
	if !errors.As(err, &fault) || strings.TrimSpace(fault.output) == "" {
		return ""
	}
	return lastLines(redact(fault.output))
}

// OutputOf is what a set printed last before an error of [Host.DescribeSet] that it caused; "" for other errors.
func (h *Host) OutputOf(err error) string { return outputOf(err, h.redactor(nil)) }

// Withdrawal is what came of a question that was taken back.
type Withdrawal struct {
	Answered bool // before it was taken back, so that there is nothing to see
	LetGo    bool // the set says that it no longer works on it
}

// Withdraw puts a question, takes it back after a moment, and looks whether the set stops working on it within patience.
// The set itself says so, so this finds a mistake and no lie; the host does not rest on it, and kills what it gives up.
func (h *Host) Withdraw(ctx context.Context, gate string, request gates.Request, after, patience time.Duration) (Withdrawal, error) {
	ctx, cancel := context.WithTimeout(ctx, h.limits.Evaluate)
	defer cancel()
	running, request, done, err := h.prepare(ctx, gate, request)
	if err != nil {
		return Withdrawal{}, err
	}
	defer done(true)
	question, takeBack := context.WithCancel(ctx)
	defer takeBack()
	defer time.AfterFunc(after, takeBack).Stop()
	if _, err := running.ask(question, request, h.limits.Stop, func(string) {}); question.Err() == nil {
		return Withdrawal{Answered: true}, err
	}
	for deadline := time.Now().Add(patience); ; {
		described, err := running.gates.Describe(ctx, &wire.DescribeRequest{HostVersion: gates.SDKVersion})
		switch {
		case err != nil:
			return Withdrawal{}, running.blame(fmt.Errorf("ask it what it is doing: %w", running.lost(ctx, err)))
		case described.GetEvaluating() == 0:
			return Withdrawal{LetGo: true}, nil
		case time.Now().After(deadline):
			return Withdrawal{}, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ByHand is what a set does that a person starts as if it were a command.
type ByHand struct {
	ExitCode       int // -1 when it had to be killed
	Stdout, Stderr string
}

// StartByHand starts a set, confined like any, without telling it that there is a host.
func (h *Host) StartByHand(ctx context.Context, name string) (ByHand, error) {
	set, err := h.find(name)
	if err != nil {
		return ByHand{}, err
	}
	if err := set.lock(ctx); err != nil {
		return ByHand{}, err
	}
	defer set.unlock()
	if err := set.verified(); err != nil {
		return ByHand{}, err
	}
	scratch, err := h.scratch()
	if err != nil {
		return ByHand{}, err
	}
	folder, err := makeFolder(scratch, name)
	if err != nil {
		return ByHand{}, err
	}
	running := newRunner(set.image, folder, grant{}, h.limits, newOutput(h.limits.Output))
	if err := running.Start(ctx); err != nil {
		return ByHand{}, errors.Join(fmt.Errorf("start the gate set %s by hand: %w", name, err), folder.remove())
	}
	defer time.AfterFunc(h.limits.Start, running.killTree).Stop()
	defer context.AfterFunc(ctx, running.killTree)()
	stdout, stderr := newOutput(h.limits.Output), newOutput(h.limits.Output)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(stdout, running.stdout) // it ends when the process does, however it ends
	}()
	_, _ = io.Copy(stderr, running.stderr)
	<-read
	<-running.exited
	result := ByHand{ExitCode: running.exitCode, Stdout: stdout.String(), Stderr: stderr.String()}
	return result, errors.Join(running.stdout.Close(), running.stderr.Close(), folder.remove(), ctx.Err())
}

// Trusting returns a reference to a binary with the pin of the bytes that it has now: for trying and for locking it, when
// a person has said which file is meant. The set's name is what follows [BinaryPrefix] in the file's name.
func Trusting(path string) (PluginRef, error) {
	name, err := setName(path)
	if err != nil {
		return PluginRef{}, err
	}
	digest, err := hashFile(path)
	if err != nil {
		return PluginRef{}, err
	}
	interpreter, err := pinInterpreter(path)
	if err != nil {
		return PluginRef{}, err
	}
	return PluginRef{Set: name, Path: path, Pin: Pin{Set: name, SHA256: digest, Interpreter: interpreter}}, nil
}

func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the gate set: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("read the gate set: %s is not a file", path)
	}
	return digestOf(file)
}
