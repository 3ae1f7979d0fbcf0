package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// testRun is what all reports together say.
type testRun struct {
	total, skipped   int
	declaredFailures int // that a report counts without naming any
	seconds          float64
	failed, flaky    []gates.Finding
}

// attempts are the cases of one name in one report, in its order. Runners that try a test again write it once more
// (Gradle's test-retry, pytest's rerunfailures, a second run into the same file).
type attempts struct {
	cases  []testCase
	suites []string
}

// testCase is one <testcase> with the parts in which the dialects differ.
type testCase struct {
	Name      string      `xml:"name,attr"`
	Class     string      `xml:"classname,attr"`
	File      string      `xml:"file,attr"`
	Line      string      `xml:"line,attr"`
	Time      string      `xml:"time,attr"`
	Failures  []complaint `xml:"failure"`
	Errors    []complaint `xml:"error"`
	Skipped   *struct{}   `xml:"skipped"`
	FlakyFail []complaint `xml:"flakyFailure"` // Surefire's words for a test that failed, was tried again and passed
	FlakyErr  []complaint `xml:"flakyError"`
	RerunFail []complaint `xml:"rerunFailure"` // and for further attempts at a test that never passed
	RerunErr  []complaint `xml:"rerunError"`
}

func (t *testCase) failed() bool { return len(t.Failures)+len(t.Errors) > 0 }

type complaint struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// addJUnit adds one report. There is no standard for the format: vitest and jest-junit put every case into a suite named
// after a file or a block, node:test nests suites and leaves cases outside of any, others start with a single suite. So
// cases are taken wherever they are. Paths in it refer to root. passed says that the stage passed: only then may a test
// that failed and then passed count as retried, because only the runner knows whether the two are one test.
func (r *testRun) addJUnit(content []byte, root string, passed bool) error {
	decoder := xml.NewDecoder(bytes.NewReader(content))
	var inside []string // the open elements
	var suites []string // the names of the open suites
	declared, failures, seen := 0, 0, false
	var names []string
	byName := map[string]*attempts{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("it is not well-formed XML: %w", err)
		}
		switch element := token.(type) {
		case xml.StartElement:
			name := element.Name.Local
			switch {
			case len(inside) == 0 && name != "testsuites" && name != "testsuite":
				return fmt.Errorf("it is not a JUnit report: it starts with <%s>", name)
			case name == "testcase":
				var one testCase
				if err := decoder.DecodeElement(&one, &element); err != nil {
					return fmt.Errorf("it is not well-formed XML: %w", err)
				}
				if one.failed() {
					failures++
				}
				name := strings.Join(append(slices.Clone(suites), one.Class, one.File, one.Name), "\x00")
				if byName[name] == nil {
					byName[name] = &attempts{suites: slices.Clone(suites)}
					names = append(names, name)
				}
				byName[name].cases = append(byName[name].cases, one)
				continue
			case name == "testsuite":
				suites = append(suites, attribute(element, "name"))
			}
			// Only the outermost counts are taken: inner ones are in them.
			if name == "testsuites" || name == "testsuite" && !slices.Contains(inside, "testsuite") && declared == 0 {
				declared += number(attribute(element, "failures")) + number(attribute(element, "errors"))
			}
			inside, seen = append(inside, name), true
		case xml.EndElement:
			if element.Name.Local == "testsuite" {
				suites = suites[:len(suites)-1]
			}
			inside = inside[:len(inside)-1]
		}
	}
	if !seen {
		return errors.New("it is empty")
	}
	for _, name := range names {
		r.addAttempts(byName[name], root, passed)
	}
	if failures == 0 {
		r.declaredFailures += declared
	}
	return nil
}

// addAttempts counts cases of one name: one test when the last of them passed, an earlier one failed and the runner was
// content; as many tests as there are otherwise, because blocks may well hold two tests of one name.
func (r *testRun) addAttempts(of *attempts, root string, passed bool) {
	last := of.cases[len(of.cases)-1]
	retried := slices.IndexFunc(of.cases, func(one testCase) bool { return one.failed() })
	if !passed || retried < 0 || last.failed() || last.Skipped != nil {
		for _, one := range of.cases {
			r.addCase(one, of.suites, root)
		}
		return
	}
	failures := 0
	for _, one := range of.cases {
		r.addTime(one)
		if one.failed() {
			failures++
		}
	}
	r.total++
	finding := of.cases[retried].finding(gates.LevelWarning, "test is flaky", of.cases[retried].complaints()[0], of.suites, root)
	finding.Message += fmt.Sprintf(" (failed %s, then passed)", times(failures))
	r.flaky = append(r.flaky, finding)
}

func (r *testRun) addTime(one testCase) {
	if seconds, err := strconv.ParseFloat(one.Time, 64); err == nil && seconds > 0 {
		r.seconds += seconds
	}
}

func (t *testCase) complaints() []complaint { return slices.Concat(t.Failures, t.Errors) }

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (r *testRun) addCase(one testCase, suites []string, root string) {
	r.total++
	r.addTime(one)
	complaints := one.complaints()
	retried := slices.Concat(one.FlakyFail, one.FlakyErr)
	reruns := slices.Concat(one.RerunFail, one.RerunErr)
	switch {
	case len(complaints) > 0:
		finding := one.finding(gates.LevelError, "test failed", complaints[0], suites, root)
		if len(reruns) > 0 {
			finding.Message += fmt.Sprintf(" (and %s more when tried again)", times(len(reruns)))
		}
		r.failed = append(r.failed, finding)
	case len(reruns) > 0 && len(retried) == 0:
		// Attempts that failed, and no word of one that passed.
		r.failed = append(r.failed, one.finding(gates.LevelError, "test failed", reruns[0], suites, root))
	case one.Skipped != nil:
		r.skipped++
	case len(retried) > 0:
		r.flaky = append(r.flaky, one.finding(gates.LevelWarning, "test is flaky", retried[0], suites, root))
	}
}

func (t testCase) finding(level gates.Level, rule string, what complaint, suites []string, root string) gates.Finding {
	text := strings.TrimSpace(ansi.ReplaceAllString(what.Text, ""))
	message := strings.TrimSpace(ansi.ReplaceAllString(what.Message, ""))
	if message == "" {
		message = text
	}
	preferred := relative(root, t.File)
	if preferred == "" {
		// vitest names the file as the class.
		if match := frame.FindString(t.Class + ":1"); match != "" {
			preferred = relative(root, t.Class)
		}
	}
	where := placeIn(root, text, preferred)
	if where.file == "" && preferred != "" {
		where = place{file: preferred, line: number(t.Line)}
	}
	return gates.Finding{
		Level: level, Rule: rule, Message: t.fullName(suites) + ": " + firstLine(message),
		File: where.file, Line: where.line, Column: where.column, Detail: detail(text),
	}
}

// fullName is the test's name with that of its blocks, unless it says them already.
func (t testCase) fullName(suites []string) string {
	name := t.Name
	for i := len(suites) - 1; i >= 0; i-- {
		suite := suites[i]
		if suite == "" || strings.HasPrefix(name, suite) || frame.MatchString(suite+":1") {
			continue
		}
		name = suite + " > " + name
	}
	return name
}

// detail returns the beginning of a failure, with the difference and the first frames of the app, without the frames
// of others.
func detail(text string) string {
	const shown = 16
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if strings.Contains(line, "node_modules") || strings.Contains(line, "node:internal") {
			continue
		}
		if kept = append(kept, line); len(kept) == shown {
			break
		}
	}
	return strings.Join(kept, "\n")
}

// sentence says in one line how the tests went.
func (r *testRun) sentence() string {
	ran := r.total - r.skipped
	text := gates.Counted(ran, "test") + " ran"
	if ran > 0 && len(r.failed) == 0 && r.declaredFailures == 0 {
		text = gates.Counted(ran, "test") + " passed"
	}
	if r.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.skipped)
	}
	if len(r.flaky) > 0 {
		text += fmt.Sprintf(", %d only when tried again", len(r.flaky))
	}
	return text
}

func (r *testRun) measurements(config testsConfig) []gates.Measurement {
	var maxSkipped, maxFlaky *float64
	if config.MaxSkipped != nil {
		maxSkipped = gates.AtMost(*config.MaxSkipped)
	}
	if config.MaxFlaky != nil {
		maxFlaky = gates.AtMost(*config.MaxFlaky)
	}
	least := float64(config.MinTests)
	return []gates.Measurement{
		{Name: "tests", Value: float64(r.total - r.skipped), Unit: "count", Limit: &least, Better: "higher"},
		gates.Count("failed", max(len(r.failed), r.declaredFailures), gates.AtMost(0)),
		gates.Count("skipped", r.skipped, maxSkipped),
		gates.Count("flaky", len(r.flaky), maxFlaky),
		{Name: "time", Value: r.seconds, Unit: "s"},
	}
}

func attribute(element xml.StartElement, name string) string {
	for _, candidate := range element.Attr {
		if candidate.Name.Local == name {
			return candidate.Value
		}
	}
	return ""
}

// number reads a count that a report states; what cannot be read is no count.
func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(value, 0)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}
