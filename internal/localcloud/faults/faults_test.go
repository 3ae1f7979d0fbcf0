package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	plan, err := Parse([]byte(`
seed: 7
calls:
  - {call: "POST /accounts/*/workers/scripts/*/deployments", after: 1, times: 2, status: 429, retryAfter: 1s}
  - {call: "* /**", delay: 250ms}
propagation: {delay: 2s}
certificates: {delay: 3s, validityDays: 5}
`))
	if err != nil {
		t.Fatal(err)
	}
	if plan.Seed != 7 || len(plan.Calls) != 2 || time.Duration(plan.Calls[1].Delay) != 250*time.Millisecond ||
		time.Duration(plan.Propagation.Delay) != 2*time.Second || plan.Certificates.ValidityDays != 5 {
		t.Errorf("%+v", plan)
	}
	if _, err := Parse([]byte(`{"calls": [{"call": "GET /zones", "status": 503}]}`)); err != nil {
		t.Errorf("JSON: %v", err)
	}
	if _, err := Parse(nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

func TestParseTellsEveryProblem(t *testing.T) {
	for text, want := range map[string][]string{
		`calls: [{call: "POST /x", stauts: 500}]`:                      {`unknown key "stauts"`, "line 1"},
		`calls: [{call: "/x", status: 500}, {call: "GET /y"}]`:         {"calls[0]", "a method and a path", "calls[1]", "nothing goes wrong"},
		`calls: [{call: "GET /a/**/b", lost: answer}]`:                 {"** can only be the last", `lost must be request or reply, not "answer"`},
		`calls: [{call: "GET /a", lost: reply, status: 500}]`:          {"take one of lost and status"},
		`calls: [{call: "GET /a", delay: 1s, retryAfter: 1s}]`:         {"belong to a status"},
		`calls: [{call: "GET /a", status: 200, after: -1, chance: 2}]`: {"between 400 and 599", "negative", "between 0 and 1"},
		"calls:\n  - call: GET /a\n    delay: soon":                    {"line 3", `"soon" is not a duration`},
		"propagation: {delay: -1s}":                                    {"not a duration"},
	} {
		_, err := Parse([]byte(text))
		for _, words := range want {
			if err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v does not say %q", text, err, words)
			}
		}
	}
}

func TestStrike(t *testing.T) {
	strikes := func(rule Rule, calls ...string) string {
		injector := &Injector{}
		injector.Set(Plan{Seed: 3, Calls: []Rule{rule}})
		var out strings.Builder
		for _, call := range calls {
			method, path, _ := strings.Cut(call, " ")
			if injector.Strike(method, path) != nil {
				out.WriteByte('x')
			} else {
				out.WriteByte('.')
			}
		}
		return out.String()
	}
	five := []string{"GET /a", "GET /a", "GET /a", "GET /a", "GET /a"}
	for _, test := range []struct {
		rule  Rule
		calls []string
		want  string
	}{
		{Rule{Call: "GET /a"}, five, "xxxxx"},
		{Rule{Call: "GET /a", After: 2}, five, "..xxx"},
		{Rule{Call: "GET /a", After: 1, Times: 2}, five, ".xx.."},
		{Rule{Call: "POST /a"}, five, "....."},
		{Rule{Call: "* /a/*/c"}, []string{"GET /a/b/c", "PUT /a/x/c", "GET /a/b", "GET /a/b/c/d", "GET /a/b/d"}, "xx..."},
		{Rule{Call: "* /a/**"}, []string{"GET /a/b/c", "GET /a/", "GET /a", "GET /b/a"}, "xxx."},
	} {
		if got := strikes(test.rule, test.calls...); got != test.want {
			t.Errorf("%+v: %s, not %s", test.rule, got, test.want)
		}
	}
}

func TestChanceIsSeededAndRulesDoNotDisturbEachOther(t *testing.T) {
	run := func(seed uint64, others ...string) (out string) {
		injector := &Injector{}
		injector.Set(Plan{Seed: seed, Calls: []Rule{{Call: "GET /a", Chance: 0.3}, {Call: "GET /b", Chance: 0.5}}})
		for range 200 {
			for _, other := range others {
				injector.Strike("GET", other)
			}
			out += fmt.Sprint(injector.Strike("GET", "/a") != nil)[:1]
		}
		return out
	}
	first := run(1)
	if first != run(1) || first != run(1, "/b", "/b") {
		t.Error("the same seed gave other faults")
	}
	if first == run(2) {
		t.Error("another seed gave the same faults")
	}
	if struck := strings.Count(first, "t"); struck < 40 || struck > 80 {
		t.Errorf("%d of 200 calls were struck at a chance of 0.3", struck)
	}
}

func TestHits(t *testing.T) {
	injector := &Injector{}
	if injector.Strike("GET", "/a") != nil {
		t.Error("a fault without a plan")
	}
	injector.Set(Plan{Calls: []Rule{{Call: "GET /a", Times: 1, Status: 500}, {Call: "GET /**", After: 1, Delay: Duration(time.Second)}}})
	for _, want := range []int{500, 0} {
		if got := injector.Strike("GET", "/a"); got == nil || got.Status != want {
			t.Errorf("%+v, not status %d", got, want)
		}
	}
	hits := injector.Hits()
	if hits[0].Matched != 2 || hits[0].Struck != 1 || hits[1].Matched != 2 || hits[1].Struck != 1 {
		t.Errorf("%+v", hits)
	}
}
