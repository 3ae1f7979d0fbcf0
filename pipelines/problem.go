package pipelines

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong or worth knowing in a file that a person wrote.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`             // relative to the app's folder, with forward slashes
	Line     int      `json:"line,omitempty"`   // from 1; 0 when the whole file is meant
	Column   int      `json:"column,omitempty"` // from 1; 0 unknown
	What     string   `json:"what"`
	Fix      string   `json:"fix"` // what to do about it, as one instruction
}

// Severity says whether a run can go on.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // nothing runs
	SeverityWarning Severity = "warning" // it runs, and probably not as meant
	SeverityNote    Severity = "note"    // something that would have been done is left out, and why
)

// String is "file:line:column: what: fix", with the parts that are known.
func (p Problem) String() string {
	var text strings.Builder
	text.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&text, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&text, ":%d", p.Column)
		}
	}
	if text.Len() > 0 {
		text.WriteString(": ")
	}
	text.WriteString(p.What)
	if p.Fix != "" {
		text.WriteString("; " + p.Fix)
	}
	return text.String()
}

// Problems are several problems. As an error they list those that stop a run.
type Problems []Problem

// Sort puts the problems into the order in which a person reads: by file, line and column.
func (p Problems) Sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Error lists the errors among the problems, one per line.
func (p Problems) Error() string {
	var lines []string
	for _, problem := range p {
		if problem.Severity == SeverityError {
			lines = append(lines, problem.String())
		}
	}
	return strings.Join(lines, "\n")
}

// Err returns p when it holds at least one error, and nil otherwise.
func (p Problems) Err() error {
	for _, problem := range p {
		if problem.Severity == SeverityError {
			return p
		}
	}
	return nil
}
