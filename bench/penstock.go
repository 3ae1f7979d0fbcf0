package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// expectation is what a run of penstock must have done to count.
type expectation struct {
	stages int // that passed and were not taken from the cache
	cached int // that were
	gates  int // that passed
}

// check is a contender's run of `penstock check` on an app's folder.
func (b *bench) check(folder, state string, want expectation, flags ...string) func(context.Context) (sample, error) {
	command := b.checking(folder, state, flags...)
	command.check = want.met
	return command.run
}

func (b *bench) checking(folder, state string, flags ...string) command {
	return command{
		argv: append([]string{b.penstock, "check", "-C", folder, "--json", "--parallelism", strconv.Itoa(b.jobs)}, flags...),
		dir:  b.scratch, environ: b.environ(state), scratch: b.scratch,
		why: whatStopped,
	}
}

// whatStopped is the reason that a run told at its end, nil when it told none.
func whatStopped(lines []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(lines))
	for decoder.More() {
		var event struct {
			Type   string `json:"type"`
			Result struct {
				Outcome string `json:"outcome"`
				Reason  string `json:"reason"`
			} `json:"result"`
		}
		if err := decoder.Decode(&event); err != nil {
			return nil
		}
		if event.Type == "run.finished" && event.Result.Reason != "" {
			return fmt.Errorf("the run ended as %s: %s", event.Result.Outcome, event.Result.Reason)
		}
	}
	return nil
}

// met compares with the events that a run printed.
func (want expectation) met(lines []byte) error {
	told, err := readStory(lines)
	if err != nil {
		return err
	}
	if got := told.counts(); got != want {
		return fmt.Errorf("a run was to have %d stages run, %d cached and %d gates passed, and had %d, %d and %d",
			want.stages, want.cached, want.gates, got.stages, got.cached, got.gates)
	}
	return nil
}

// story is what a run that ended well told: names of stages that passed, and of gates.
type story struct {
	ran, cached []string
	gates       []string // that were asked
	passed      int      // of the gates
}

func (s story) counts() expectation {
	return expectation{stages: len(s.ran), cached: len(s.cached), gates: s.passed}
}

// readStory reads the JSON lines of a run.
func readStory(lines []byte) (story, error) {
	var told story
	done := false
	decoder := json.NewDecoder(bytes.NewReader(lines))
	for decoder.More() {
		var event struct {
			Type  string `json:"type"`
			Stage struct {
				Name    string `json:"name"`
				Outcome string `json:"outcome"`
				Cached  bool   `json:"cached"`
			} `json:"stage"`
			Gate struct {
				Name    string `json:"name"`
				Verdict struct {
					Outcome string `json:"outcome"`
				} `json:"verdict"`
			} `json:"gate"`
			Result struct {
				Outcome string `json:"outcome"`
			} `json:"result"`
		}
		if err := decoder.Decode(&event); err != nil {
			return told, fmt.Errorf("read what penstock printed: %w", err)
		}
		switch {
		case event.Type == "stage.finished" && event.Stage.Outcome == "passed" && event.Stage.Cached:
			told.cached = append(told.cached, event.Stage.Name)
		case event.Type == "stage.finished" && event.Stage.Outcome == "passed":
			told.ran = append(told.ran, event.Stage.Name)
		case event.Type == "gate.finished":
			told.gates = append(told.gates, event.Gate.Name)
			if event.Gate.Verdict.Outcome == "pass" {
				told.passed++
			}
		case event.Type == "run.finished" && event.Result.Outcome == "done":
			done = true
		}
	}
	if !done {
		return told, errors.New("the run did not end as done")
	}
	return told, nil
}
