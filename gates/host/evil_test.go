package host_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// TestEvilSets asks sets that aim at the host itself. None gets more than a verdict of error that says what it did, and none keeps
// the host for longer than it takes to say so.
func TestEvilSets(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"schema-bomb":       "stands for more than 10000 values",
		"deep-schema":       "takes more than 64 KiB",
		"deeper-schema":     "nested more than 40 deep",
		"hidden-schema":     `this one refers to #there`,
		"moved-schema":      `has an "$id" of its own`,
		"regex-bomb":        "is not valid regex",
		"huge-schema":       "takes more than 64 KiB",
		"many-gates":        "has 100001 gates, and 200 are allowed",
		"long-name":         "is not a lower-case word",
		"other-set":         `answered for the gate "quality/coverage"`,
		"no-time-pending":   "does not say when to ask again",
		"past-pending":      "does not say when to ask again",
		"verdict-then-exit": "its verdict does not count",
		"huge-header":       "answered with the error",
		"invalid-text":      "invalid UTF-8",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, name)}})
			verdict := ask(t, h, name+"/gate", gates.Request{})
			if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, says) || verdict.NextStep == "" || len(verdict.Summary) > 700 {
				t.Errorf("%+v", verdict)
			}
		})
	}
}

// TestAskAgainHasBounds: a set that wants to be asked again at once, or never, is asked again all the same.
func TestAskAgainHasBounds(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]time.Duration{"instant-pending": time.Second, "far-pending": 3 * 366 * 24 * time.Hour} {
		h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, name)}})
		if verdict := ask(t, h, name+"/gate", gates.Request{}); verdict.Pending == nil || verdict.Pending.AskAgain != want {
			t.Errorf("%s: %+v", name, verdict)
		}
	}
}

// TestNobodyListensToASetsBroker: go-plugin's client would, and keep a goroutine for each connection that a set announces there.
func TestNobodyListensToASetsBroker(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "broker-flood"), refTo(t, "stdio-flood")}})
	for range 20 {
		if verdict := ask(t, h, "broker-flood/gate", gates.Request{}); verdict.Outcome != gates.Pass || verdict.Summary != "sent 0" {
			t.Errorf("%+v", verdict)
		}
		// What it prints that way is bounded like all that it prints.
		if verdict := ask(t, h, "stdio-flood/gate", gates.Request{}); verdict.Outcome != gates.Pass {
			t.Errorf("%+v", verdict)
		}
	}
}
