package main

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// xssGate sends harmless markup in places that pages like to repeat, and asks whether it comes back as markup.
type xssGate struct{}

type xssConfig struct {
	Paths   []string `json:"paths"`
	Params  []string `json:"params"`
	Timeout float64  `json:"timeout"`
}

// usualParams are names that pages repeat what they were given in.
var usualParams = []string{"q", "query", "search", "s", "name", "id", "page", "message", "error", "title", "lang", "next", "url", "redirect", "callback"}

func (xssGate) Describe() gates.Description {
	return gates.Description{
		Name:   "xss",
		Title:  "pages do not repeat markup that visitors send",
		Phases: []gates.Phase{gates.PhasePromote, gates.PhaseBake},
		Needs:  gates.Needs{Version: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"paths": {"type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "string", "pattern": "^/"}, "default": ["/"], "description": "what is asked for, besides a page that does not exist"},
				"params": {"type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1}, "description": "query parameters that are sent, besides the usual ones (q, name, message, …)"},
				` + timeoutSchema + `
			}
		}`,
	}
}

// lure is one piece of markup that means nothing, and how it gets into a request.
type lure struct {
	word  string // unique, and harmless wherever it stands
	place string // for people: "the parameter q"
}

// markup would end an attribute in either kind of quotes or in none, begin another one, and begin an element.
func (l lure) markup() string { return l.word + `'" ` + l.word + `=1><` + l.word + `>` }

func (xssGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := xssConfig{Paths: []string{"/"}, Timeout: 10}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	asking, err := newProbe(request, config.Timeout)
	if err != nil {
		return noAnswer(ctx, err)
	}
	defer asking.close()

	var findings []gates.Finding
	places, repeated, broken := 0, 0, ""
	for _, luring := range config.questions() {
		places += len(luring.lures)
		got, err := asking.ask(ctx, luring.question)
		if err != nil {
			return noAnswer(ctx, err)
		}
		if got.status >= 500 && broken == "" {
			broken = fmt.Sprintf("%s was answered %d", luring.question, got.status)
		}
		for _, lure := range luring.lures {
			if !strings.Contains(got.body, lure.word) {
				continue
			}
			repeated++
			if problem := reflected(got, lure); problem != "" {
				findings = append(findings, gates.Finding{
					Level: gates.LevelError, Rule: "xss", Detail: around(got.body, lure.word),
					Message: fmt.Sprintf("%s %s (%d): %s", luring.question.method, luring.path, got.status, problem),
				})
			}
		}
	}

	asked := int(asking.asked.Load())
	verdict := &gates.Verdict{
		Outcome: gates.Pass, Findings: findings,
		Measurements: []gates.Measurement{gates.Count("requests", asked, nil), gates.Count("repeated", repeated, nil), gates.Count("repeated as markup", len(findings), gates.AtMost(0))},
		Summary:      fmt.Sprintf("markup in %d places of %s: repeated %s, never as markup", places, gates.Counted(asked, "request"), gates.Counted(repeated, "time")),
	}
	switch {
	case len(findings) > 0:
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("markup that a visitor sends comes back from %s where a browser can take it for markup", gates.Counted(len(findings), "place"))
		verdict.NextStep = "escape every value that goes into a page (& < > \" '), and give everything else its content type and nosniff"
	case broken != "":
		return gates.Undecided("mend what breaks, or name other paths under paths:", "%s, which says nothing about what it repeats", broken), nil
	}
	return verdict, nil
}

// luring is a question with the lures in it.
type luring struct {
	question
	path  string // without the lures, for people
	lures []lure
}

func (c xssConfig) params() []string { return slices.Concat(usualParams, c.Params) }

// questions ask for each path with lures in the query, and with one as a further part of the path; and so for a page that
// does not exist, because it likes to say what was not found.
func (c xssConfig) questions() []luring {
	var all []luring
	for _, path := range slices.Concat(c.Paths, []string{"/" + newMarker() + "-no-such-page"}) {
		plain, query, _ := strings.Cut(path, "?")
		inQuery := luring{path: path}
		var values []string
		if query != "" {
			values = append(values, query)
		}
		for _, param := range c.params() {
			one := lure{word: newMarker(), place: "the parameter " + param}
			inQuery.lures = append(inQuery.lures, one)
			values = append(values, url.QueryEscape(param)+"="+url.QueryEscape(one.markup()))
		}
		inQuery.question = question{method: http.MethodGet, target: plain + "?" + strings.Join(values, "&")}

		one := lure{word: newMarker(), place: "the path"}
		inPath := luring{path: strings.TrimSuffix(plain, "/") + "/…", lures: []lure{one}}
		inPath.question = question{method: http.MethodGet, target: strings.TrimSuffix(plain, "/") + "/" + url.PathEscape(one.markup())}
		all = append(all, inQuery, inPath)
	}
	return all
}

// reflected says what is wrong with how an answer repeats a lure; nothing when it does no harm.
func reflected(got answer, lure lure) string {
	kind := contentType(got.header)
	switch {
	case kind == "":
		return "the answer repeats " + lure.place + " and has no content type, so browsers guess one"
	case isMarkup(kind):
		return asMarkup(got.body, lure)
	case strings.Contains(got.body, "<"+lure.word) && !strings.EqualFold(strings.TrimSpace(got.header.Get("X-Content-Type-Options")), "nosniff"):
		return fmt.Sprintf("the answer (%s) repeats %s and lacks X-Content-Type-Options: nosniff", kind, lure.place)
	default:
		return ""
	}
}

// contentType is an answer's media type, without parameters and in lower case; empty when it has none that can be read.
func contentType(header http.Header) string {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		kind, _, _ = strings.Cut(strings.ToLower(header.Get("Content-Type")), ";")
	}
	return strings.TrimSpace(kind)
}

// isMarkup reports whether browsers run scripts that stand in something of that type.
func isMarkup(kind string) bool {
	return kind == "text/html" || kind == "text/xml" || kind == "application/xml" || strings.HasSuffix(kind, "+xml")
}

func around(body, word string) string {
	at := strings.Index(body, word)
	return excerpt(body, at, at+len(word))
}
