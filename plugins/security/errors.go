package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// errorsGate asks the running version for things that must go wrong, and whether the answers keep the inside of the app to
// themselves.
type errorsGate struct{}

type errorsConfig struct {
	Paths   []string `json:"paths"`
	Posts   []string `json:"posts"`
	Fields  []string `json:"fields"`
	Timeout float64  `json:"timeout"`
}

// guideFields are those of the production guide's error answer, "Error Handling".
var guideFields = []string{"error", "timestamp", "requestId"}

func (errorsGate) Describe() gates.Description {
	return gates.Description{
		Name:   "errors",
		Title:  "errors tell strangers nothing about the inside",
		Phases: []gates.Phase{gates.PhasePromote, gates.PhaseBake},
		Needs:  gates.Needs{Version: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"paths": {"type": "array", "minItems": 1, "maxItems": 10, "items": {"type": "string", "pattern": "^/"}, "default": ["/"], "description": "pages and API paths that are asked in wrong ways"},
				"posts": {"type": "array", "maxItems": 10, "items": {"type": "string", "pattern": "^/"}, "description": "paths that take JSON by POST; they are sent JSON that breaks off"},
				"fields": {"type": "array", "items": {"type": "string", "minLength": 1}, "default": ["error", "timestamp", "requestId"], "description": "what an error in JSON must have"},
				` + timeoutSchema + `
			}
		}`,
	}
}

// mishap is a question that should go wrong.
type mishap struct {
	question
	// mustFail is set where any answer but an error means that something wrong was accepted.
	mustFail bool
}

func (c errorsConfig) mishaps() []mishap {
	const long = 6000 // well under the 16 KB that Cloudflare takes, and far over what anybody types
	found := []mishap{{question: question{method: http.MethodGet, target: "/" + newMarker() + "/no-such-page"}}}
	for _, path := range c.Paths {
		and := "?"
		if strings.Contains(path, "?") {
			and = "&"
		}
		found = append(found,
			// A method that reads only (RFC 4918, 9.1), and that no app of today has a meaning for.
			mishap{question: question{method: "PROPFIND", target: path}},
			mishap{question: question{method: http.MethodGet, target: path + and + "limit=" + strings.Repeat("9", long)}},
			// Cut in the middle of a character: decodeURIComponent throws.
			mishap{question: question{method: http.MethodGet, target: path + and + "q=%E0%A4&limit=%"}},
			mishap{question: question{method: http.MethodGet, target: strings.TrimSuffix(strings.SplitN(path, "?", 2)[0], "/") + "/%E0%A4"}},
		)
	}
	for _, path := range c.Posts {
		found = append(found, mishap{mustFail: true, question: question{
			method: http.MethodPost, target: path, body: `{"penstock": [1, `, header: map[string]string{"Content-Type": "application/json"},
		}})
	}
	return found
}

func (errorsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := errorsConfig{Paths: []string{"/"}, Fields: slices.Clone(guideFields), Timeout: 10}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	asking, err := newProbe(request, config.Timeout)
	if err != nil {
		return noAnswer(ctx, err)
	}
	defer asking.close()

	judged := judgedErrors{fields: config.Fields, ids: map[string]question{}}
	for _, one := range config.mishaps() {
		got, err := asking.ask(ctx, one.question)
		if err != nil {
			return noAnswer(ctx, err)
		}
		judged.add(got, one.mustFail)
	}
	return judged.verdict(), nil
}

// judgedErrors is what was seen of the answers so far.
type judgedErrors struct {
	fields   []string
	asked    int
	errors   int // answers of 4xx and 5xx
	inJSON   int
	ids      map[string]question
	findings []gates.Finding
}

func (j *judgedErrors) add(got answer, mustFail bool) {
	j.asked++
	say := func(rule, message, detail string) {
		j.findings = append(j.findings, gates.Finding{
			Level: gates.LevelError, Rule: rule, Detail: detail, Message: fmt.Sprintf("%s (%d): %s", got.question, got.status, message),
		})
	}
	if !got.failed() {
		if mustFail {
			say("accepted", "JSON that breaks off was accepted", "")
		}
		return
	}
	j.errors++
	for _, leak := range leaksOf(got.body) {
		say(leak.rule, "the answer shows "+leak.what, leak.excerpt)
	}
	if !isJSON(got.header) || len(j.fields) == 0 {
		return
	}
	j.inJSON++
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		say("shape", "the answer says that it is JSON, and is no JSON object", "")
		return
	}
	var missing []string
	for _, field := range j.fields {
		if text, isText := body[field].(string); !isText || strings.TrimSpace(text) == "" {
			missing = append(missing, field)
		}
	}
	if len(missing) > 0 {
		say("shape", "the error lacks "+strings.Join(missing, ", "), "")
	}
	id, _ := body["requestId"].(string)
	if id == "" || !slices.Contains(j.fields, "requestId") {
		return
	}
	if other, used := j.ids[id]; used {
		say("request-id", fmt.Sprintf("the request id is that of %s, so it finds nothing in a log", other), "")
	}
	j.ids[id] = got.question
}

func (j *judgedErrors) verdict() *gates.Verdict {
	if j.errors == 0 && len(j.findings) == 0 {
		return gates.Undecided("name paths that answer errors under posts: or paths:",
			"none of %s that should go wrong was answered with an error, so there is nothing to judge", gates.Counted(j.asked, "request"))
	}
	verdict := &gates.Verdict{
		Outcome: gates.Pass, Findings: j.findings,
		Measurements: []gates.Measurement{
			gates.Count("errors", j.errors, nil), gates.Count("requests", j.asked, nil), gates.Count("errors in JSON", j.inJSON, nil),
			gates.Count("problems", len(j.findings), gates.AtMost(0)),
		},
		Summary: fmt.Sprintf("%s, %d in JSON with %s; none shows the inside", gates.Counted(j.errors, "error answer"), j.inJSON, strings.Join(j.fields, ", ")),
	}
	switch {
	case len(j.findings) > 0:
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%s with %s", gates.Counted(len(j.findings), "problem"), gates.Counted(j.errors, "error answer"))
		verdict.NextStep = "catch every error in one place, log it there with an id, and answer with the id alone (the guide's ProductionErrorHandler)"
	case j.inJSON == 0 || len(j.fields) == 0:
		verdict.Summary = fmt.Sprintf("%s; none shows the inside, and whether errors in JSON have their fields was not judged", gates.Counted(j.errors, "error answer"))
	}
	return verdict
}

// isJSON reports whether an answer says that it is JSON, of whatever kind.
func isJSON(header http.Header) bool {
	kind := contentType(header)
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}
