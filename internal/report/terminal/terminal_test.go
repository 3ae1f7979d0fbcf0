package terminal

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func limit(value float64) *float64 { return &value }

// served is a run that went well; blocked is one in which a test, the coverage and a smoke were wrong.
func served() []event.Event {
	return []event.Event{
		begin(),
		{Type: event.StageStarted, Time: at(0.1), Stage: &event.Stage{Name: "install", Moment: "build"}},
		{Type: event.StageFinished, Time: at(0.1), Stage: &event.Stage{Name: "install", Moment: "build", Outcome: event.Passed, Cached: true, Why: "inputs unchanged since 2026-11-21"}},
		{Type: event.StageStarted, Time: at(0.2), Stage: &event.Stage{Name: "test", Moment: "build"}},
		{Type: event.StageOutput, Time: at(1), Stage: &event.Stage{Name: "test"}, Text: "\x1b[32m✓\x1b[0m 130 tests\x07"},
		{Type: event.StageOutput, Time: at(1), Stage: &event.Stage{Name: "test"}, Text: ""},
		{Type: event.StageFinished, Time: at(8.6), Stage: &event.Stage{Name: "test", Moment: "build", Outcome: event.Passed, Duration: 8400 * time.Millisecond, Why: "src/index.ts changed"}},
		{Type: event.BundleBuilt, Bundle: &event.Bundle{Digest: "sha256:ada3a052965ebc5ca5e7e0d4db1eebc6d5", Size: 251407, Modules: 1}},
		{Type: event.GateStarted, Time: at(8.6), Gate: &event.Gate{Name: "quality/coverage", Phase: gates.PhaseBuild}},
		{Type: event.GateFinished, Time: at(8.7), Gate: &event.Gate{Name: "quality/coverage", Phase: gates.PhaseBuild, Enforcement: "overridable", Duration: 90 * time.Millisecond, Verdict: &gates.Verdict{
			Outcome: gates.Pass, Summary: "92.4 % of lines covered, limit 80 %", Measurements: []gates.Measurement{{Name: "lines", Value: 92.4, Unit: "%", Limit: limit(80)}},
		}}},
		{Type: event.StepStarted, Time: at(9), Step: &event.Step{Name: "upload", Title: "upload the new version"}},
		{Type: event.StepFinished, Time: at(9.1), Step: &event.Step{Name: "upload", Title: "upload the new version", Detail: "version 3ac7b8a1", Duration: 100 * time.Millisecond}},
		{Type: event.StepFinished, Time: at(9.1), Step: &event.Step{Name: "migrate", Title: "apply migrations", Skipped: true}},
		{Type: event.Note, Level: "warning", Text: "package.json: there is no lint script"},
		{Type: event.RunFinished, Time: at(9.2), Result: &event.Result{
			Outcome: "done", Duration: 9200 * time.Millisecond, Version: "3ac7b8a1-b916", Previous: "6a1488b5-0c57", URL: "http://127.0.0.1:8787", NextStep: "open it",
		}},
	}
}

func blocked() []event.Event {
	var findings []gates.Finding
	for line := 1; line <= 12; line++ {
		findings = append(findings, gates.Finding{Level: gates.LevelError, File: "src/a.ts", Line: line, Column: 3, Message: "wrong", Rule: "TS2322", Detail: "- 1\n+ 2\n"})
	}
	return []event.Event{
		begin(),
		{Type: event.StageStarted, Time: at(0), Stage: &event.Stage{Name: "install", Moment: "build"}},
		{Type: event.StageOutput, Time: at(0), Stage: &event.Stage{Name: "install"}, Text: "npm error 404"},
		{Type: event.StageFinished, Time: at(2), Stage: &event.Stage{Name: "install", Moment: "build", Outcome: event.Failed, ExitCode: 1, Duration: 2 * time.Second, Log: "install.log"}},
		{Type: event.StageFinished, Time: at(2), Stage: &event.Stage{Name: "test", Moment: "build", Outcome: event.Skipped, Why: "needs install, which failed"}},
		{Type: event.GateFinished, Time: at(2), Gate: &event.Gate{Name: "quality/coverage", Phase: gates.PhaseBuild, Enforcement: "overridable", Blocks: true, Verdict: &gates.Verdict{
			Outcome: gates.Fail, Summary: "79.99 % of lines covered, limit 80 %", NextStep: "test more", Findings: findings,
			Measurements: []gates.Measurement{{Name: "lines", Value: 79.999, Unit: "%", Limit: limit(80)}},
		}}},
		{Type: event.RunFinished, Time: at(2), Result: &event.Result{Outcome: "failed", ExitCode: 3, Duration: 2 * time.Second, Reason: "failed: install", NextStep: "mend it"}},
	}
}

func begin() event.Event {
	return event.Event{Type: event.RunStarted, Time: noon, Run: "01RUN", RunInfo: &event.RunInfo{
		App: "guide", Environment: "local", Commit: "0123456789abcdef", Dirty: true, Files: 62,
		Stages: []event.Stage{{Name: "install", Moment: "build"}, {Name: "test", Needs: []string{"install"}, Moment: "build"}},
		Gates:  []event.Gate{{Name: "quality/coverage", Phase: gates.PhaseBuild, Title: "enough is tested"}},
		Steps:  []event.Step{{Name: "migrate", Title: "apply migrations"}, {Name: "upload", Title: "upload the new version"}},
	}}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for name, events := range map[string][]event.Event{"served": served(), "blocked": blocked()} {
		var lines, summary bytes.Buffer
		plain := NewPlain(&lines, &summary, Look{})
		for _, e := range events {
			plain.Observe(e)
		}
		golden(t, name+".lines", lines.String())
		golden(t, name+".summary", summary.String())
	}
}

// TestPlainTellsAnOutcomeOnce: what a verdict weighs stands beside its outcome, and a summary is never cut.
func TestPlainTellsAnOutcomeOnce(t *testing.T) {
	t.Parallel()
	for want, gate := range map[string]event.Gate{
		"[gate q/a] inconclusive in 0 ms (advisory, does not block): nobody knows\n": {Name: "q/a", Enforcement: "advisory", Verdict: &gates.Verdict{Outcome: gates.Inconclusive, Summary: "nobody knows"}},
		"[gate q/b] fail in 0 ms: two lines\n":                                       {Name: "q/b", Enforcement: "mandatory", Blocks: true, Verdict: &gates.Verdict{Outcome: gates.Fail, Summary: "two lines"}},
		"[gate q/c] pass in 0 ms: passes all\n":                                      {Name: "q/c", Enforcement: "mandatory", Verdict: &gates.Verdict{Outcome: gates.Pass, Summary: "passes all"}},
	} {
		var lines bytes.Buffer
		NewPlain(&lines, &lines, Look{}).Observe(event.Event{Type: event.GateFinished, Gate: &gate})
		if lines.String() != want {
			t.Errorf("%q, want %q", lines.String(), want)
		}
	}
}

// TestOperation: a backup or the like has no source and no stages, and says what went wrong once.
func TestOperation(t *testing.T) {
	t.Parallel()
	var lines, summary bytes.Buffer
	plain := NewPlain(&lines, &summary, Look{})
	for _, e := range []event.Event{
		{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "guide", Environment: "production", Command: "backup"}, Run: "01RUN"},
		{Type: event.StepStarted, Step: &event.Step{Name: "store"}},
		{Type: event.StepFinished, Step: &event.Step{Name: "store", Error: "there is no such bucket"}},
		{Type: event.RunFinished, Result: &event.Result{Outcome: "failed", ExitCode: 3, Reason: "there is no such bucket", NextStep: "make it"}},
	} {
		plain.Observe(e)
	}
	if want := "penstock backup guide → production · run 01RUN\n"; !strings.HasPrefix(lines.String(), want) {
		t.Errorf("%q does not begin with %q", lines.String(), want)
	}
	want := "\n  ✗ store        0 ms  there is no such bucket\n\nfailed step store: there is no such bucket\n\nfailed in 0 ms\nnext: make it\n"
	if diff := cmp.Diff(want, summary.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTree draws the tree in the middle of a run: what is waiting, running and done must be told apart without colour.
func TestTree(t *testing.T) {
	t.Parallel()
	var b board
	for _, e := range served()[:6] {
		b.apply(e)
	}
	golden(t, "tree", strings.Join(newPalette(false).tree(&b, at(5), 80, 0), "\n")+"\n")
}

// TestNoLineOfTheTreeWraps holds every line to the terminal's width, however narrow: the drawing counts its lines to draw
// over them.
func TestNoLineOfTheTreeWraps(t *testing.T) {
	t.Parallel()
	var b board
	for _, e := range append(served()[:6:6], blocked()[1:5]...) {
		b.apply(e)
	}
	b.apply(event.Event{Type: event.Note, Level: "warning", Text: strings.Repeat("stopping ", 40)})
	for width := 1; width <= 120; width++ {
		for _, line := range newPalette(true).tree(&b, at(5), width, 0) {
			if got := ansi.StringWidth(line); got > width {
				t.Fatalf("at width %d a line has %d columns: %q", width, got, line)
			}
		}
	}
}

// TestTreeShowsTheLastWarnings: who has asked a run to stop must see that it does.
func TestTreeShowsTheLastWarnings(t *testing.T) {
	t.Parallel()
	var b board
	b.apply(begin())
	for _, note := range []event.Event{
		{Level: "warning", Text: "first"}, {Level: "info", Text: "by the way"}, {Level: "warning", Text: "second"},
		{Level: "error", Text: "third"}, {Level: "warning", Text: "stopping: traffic is put back"},
	} {
		note.Type = event.Note
		b.apply(note)
	}
	tree := strings.Join(newPalette(false).tree(&b, at(5), 80, 0), "\n")
	if want := "  ! second\n  ! third\n  ! stopping: traffic is put back"; !strings.HasSuffix(tree, want) {
		t.Errorf("the tree does not end with %q:\n%s", want, tree)
	}
}

// endless is a line as minified code or a progress bar without line ends leaves it.
var endless = strings.Repeat("\x1b[32m界x\x1b[0m", 16<<10/11)

// TestLongLinesAreCheap bounds what a chatty tool costs: the tree is drawn after every event. Cutting a line letter by
// letter took most of a second; a hundredth of that is still far more than it takes now.
func TestLongLinesAreCheap(t *testing.T) {
	t.Parallel()
	const drawings, bound = 100, 2 * time.Second
	var b board
	b.apply(begin())
	b.apply(event.Event{Type: event.StageStarted, Time: at(0), Stage: &event.Stage{Name: "install"}})
	p := newPalette(false)
	began := time.Now()
	for range drawings {
		b.apply(event.Event{Type: event.StageOutput, Time: at(1), Stage: &event.Stage{Name: "install"}, Text: endless})
		p.tree(&b, at(2), 80, 0)
		oneLine(endless, 80)
	}
	if took := time.Since(began); took > bound {
		t.Errorf("%d drawings took %s, more than %s", drawings, took, bound)
	}
}

func BenchmarkOneLine(b *testing.B) {
	b.SetBytes(int64(len(endless)))
	for b.Loop() {
		oneLine(endless, 80)
	}
}

// TestNothingMovesTheCursor holds back every control character that a tool writes: a log line must not redraw the screen.
func TestNothingMovesTheCursor(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\x1b[2J\x1b[Hgone", "a\rb", "bell\x07", "\x1b]0;title\x07x", "\u009b31m", "tab\tbed"} {
		for _, r := range oneLine(text, 0) {
			if r < 0x20 || (r >= 0x7f && r < 0xa0) {
				t.Errorf("%q kept %q", text, r)
			}
		}
	}
	if got := oneLine(strings.Repeat("x", 9), 0); got != "xxxxxxxxx" {
		t.Errorf("without a width it was cut: %q", got)
	}
	if got := oneLine(strings.Repeat("界", 30), 21); len([]rune(got)) != 11 {
		t.Errorf("wide characters are counted as narrow ones: %q", got)
	}
}

// TestLive draws on something that is no terminal and wants the summary in the end, whatever happened to the drawing.
func TestLive(t *testing.T) {
	t.Parallel()
	var screen, summary bytes.Buffer
	live := NewLive(&screen, &summary, Look{Size: func() (int, int) { return 100, 40 }})
	for _, e := range served() {
		live.Observe(e)
	}
	live.Close()
	if !strings.Contains(summary.String(), "live: version 3ac7b8a1-b916") {
		t.Errorf("no summary:\n%s", summary.String())
	}
	if strings.Contains(summary.String(), "\x1b") {
		t.Error("a summary without colour has escape sequences")
	}
}

// TestLiveClosedInTheMiddle is the second Ctrl-C: the cursor is shown again, and events that still come do no harm.
func TestLiveClosedInTheMiddle(t *testing.T) {
	t.Parallel()
	var screen, summary bytes.Buffer
	live := NewLive(&screen, &summary, Look{Size: func() (int, int) { return 100, 40 }})
	for _, e := range served()[:4] {
		live.Observe(e)
	}
	live.Close()
	if drawn := screen.String(); strings.LastIndex(drawn, showCursor) < strings.LastIndex(drawn, hideCursor) {
		t.Errorf("the cursor is still hidden: %q", drawn)
	}
	live.Observe(served()[4])
	live.Close()
	if summary.Len() > 0 {
		t.Errorf("a run that has not finished has a summary:\n%s", summary.String())
	}
}

// What DEC private mode 25 looks like on the wire.
const showCursor, hideCursor = "\x1b[?25h", "\x1b[?25l"

// TestColour uses it only when asked to.
func TestColour(t *testing.T) {
	t.Parallel()
	for _, colour := range []bool{true, false} {
		var lines, summary bytes.Buffer
		plain := NewPlain(&lines, &summary, Look{Colour: colour})
		for _, e := range blocked() {
			plain.Observe(e)
		}
		if got := strings.Contains(summary.String(), "\x1b["); got != colour {
			t.Errorf("colour %v: escape sequences %v", colour, got)
		}
	}
}

// delivered is a run as the example's is: cached stages, gates of several sets, one that warns, one that nobody could answer, one
// that was waived, and a promotion.
func delivered() []event.Event {
	info := &event.RunInfo{App: "atomic-guide", Environment: "local", Commit: "6b24375fd8f3", Files: 77}
	told := []event.Event{{Type: event.RunStarted, Time: noon, Run: "01M89S6NF3RHN62GW6SV3KA710", RunInfo: info}}
	for _, stage := range []event.Stage{
		{Name: "install", Cached: true, Why: "inputs unchanged since 2026-11-25"}, {Name: "test", Duration: 51100 * time.Millisecond, Why: "src/index.ts changed"},
		{Name: "typecheck", Cached: true, Why: "inputs unchanged since 2026-11-25"}, {Name: "lint", Cached: true, Why: "inputs unchanged since 2026-11-25"},
	} {
		stage.Moment, stage.Outcome = "build", event.Passed
		info.Stages = append(info.Stages, event.Stage{Name: stage.Name, Moment: "build"})
		told = append(told, event.Event{Type: event.StageFinished, Time: at(52), Stage: &stage})
	}
	told = append(told, event.Event{Type: event.BundleBuilt, Bundle: &event.Bundle{Digest: "sha256:ada3a052965ebc5ca5e7e0d4db1eebc6d5", Size: 251407}})
	pass := func(name string, phase gates.Phase, summary string, measured ...gates.Measurement) event.Gate {
		return event.Gate{Name: name, Phase: phase, Enforcement: "mandatory", Duration: 80 * time.Millisecond, Verdict: &gates.Verdict{Outcome: gates.Pass, Summary: summary, Measurements: measured}}
	}
	audit := pass("security/audit", gates.PhaseBuild, "the registry was not asked for advisories or did not answer, and there is no database of advisories: nobody knows")
	audit.Enforcement, audit.Verdict.Outcome = "advisory", gates.Inconclusive
	alerts := pass("health/alerts", gates.PhaseBake, "Memory Usage High cannot be judged: the analytics do not say how much memory is used")
	alerts.Verdict.Outcome = gates.Warn
	size := pass("release/size", gates.PhaseBuild, "the bundle grew", gates.Measurement{Name: "gzip", Value: 70.5, Unit: "kB", Limit: limit(64), Better: "lower"})
	size.Verdict.Outcome, size.Waived = gates.Fail, "waived by bea: grows once"
	latency := pass("health/latency", gates.PhasePromote, "p95 of 100 answers is 14.5 ms", gates.Measurement{Name: "p95", Value: 14.5, Unit: "ms", Limit: limit(500), Better: "lower"})
	latency.Duration = 1100 * time.Millisecond
	for _, gate := range []event.Gate{
		pass("quality/tests", gates.PhaseBuild, "130 tests passed", gates.Measurement{Name: "tests", Value: 130, Unit: "count", Limit: limit(1), Better: "higher"}),
		pass("quality/coverage", gates.PhaseBuild, "87.1 % of lines covered", gates.Measurement{Name: "lines", Value: 87.1, Unit: "%", Limit: limit(80), Better: "higher"}),
		pass("quality/lint", gates.PhaseBuild, "no lint errors, no warnings", gates.Count("errors", 0, gates.AtMost(0))),
		audit,
		pass("security/sql", gates.PhaseBuild, "all SQL is constant", gates.Count("findings", 0, gates.AtMost(0))),
		pass("security/headers", gates.PhasePromote, "6 security headers on 4 answers", gates.Count("answers", 4, nil), gates.Count("missing or weaker headers", 0, gates.AtMost(0))),
		size,
		pass("cloudflare/drift", gates.PhasePlan, "nobody changed it by hand"), pass("cloudflare/kv", gates.PhasePromote, "KV namespace exists", gates.Count("KV namespaces", 1, nil)),
		latency, alerts,
	} {
		info.Gates = append(info.Gates, event.Gate{Name: gate.Name, Phase: gate.Phase, Enforcement: gate.Enforcement})
		told = append(told, event.Event{Type: event.GateFinished, Time: at(53), Gate: &gate})
	}
	for _, step := range []event.Step{
		{Name: "lease", Detail: "lease 1 of local", Duration: 3 * time.Millisecond}, {Name: "migrate", Detail: "0001_create.sql, 0002_alter.sql", Duration: 23 * time.Millisecond},
		{Name: "upload", Detail: "version b9dd026c", Duration: 86 * time.Millisecond}, {Name: "gates", Detail: "5 gates let it through", Duration: 1600 * time.Millisecond},
		{Name: "shift-100", Detail: "b9dd026c at 100 %", Duration: 137 * time.Millisecond},
	} {
		info.Steps = append(info.Steps, event.Step{Name: step.Name, Title: step.Name})
		told = append(told, event.Event{Type: event.StepFinished, Time: at(54), Step: &step})
	}
	return append(told,
		event.Event{Type: event.Note, Level: "info", Text: "JWT_SECRET had no value and got a random one, for this machine only; set your own in the environment or in .dev.vars"},
		event.Event{Type: event.RunFinished, Time: at(77), Result: &event.Result{
			Outcome: "done", Duration: 77*time.Second + 883*time.Millisecond, Version: "b9dd026c-7248-49fe-9414-2765b6755f1b", Previous: "9fc8b88b-8912-4605-abac-c105b72a9441",
			URL: "http://127.0.0.1:8789", NextStep: "open http://127.0.0.1:8789 · stop it with `penstock local down`",
		}})
}

// TestSummaryAtWidths: at every width all that went well fits a few lines with each gate's figures, what did not is whole, and
// nothing is wider than the terminal but what has no space to break at.
func TestSummaryAtWidths(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80, 120, 200} {
		var out bytes.Buffer
		Show(&out, Look{Size: func() (int, int) { return width, 24 }}, delivered())
		golden(t, fmt.Sprintf("delivered.%d", width), out.String())
		for _, line := range strings.Split(out.String(), "\n") {
			if got := ansi.StringWidth(line); got > width {
				t.Errorf("at width %d a line has %d columns: %q", width, got, line)
			}
		}
	}
	var all bytes.Buffer
	Show(&all, Look{All: true}, delivered())
	golden(t, "delivered.all", all.String())
}

// TestNothingIsFoldedThatSaysSomething: a gate that does more than pass has its own words in the summary, whatever its set did.
func TestNothingIsFoldedThatSaysSomething(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*event.Gate){
		"warns":                func(g *event.Gate) { g.Verdict.Outcome = gates.Warn },
		"fails, advisory":      func(g *event.Gate) { g.Verdict.Outcome, g.Enforcement = gates.Fail, "advisory" },
		"fails and blocks":     func(g *event.Gate) { g.Verdict.Outcome, g.Blocks = gates.Fail, true },
		"inconclusive":         func(g *event.Gate) { g.Verdict.Outcome = gates.Inconclusive },
		"could not be asked":   func(g *event.Gate) { g.Verdict.Outcome = gates.Error },
		"pending":              func(g *event.Gate) { g.Verdict.Outcome = gates.Pending },
		"waived":               func(g *event.Gate) { g.Verdict.Outcome, g.Waived = gates.Fail, "waived by bea: once" },
		"a dry run":            func(g *event.Gate) { g.DryRun = true },
		"an outcome not known": func(g *event.Gate) { g.Verdict.Outcome = "splendid" },
	} {
		told := delivered()
		for i := range told {
			if told[i].Type == event.GateFinished && told[i].Gate.Name == "quality/lint" {
				change(told[i].Gate)
			}
		}
		var out bytes.Buffer
		Show(&out, Look{}, told)
		if !strings.Contains(out.String(), "quality/lint") || !strings.Contains(out.String(), "no lint errors, no warnings") {
			t.Errorf("%s: the gate's words are not there:\n%s", name, out.String())
		}
	}
}

// TestTreeFits: the tree has no more lines than the terminal, and shows what is at work as long as one line is left for it.
func TestTreeFits(t *testing.T) {
	t.Parallel()
	var b board
	told := delivered()
	for _, e := range told[:3] {
		b.apply(e)
	}
	b.apply(event.Event{Type: event.StageStarted, Time: at(2), Stage: &event.Stage{Name: "lint", Moment: "build"}})
	for height := 1; height < 12; height++ {
		lines := palette{}.tree(&b, at(5), 80, height)
		if len(lines) > height {
			t.Errorf("%d lines on %d rows", len(lines), height)
		}
		if height >= 6 && !strings.Contains(strings.Join(lines, "\n"), "● lint") {
			t.Errorf("on %d rows what is at work is not shown:\n%s", height, strings.Join(lines, "\n"))
		}
	}
}

// TestLiveAsksNothing: a terminal that does not answer would hold the run up, and what one answers lands in the shell.
func TestLiveAsksNothing(t *testing.T) {
	t.Parallel()
	var screen, summary bytes.Buffer
	live := NewLive(&screen, &summary, Look{Colour: true, Size: func() (int, int) { return 100, 40 }})
	for _, e := range delivered() {
		live.Observe(e)
	}
	for _, question := range []string{"\x1b[6n", "\x1b]10;?", "\x1b]11;?", "\x1b[c", "\x1b[?2026$p"} {
		if strings.Contains(screen.String(), question) {
			t.Errorf("it asks %q", question)
		}
	}
}

// TestLiveAfterAResize: what a narrower terminal wrapped is drawn over too, so that no line is left over.
func TestLiveAfterAResize(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	width := 100
	live := &Live{screen: &screen, look: Look{Size: func() (int, int) { return width, 40 }}}
	live.board.apply(begin())
	live.draw()
	lines, wrapped := len(live.drawn), 0
	for _, line := range live.drawn {
		if wrapped++; ansi.StringWidth(line) > 50 {
			wrapped++
		}
	}
	if wrapped == lines {
		t.Fatal("no line is wide enough to be wrapped")
	}
	screen.Reset()
	width = 50
	live.draw()
	if up := ansi.CursorUp(wrapped); !strings.Contains(screen.String(), "\r"+up) {
		t.Errorf("it does not go up %d rows: %q", wrapped, screen.String())
	}
	screen.Reset()
	live.draw()
	if screen.Len() > 0 {
		t.Errorf("nothing changed, and it wrote %q", screen.String())
	}
}

// TestWhatEndedBeforeItBegan: a run that was stopped before its first stage is no list of all that did not happen.
func TestWhatEndedBeforeItBegan(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	Show(&out, Look{}, []event.Event{
		{Type: event.RunStarted, Run: "01RUN", RunInfo: &event.RunInfo{App: "guide", Environment: "local", Stages: []event.Stage{{Name: "install"}, {Name: "test"}, {Name: "bundle"}}}},
		{Type: event.RunFinished, Run: "01RUN", Result: &event.Result{Outcome: "busy", ExitCode: 7, Reason: "environment local is in maintenance"}},
	})
	if !strings.Contains(out.String(), "not run            install, test, bundle\n") || strings.Contains(out.String(), "0 stages ran") {
		t.Error(out.String())
	}
}
