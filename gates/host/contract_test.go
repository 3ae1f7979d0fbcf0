package host_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// TestBadSets asks each bad set of testdata/sets. None of them gets more than a verdict of error that says what happened
// and what to do.
func TestBadSets(t *testing.T) {
	t.Parallel()
	const wait = 2 * time.Second // for those that hang
	for name, says := range map[string]string{
		"crash-at-start":   "ended or fell silent",
		"exit-at-start":    "ended or fell silent",
		"hang-at-start":    "did not start in time",
		"garbage":          `printed something other than a handshake on standard output ("hello, I am a gate")`,
		"print-first":      `a gate set must not print before it calls Serve`,
		"endless-garbage":  "",
		"silent-stdout":    "ended or fell silent",
		"elsewhere":        "listens where it may not: tcp 192.0.2.1:80",
		"outside":          "listens where it may not: unix /var/run/docker.sock",
		"nobody-listens":   "",
		"net-rpc":          "shake hands",
		"next-protocol":    "speaks version 2 of the gate protocol, and this penstock (gate SDK " + gates.SDKVersion + ") speaks version 1",
		"no-certificate":   "",
		"hang-at-describe": "in time",
		"old-sdk":          `built with gate SDK "0.0.9", and this penstock (gate SDK ` + gates.SDKVersion + ") needs at least 0.1.0",
		"no-sdk":           `gate SDK ""`,
		"other-name":       `calls itself "quality"`,
		"no-gates":         "has no gates",
		"twins":            "two gates called gate",
		"no-phase":         "names no phase",
		"early-version":    "names the phase build",
		"loose-schema":     "additionalProperties",
		"reaching-schema":  "must stand alone",
		"no-verdict":       "ended its answer without a verdict",
		"two-verdicts":     "gave two verdicts",
		"fail-then-pass":   "gave two verdicts",
		"verdict-and-on":   "did not end its answer",
		"empty-message":    "neither progress nor a verdict",
		"unknown-outcome":  `the outcome "passed", which does not exist`,
		"no-outcome":       `the outcome "", which does not exist`,
		"no-summary":       "has no summary",
		"other-gate":       `answered for the gate "coverage"`,
		"replay":           "answered another question",
		"no-clearance":     "does not say who can clear it",
		"pass-pending":     "is not pending but pass",
		"not-a-number":     "not a number",
		"no-digest":        "no sha256 digest",
		"huge-message":     "more than 8 MiB",
		"flood":            "more than 10000 progress messages",
		"refuses":          "I would rather not",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := host.Limits{Stop: wait}
			if strings.Contains(name, "hang") || says == "" {
				limits.Start = wait
			}
			h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, name)}, Limits: limits})
			verdict := ask(t, h, name+"/gate", gates.Request{})
			if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, says) || verdict.NextStep == "" {
				t.Errorf("%+v", verdict)
			}
		})
	}
}

// TestAPluginThatGoPluginServesIsASet: nothing is wanted of a set but what go-plugin's own Serve does.
func TestAPluginThatGoPluginServesIsASet(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "plain")}})
	if verdict := ask(t, h, "plain/gate", gates.Request{}); verdict.Outcome != gates.Pass || verdict.Summary != "let me through" {
		t.Errorf("%+v", verdict)
	}
}

// TestBadGates asks gates that misbehave above the SDK, and checks that the set's other gates still answer.
func TestBadGates(t *testing.T) {
	t.Parallel()
	for gate, says := range map[string]string{
		"hang":  "did not answer in time",
		"slow":  "did not answer in time",
		"crash": "its process ended before it answered",
		"exit":  "its process ended before it answered",
	} {
		t.Run(gate, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
			if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
				t.Fatalf("%+v", verdict)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			verdict := h.Evaluate(ctx, "good/"+gate, gates.Request{Phase: gates.PhaseBuild}, nil)
			if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, says) || verdict.NextStep == "" {
				t.Errorf("%+v", verdict)
			}
			if gate == "crash" && (len(verdict.Findings) == 0 || !strings.HasPrefix(verdict.Findings[0].Detail, "panic: crashed in a goroutine of the gate")) {
				t.Errorf("what it printed is not shown: %+v", verdict.Findings)
			}
			if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
				t.Errorf("afterwards: %+v", verdict)
			}
		})
	}
}

// TestAHangingGateTakesNoNeighbourWithIt asks a slow gate and one that hangs, at once, in one process.
func TestAHangingGateTakesNoNeighbourWithIt(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	ask(t, h, "good/pass", gates.Request{})
	neighbour := make(chan gates.Verdict)
	started := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		first := true
		neighbour <- h.Evaluate(ctx, "good/slow", gates.Request{Phase: gates.PhaseBuild}, func(string) {
			if first {
				close(started)
			}
			first = false
		})
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if verdict := h.Evaluate(ctx, "good/hang", gates.Request{Phase: gates.PhaseBuild}, nil); verdict.Outcome != gates.Error {
		t.Errorf("%+v", verdict)
	}
	// Had its process been killed, the neighbour would now say that it ended.
	if verdict := <-neighbour; !strings.Contains(verdict.Summary, "did not answer in time") {
		t.Errorf("%+v", verdict)
	}
}

func TestASetThatKeepsCrashingIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}, Limits: host.Limits{Starts: 2}})
	for range 2 {
		ask(t, h, "good/exit", gates.Request{})
	}
	if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "was started 2 times") {
		t.Errorf("%+v", verdict)
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	for _, gate := range []string{"good/noisy", "good/long-winded"} {
		if verdict := ask(t, h, gate, gates.Request{}); verdict.Outcome != gates.Pass {
			t.Errorf("%s: %+v", gate, verdict)
		}
	}
}

func TestACancelledQuestionIsAnError(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	ctx, cancel := context.WithCancel(t.Context())
	verdict := h.Evaluate(ctx, "good/slow", gates.Request{Phase: gates.PhaseBuild}, func(string) { cancel() })
	if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "withdrawn") {
		t.Errorf("%+v", verdict)
	}
	if verdict := h.Evaluate(ctx, "good/pass", gates.Request{Phase: gates.PhaseBuild}, nil); verdict.Outcome != gates.Error {
		t.Errorf("with a context that has ended: %+v", verdict)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	answered := make(chan gates.Verdict)
	started := make(chan struct{}, 1000)
	go func() {
		answered <- h.Evaluate(t.Context(), "good/slow", gates.Request{Phase: gates.PhaseBuild}, func(string) { started <- struct{}{} })
	}()
	<-started
	begun := time.Now()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if verdict := <-answered; verdict.Outcome != gates.Error {
		t.Errorf("%+v", verdict)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "closed") {
		t.Errorf("after that: %+v", verdict)
	}
}
