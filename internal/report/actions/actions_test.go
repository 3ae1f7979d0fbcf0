package actions

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// commandsIn reads a log as the runner does: it ends lines at \r, \n and both, trims them, takes "::name" at the begin and
// "##[name]" anywhere (actions/runner, ActionCommand.cs).
func commandsIn(log string) []string {
	var found []string
	older := regexp.MustCompile(`##\[[a-z-]+`)
	for _, line := range regexp.MustCompile(`\r\n|\r|\n`).Split(log, -1) {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "::") {
			name, _, _ := strings.Cut(strings.TrimPrefix(trimmed, "::"), "::")
			name, _, _ = strings.Cut(name, " ")
			found = append(found, name)
		}
		found = append(found, older.FindAllString(line, -1)...)
	}
	return found
}

// hostile are lines with which a test or a gate would speak to the runner.
var hostile = []string{
	"::add-mask::x", "  ::set-env name=PATH::/evil", "\t::error::no", "##[add-mask]x", "text ##[group]more", "ok\r::add-mask::x", "ok\r\n::stop-commands::t",
	"\u00a0::error::nbsp", "###[error]x", "#\r#[error]x", ":\r:error::x", "::\n::endgroup::",
}

// TestNothingPrintedIsACommand: whatever is written, and in whatever pieces, the runner finds no command in it.
func TestNothingPrintedIsACommand(t *testing.T) {
	t.Parallel()
	if n := len(commandsIn(strings.Join(hostile, "\n"))); n < len(hostile)-2 { // two become commands only when their \r is taken out
		t.Fatalf("the runner of this test sees %d commands in the raw lines: it would not notice", n)
	}
	for size := 1; size < 8; size++ {
		var out bytes.Buffer
		guard := NewGuard(&out)
		text := []byte(strings.Join(hostile, "\n") + "\nplain: a::b #1 [x]\n")
		for len(text) > 0 {
			n := min(size, len(text))
			if wrote, err := guard.Write(text[:n]); err != nil || wrote != n {
				t.Fatal(wrote, err)
			}
			text = text[n:]
		}
		if found := commandsIn(out.String()); len(found) > 0 {
			t.Errorf("in pieces of %d: the runner would do %q in\n%s", size, found, out.String())
		}
		if !strings.Contains(out.String(), "plain: a::b #1 [x]\n") {
			t.Errorf("harmless text was changed: %s", out.String())
		}
	}
}

// TestTheLogOfARun: a group for each stage that passed, none for one that failed, and no command that the app wrote.
func TestTheLogOfARun(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	view := NewView(&log, &log)
	view.Observe(event.Event{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "a\r::error::x", Stages: []event.Stage{{Name: "test"}, {Name: "lint"}}}})
	for _, line := range hostile {
		view.Observe(event.Event{Type: event.StageOutput, Stage: &event.Stage{Name: "test"}, Text: line})
		view.Observe(event.Event{Type: event.StageOutput, Stage: &event.Stage{Name: "lint"}, Text: line})
		view.Observe(event.Event{Type: event.GateProgress, Gate: &event.Gate{Name: "x/y"}, Text: line})
	}
	if strings.Contains(log.String(), "[test] |") {
		t.Error("output came before its stage ended, in between that of others")
	}
	view.Observe(event.Event{Type: event.StageFinished, Stage: &event.Stage{Name: "test", Outcome: event.Passed}})
	view.Observe(event.Event{Type: event.StageFinished, Stage: &event.Stage{Name: "lint", Outcome: event.Failed, Why: "::error::why"}})
	view.Observe(event.Event{Type: event.GateFinished, Gate: &event.Gate{Name: "x/y", Verdict: &gates.Verdict{Outcome: gates.Fail, Summary: "::error::x"}, Blocks: true}})
	view.Observe(event.Event{Type: event.RunFinished, Result: &event.Result{Outcome: "failed", ExitCode: 3, Reason: "\n::error::x"}})
	if got := strings.Join(commandsIn(log.String()), " "); got != "group endgroup" {
		t.Errorf("the runner would do: %s\n%s", got, log.String())
	}
	inside, _, _ := strings.Cut(log.String(), "\n::endgroup::")
	if !strings.Contains(inside, "::group::test") || !strings.Contains(inside, "[test] | text ## [group]more") || strings.Contains(inside, "[lint] |") {
		t.Errorf("the group of test:\n%s", inside)
	}
	if !strings.Contains(log.String(), "[lint] | text ## [group]more") {
		t.Error("the failed stage's output is not there")
	}
}

// TestLongOutput: the last lines are kept, the others counted.
func TestLongOutput(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	view := NewView(&log, &log)
	for i := range kept + 3 {
		view.Observe(event.Event{Type: event.StageOutput, Stage: &event.Stage{Name: "test"}, Text: fmt.Sprint("line ", i)})
	}
	view.Observe(event.Event{Type: event.StageFinished, Stage: &event.Stage{Name: "test", Outcome: event.Failed, Log: "/logs/test"}})
	if !strings.Contains(log.String(), "(3 lines before these are in /logs/test)") || strings.Contains(log.String(), "line 2\n") || !strings.Contains(log.String(), "line 3\n") {
		t.Error("the end of a long output is not what is shown")
	}
}

// TestAnnotations: places, escaping, and no more than GitHub shows.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	annotations := NewAnnotations(NewCommander(&log), "apps/a/")
	verdict := &gates.Verdict{Outcome: gates.Fail}
	verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelError, Rule: "r", Message: "50 %\n::add-mask::x", File: "a,b:c.ts", Line: 3, Column: 4})
	for range 20 {
		verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelWarning, Message: "m"})
	}
	annotations.Observe(event.Event{Type: event.GateFinished, Gate: &event.Gate{Name: "q/g", Verdict: verdict, Blocks: true}})
	annotations.Observe(event.Event{Type: event.RunFinished, Result: &event.Result{Outcome: "blocked", ExitCode: 4, Reason: "why", NextStep: "do"}})
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 12 {
		t.Fatalf("%d annotations", len(lines))
	}
	if want := "::error file=apps/a/a%2Cb%3Ac.ts,line=3,col=4,title=q/g::r: 50 %25%0A::add-mask::x"; lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	if want := "::error title=penstock%3A blocked::why%0Anext: do"; lines[11] != want {
		t.Errorf("got  %s\nwant %s", lines[11], want)
	}
}

// TestWaitingIsNoError: a deployment that waits is told in plain words, and a check that could not be answered stays an error.
func TestWaitingIsNoError(t *testing.T) {
	t.Parallel()
	for want, info := range map[string]event.RunInfo{
		"::notice title=penstock%3A waiting::Nothing of this run is live yet, and nothing failed: run RUN waits.%0Awhy%0Amay approve: ann, bea%0Anext: do": {
			App: "a", Environment: "production", Approvers: []string{"ann", "bea"}, Steps: []event.Step{{Name: "switch"}},
		},
		"::error title=penstock%3A waiting::why%0Anext: do": {App: "a", Environment: "production", Approvers: []string{"ann"}},
	} {
		var log bytes.Buffer
		annotations := NewAnnotations(NewCommander(&log), "")
		annotations.Observe(event.Event{Type: event.RunStarted, Run: "RUN", RunInfo: &info})
		annotations.Observe(event.Event{Type: event.RunFinished, Run: "RUN", Result: &event.Result{Outcome: "waiting", ExitCode: 5, Reason: "why", NextStep: "do"}})
		if got := strings.TrimSpace(log.String()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestMasks: each line of a value, and nothing so short that the log would be unreadable.
func TestMasks(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	NewCommander(&log).Mask("first%line\r\nsecond\n\n1\n")
	if got := log.String(); got != "::add-mask::first%25line\n::add-mask::second\n" {
		t.Errorf("%q", got)
	}
}

// TestFiles: the summary is added to and bounded; an output cannot write another one.
func TestFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "summary")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteSummary(path, "after"); err != nil {
		t.Fatal(err)
	}
	if err := WriteSummary(path, strings.Repeat("é", 1<<20)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "before\nafter\né") || len(text) > 1<<20 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	out := filepath.Join(t.TempDir(), "output")
	if err := WriteOutputs(out, []Output{{"url", "x\nEOF\nevil=1"}, {"outcome", "done"}}); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^url<<(penstock-[A-Z0-9]+)\nx\nEOF\nevil=1\npenstock-[A-Z0-9]+\noutcome<<penstock-[A-Z0-9]+\ndone\npenstock-[A-Z0-9]+\n$`).Match(text) {
		t.Errorf("%s", text)
	}
	if err := WriteSummary(filepath.Join(t.TempDir(), "no", "where"), "x"); err == nil {
		t.Error("a summary that could not be written is no error")
	}
}
