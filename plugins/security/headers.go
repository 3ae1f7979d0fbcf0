package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// headersGate asks whether the answers of the running version carry the security headers of the production guide, or of
// the app's own policy.
type headersGate struct{}

type headersConfig struct {
	Paths   []string                     `json:"paths"`
	Require map[string]headerRequirement `json:"require"`
	Forbid  []string                     `json:"forbid"`
	Timeout float64                      `json:"timeout"`
}

// headerRequirement is what one header must be. The zero value requires nothing.
type headerRequirement struct {
	present bool
	value   string         // "" any
	pattern *regexp.Regexp // nil any
}

func (r *headerRequirement) UnmarshalJSON(text []byte) error {
	*r = headerRequirement{}
	if json.Unmarshal(text, &r.present) == nil {
		return nil
	}
	r.present = true
	if json.Unmarshal(text, &r.value) == nil {
		return nil
	}
	var object struct {
		Regex string `json:"regex"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	pattern, err := regexp.Compile(object.Regex)
	if err != nil {
		return fmt.Errorf("require: %w", err)
	}
	r.pattern = pattern
	return nil
}

// guideHeaders are the values of the production guide, "Security Hardening".
var guideHeaders = map[string]string{
	"Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
	"X-Content-Type-Options":    "nosniff",
	"X-Frame-Options":           "SAMEORIGIN",
	"X-Xss-Protection":          "1; mode=block",
	"Referrer-Policy":           "strict-origin-when-cross-origin",
	"Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data: https:; connect-src 'self' wss: https:; frame-ancestors *",
}

// tellingHeaders name the software behind an app, with its version more often than not. Server is not among them, because
// Cloudflare sets it on every answer.
var tellingHeaders = []string{"X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Runtime", "X-Generator"}

func (headersGate) Describe() gates.Description {
	return gates.Description{
		Name:   "headers",
		Title:  "answers carry the security headers",
		Phases: []gates.Phase{gates.PhasePromote, gates.PhaseBake},
		Needs:  gates.Needs{Version: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"paths": {"type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "string", "pattern": "^/"}, "default": ["/"], "description": "what is asked for, besides a page that does not exist; name an API path too"},
				"require": {
					"type": "object", "description": "headers by name, over the guide's: a value, {regex: …}, true for any value, false for not required",
					"additionalProperties": {"anyOf": [
						{"type": "boolean"}, {"type": "string", "minLength": 1},
						{"type": "object", "additionalProperties": false, "required": ["regex"], "properties": {"regex": {"type": "string", "minLength": 1}}}
					]}
				},
				"forbid": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "headers that must not be there; without it those that name the software"},
				` + timeoutSchema + `
			}
		}`,
	}
}

func (headersGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := headersConfig{Paths: []string{"/"}, Forbid: slices.Clone(tellingHeaders), Timeout: 10}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	asking, err := newProbe(request, config.Timeout)
	if err != nil {
		return noAnswer(ctx, err)
	}
	defer asking.close()

	policy := config.policy()
	if len(policy) == 0 && len(config.Forbid) == 0 {
		return gates.Undecided("require at least one header", "the policy requires no header and forbids none, so there is nothing to compare"), nil
	}
	var problems headerProblems
	paths := append(slices.Clone(config.Paths), "/"+newMarker()+"-no-such-page")
	for _, path := range paths {
		got, err := asking.ask(ctx, question{method: http.MethodGet, target: path, headersOnly: true})
		if err != nil {
			return noAnswer(ctx, err)
		}
		for _, name := range slices.Sorted(maps.Keys(policy)) {
			for _, problem := range policy[name].problems(name, got.header.Values(name)) {
				problems.add(name, problem, got)
			}
		}
		for _, name := range config.Forbid {
			if value := got.header.Get(name); value != "" {
				problems.add(name, fmt.Sprintf("%s tells strangers about the software: %q", http.CanonicalHeaderKey(name), value), got)
			}
		}
	}

	verdict := &gates.Verdict{
		Outcome:      gates.Pass,
		Summary:      fmt.Sprintf("%s on %s, an error among them", gates.Counted(len(policy), "security header"), gates.Counted(len(paths), "answer")),
		Findings:     problems.findings(),
		Measurements: []gates.Measurement{gates.Count("answers", len(paths), nil), gates.Count("missing or weaker headers", len(problems.order), gates.AtMost(0))},
	}
	if len(problems.order) > 0 {
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%s with the headers of %s, an error among them: %s",
			gates.Counted(len(problems.order), "problem"), gates.Counted(len(paths), "answer"), strings.Join(problems.headers(), ", "))
		verdict.NextStep = "set the headers on every answer, errors too (the guide's addSecurityHeaders), or say under require: what this app needs instead"
	}
	return verdict, nil
}

// policy is the guide's, with what the config says laid over it.
func (c headersConfig) policy() map[string]headerRequirement {
	policy := map[string]headerRequirement{}
	for name, value := range guideHeaders {
		policy[name] = headerRequirement{present: true, value: value}
	}
	for name, requirement := range c.Require {
		policy[http.CanonicalHeaderKey(name)] = requirement
	}
	maps.DeleteFunc(policy, func(_ string, requirement headerRequirement) bool { return !requirement.present })
	return policy
}

// problems says what is wrong with the values that an answer has for a header. Headers whose meaning is known here may be
// stricter than the policy; of the others the value must be the one that is wanted.
func (r headerRequirement) problems(name string, values []string) []string {
	got := strings.TrimSpace(strings.Join(values, ", "))
	if got == "" {
		return []string{name + " is missing" + wanted(r)}
	}
	switch {
	case r.pattern != nil && !r.pattern.MatchString(got):
		return []string{fmt.Sprintf("%s is %q, and does not match %s", name, got, r.pattern)}
	case r.pattern != nil || r.value == "":
		return nil
	}
	if compare, known := headerMeaning[name]; known {
		return compare(r.value, values)
	}
	if got != r.value {
		return []string{fmt.Sprintf("%s is %q, and %q is wanted", name, got, r.value)}
	}
	return nil
}

func wanted(r headerRequirement) string {
	switch {
	case r.value != "":
		return fmt.Sprintf("; wanted: %s", r.value)
	case r.pattern != nil:
		return fmt.Sprintf("; wanted: something that matches %s", r.pattern)
	default:
		return ""
	}
}

// headerProblems collects what is wrong, each thing once, with the requests that show it.
type headerProblems struct {
	order []string
	rules map[string]string
	shown map[string][]string
}

func (p *headerProblems) add(header, problem string, shownBy answer) {
	if p.rules == nil {
		p.rules, p.shown = map[string]string{}, map[string][]string{}
	}
	if _, known := p.rules[problem]; !known {
		p.order = append(p.order, problem)
		p.rules[problem] = strings.ToLower(header)
	}
	p.shown[problem] = append(p.shown[problem], fmt.Sprintf("%s (%d)", shownBy.question, shownBy.status))
}

// headers are the names of those that have problems, each once.
func (p *headerProblems) headers() []string {
	var names []string
	for _, problem := range p.order {
		if !slices.Contains(names, p.rules[problem]) {
			names = append(names, p.rules[problem])
		}
	}
	return names
}

func (p *headerProblems) findings() []gates.Finding {
	var findings []gates.Finding
	for _, problem := range p.order {
		findings = append(findings, gates.Finding{
			Level: gates.LevelError, Rule: p.rules[problem], Message: strings.Join(p.shown[problem], ", ") + ": " + problem,
		})
	}
	return findings
}
