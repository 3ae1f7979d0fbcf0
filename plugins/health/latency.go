package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// latencyGate measures how long answers take, one question after the other.
type latencyGate struct{}

type latencyConfig struct {
	Path     string          `json:"path"`
	N        int             `json:"n"`
	Limit    float64         `json:"limit"`
	Baseline *latencyEarlier `json:"baseline"`
}

// latencyEarlier is what an earlier version took, measured in the same way.
type latencyEarlier struct {
	P95         float64  `json:"p95"`
	MaxIncrease *float64 `json:"maxIncrease"`
}

// warmUp is how many questions are asked before those that count: they pay for the connection, for the new isolate and for
// what the app sets up at its first request.
const warmUp = 5

// defaultIncrease is in %. Two measurements of one version from one place differ by less.
const defaultIncrease = 25

func (latencyGate) Describe() gates.Description {
	return gates.Description{
		Name:   "latency",
		Title:  "the version answers fast enough",
		Phases: []gates.Phase{gates.PhasePromote},
		Needs:  gates.Needs{Version: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"path": {"type": "string", "pattern": "^/", "default": "/", "description": "what to ask for"},
				"n": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 100, "description": "how many answers count; 59 at least say anything of the 95th percentile"},
				"limit": {"type": "number", "exclusiveMinimum": 0, "default": 500, "description": "ms within which 95 of 100 answers must be there"},
				"baseline": {
					"type": "object", "additionalProperties": false, "required": ["p95"],
					"properties": {
						"p95": {"type": "number", "exclusiveMinimum": 0, "description": "ms that an earlier version took, measured from the same place"},
						"maxIncrease": {"type": "number", "minimum": 0, "default": 25, "description": "% that the new one may take longer"}
					}
				}
			}
		}`,
	}
}

func (latencyGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := latencyConfig{Path: "/", N: 100, Limit: 500}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	client, closeIdle := newClient()
	defer closeIdle()
	times := make([]float64, 0, config.N)
	for i := range warmUp + config.N {
		if i%25 == 0 {
			request.Progress("asked %s %d times of %d", config.Path, i, warmUp+config.N)
		}
		said, err := ask(ctx, client, request.Run.URL+config.Path)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return noAnswer(config.Path, err), nil
		case said.status == http.StatusTooManyRequests:
			return tooMany(config.Path), nil
		case said.status >= 500:
			return gates.Failed("see the Worker's log", "answer %d to GET %s was %d: how fast that came says nothing", i+1, config.Path, said.status), nil
		case !said.ok():
			return gates.Undecided("set the gate's path to one that answers 200", "GET %s answered %d: how fast that came says nothing", config.Path, said.status), nil
		}
		if i >= warmUp {
			times = append(times, float64(said.took)/float64(time.Millisecond))
		}
	}
	slices.Sort(times)
	return config.judge(times), nil
}

// judge compares the 95th percentile with what it may be. A percentile of few answers is a guess, so what counts is the
// range in which the true one lies: only a range that is wholly on one side of the limit is an answer.
func (c latencyConfig) judge(times []float64) *gates.Verdict {
	limit, against := c.Limit, "the limit"
	var baseline *float64
	if c.Baseline != nil {
		baseline = &c.Baseline.P95
		increase := float64(defaultIncrease)
		if c.Baseline.MaxIncrease != nil {
			increase = *c.Baseline.MaxIncrease
		}
		if allowed := c.Baseline.P95 * (1 + increase/100); allowed < limit {
			limit, against = allowed, fmt.Sprintf("the baseline of %g ms and %g %%", c.Baseline.P95, increase)
		}
	}
	low, high, known := percentileRange(times, 0.95)
	median, tail := percentile(times, 0.5), percentile(times, 0.95)
	verdict := &gates.Verdict{Outcome: gates.Pass, Measurements: []gates.Measurement{
		{Name: "p50", Value: tenth(median), Unit: "ms", Better: "lower"},
		{Name: "p95", Value: tenth(tail), Unit: "ms", Limit: &limit, Baseline: baseline, Better: "lower"},
		{Name: "answers", Value: float64(len(times)), Unit: "count"},
	}}
	verdict.Summary = fmt.Sprintf("p95 of %d answers is %.1f ms (with 95 %% confidence over %.1f and under %.1f), p50 %.1f ms; %s: %.4g ms",
		len(times), tail, low, high, median, against, limit)
	switch {
	case low > limit:
		// That it is too slow needs fewer answers to be sure of than that it is fast enough.
		verdict.Outcome, verdict.NextStep = gates.Fail, "see what the new version does that the old one did not; raise the limit when that is wanted"
		verdict.Findings = []gates.Finding{{Level: gates.LevelError, Rule: "too slow", Message: fmt.Sprintf("GET %s: at least %.1f ms for 5 of 100 answers", c.Path, low)}}
	case !known:
		verdict.Outcome, verdict.NextStep = gates.Inconclusive, fmt.Sprintf("set the gate's n to at least %d", fewest())
		verdict.Summary = fmt.Sprintf("%d answers are too few to know the 95th percentile; the slowest took %.1f ms", len(times), times[len(times)-1])
	case high > limit:
		verdict.Outcome, verdict.NextStep = gates.Inconclusive, "raise the gate's n, so that it is known on which side of the limit it is"
	}
	return verdict
}
