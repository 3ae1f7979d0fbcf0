package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// judgement gathers what a gate finds in the source, weighs it against the allow comments, and makes the verdict of it:
// what is wrong fails; what could not be followed or read is inconclusive; neither passes.
type judgement struct {
	gate     string
	unread   []gates.Finding
	findings []gates.Finding
	seen     map[gates.Finding]bool
	comments map[*module]allowedLines
	failures int
	unclears int
	allowed  int
	notRead  int
}

func newJudgement(app *codebase, gate string) *judgement {
	unread := app.unreadFindings()
	return &judgement{
		gate: gate, unread: unread, notRead: len(unread), seen: map[gates.Finding]bool{}, comments: map[*module]allowedLines{},
	}
}

// failure reports what is wrong at a node. elsewhere is where it takes effect: a comment there counts as well.
func (j *judgement) failure(at, elsewhere *node, rule, message, advice string) {
	if j.report(at, elsewhere, gates.Finding{Level: gates.LevelError, Rule: rule, Message: message, Detail: advice}) {
		j.failures++
	}
}

// unclear reports what cannot be followed at a node.
func (j *judgement) unclear(at, elsewhere *node, rule, message, advice string) {
	if j.report(at, elsewhere, gates.Finding{Level: gates.LevelWarning, Rule: rule, Message: message, Detail: advice}) {
		j.unclears++
	}
}

// report adds a finding once, and returns whether it counts: not when it is allowed.
func (j *judgement) report(at, elsewhere *node, finding gates.Finding) bool {
	here, there := at.place(), elsewhere.place()
	if here == (location{}) {
		at, here = elsewhere, there
	}
	finding.File, finding.Line, finding.Column = at.module.path, here.line, here.column
	key := finding
	key.Detail = ""
	if j.seen[key] {
		return false
	}
	j.seen[key] = true
	if at != elsewhere && (elsewhere.module != at.module || there.line != here.line) {
		finding.Detail = strings.TrimSpace(fmt.Sprintf("%s\nit takes effect at %s:%d:%d", finding.Detail, elsewhere.module.path, there.line, there.column))
	}
	for _, side := range []struct {
		m    *module
		line int
	}{{at.module, here.line}, {elsewhere.module, there.line}} {
		comment, found := j.commentsOf(side.m).at(side.line)
		switch {
		case !found:
		case comment.reason == "":
			finding.Detail = strings.TrimSpace(finding.Detail + "\nthe comment that allows it has no reason, so it does not count")
		default:
			j.allowed++
			finding.Level, finding.Message, finding.Detail = gates.LevelNote, finding.Message+"; allowed: "+comment.reason, ""
			j.findings = append(j.findings, finding)
			return false
		}
	}
	j.findings = append(j.findings, finding)
	return true
}

func (j *judgement) commentsOf(m *module) allowedLines {
	lines, known := j.comments[m]
	if !known {
		lines = m.allowedLines(j.gate)
		j.comments[m] = lines
	}
	return lines
}

// verdict has the outcome, the findings and what was counted; the words are the gate's.
func (j *judgement) verdict() *gates.Verdict {
	rank := map[gates.Level]int{gates.LevelError: 0, gates.LevelWarning: 1, gates.LevelNote: 2}
	slices.SortStableFunc(j.findings, func(a, b gates.Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Level], rank[b.Level]), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	verdict := &gates.Verdict{
		Outcome: gates.Pass, Findings: append(j.findings, j.unread...),
		Measurements: []gates.Measurement{
			gates.Count("findings", j.failures, gates.AtMost(0)), gates.Count("unclear", j.unclears+j.notRead, gates.AtMost(0)), gates.Count("allowed", j.allowed, nil),
		},
	}
	switch {
	case j.failures > 0:
		verdict.Outcome = gates.Fail
	case j.unclears+j.notRead > 0:
		verdict.Outcome = gates.Inconclusive
	}
	return verdict
}

// doubts says why nothing can be concluded; unclear has a place for how many places it is about.
func (j *judgement) doubts(unclear string) string {
	switch {
	case j.unclears == 0:
		return gates.Counted(j.notRead, "file") + " could not be parsed, so nobody knows"
	case j.notRead == 0:
		return fmt.Sprintf(unclear, gates.Counted(j.unclears, "place"))
	default:
		return fmt.Sprintf(unclear, gates.Counted(j.unclears, "place")) + ", and " + gates.Counted(j.notRead, "file") + " could not be parsed"
	}
}
