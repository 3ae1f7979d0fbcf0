package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience bounds one run of one contender. None takes a tenth of it; what does hangs.
const patience = 90 * time.Second

// sample is one run.
type sample struct {
	wall time.Duration
	peak int64 // bytes of the largest single process; 0 when this platform does not say
}

// command is a program to be run and timed from outside.
type command struct {
	argv    []string
	dir     string
	environ []string
	input   string        // path of a file for standard input; "" for none
	scratch string        // where its output goes while it is timed
	limit   time.Duration // on one run; patience when 0
	// check looks at standard output after the clock stopped: a contender that did nothing must not win.
	check func(stdout []byte) error
	// why finds in the output of a run that failed what stopped it; nil shows the end of all that it said.
	why func(stdout []byte) error
}

// run starts the command, waits for it and returns what it took. Output goes to files, so that nobody reads along while the
// clock runs. A cancelled command is interrupted, and killed when that does not help.
func (c command) run(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.limit, patience))
	defer cancel()
	stdout, err := os.CreateTemp(c.scratch, "out-")
	if err != nil {
		return sample{}, err
	}
	defer os.Remove(stdout.Name())
	defer stdout.Close()
	stderr, err := os.CreateTemp(c.scratch, "err-")
	if err != nil {
		return sample{}, err
	}
	defer os.Remove(stderr.Name())
	defer stderr.Close()

	process := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	process.Dir, process.Env, process.Stdout, process.Stderr = c.dir, c.environ, stdout, stderr
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.WaitDelay = 10 * time.Second
	if c.input != "" {
		input, err := os.Open(c.input)
		if err != nil {
			return sample{}, err
		}
		defer input.Close()
		process.Stdin = input
	}
	began := time.Now()
	err = process.Run()
	wall := time.Since(began)
	if err != nil {
		reason := said(stdout.Name(), stderr.Name())
		if text, readErr := os.ReadFile(stdout.Name()); c.why != nil && readErr == nil {
			if found := c.why(text); found != nil {
				reason = found
			}
		}
		return sample{}, errors.Join(fmt.Errorf("%s: %w", c, err), context.Cause(ctx), reason)
	}
	if c.check != nil {
		text, err := os.ReadFile(stdout.Name())
		if err != nil {
			return sample{}, err
		}
		if err := c.check(text); err != nil {
			return sample{}, errors.Join(fmt.Errorf("%s: %w", c, err), said(stderr.Name()))
		}
	}
	return sample{wall: wall, peak: peakOf(process.ProcessState)}, nil
}

// String is the command as one would type it.
func (c command) String() string {
	return strings.Join(append([]string{filepath.Base(c.argv[0])}, c.argv[1:]...), " ")
}

// said is the end of what a program wrote, as an error, so that a failed contender explains itself.
func said(paths ...string) error {
	const enough = 2000
	var all []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil && len(text) > 0 {
			all = append(all, strings.TrimSpace(string(text[max(0, len(text)-enough):])))
		}
	}
	if len(all) == 0 {
		return errors.New("it said nothing")
	}
	return errors.New(strings.Join(all, "\n"))
}
