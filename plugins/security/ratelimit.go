package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// ratelimitGate sends a burst of requests and asks whether the running version turns a visitor away who asks too often.
type ratelimitGate struct{}

type ratelimitConfig struct {
	Path    string  `json:"path"`
	Limit   int     `json:"limit"`
	Burst   int     `json:"burst"`
	Timeout float64 `json:"timeout"`
}

// maxBurst leaves room among [maxRequests] for asking whether the app is still there.
const maxBurst = maxRequests - 5

func (ratelimitGate) Describe() gates.Description {
	return gates.Description{
		Name:   "ratelimit",
		Title:  "who asks too often is turned away",
		Phases: []gates.Phase{gates.PhasePromote, gates.PhaseBake},
		Needs:  gates.Needs{Version: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"path": {"type": "string", "pattern": "^/", "default": "/", "description": "what is asked for; it should be cheap"},
				"limit": {"type": "integer", "minimum": 1, "description": "requests that one visitor may make in the app's window; without it nothing is sent"},
				"burst": {"type": "integer", "minimum": 2, "maximum": 295, "description": "requests that are sent at most; without it a tenth more than the limit, and at least 10 more"},
				` + timeoutSchema + `
			}
		}`,
	}
}

func (ratelimitGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := ratelimitConfig{Path: "/", Timeout: 10}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if config.Limit == 0 {
		return gates.Undecided("set limit: to the requests that one visitor may make in a window, and path: to something cheap",
			"no limit is configured, so no burst was sent"), nil
	}
	if config.Burst == 0 {
		config.Burst = config.Limit + max(config.Limit/10, 10)
	}
	if config.Burst <= config.Limit || config.Burst > maxBurst {
		return gates.Undecided(fmt.Sprintf("judge it where the limit is lower: a burst of more than %d requests is not sent at a running version", maxBurst),
			"a limit of %d is not reached by the %d requests that may be sent", config.Limit, min(config.Burst, maxBurst)), nil
	}
	asking, err := newProbe(request, config.Timeout)
	if err != nil {
		return noAnswer(ctx, err)
	}
	defer asking.close()

	burst := question{method: http.MethodGet, target: config.Path, headersOnly: true, limited: true}
	started := time.Now()
	for sent := 1; sent <= config.Burst; sent++ {
		got, err := asking.ask(ctx, burst)
		if err != nil {
			return noAnswer(ctx, err)
		}
		switch {
		case got.status == http.StatusTooManyRequests:
			return config.judge(ctx, asking, got, sent-1, time.Since(started))
		case got.status >= 500:
			return config.failed(sent, "answered", "mend what breaks under load, or name another path",
				fmt.Sprintf("%s broke at request %d of a burst: it was answered %d", burst, sent, got.status)), nil
		}
		if sent%50 == 0 {
			request.Progress("%d requests sent, none turned away", sent)
		}
	}
	return config.failed(config.Burst, "let through", "limit requests by visitor, and answer 429 with Retry-After beyond it",
		fmt.Sprintf("%s: %d requests in %s and none was turned away, limit %d", burst, config.Burst, gates.Span(time.Since(started)), config.Limit)), nil
}

// judge looks at the first answer that turned the burst away, and at how many there were before it.
func (c ratelimitConfig) judge(ctx context.Context, asking *probe, turnedAway answer, allowed int, took time.Duration) (*gates.Verdict, error) {
	wait, told := retryAfter(turnedAway.header)
	if !told {
		return c.failed(allowed, "let through", "say in Retry-After for how many seconds",
			fmt.Sprintf("%s was turned away (429) after %d requests, and without Retry-After", turnedAway.question, allowed)), nil
	}
	verdict := &gates.Verdict{
		Outcome: gates.Pass,
		Summary: fmt.Sprintf("turned away (429) after %d requests in %s, limit %d; Retry-After is %s", allowed, gates.Span(took), c.Limit, gates.Span(wait.Round(time.Second))),
		Measurements: []gates.Measurement{
			gates.Count("let through", allowed, gates.AtMost(c.Limit)),
			{Name: "Retry-After", Value: wait.Seconds(), Unit: "s"},
		},
	}
	if allowed > c.Limit {
		// Counters that are not exact, such as Cloudflare's own, and windows that begin in the middle of the burst.
		verdict.Outcome, verdict.NextStep = gates.Warn, "compare the limit in the app with the one that is configured here"
	}
	if asking.identity == nil {
		// Cloudflare alone says who asks, so nobody else can be played.
		verdict.Findings = []gates.Finding{{Level: gates.LevelNote, Rule: "ratelimit", Message: fmt.Sprintf(
			"requests from this machine are turned away for %s; the probes that follow wait that long", gates.Span(wait.Round(time.Second)))}}
		return verdict, nil
	}
	asking.identity = map[string]string{clientHeader: strangerAddress()}
	other, err := asking.ask(ctx, question{method: http.MethodGet, target: c.Path, headersOnly: true, limited: true})
	if err != nil {
		return noAnswer(ctx, err)
	}
	if other.status == http.StatusTooManyRequests || other.status >= 500 {
		return c.failed(allowed, "let through", "count by visitor (CF-Connecting-IP), so that one cannot shut out the others",
			fmt.Sprintf("after the burst another visitor's %s is answered %d", other.question, other.status)), nil
	}
	return verdict, nil
}

func (c ratelimitConfig) failed(n int, what, nextStep, problem string) *gates.Verdict {
	verdict := gates.Failed(nextStep, "%s", problem)
	verdict.Measurements = []gates.Measurement{gates.Count(what, n, gates.AtMost(c.Limit))}
	verdict.Findings = []gates.Finding{{Level: gates.LevelError, Rule: "ratelimit", Message: problem}}
	return verdict
}
