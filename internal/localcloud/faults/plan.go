// Package faults is what a local Cloudflare does wrong on purpose, so that clients can be tested and incidents rehearsed:
// calls that are slow, refused, or lost on the way, deployments that take their time, certificates that do not come.
//
// A plan is chosen by people or tests and means the same on every run: what is left to chance is drawn from its seed.
package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Plan is everything that goes wrong. The zero value is a Cloudflare without faults.
type Plan struct {
	// Seed decides what is left to chance; the same seed and the same calls give the same faults.
	Seed uint64 `yaml:"seed" json:"seed"`
	// Calls are tried in order; the first that matches and strikes decides about a call.
	Calls        []Rule       `yaml:"calls" json:"calls"`
	Propagation  Propagation  `yaml:"propagation" json:"propagation"`
	Certificates Certificates `yaml:"certificates" json:"certificates"`
}

// Rule is one fault of API calls.
type Rule struct {
	// Call is a method and a path below /client/v4, as in "POST /accounts/*/workers/scripts/*/deployments": * is one
	// segment of the path, ** at the end any number of them; a method of * is any.
	Call string `yaml:"call" json:"call"`
	// After lets that many matching calls through first; Times strikes that many calls then, 0 all.
	After int `yaml:"after" json:"after,omitempty"`
	Times int `yaml:"times" json:"times,omitempty"`
	// Chance strikes only that share of the calls, above 0 and at most 1; 0 means all.
	Chance float64 `yaml:"chance" json:"chance,omitempty"`

	// Delay makes the call wait before anything else happens.
	Delay Duration `yaml:"delay" json:"delay,omitempty"`
	// Status refuses the call without doing anything: 400 to 599.
	Status int `yaml:"status" json:"status,omitempty"`
	// Code and Message are what the refusal says; 0 and empty: what Cloudflare says with such a status.
	Code    int    `yaml:"code" json:"code,omitempty"`
	Message string `yaml:"message" json:"message,omitempty"`
	// RetryAfter is the Retry-After header of the refusal, cut to seconds.
	RetryAfter Duration `yaml:"retryAfter" json:"retryAfter,omitempty"`
	// Lost cuts the connection instead of answering: "request" before anything was done, "reply" after all of it was.
	Lost Loss `yaml:"lost" json:"lost,omitempty"`
}

// Loss is what is lost on the way.
type Loss string

// The two moments at which a connection can be cut.
const (
	LostRequest Loss = "request"
	LostReply   Loss = "reply"
)

// Propagation is how long a deployment takes to reach the edge: until then the one before it answers, although the API
// already tells of the new one.
type Propagation struct {
	Delay Duration `yaml:"delay" json:"delay,omitempty"`
}

// Certificates says how the issuing of certificates goes from now on.
type Certificates struct {
	// Delay is how long a new certificate takes until it is active.
	Delay Duration `yaml:"delay" json:"delay,omitempty"`
	// ValidityDays is how long certificates are good; 0: 90 days, renewed 30 days before they end. Those with a validity of
	// their own are not renewed, so that one can be seen to run out. A negative number issues one that has run out already.
	ValidityDays int `yaml:"validityDays" json:"validityDays,omitempty"`
	// Refuse is the reason why a certificate is never issued.
	Refuse string `yaml:"refuse" json:"refuse,omitempty"`
}

// Duration is a time.Duration that is written as 1.5s in files.
type Duration time.Duration

// UnmarshalYAML reads what time.ParseDuration reads.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed < 0 {
		return fmt.Errorf("line %d: %q is not a duration such as 500ms or 2s", node.Line, node.Value)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes what UnmarshalYAML reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Parse reads a plan in YAML or JSON. Unknown keys are errors, and every problem is told at once.
func Parse(text []byte) (Plan, error) {
	plan := Plan{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&plan); err != nil && !errors.Is(err, io.EOF) {
		return Plan{}, unreadable(err)
	}
	return plan, plan.check()
}

var unknownKey = regexp.MustCompile(`field (\S+) not found in type \S+`)

// unreadable says what is wrong with a text in the words of the file, not in those of the types that it is read into.
func unreadable(err error) error {
	var many *yaml.TypeError
	if !errors.As(err, &many) {
		return fmt.Errorf("read the faults: %w", err)
	}
	var problems []error
	for _, one := range many.Errors {
		problems = append(problems, errors.New(unknownKey.ReplaceAllString(one, `unknown key "$1"`)))
	}
	return errors.Join(problems...)
}

// Read is Parse for a file, which errors name.
func Read(file string) (Plan, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Plan{}, fmt.Errorf("read the faults: %w", err)
	}
	plan, err := Parse(text)
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", file, err)
	}
	return plan, nil
}

func (p Plan) check() error {
	var problems []error
	for i, rule := range p.Calls {
		if err := rule.check(); err != nil {
			problems = append(problems, fmt.Errorf("calls[%d] (%s): %w", i, rule.Call, err))
		}
	}
	return errors.Join(problems...)
}

var methods = []string{"*", http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func (r Rule) check() error {
	var problems []error
	bad := func(message string, args ...any) { problems = append(problems, fmt.Errorf(message, args...)) }
	method, path, _ := strings.Cut(r.Call, " ")
	if !slices.Contains(methods, method) || !strings.HasPrefix(path, "/") {
		bad(`call must be a method and a path, as in "POST /accounts/*/workers/scripts/*/versions" or "* /**"`)
	}
	if at := strings.Index(path, "**"); at >= 0 && (at != len(path)-2 || !strings.HasSuffix(path, "/**")) {
		bad("** can only be the last part of a path")
	}
	if r.After < 0 || r.Times < 0 {
		bad("after and times must not be negative")
	}
	if r.Chance < 0 || r.Chance > 1 {
		bad("chance must be between 0 and 1, not %g", r.Chance)
	}
	if r.Status != 0 && (r.Status < 400 || r.Status > 599) {
		bad("status must be between 400 and 599, not %d", r.Status)
	}
	if r.Lost != "" && r.Lost != LostRequest && r.Lost != LostReply {
		bad("lost must be request or reply, not %q", r.Lost)
	}
	if r.Lost != "" && r.Status != 0 {
		bad("a call that is lost has no status: take one of lost and status")
	}
	if r.Status == 0 && (r.Code != 0 || r.Message != "" || r.RetryAfter != 0) {
		bad("code, message and retryAfter belong to a status")
	}
	if r.Delay == 0 && r.Status == 0 && r.Lost == "" {
		bad("nothing goes wrong: set delay, status or lost")
	}
	return errors.Join(problems...)
}
