package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestCoverage(t *testing.T) {
	of := func(reports ...gates.Report) gates.Request {
		return gates.Request{Stages: []gates.Stage{gatetest.Stage("test", "passed", 0)}, Reports: reports}
	}
	report := func(kind gates.ReportKind, path string) gates.Report { return fixture(kind, "test", "coverage/"+path) }
	text := func(kind gates.ReportKind, content string) gates.Report {
		return gates.Report{Kind: kind, Stage: "test", Path: gatetest.Written(t, content), Root: "/app"}
	}
	final, summary := report(gates.ReportIstanbul, "coverage-final.json"), report(gates.ReportIstanbulSummary, "coverage-summary.json")
	lcov, cobertura := report(gates.ReportLCOV, "lcov.info"), report(gates.ReportCobertura, "cobertura-coverage.xml")
	worst := gates.Finding{
		Level: gates.LevelError, Rule: "coverage", File: "src/math.ts", Line: 7,
		Message: "53.33 % of lines covered (8 of 15); not reached: line 7-8, 13-17",
	}

	cases := []gatetest.Case{{
		Name: "summary without lines", Request: of(summary), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("56.25 % of lines covered, limit 80 %", "9 of 16"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "coverage", File: "src/math.ts", Message: "53.33 % of lines covered (8 of 15)",
		})),
	}, {
		Name: "the richest kind is read", Request: of(summary, cobertura, final, lcov), Want: gates.Fail, Check: gatetest.Finds(worst),
	}, {
		Name: "at the limit passes", Config: `{"limit": 56.25}`, Request: of(final), Want: gates.Pass, Check: gatetest.Says("56.25 %"),
	}, {
		Name: "a hair under the limit fails", Config: `{"limit": 56.250001}`, Request: of(final), Want: gates.Fail, Check: gatetest.Says("56.25 %"),
	}, {
		Name: "79.996 is not 80", Request: of(text(gates.ReportIstanbulSummary, sums(100000, 79996))), Want: gates.Fail, Check: gatetest.Says("79.99 %"),
	}, {
		Name: "80 is 80", Request: of(text(gates.ReportIstanbulSummary, sums(100000, 80000))), Want: gates.Pass, Check: gatetest.Says("80 % of lines"),
	}, {
		Name: "branches", Config: `{"metric": "branches", "limit": 75}`, Request: of(final), Want: gates.Pass, Check: gatetest.Says("75 % of branches", "3 of 4"),
	}, {
		Name: "functions of cobertura", Config: `{"metric": "functions", "limit": 75}`, Request: of(cobertura), Want: gates.Pass, Check: gatetest.Says("3 of 4"),
	}, {
		Name: "statements that the format does not know", Config: `{"metric": "statements"}`, Request: of(lcov), Want: gates.Inconclusive,
		Check: gatetest.Says("knows of no statements"),
	}, {
		Name: "one file is too low", Config: `{"limit": 50, "perFile": 60}`, Request: of(final), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 file is below 60 % of lines"), gatetest.Finds(worst)),
	}, {
		Name: "each file is high enough", Config: `{"limit": 50, "perFile": 53}`, Request: of(final), Want: gates.Pass,
	}, {
		Name: "runs add up", Request: of(
			text(gates.ReportLCOV, "SF:/app/a.ts\nDA:1,1\nDA:2,0\nend_of_record\n"),
			text(gates.ReportLCOV, "SF:a.ts\nDA:1,0\nDA:2,5\nend_of_record\n"),
		), Want: gates.Pass, Check: gatetest.Says("100 % of lines", "2 of 2 in 1 file"),
	}, {
		Name: "LCOV with sums only", Request: of(text(gates.ReportLCOV, "TN:\nSF:a.ts\nLF:10\nLH:7\nend_of_record\n")), Want: gates.Fail, Check: gatetest.Says("70 %"),
	}, {
		Name: "no report", Request: of(), Want: gates.Inconclusive, Check: gatetest.Says("no stage left a coverage report"),
	}, {
		Name: "a report that is not there", Request: of(report(gates.ReportIstanbul, "nowhere.json")), Want: gates.Inconclusive,
	}, {
		Name: "no code", Request: of(text(gates.ReportIstanbul, "{}")), Want: gates.Inconclusive, Check: gatetest.Says("nothing to compare"),
	}, {
		Name: "0 of 0 lines", Request: of(text(gates.ReportIstanbulSummary, sums(0, 0))), Want: gates.Inconclusive,
	}, {
		Name: "more covered than there is", Request: of(text(gates.ReportIstanbulSummary, sums(10, 11))), Want: gates.Inconclusive,
	}, {
		Name: "a summary instead of the final report", Request: of(report(gates.ReportIstanbul, "coverage-summary.json")), Want: gates.Inconclusive,
	}, {
		Name: "cut off", Request: of(text(gates.ReportLCOV, "SF:a.ts\nDA:1,1\n")), Want: gates.Inconclusive, Check: gatetest.Says("cut off"),
	}, {
		Name: "empty", Request: of(text(gates.ReportLCOV, "")), Want: gates.Inconclusive, Check: gatetest.Says("empty"),
	}, {
		Name: "the stage was skipped", Want: gates.Inconclusive,
		Request: gates.Request{Stages: []gates.Stage{gatetest.Stage("test", "skipped", -1)}, Reports: []gates.Report{final}},
	}}
	for _, one := range []struct {
		name   string
		report gates.Report
	}{{"final", final}, {"LCOV", lcov}, {"Cobertura", cobertura}} {
		cases = append(cases, gatetest.Case{
			Name: one.name + " is too low", Request: of(one.report), Want: gates.Fail,
			Check: gatetest.All(gatetest.Says("56.25 % of lines covered, limit 80 % (9 of 16 in 2 files)"), gatetest.Finds(worst), func(t *testing.T, verdict gates.Verdict) {
				gatetest.Measures("lines", 56.25)(t, verdict)
				if verdict.NextStep != "test 4 more of the lines; the files that lack the most are listed first" {
					t.Errorf("next step: %s", verdict.NextStep)
				}
			}),
		})
	}
	gatetest.Try(t, coverageGate{}, cases)
}

// sums is a summary of one number for everything.
func sums(total, covered int) string {
	sum := fmt.Sprintf(`{"total": %d, "covered": %d, "skipped": 0, "pct": 100}`, total, covered)
	return fmt.Sprintf(`{"total": {"lines": %s, "statements": %s, "functions": %s, "branches": %s}}`, sum, sum, sum, sum)
}

func TestWorstFileFirst(t *testing.T) {
	t.Parallel()
	covered := newCoverage()
	tracefile := "SF:half.ts\nDA:1,1\nDA:2,0\nend_of_record\nSF:none.ts\nDA:1,0\nend_of_record\n" +
		"SF:none-but-longer.ts\nDA:1,0\nDA:2,0\nend_of_record\nSF:all.ts\nDA:1,1\nend_of_record\n"
	if err := covered.addLCOV([]byte(tracefile), ""); err != nil {
		t.Fatal(err)
	}
	limit := 80.0
	if got, want := strings.Join(covered.below(metricLines, &limit), " "), "none-but-longer.ts none.ts half.ts"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzLCOV(f *testing.F) {
	f.Add([]byte("SF:a.ts\nFN:1,f\nFNDA:1,f\nDA:1,1\nBRDA:1,0,0,-\nLF:1\nLH:1\nend_of_record\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		covered := newCoverage()
		if covered.addLCOV(content, "/app") != nil {
			return
		}
		coverageConfig{Limit: 80, Metric: metricLines}.judge(covered, gates.ReportLCOV)
	})
}

func FuzzCobertura(f *testing.F) {
	f.Add([]byte(`<coverage><packages><package><classes><class filename="a"><lines><line number="1" hits="1" condition-coverage="50% (1/2)"/></lines></class></classes></package></packages></coverage>`))
	f.Fuzz(func(_ *testing.T, content []byte) {
		covered := newCoverage()
		if covered.addCobertura(content, "/app") == nil {
			coverageConfig{Limit: 80, Metric: metricBranches}.judge(covered, gates.ReportCobertura)
		}
	})
}

func FuzzIstanbul(f *testing.F) {
	f.Add([]byte(`{"/app/a.ts":{"path":"/app/a.ts","statementMap":{"0":{"start":{"line":1}}},"s":{"0":1},"f":{},"b":{"0":[1,0]}}}`))
	f.Add([]byte(sums(2, 1)))
	f.Fuzz(func(_ *testing.T, content []byte) {
		covered := newCoverage()
		if covered.addIstanbul(content, "/app") == nil && covered.addIstanbulSummary(content, "/app") == nil {
			coverageConfig{Limit: 80, Metric: metricStatements}.judge(covered, gates.ReportIstanbul)
		}
	})
}
