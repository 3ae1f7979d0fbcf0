package main

import (
	"regexp"

	"github.com/penstock-ci/penstock/gates"
)

// retriedLine is how vitest's reporters tell of a test that passed when it was tried again. Its JUnit reporter says nothing
// of it: there, such a test looks like any other.
var retriedLine = regexp.MustCompile(`^\s*[✓√]\s+(.+?)(?:\s+\d+m?s)?\s+\(retry x(\d+)\)`)

// addRetried names the tests of which only the log says that they were tried again.
func (r *testRun) addRetried(log []string) {
	for _, line := range log {
		match := retriedLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		r.flaky = append(r.flaky, gates.Finding{
			Level: gates.LevelWarning, Rule: "test is flaky", Message: match[1] + ": failed " + times(number(match[2])) + ", then passed",
		})
	}
}
