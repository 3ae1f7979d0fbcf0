package markdown

import (
	"html"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/account"
)

// TestText: as source it has no markup, and as what GitHub shows, where it looks for mentions again, it has none either.
func TestText(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{"@everyone", "fixes #12", "o/r#3", "[a](b)", "https://x.example", "www.x.example", "<b>", "a|b", "`x`", "**b**", "~~s~~", ":tada:", "$x$", "&lt;b&gt;", "a\nb", "\x1b[31mred", "a\u202eb"} {
		source := Text(evil)
		if strings.ContainsAny(source, "@[]()<>|`*~$:\n\x1b\u202e") || strings.Contains(source, "://") || strings.Contains(source, "www.") {
			t.Errorf("%q becomes %q", evil, source)
		}
		shown := html.UnescapeString(source)
		for _, link := range []string{"@e", "#1", "#3"} {
			if strings.Contains(shown, link) {
				t.Errorf("%q is shown as %q, which GitHub links", evil, shown)
			}
		}
		if want := strings.Join(strings.Fields(Plain(evil)), " "); strings.ReplaceAll(shown, wordJoiner, "") != want {
			t.Errorf("%q reads as %q", evil, shown)
		}
	}
}

// TestBlock: the fence is longer than any in the text.
func TestBlock(t *testing.T) {
	t.Parallel()
	got := Block("a\n````\nb")
	if !strings.HasPrefix(got, "`````text\n") || !strings.HasSuffix(got, "\n`````\n") {
		t.Errorf("%s", got)
	}
}

// TestSummaryKeepsToItsLimit: findings go before verdicts do, and it says that something is left out.
func TestSummaryKeepsToItsLimit(t *testing.T) {
	t.Parallel()
	var a account.Account
	verdict := &gates.Verdict{Outcome: gates.Fail, Summary: "no"}
	for range 100 {
		verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelError, Message: strings.Repeat("é", 400), File: "a.ts", Line: 1})
	}
	a.Apply(event.Event{Type: event.RunStarted, Run: "R", RunInfo: &event.RunInfo{App: "app", Environment: "production"}})
	a.Apply(event.Event{Type: event.GateFinished, Gate: &event.Gate{Name: "q/g", Phase: gates.PhaseBuild, Verdict: verdict, Blocks: true}})
	a.Apply(event.Event{Type: event.RunFinished, Result: &event.Result{Outcome: "blocked", ExitCode: 4, Reason: "blocked by q/g"}})
	for _, limit := range []int{Limit, 8000, 2500, 300} {
		text := Summary(&a, Links{}, limit)
		if len(text) > limit {
			t.Errorf("%d bytes where %d go", len(text), limit)
		}
		if limit > 1000 && (!strings.Contains(text, "q/g") || !strings.Contains(text, "more: they are in the log")) {
			t.Errorf("at %d it does not say what is left out:\n%s", limit, text)
		}
	}
}

// TestSummaryShowsTheSQL: who decides on GitHub reads what would be executed; a fence in it ends nothing.
func TestSummaryShowsTheSQL(t *testing.T) {
	t.Parallel()
	told := &account.Account{Plan: &event.Plan{Digest: "sha256:p", Scripts: []event.Script{{Database: "db", File: "migrations/0002_age.sql", SQL: "ALTER TABLE users ADD COLUMN age INTEGER;\n-- ```\n"}}}}
	for range scriptsShown {
		told.Plan.Scripts = append(told.Plan.Scripts, event.Script{Database: "db", File: "more.sql", SQL: strings.Repeat("x", 2*scriptShown)})
	}
	got := Summary(told, Links{}, Limit)
	for _, want := range []string{"````text\nALTER TABLE users ADD COLUMN age INTEGER;", "and 1 more SQL files"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%.2000s", want, got)
		}
	}
	if len(got) > (scriptsShown+1)*scriptShown {
		t.Errorf("it is %d bytes long", len(got))
	}
}
