package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// corsGate asks whether pages of other sites can read the answers of the running version.
type corsGate struct{}

type corsConfig struct {
	Origins []string `json:"origins"`
	Paths   []string `json:"paths"`
	Method  string   `json:"method"`
	Timeout float64  `json:"timeout"`
}

func (corsGate) Describe() gates.Description {
	return gates.Description{
		Name:   "cors",
		Title:  "other sites cannot read the answers",
		Phases: []gates.Phase{gates.PhasePromote, gates.PhaseBake},
		Needs:  gates.Needs{Version: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"origins": {"type": "array", "maxItems": 10, "items": {"type": "string", "pattern": "^https?://[^/]+$"}, "description": "the origins that must be let in; without any only that others are not let in is judged"},
				"paths": {"type": "array", "minItems": 1, "maxItems": 10, "items": {"type": "string", "pattern": "^/"}, "default": ["/"]},
				"method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"], "default": "POST", "description": "the method that preflights ask for"},
				` + timeoutSchema + `
			}
		}`,
	}
}

func (corsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := corsConfig{Paths: []string{"/"}, Method: http.MethodPost, Timeout: 10}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	asking, err := newProbe(request, config.Timeout)
	if err != nil {
		return noAnswer(ctx, err)
	}
	defer asking.close()

	strangers := config.strangers(request.Run)
	var findings []gates.Finding
	for _, path := range config.Paths {
		for _, origin := range slices.Concat(config.Origins, strangers) {
			for _, q := range config.questions(path, origin) {
				got, err := asking.ask(ctx, q)
				if err != nil {
					return noAnswer(ctx, err)
				}
				if got.status >= 500 {
					return gates.Undecided("mend what breaks, or name other paths under paths:", "%s with the origin %s was answered %d, which says nothing about who is let in",
						q, origin, got.status), nil
				}
				judge := config.strangerProblems
				if slices.Contains(config.Origins, origin) {
					judge = config.friendProblems
				}
				for _, problem := range judge(origin, got) {
					findings = append(findings, gates.Finding{
						Level: gates.LevelError, Rule: "cors", Message: fmt.Sprintf("%s with the origin %s: %s", q, origin, problem),
					})
				}
			}
		}
	}
	return config.judge(findings, len(strangers), int(asking.asked.Load())), nil
}

func (c corsConfig) judge(findings []gates.Finding, strangers, asked int) *gates.Verdict {
	verdict := &gates.Verdict{
		Outcome: gates.Pass, Findings: findings,
		Measurements: []gates.Measurement{gates.Count("answers", asked, nil), gates.Count("wrong answers", len(findings), gates.AtMost(0))},
		Summary: fmt.Sprintf("%s let in and %s kept out, in %s on %s, half of them to preflights",
			gates.Counted(len(c.Origins), "origin"), gates.Counted(strangers, "other"), gates.Counted(asked, "answer"), gates.Counted(len(c.Paths), "path")),
	}
	if len(c.Origins) == 0 {
		verdict.Summary = fmt.Sprintf("%s kept out, in %s on %s, half of them to preflights; no origin is configured, so that one is let in was not judged",
			gates.Counted(strangers, "other origin"), gates.Counted(asked, "answer"), gates.Counted(len(c.Paths), "path"))
	}
	if len(findings) > 0 {
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%d of %s to requests with an origin are wrong", len(findings), gates.Counted(asked, "answer"))
		verdict.NextStep = "compare the Origin header as a whole with a list, answer with the one that matched, and never with * or what was sent"
	}
	return verdict
}

// strangers are origins that nobody allowed: another site, what a sandboxed frame and a file say, and names that look
// like one that is allowed to a comparison that is not of the whole.
func (c corsConfig) strangers(run gates.Run) []string {
	strangers := []string{"https://" + newMarker() + ".example", "null"}
	models := c.Origins
	if len(models) == 0 && run.PublicURL != "" {
		models = []string{run.PublicURL} // the app's own, which comparisons often let in
	}
	for _, model := range models {
		parsed, err := url.Parse(model)
		if err != nil || parsed.Host == "" {
			continue
		}
		origin := parsed.Scheme + "://" + parsed.Host
		strangers = append(strangers, parsed.Scheme+"://"+parsed.Hostname()+".evil.example", parsed.Scheme+"://evil"+parsed.Host)
		if parsed.Port() != "" {
			continue
		}
		strangers = append(strangers, origin+":8443")
	}
	return strangers
}

func (c corsConfig) questions(path, origin string) []question {
	return []question{
		{method: http.MethodGet, target: path, headersOnly: true, header: map[string]string{"Origin": origin}},
		{method: http.MethodOptions, target: path, headersOnly: true, header: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": c.Method, "Access-Control-Request-Headers": "content-type",
		}},
	}
}

// letIn is what an answer says about who may read it.
type letIn struct {
	origin      string
	credentials bool
}

func readLetIn(header http.Header) letIn {
	return letIn{
		origin: strings.TrimSpace(strings.Join(header.Values("Access-Control-Allow-Origin"), ", ")),
		// Case matters here: browsers take "true" alone (Fetch, 3.3.5).
		credentials: header.Get("Access-Control-Allow-Credentials") == "true",
	}
}

// strangerProblems says how an origin that nobody allowed is let in. Public data for everybody, `*` without credentials, is
// a policy of its own as long as no origins are configured.
func (c corsConfig) strangerProblems(origin string, got answer) []string {
	allowed := readLetIn(got.header)
	switch {
	case strings.EqualFold(allowed.origin, origin):
		if allowed.credentials {
			return []string{"it is let in, with the visitor's cookies"}
		}
		return []string{"it is let in, and nobody allowed it"}
	case allowed.origin == "*" && allowed.credentials:
		return []string{"everybody (*) is let in with credentials, which no browser accepts, so the list of origins is missing"}
	case allowed.origin == "*" && len(c.Origins) > 0:
		return []string{fmt.Sprintf("everybody (*) is let in, and only %s should be", strings.Join(c.Origins, ", "))}
	default:
		return nil
	}
}

// friendProblems says why a page of an allowed origin cannot use the app.
func (c corsConfig) friendProblems(origin string, got answer) []string {
	allowed := readLetIn(got.header)
	if allowed.origin != origin {
		if allowed.origin == "*" {
			return []string{"everybody (*) is let in, and not this origin by name"}
		}
		return []string{fmt.Sprintf("it is not let in (Access-Control-Allow-Origin is %q)", allowed.origin)}
	}
	var problems []string
	if !variesByOrigin(got.header) && got.question.method != http.MethodOptions {
		problems = append(problems, "Vary does not name Origin, so a cache would give this answer to other origins too")
	}
	if got.question.method == http.MethodOptions {
		if got.status < 200 || got.status > 299 {
			problems = append(problems, fmt.Sprintf("the preflight is answered %d, and browsers want 2xx", got.status))
		}
		if !allowsMethod(got.header, c.Method, allowed.credentials) {
			problems = append(problems, fmt.Sprintf("the preflight does not allow %s: %q", c.Method, got.header.Get("Access-Control-Allow-Methods")))
		}
	}
	return problems
}

func variesByOrigin(header http.Header) bool {
	return slices.ContainsFunc(listed(header, "Vary"), func(name string) bool { return name == "*" || strings.EqualFold(name, "Origin") })
}

// allowsMethod leaves out the methods that browsers send to anybody (Fetch, 2.2.1).
func allowsMethod(header http.Header, method string, credentials bool) bool {
	if method == http.MethodGet || method == http.MethodPost {
		return true
	}
	return slices.ContainsFunc(listed(header, "Access-Control-Allow-Methods"), func(name string) bool { return name == method || name == "*" && !credentials })
}

// listed are the members of a header that is a list.
func listed(header http.Header, name string) []string {
	var members []string
	for _, member := range strings.Split(strings.Join(header.Values(name), ","), ",") {
		if member = strings.TrimSpace(member); member != "" {
			members = append(members, member)
		}
	}
	return members
}
