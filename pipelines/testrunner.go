package pipelines

import (
	"cmp"
	"slices"
	"strings"
)

// reportFolder is where a stage leaves what gates read: outside the app's tree, so that no report becomes an input.
const reportFolder = "$PENSTOCK_REPORTS"

// reporting is how a test runner is made to leave standard reports without a change to the app's files.
type reporting struct {
	command string
	reports []Report
	junit   bool // a report of each test
	covers  bool // a coverage report
}

// reporting fits the test script to its runner. Each form was tried with the runner:
// vitest 4.1, jest 29, Node 20.
func (a *App) reporting() reporting {
	switch a.TestRunner {
	case "vitest":
		return a.vitest()
	case "jest":
		return a.jest()
	case "node":
		return a.nodeTest()
	default:
		return reporting{command: a.script(a.testScript(), "")}
	}
}

// vitest tells of tests that it tried again in its verbose log only, not in its JUnit report. It refuses an option that it
// gets twice, unless it takes several values.
func (a *App) vitest() reporting {
	var r reporting
	var options []string
	once := func(option string) {
		if name, _, _ := strings.Cut(option, "="); !a.sets(name) {
			options = append(options, option)
		}
	}
	if !a.sets("--outputFile") && !a.sets("--outputFile.junit") {
		r.junit = true
		r.reports = []Report{{Kind: "junit", Path: reportFolder + "/junit.xml"}}
		options = append(options, "--reporter=verbose", "--reporter=junit", `--outputFile.junit="`+reportFolder+`/junit.xml"`)
	}
	if a.WatchMode {
		options = append(options, "--run")
	}
	// Without its provider vitest would offer to install it, and fail.
	if a.CoverageProvider && !a.sets("--coverage.reportsDirectory") {
		r.covers = true
		if !a.sets("--coverage.enabled") {
			once("--coverage")
		}
		once("--coverage.reportOnFailure")
		options = append(options,
			"--coverage.reporter=text-summary", "--coverage.reporter=json", "--coverage.reporter=json-summary",
			`--coverage.reportsDirectory="`+reportFolder+`/coverage"`,
		)
		r.reports = append(r.reports, istanbulReports()...)
	}
	r.command = a.script(a.testScript(), strings.Join(options, " "))
	return r
}

// istanbulReports are what vitest and jest leave of coverage.
func istanbulReports() []Report {
	return []Report{
		{Kind: "istanbul-summary", Path: reportFolder + "/coverage/coverage-summary.json"},
		{Kind: "istanbul", Path: reportFolder + "/coverage/coverage-final.json"},
	}
}

func (a *App) jest() reporting {
	var r reporting
	options := []string{"--ci"}
	if !a.sets("--coverageDirectory") { // jest brings its coverage provider
		r.covers, r.reports = true, istanbulReports()
		options = append(options,
			"--coverage", "--coverageReporters=text-summary", "--coverageReporters=json", "--coverageReporters=json-summary",
			`--coverageDirectory="`+reportFolder+`/coverage"`,
		)
	}
	if a.WatchMode {
		options = append(options, "--watch=false", "--watchAll=false")
	}
	environment := ""
	if a.DependsOn("jest-junit") {
		r.junit = true
		r.reports = append([]Report{{Kind: "junit", Path: reportFolder + "/junit.xml"}}, r.reports...)
		options = append(options, "--reporters=default", "--reporters=jest-junit")
		environment = `JEST_JUNIT_OUTPUT_FILE="` + reportFolder + `/junit.xml" `
	}
	r.command = environment + a.script(a.testScript(), strings.Join(options, " "))
	return r
}

// sets reports whether the runner's call has that option already, in whatever form.
func (a *App) sets(option string) bool {
	return slices.ContainsFunc(a.TestOptions, func(word string) bool {
		return word == option || strings.HasPrefix(word, option+"=")
	})
}

func (a *App) testScript() string { return cmp.Or(a.TestScript, "test") }

func (a *App) lintScript() string { return cmp.Or(a.LintScript, "lint") }

// nodeTest puts the options before the test files: what follows the first file counts as a file. That takes a script that
// is one plain command, which then runs without npm; of any other only the tests' report is to be had, through
// NODE_OPTIONS, which does not allow coverage.
func (a *App) nodeTest() reporting {
	r := reporting{
		junit:   true,
		reports: []Report{{Kind: "junit", Path: reportFolder + "/junit.xml"}},
	}
	reporters := `--test-reporter=spec --test-reporter-destination=stdout ` +
		`--test-reporter=junit --test-reporter-destination="` + reportFolder + `/junit.xml"`
	before, after, plain := strings.Cut(" "+a.TestCommand, " node ")
	if !plain || a.HasScript("pre"+a.testScript()) || a.HasScript("post"+a.testScript()) {
		r.command = `NODE_OPTIONS="` + strings.ReplaceAll(reporters, `"`, `\"`) + `" ` + a.script(a.testScript(), "")
		return r
	}
	if a.WatchMode {
		after = strings.ReplaceAll(after+" ", "--watch ", "")
	}
	r.covers = true
	r.reports = append(r.reports, Report{Kind: "lcov", Path: reportFolder + "/lcov.info"})
	r.command = strings.TrimSpace(before + ` PATH="$PWD/node_modules/.bin:$PATH" node ` + reporters +
		` --experimental-test-coverage --test-reporter=lcov --test-reporter-destination="` + reportFolder + `/lcov.info" ` + after)
	return r
}
