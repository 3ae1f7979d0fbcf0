package gatetest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// patience is how long a gate may take in a test, and how long to return once its context has ended.
const patience = 30 * time.Second

// Case is one question and what is to come of it.
type Case struct {
	Name string
	// Config is JSON; "" means none was given.
	Config string
	// Request is what the gate is asked. Gate, Config and an empty Phase (the gate's first one) are filled in.
	Request gates.Request
	Want    gates.Outcome
	// Check looks at the rest of the verdict; nil looks at nothing.
	Check func(t *testing.T, verdict gates.Verdict)
}

// Run tries a gate without a wire. Before the cases it checks what the host would refuse: the description, the config
// schema, a config that the schema does not allow. Each case is asked twice at once, because a host does that; each
// verdict must be one that the host accepts. A gate that reads reports must not pass when there are none, nor one
// that asks the running version when that does not answer, and every gate must return soon after its context ends.
func Run(t *testing.T, gate gates.Gate, cases []Case) {
	t.Helper()
	description := gate.Describe()
	checkDescription(t, description)
	demand(t, cases)

	for _, one := range cases {
		t.Run(one.Name, func(t *testing.T) {
			t.Parallel()
			request := one.request(description)
			config, err := host.CheckConfig(description.Config, request.Config)
			if err != nil {
				t.Fatalf("the case's config does not satisfy the gate's own schema: %v", err)
			}
			request.Config = config
			answers := make(chan gates.Verdict, 2)
			for range 2 {
				go func() { answers <- evaluate(t.Context(), t, gate, request) }()
			}
			first, second := <-answers, <-answers
			if first.Outcome != second.Outcome {
				t.Errorf("asked twice at once it answers %s and %s: a gate keeps nothing between questions", first.Outcome, second.Outcome)
			}
			one.check(t, first)
		})
	}

	// What does not apply to a gate is not tried; what applies is never left out for want of a config: a gate that demands
	// one is asked with that of a case.
	if len(description.Reports) > 0 {
		t.Run("no evidence is no pass", func(t *testing.T) {
			request := unanswerable(t, description, cases, gates.Request{})
			if verdict := evaluate(t.Context(), t, gate, request); verdict.Outcome.Allows() {
				t.Errorf("with no reports and no stages it answers %s: %s", verdict.Outcome, verdict.Summary)
			}
		})
	}
	if description.Needs.Version {
		t.Run("a version that does not answer is no pass", func(t *testing.T) {
			request := unanswerable(t, description, cases, silent())
			if verdict := evaluate(t.Context(), t, gate, request); verdict.Outcome.Allows() {
				t.Errorf("where nobody listens it answers %s: %s", verdict.Outcome, verdict.Summary)
			}
		})
	}

	t.Run("returns when its context has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			request := cases[0].request(description)
			_, _ = gate.Evaluate(ctx, &request) // any answer will do, as long as there is one
		}()
		select {
		case <-returned:
		case <-time.After(patience):
			t.Errorf("it still runs %s after its context has ended", patience)
		}
	})
}

// Replay puts the same cases to a gate of a built set, through the host that penstock uses. binary must be called
// penstock-gates-<set>.
func Replay(t *testing.T, binary, gate string, cases []Case) {
	t.Helper()
	h, set := start(t, binary)
	info, err := h.Describe(t.Context(), set+"/"+gate)
	if err != nil {
		t.Fatal(err)
	}
	demand(t, cases)
	for _, one := range cases {
		t.Run(one.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			one.check(t, h.Evaluate(ctx, set+"/"+gate, one.request(info.Description), nil))
		})
	}
}

// demand refuses a test that asks nothing: it would pass whatever the gate does.
func demand(t *testing.T, cases []Case) {
	t.Helper()
	if len(cases) == 0 {
		t.Fatal("there are no cases: give at least one that passes, one that fails and one that cannot be answered")
	}
}

// unanswerable is a request that no gate can let through: about nothing, with a config that the gate takes.
func unanswerable(t *testing.T, description gates.Description, cases []Case, about gates.Request) gates.Request {
	t.Helper()
	configs := []string{"{}"}
	for _, one := range cases {
		configs = append(configs, one.Config)
	}
	for _, config := range configs {
		if _, err := host.CheckConfig(description.Config, json.RawMessage(config)); err == nil {
			return Case{Request: about, Config: config}.request(description)
		}
	}
	t.Fatal("none of the cases has a config that the gate's own schema takes")
	return gates.Request{}
}

// silent is a request about a version that does not answer: nobody listens at the discard port.
func silent() gates.Request { return gates.Request{Run: gates.Run{URL: "http://127.0.0.1:9"}} }

func (c Case) request(description gates.Description) gates.Request {
	request := c.Request
	request.Gate = description.Name
	request.Config = json.RawMessage(c.Config)
	if request.Phase == "" && len(description.Phases) > 0 {
		request.Phase = description.Phases[0]
	}
	return request
}

func (c Case) check(t *testing.T, verdict gates.Verdict) {
	t.Helper()
	if verdict.Outcome != c.Want {
		t.Errorf("it answers %s, and %s is wanted: %s\n%+v", verdict.Outcome, c.Want, verdict.Summary, verdict.Findings)
	}
	if !verdict.Outcome.Allows() && verdict.Outcome != gates.Pending && verdict.NextStep == "" {
		t.Errorf("it answers %s without a next step: say what a person can do", verdict.Outcome)
	}
	if c.Check != nil {
		c.Check(t, verdict)
	}
}

// evaluate asks as the SDK would, so that an error and a missing verdict are verdicts too, and then as the host would.
func evaluate(ctx context.Context, t *testing.T, gate gates.Gate, request gates.Request) gates.Verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request.Reports = slices.Clone(request.Reports)
	answer, err := gate.Evaluate(ctx, &request)
	switch {
	case err != nil:
		return gates.Verdict{Outcome: gates.Error, Summary: err.Error(), NextStep: "see the error"}
	case answer == nil:
		t.Error("it returned neither a verdict nor an error")
		return gates.Verdict{}
	}
	verdict, err := host.CheckVerdict(*answer)
	if err != nil {
		t.Errorf("the host would refuse its verdict: %v", err)
	}
	return verdict
}

func checkDescription(t *testing.T, description gates.Description) {
	t.Helper()
	if err := description.Check(); err != nil {
		t.Errorf("its description: %v", err)
	}
	if err := host.CheckSchema(description.Config); err != nil {
		t.Errorf("its config schema: %v", err)
	}
}
