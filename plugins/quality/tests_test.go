package main

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestTests(t *testing.T) {
	passed, failedStage := gatetest.Stage("test", "passed", 0), withLog(gatetest.Stage("test", "failed", 1), gatetest.Written(t, "Error: setup failed\n"))
	junit := func(path string) gates.Report { return fixture(gates.ReportJUnit, "test", "junit/"+path) }
	of := func(stage gates.Stage, reports ...gates.Report) gates.Request {
		return gates.Request{Stages: []gates.Stage{stage}, Reports: reports}
	}
	text := func(xml string) gates.Report {
		return gates.Report{Kind: gates.ReportJUnit, Stage: "test", Path: gatetest.Written(t, xml), Root: "/app"}
	}
	const again = `<testcase name="a" classname="s"><failure message="boom"/></testcase>`
	const one = `<testsuites><testsuite name="s"><testcase name="a"/></testsuite></testsuites>`

	gatetest.Try(t, testsGate{}, []gatetest.Case{{
		Name: "vitest passes", Request: of(passed, junit("vitest-pass.xml")), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("3 tests passed, 1 skipped"), gatetest.Finds(), func(t *testing.T, verdict gates.Verdict) {
			gatetest.Measures("tests", 3)(t, verdict)
			gatetest.Measures("failed", 0)(t, verdict)
			gatetest.Measures("skipped", 1)(t, verdict)
		}),
	}, {
		Name: "vitest fails", Request: of(failedStage, junit("vitest-fail.xml")), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("2 tests of 4 failed"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "test failed", File: "test/bad.test.ts", Line: 10, Column: 26,
			Message: "math > divides: expected 3 to be 4 // Object.is equality", Detail: "- 4\n+ 3",
		}, gates.Finding{
			Level: gates.LevelError, Rule: "test failed", File: "test/bad.test.ts", Line: 16, Column: 24,
			Message: `greets: expected 'hello Ada' to be 'hello\nAda' // Object.is equality`, Detail: "+ hello Ada",
		})),
	}, {
		Name: "jest fails", Request: of(failedStage, junit("jest-fail.xml")), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 test of 3 failed"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "test failed", File: "jt/a.test.js", Line: 3, Column: 48,
			Message: "math divides: Error: expect(received).toEqual(expected) // deep equality", Detail: "+     2,",
		})),
	}, {
		Name: "node:test fails", Request: of(failedStage, junit("node-fail.xml")), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 test of 4 failed"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "test failed", File: "a.test.mjs", Line: 3, Column: 55,
			Message: "math > subtracts: 2 == 1", Detail: "ERR_TEST_FAILURE",
		}), gatetest.Measures("skipped", 2)),
	}, {
		Name: "one of several reports fails", Request: of(passed, junit("vitest-pass.xml"), junit("jest-fail.xml")), Want: gates.Fail,
		Check: gatetest.Says("1 test of 7 failed"),
	}, {
		Name: "a flaky test is named", Request: of(passed, junit("surefire-flaky.xml")), Want: gates.Warn,
		Check: gatetest.All(gatetest.Says("2 tests passed, 1 only when tried again"), gatetest.Finds(gates.Finding{
			Level: gates.LevelWarning, Rule: "test is flaky", Message: "net > connects: connection reset", File: "test/net.test.ts", Line: 9, Column: 3,
			Detail: "connection reset",
		})),
	}, {
		Name: "a name that failed and then passed is flaky when the runner was content", Want: gates.Warn,
		Request: of(passed, text(`<testsuites failures="2"><testsuite name="s">`+again+again+`<testcase name="a" classname="s"/><testcase name="b"/></testsuite></testsuites>`)),
		Check: gatetest.All(gatetest.Says("2 tests passed, 1 only when tried again"), gatetest.Finds(gates.Finding{
			Level: gates.LevelWarning, Rule: "test is flaky", Message: "s > a: boom (failed 2 times, then passed)",
		}), gatetest.Measures("failed", 0)),
	}, {
		Name: "a name that failed and then passed in a stage that failed is a failure", Want: gates.Fail,
		Request: of(failedStage, text(`<testsuites><testsuite name="s">`+again+`<testcase name="a" classname="s"/></testsuite></testsuites>`)),
		Check:   gatetest.Says("1 test of 2 failed"),
	}, {
		Name: "a name that passed and then failed is a failure", Want: gates.Fail,
		Request: of(passed, text(`<testsuites><testsuite name="s"><testcase name="a" classname="s"/>`+again+`</testsuite></testsuites>`)),
	}, {
		Name: "a name that failed and was then skipped is a failure", Want: gates.Fail,
		Request: of(passed, text(`<testsuites><testsuite name="s">`+again+`<testcase name="a" classname="s"><skipped/></testcase></testsuite></testsuites>`)),
	}, {
		Name: "the same name in another block is another test", Want: gates.Fail,
		Request: of(passed, text(`<testsuites><testsuite name="s">`+again+`</testsuite><testsuite name="other"><testcase name="a" classname="s"/></testsuite></testsuites>`)),
	}, {
		Name: "the same name in another report is another test", Want: gates.Fail,
		Request: of(passed, text(`<testsuites><testsuite name="s">`+again+`</testsuite></testsuites>`),
			text(`<testsuites><testsuite name="s"><testcase name="a" classname="s"/></testsuite></testsuites>`)),
	}, {
		Name: "attempts that all failed", Want: gates.Fail,
		Request: of(passed, text(`<testsuite name="s"><testcase name="a"><failure message="boom"/><rerunFailure message="boom"/></testcase></testsuite>`)),
		Check: gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "test failed", Message: "s > a: boom (and once more when tried again)",
		}),
	}, {
		Name: "reruns without a word of success", Want: gates.Fail,
		Request: of(passed, text(`<testsuite name="s"><testcase name="a"><rerunFailure message="boom"/></testcase></testsuite>`)),
	}, {
		Name: "vitest tells of retries in its log", Want: gates.Warn,
		Request: of(withLog(passed, gatetest.Written(t, " ✓ test/a.test.ts (3 tests) 20ms\n   \x1b[32m✓\x1b[39m connects \x1b[32m12\x1b[2mms\x1b[22m\x1b[39m\x1b[33m (retry x2)\x1b[39m\n   ✓ closes 1ms\n")), junit("vitest-pass.xml")),
		Check: gatetest.All(gatetest.Says("3 tests passed, 1 skipped, 1 only when tried again"), gatetest.Finds(gates.Finding{
			Level: gates.LevelWarning, Rule: "test is flaky", Message: "connects: failed 2 times, then passed",
		})),
	}, {
		Name: "too many flaky tests", Config: `{"maxFlaky": 0}`, Request: of(passed, junit("surefire-flaky.xml")), Want: gates.Fail, Check: gatetest.Says("at most 0"),
	}, {
		Name: "the stage fails and no test does", Request: of(failedStage, junit("vitest-pass.xml")), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("stage test exited 1 but no test failed: 3 tests passed"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Message: "the last lines of stage test", Detail: "Error: setup failed",
		})),
	}, {
		Name: "the stage is killed", Request: of(gatetest.Stage("test", "failed", -1), text(one)), Want: gates.Fail,
		Check: gatetest.Says("stage test was ended before it was done"),
	}, {
		Name: "another stage's report fails", Want: gates.Fail, Check: gatetest.Says("1 test of 4 failed"),
		Request: gates.Request{
			Stages:  []gates.Stage{passed, gatetest.Stage("integration", "failed", 1)},
			Reports: []gates.Report{text(one), fixture(gates.ReportJUnit, "integration", "junit/jest-fail.xml")},
		},
	}, {
		Name: "counted failures without a name", Request: of(passed, text(`<testsuites failures="2"><testsuite name="s"><testcase name="a"/></testsuite></testsuites>`)),
		Want: gates.Fail, Check: gatetest.Says("2 tests of 2 failed"),
	}, {
		Name: "errors count", Request: of(passed, text(`<testsuite><testcase name="a"><error message="boom"/></testcase></testsuite>`)),
		Want: gates.Fail, Check: gatetest.Says("1 test of 1 failed"),
	}, {
		Name: "a test that failed and was skipped failed", Want: gates.Fail,
		Request: of(passed, text(`<testsuite><testcase name="a"><skipped/><failure/></testcase></testsuite>`)),
	}, {
		Name: "no report", Request: of(passed), Want: gates.Inconclusive, Check: gatetest.Says("no JUnit report"),
	}, {
		Name: "a report that is not there", Want: gates.Inconclusive, Check: gatetest.Says("cannot be read"),
		Request: of(passed, junit("vitest-pass.xml"), fixture(gates.ReportJUnit, "test", "junit/nowhere.xml")),
	}, {
		Name: "no test ran", Request: of(passed, text(`<testsuites tests="0"></testsuites>`)), Want: gates.Inconclusive, Check: gatetest.Says("no test ran"),
	}, {
		Name: "all tests are skipped", Want: gates.Inconclusive, Check: gatetest.Says("no test ran", "1 skipped"),
		Request: of(passed, text(`<testsuites><testsuite><testcase name="a"><skipped/></testcase></testsuite></testsuites>`)),
	}, {
		Name: "cut off", Request: of(passed, text(one[:40])), Want: gates.Inconclusive, Check: gatetest.Says("not well-formed"),
	}, {
		Name: "empty", Request: of(passed, text("")), Want: gates.Inconclusive, Check: gatetest.Says("it is empty"),
	}, {
		Name: "a page instead of a report", Request: of(passed, text("<html></html>")), Want: gates.Inconclusive, Check: gatetest.Says("it starts with <html>"),
	}, {
		Name: "a failure comes before an unreadable report", Request: of(passed, text(""), junit("jest-fail.xml")), Want: gates.Fail,
	}, {
		Name: "too few", Config: `{"minTests": 4}`, Request: of(passed, junit("vitest-pass.xml")), Want: gates.Inconclusive, Check: gatetest.Says("at least 4"),
	}, {
		Name: "too many skipped", Config: `{"maxSkipped": 0}`, Request: of(passed, junit("vitest-pass.xml")), Want: gates.Fail, Check: gatetest.Says("at most 0"),
	}, {
		Name: "the stage is skipped", Request: of(gatetest.Stage("test", "skipped", -1), text(one)), Want: gates.Inconclusive, Check: gatetest.Says("was skipped"),
	}, {
		Name: "the stage is cancelled", Request: of(gatetest.Stage("test", "cancelled", -1)), Want: gates.Inconclusive,
	}, {
		Name: "the stage could not be run", Request: of(gatetest.Stage("test", "error", -1)), Want: gates.Error,
	}, {
		Name: "the stage is not there", Want: gates.Inconclusive, Check: gatetest.Says(`no stage "test"`),
	}, {
		Name: "the stage has another name", Config: `{"stage": "unit"}`, Want: gates.Pass,
		Request: gates.Request{
			Stages:  []gates.Stage{gatetest.Stage("unit", "passed", 0)},
			Reports: []gates.Report{fixture(gates.ReportJUnit, "unit", "junit/vitest-pass.xml")},
		},
	}, {
		Name: "a stage whose outcome nobody knows", Request: of(gatetest.Stage("test", "", 0), text(one)), Want: gates.Error,
	}, {
		Name: "passed with an exit code that says otherwise", Request: of(gatetest.Stage("test", "passed", 1), text(one)), Want: gates.Error,
	}})
}

func FuzzJUnit(f *testing.F) {
	f.Add([]byte(`<testsuites failures="1"><testsuite name="s"><testcase name="a"><failure>x a.ts:1:2</failure></testcase></testsuite></testsuites>`))
	f.Add([]byte(`<testsuite></testsuite></testsuite>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		var run testRun
		if err := run.addJUnit(content, "/app", len(content)%2 == 0); err != nil {
			return
		}
		if run.skipped+len(run.failed)+len(run.flaky) > run.total {
			t.Errorf("more outcomes than tests: %+v", run)
		}
	})
}
