package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	info, err := h.Describe(t.Context(), "good/echo")
	if err != nil {
		t.Fatal(err)
	}
	want := gates.Description{
		Name: "echo", Title: "answers as the tests need it", Phases: []gates.Phase{gates.PhaseBuild},
		Reports: []gates.Report{{Kind: gates.ReportJUnit}}, Needs: gates.Needs{Secrets: []string{"TOKEN"}},
	}
	if difference := cmp.Diff(want, info.Description); difference != "" {
		t.Error(difference)
	}
	if info.SetVersion != "1.2.3" || info.SetDigest != "sha256:"+built.digest {
		t.Errorf("%s %s", info.SetVersion, info.SetDigest)
	}

	for gate, says := range map[string]string{
		"good/nothing-like-it": "it has: good/pass",
		"other/gate":           `there is no gate set "other"; there are: good`,
		"good":                 `has no gate ""`,
		"":                     `there is no gate set ""`,
	} {
		_, err := h.Describe(t.Context(), gate)
		if !errors.Is(err, host.ErrUnknownGate) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", gate, err)
		}
		var advised interface{ NextStep() string }
		if !errors.As(err, &advised) || !strings.Contains(advised.NextStep(), "`penstock gates list`") {
			t.Errorf("%q: no next step: %v", gate, err)
		}
	}
}

func TestAnswersCrossUnchanged(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	limit, baseline := 80.0, 81.5
	for gate, want := range map[string]gates.Verdict{
		"pass": {Outcome: gates.Pass, Summary: "nothing is wrong, limit 80"},
		"fail": {Outcome: gates.Fail, Summary: "it is wrong", NextStep: "make it right"},
		"pending": {
			Outcome: gates.Pending, Summary: "not yet", Pending: &gates.Clearance{By: "ada", AskAgain: time.Minute},
		},
		"full": {
			Outcome: gates.Warn, Summary: "all there is", NextStep: "look", // the byte that is no text is gone
			Findings: []gates.Finding{{
				Level: gates.LevelWarning, Rule: "R1", Message: "mred", File: "src/a.ts", Line: 3, Column: 4, Detail: "one\ntwo",
			}, {
				Level: gates.LevelError, Message: "../../etc/passwd: outside",
			}},
			Measurements: []gates.Measurement{{Name: "lines", Value: 79.5, Unit: "%", Limit: &limit, Baseline: &baseline, Better: "higher"}},
			Evidence:     []gates.Evidence{{Name: "junit.xml", Digest: "sha256:" + fmt.Sprintf("%064x", 7)}},
		},
	} {
		if difference := cmp.Diff(want, ask(t, h, "good/"+gate, gates.Request{})); difference != "" {
			t.Errorf("%s: %s", gate, difference)
		}
	}
}

func TestErrorsAndPanicsAreVerdicts(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	for gate, summary := range map[string]string{
		"error":   "no such luck",
		"nothing": "the gate returned neither a verdict nor an error",
		"panic":   "the gate panicked: gone wrong",
	} {
		verdict := ask(t, h, "good/"+gate, gates.Request{})
		if verdict.Outcome != gates.Error || verdict.Summary != summary || verdict.NextStep == "" {
			t.Errorf("%s: %+v", gate, verdict)
		}
	}
	// The set is still there for its other gates.
	if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
		t.Errorf("%+v", verdict)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	for _, test := range []struct {
		gate, config, says string
		outcome            gates.Outcome
	}{
		{"pass", `{"limit": 90}`, "limit 90", gates.Pass},
		{"pass", `{}`, "limit 80", gates.Pass},
		{"pass", `null`, "limit 80", gates.Pass},
		{"pass", ``, "limit 80", gates.Pass},
		{"pass", `{"limit": 101}`, "limit: ", gates.Error},
		{"pass", `{"limit": "90"}`, "limit: ", gates.Error},
		{"pass", `{"limt": 90}`, "limt", gates.Error},
		{"pass", `{"limit": 90`, "not JSON", gates.Error},
		{"pass", `[]`, "invalid gate config", gates.Error},
		{"fail", `{"limit": 90}`, "takes no config", gates.Error},
	} {
		verdict := ask(t, h, "good/"+test.gate, gates.Request{Config: json.RawMessage(test.config)})
		if verdict.Outcome != test.outcome || !strings.Contains(verdict.Summary, test.says) {
			t.Errorf("%s with %s: %+v", test.gate, test.config, verdict)
		}
		if verdict.Outcome == gates.Error && !strings.Contains(verdict.NextStep, "penstock gates info") {
			t.Errorf("%s with %s: the next step is %q", test.gate, test.config, verdict.NextStep)
		}
	}
}

func TestWrongPhaseIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	for _, phase := range []gates.Phase{gates.PhaseBake, "later"} {
		if verdict := ask(t, h, "good/pass", gates.Request{Phase: phase}); verdict.Outcome != gates.Error {
			t.Errorf("%s: %+v", phase, verdict)
		}
	}
}

func TestAGateIsGivenWhatItAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	junit := write("junit.xml", "<tests/>")
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	verdict := ask(t, h, "good/echo", gates.Request{
		Run:       gates.Run{ID: "r1", App: "shop", Environment: "production", Commit: "abc"},
		SourceDir: dir,
		Secrets:   map[string]string{"TOKEN": "the-token-itself", "OTHER": "not-for-it"},
		Stages:    []gates.Stage{{Name: "test", Outcome: "passed", Log: write("test.log", "all fine")}},
		Reports: []gates.Report{
			{Kind: gates.ReportJUnit, Stage: "test", Path: junit},
			{Kind: gates.ReportJUnit, Stage: "test", Path: filepath.Join(dir, "nowhere.xml")},
			{Kind: gates.ReportSARIF, Stage: "lint", Path: junit}, // which it did not ask for
		},
	})
	got := map[string]string{}
	for _, finding := range verdict.Findings {
		got[finding.Rule] += finding.Message + "|"
	}
	want := map[string]string{
		"report junit": "<tests/> false|true|",
		"write":        "false|",
		"log test":     "all fine false|",
		"secrets":      "1|",
		"phase":        "build|",
		"source":       "|",
		"run":          "{ID:r1 App:shop Environment:production Commit:abc SourceDigest: BundleDigest: URL: VersionID: PublicURL: Edge:<nil>}|",
	}
	if os.Geteuid() == 0 && len(missing(t, h)) > 0 {
		delete(want, "write") // nothing keeps root from writing a file but a sandbox
		delete(got, "write")
	}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Error(difference)
	}
	if text, err := os.ReadFile(junit); err != nil || string(text) != "<tests/>" {
		t.Errorf("the evidence is now %q, %v", text, err)
	}
}

func TestTheSourceIsReadableWhenAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name":"shop"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	if verdict := ask(t, h, "good/source", gates.Request{SourceDir: dir}); verdict.Summary != `{"name":"shop"}` {
		t.Errorf("%+v", verdict)
	}
	// A neighbour in the same set gets nothing of it.
	attempt := "read " + filepath.Join(dir, "package.json")
	verdict := ask(t, h, "good/spy", gates.Request{Run: gates.Run{App: attempt}, SourceDir: dir})
	if len(missing(t, h)) == 0 && (len(verdict.Findings) != 1 || verdict.Findings[0].Detail != "refused") {
		t.Errorf("%+v", verdict)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	var said []string
	verdict := h.Evaluate(t.Context(), "good/pass", gates.Request{Phase: gates.PhaseBuild, Run: gates.Run{App: "shop\x1b[2J"}}, func(message string) {
		said = append(said, message)
	})
	if verdict.Outcome != gates.Pass || !slices.Equal(said, []string{"looking at shop"}) {
		t.Errorf("%+v %q", verdict, said)
	}
}

func TestTheDeadlineCrossesTheWire(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	h.Evaluate(ctx, "good/pass", gates.Request{Phase: gates.PhaseBuild}, nil)                        // so that starting does not count
	for limit, want := range map[time.Duration]string{30 * time.Second: "30s", time.Hour: "10m0s"} { // the host's own is 10 min
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if verdict := h.Evaluate(ctx, "good/deadline", gates.Request{Phase: gates.PhaseBuild}, nil); verdict.Summary != want {
			t.Errorf("within %s: %+v", limit, verdict)
		}
	}
}

func TestSecretsAreRedactedWhereverAGateSaysThem(t *testing.T) {
	t.Parallel()
	const secret, known = "s3cr3t-t0k3n", "looking-glass"
	h := newHost(t, host.Options{
		Sets:   []host.PluginRef{refTo(t, "good")},
		Redact: func(text string) string { return strings.ReplaceAll(text, known, "***") },
	})
	var said []string
	for _, value := range []string{secret, known} {
		verdict := h.Evaluate(t.Context(), "good/leak", gates.Request{
			Phase: gates.PhaseBuild, Secrets: map[string]string{"TOKEN": value},
		}, func(message string) { said = append(said, message) })
		text, err := json.Marshal(verdict)
		if err != nil || verdict.Outcome != gates.Fail {
			t.Fatal(err, verdict)
		}
		if strings.Contains(string(text)+strings.Join(said, ""), value) || !strings.Contains(verdict.Summary, "***") {
			t.Errorf("%s %q", text, said)
		}
	}
}

// TestManyAtOnce asks twenty gates of one set at once: they share one process.
// TestManyAtOnce asks twenty gates that answer only when all of them are being asked, in one process: side by side, they cost no more
// than the slowest.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}, Limits: host.Limits{Starts: 1}})
	var asking sync.WaitGroup
	for i := range 20 {
		asking.Go(func() {
			if verdict := ask(t, h, fmt.Sprintf("good/meets-%d", i), gates.Request{}); verdict.Outcome != gates.Pass {
				t.Errorf("%d: %+v", i, verdict)
			}
		})
	}
	asking.Wait()
}

// missing says what this machine cannot confine.
func missing(t *testing.T, h *host.Host) []string {
	t.Helper()
	info, err := h.DescribeSet(t.Context(), h.Sets()[0])
	if err != nil {
		t.Fatal(err)
	}
	return info.Sandbox.Missing
}
