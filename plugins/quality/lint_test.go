package main

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestLint(t *testing.T) {
	passed, failedStage := gatetest.Stage("lint", "passed", 0), withLog(gatetest.Stage("lint", "failed", 2), gatetest.Written(t, "Oops! Something went wrong!\n"))
	of := func(stage gates.Stage, reports ...gates.Report) gates.Request {
		return gates.Request{Stages: []gates.Stage{stage}, Reports: reports}
	}
	text := func(kind gates.ReportKind, content string) gates.Report {
		return gates.Report{Kind: kind, Stage: "lint", Path: gatetest.Written(t, content), Root: "/app"}
	}
	warning := text(gates.ReportESLint, `[{"filePath":"/app/a.js","messages":[{"ruleId":"eqeqeq","severity":1,"message":"no","line":1,"column":2}]}]`)
	sarif := fixture(gates.ReportSARIF, "lint", "lint/results.sarif")

	gatetest.Try(t, lintGate{}, []gatetest.Case{{
		Name: "clean", Request: of(passed, text(gates.ReportESLint, `[{"filePath":"/app/a.js","messages":[]}]`)), Want: gates.Pass,
		Check: gatetest.Says("no lint errors, no warnings"),
	}, {
		Name: "ESLint finds errors", Request: of(failedStage, fixture(gates.ReportESLint, "lint", "lint/eslint.json")), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("2 lint errors and 1 warning"), gatetest.Finds(
			gates.Finding{Level: gates.LevelError, Rule: "no-unused-vars", File: "a.js", Line: 1, Column: 7, Message: "'x' is assigned a value but never used."},
			gates.Finding{Level: gates.LevelError, File: "b.js", Line: 1, Column: 7, Message: "Parsing error: Unexpected token ="},
			gates.Finding{Level: gates.LevelWarning, Rule: "eqeqeq", File: "a.js", Line: 2, Column: 7, Message: "Expected '===' and instead saw '=='."},
		)),
	}, {
		Name: "SARIF", Request: of(passed, sarif), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("2 lint errors and 1 warning"), gatetest.Finds(
			gates.Finding{Level: gates.LevelError, Rule: "no-eval", File: "src/c.ts", Line: 9, Message: "eval is evil"},
			gates.Finding{Level: gates.LevelError, Rule: "no-eval", Message: "still under review"},
			gates.Finding{Level: gates.LevelWarning, Rule: "complexity", File: "src/a b.ts", Line: 4, Column: 2, Message: "too complex"},
		)),
	}, {
		Name: "warnings", Request: of(passed, warning), Want: gates.Warn, Check: gatetest.Says("no lint errors, 1 warning"),
	}, {
		Name: "as many warnings as allowed", Config: `{"maxWarnings": 1}`, Request: of(passed, warning), Want: gates.Warn,
	}, {
		Name: "too many warnings", Config: `{"maxWarnings": 0}`, Request: of(passed, warning), Want: gates.Fail, Check: gatetest.Says("at most 0 are allowed"),
	}, {
		Name: "by exit code only", Request: of(passed), Want: gates.Warn, Check: gatetest.Says("by the exit code only (npm run lint)"),
	}, {
		Name: "warnings that nobody counted", Config: `{"maxWarnings": 0}`, Request: of(passed), Want: gates.Inconclusive,
	}, {
		Name: "the linter stops", Request: of(failedStage, text(gates.ReportESLint, "")), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("stage lint exited 2"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Message: "the last lines of stage lint", Detail: "Oops! Something went wrong!",
		})),
	}, {
		Name: "fails without a report", Request: of(failedStage), Want: gates.Fail, Check: gatetest.Says("named no lint error"),
	}, {
		Name: "fails with a clean report", Request: of(failedStage, text(gates.ReportESLint, "[]")), Want: gates.Fail,
	}, {
		Name: "another stage's SARIF is not looked at", Want: gates.Warn,
		Request: of(passed, fixture(gates.ReportSARIF, "scan", "lint/results.sarif")),
	}, {
		Name: "unreadable", Request: of(passed, text(gates.ReportESLint, `{"oops": 1}`)), Want: gates.Inconclusive,
	}, {
		Name: "null is no report", Request: of(passed, text(gates.ReportESLint, `null`)), Want: gates.Inconclusive,
	}, {
		Name: "a SARIF run that did not finish", Want: gates.Inconclusive,
		Request: of(passed, text(gates.ReportSARIF, `{"version":"2.1.0","runs":[{"invocations":[{"executionSuccessful":false}],"results":[]}]}`)),
	}, {
		Name: "SARIF without a run", Request: of(passed, text(gates.ReportSARIF, `{"version":"2.1.0","runs":[]}`)), Want: gates.Inconclusive,
	}, {
		Name: "skipped", Request: of(gatetest.Stage("lint", "skipped", -1)), Want: gates.Inconclusive,
	}, {
		Name: "missing", Want: gates.Inconclusive, Check: gatetest.Says(`no stage "lint"`),
	}})
}

func FuzzLintReports(f *testing.F) {
	f.Add([]byte(`[{"filePath":"/app/a.js","messages":[{"ruleId":null,"severity":2,"message":"x"}]}]`))
	f.Add([]byte(`{"version":"2.1.0","runs":[{"results":[{"ruleId":"r","locations":[{}]}]}]}`))
	f.Fuzz(func(_ *testing.T, content []byte) {
		_, _ = parseESLint(content, "/app")
		_, _ = parseSARIF(content, "/app")
	})
}
