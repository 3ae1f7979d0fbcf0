package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// endpointGate asks the app's health page whether every dependency works.
type endpointGate struct {
	maxAge time.Duration // how old a page may be and still speak of this version
}

// maxPageAge leaves room for clocks that differ; a page that is older was kept by a cache.
const maxPageAge = 5 * time.Minute

type endpointConfig struct {
	Path        string   `json:"path"`
	Status      string   `json:"status"`
	CheckStatus string   `json:"checkStatus"`
	Checks      []string `json:"checks"`
	MaxLatency  *float64 `json:"maxLatency"`
}

const howToAnswer = `let it answer JSON as in docs/gates/health-endpoint.md: {"status", "timestamp", "version", "checks": {"database": {"status", "latency"}}}`

func (endpointGate) Describe() gates.Description {
	return gates.Description{
		Name:   "endpoint",
		Title:  "the health page says that every dependency works",
		Phases: []gates.Phase{gates.PhasePromote, gates.PhaseBake},
		Needs:  gates.Needs{Version: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"path": {"type": "string", "pattern": "^/", "default": "/health", "description": "where the health page is"},
				"status": {"type": "string", "minLength": 1, "default": "healthy", "description": "what the page says of the whole when it is well"},
				"checkStatus": {"type": "string", "minLength": 1, "default": "ok", "description": "what it says of a dependency that works"},
				"checks": {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": true, "description": "dependencies that it must name"},
				"maxLatency": {"type": "number", "exclusiveMinimum": 0, "description": "ms that a check may take; the median of three when the first takes longer"}
			}
		}`,
	}
}

func (g endpointGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := endpointConfig{Path: "/health", Status: "healthy", CheckStatus: "ok"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	client, closeIdle := newClient()
	defer closeIdle()
	request.Progress("asking %s", config.Path)
	said, err := patiently(ctx, client, request.Run.URL+config.Path)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return noAnswer(config.Path, err), nil
	case said.status == http.StatusTooManyRequests:
		return tooMany(config.Path), nil
	}
	read, shape := readPage(said.header.Get("Content-Type"), said.body)
	switch {
	case said.status != http.StatusOK && said.status != http.StatusServiceUnavailable:
		return gates.Failed("let "+config.Path+" answer 200 when the app is well; set the gate's path when the health page is elsewhere",
			"GET %s answered %d, and a health page answers 200 or 503", config.Path, said.status), nil
	case said.status == http.StatusServiceUnavailable && shape != nil:
		return gates.Failed("see the Worker's log; "+howToAnswer, "GET %s answered 503 and does not say what is down: %s", config.Path, flat(shape)), nil
	case shape != nil:
		return gates.Undecided(howToAnswer, "GET %s answered 200, and nobody can tell whether the app is well: %s", config.Path, flat(shape)), nil
	}
	if age := time.Since(read.at); age.Abs() > g.maxAge {
		return gates.Undecided(`let it say "Cache-Control: no-store"; if nothing caches it, set the clock`,
			"GET %s answered with a page of %s, which says nothing about now", config.Path, read.at.UTC().Format(time.RFC3339)), nil
	}
	if config.tooSlow(read) && config.well(read) {
		if read, err = again(ctx, client, request.Run.URL+config.Path, read); err != nil {
			return nil, err
		}
	}
	return config.judge(said.status, read, request.Run.VersionID), nil
}

func (c endpointConfig) tooSlow(read page) bool {
	return c.MaxLatency != nil && slices.ContainsFunc(read.checks, func(one check) bool { return one.latency > *c.MaxLatency })
}

func (c endpointConfig) well(read page) bool {
	return read.status == c.Status && !slices.ContainsFunc(read.checks, func(one check) bool { return one.status != c.CheckStatus })
}

// again asks a page that was well twice more, and returns the last one with the median latencies of the three: one slow
// answer can be the first one of a new isolate.
func again(ctx context.Context, client *http.Client, url string, first page) (page, error) {
	last, times := first, map[string][]float64{}
	for _, one := range first.checks {
		times[one.name] = append(times[one.name], one.latency)
	}
	for range 2 {
		said, err := ask(ctx, client, url)
		if err != nil {
			return page{}, fmt.Errorf("ask the health page again: %w", err)
		}
		if last, err = readPage(said.header.Get("Content-Type"), said.body); err != nil {
			return page{}, fmt.Errorf("ask the health page again: %w", err)
		}
		for _, one := range last.checks {
			times[one.name] = append(times[one.name], one.latency)
		}
	}
	for i, one := range last.checks {
		slices.Sort(times[one.name])
		last.checks[i].latency = times[one.name][len(times[one.name])/2]
	}
	return last, nil
}

// judge says what a page that can be read means.
func (c endpointConfig) judge(status int, read page, version string) *gates.Verdict {
	none := 0.0
	verdict := &gates.Verdict{Outcome: gates.Pass, Measurements: []gates.Measurement{{Name: "dependencies down", Unit: "count", Limit: &none, Better: "lower"}}}
	found := func(rule, message string) {
		verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelError, Rule: rule, Message: message})
	}
	var down, slow, missing []string
	for _, one := range read.checks {
		verdict.Measurements = append(verdict.Measurements, gates.Measurement{Name: one.name, Value: one.latency, Unit: "ms", Limit: c.MaxLatency, Better: "lower"})
		switch {
		case one.status != c.CheckStatus:
			down = append(down, one.name)
			verdict.Measurements[0].Value++
			found("dependency down", fmt.Sprintf("%s says %q after %g ms", one.name, one.status, one.latency))
		case c.MaxLatency != nil && one.latency > *c.MaxLatency:
			slow = append(slow, one.name)
			found("dependency slow", fmt.Sprintf("%s took %g ms, at most %g ms are allowed", one.name, one.latency, *c.MaxLatency))
		}
	}
	for _, name := range c.Checks {
		if !slices.ContainsFunc(read.checks, func(one check) bool { return one.name == name }) {
			missing = append(missing, name)
			found("dependency not checked", name+" must be checked, and the page does not name it")
		}
	}

	next := "see the Worker's log for each dependency that is named"
	switch said := fmt.Sprintf("GET %s answered %d", c.Path, status); {
	case len(verdict.Findings) > 0:
		var parts []string
		for _, part := range []struct {
			what  string
			names []string
		}{{"down", down}, {"slow", slow}, {"not checked", missing}} {
			if len(part.names) > 0 {
				parts = append(parts, part.what+": "+strings.Join(part.names, ", "))
			}
		}
		verdict.Outcome, verdict.NextStep, verdict.Summary = gates.Fail, next, said+"; "+strings.Join(parts, "; ")
	case status != http.StatusOK || read.status != c.Status:
		verdict.Outcome, verdict.NextStep = gates.Fail, "see why the app is not well though each dependency is; set the gate's status when it has another word"
		verdict.Summary = fmt.Sprintf("%s and says %q (%q is well), though no dependency is down", said, read.status, c.Status)
	default:
		slowest := slices.MaxFunc(read.checks, func(a, b check) int { return cmp.Compare(a.latency, b.latency) })
		verdict.Summary = fmt.Sprintf("%s is %s: %d dependencies work, the slowest is %s with %g ms", shown(read.version, version), read.status,
			len(read.checks), slowest.name, slowest.latency)
	}
	return verdict
}

// shown names the version as the page does, when that is the one that is judged.
func shown(said, version string) string {
	if said != version || version == "" {
		return "the version"
	}
	return "version " + said[:min(len(said), 8)]
}

// flat puts the lines of joined errors into one.
func flat(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
