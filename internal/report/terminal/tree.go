package terminal

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// notesShown bounds the notes under the tree: what was said last matters most, such as that a stop is under way.
const notesShown = 3

// slowGate is how long a gate is asked before it gets a row of its own in the tree. Most answer sooner, and rows that come and go
// are no calm sight.
const slowGate = 2 * time.Second

// tree draws the board as it stands, in at most height lines of at most width columns; 0 bounds neither. What is at work, and what
// went wrong, is always there: when it does not fit, what went well is folded first, then what is to come.
func (p palette) tree(b *board, now time.Time, width, height int) []string {
	var lines []string
	for fold := range treeFolds {
		lines = p.treeOf(b, now, width, fold)
		if height <= 0 || len(lines) <= height {
			return lines
		}
	}
	if height == 1 {
		return lines[:1]
	}
	return append(lines[:height-1], p.dim.Render(cut(fmt.Sprintf("  … and %d more lines", len(lines)-height+1), width)))
}

// How much of the tree is folded.
const (
	foldLittle = iota // a part of the run that is over or has not begun
	foldFine          // and all that went well
	foldOpen          // and all that is to come
	treeFolds
)

func (p palette) treeOf(b *board, now time.Time, width, fold int) []string {
	rows := p.treeStages(b, now, fold)
	rows = append(rows, p.treeGates(b, now)...)
	rows = append(rows, p.treeSteps(b, now, fold)...)
	names := b.names()
	lines := []string{cut(p.strong.Render("penstock")+" "+p.heading(b), width)}
	for _, row := range rows {
		line := fmt.Sprintf("  %s %-*s %8s", row.sign, names, row.name, row.spent)
		if row.text != "" {
			line += "  " + p.dim.Render(oneLine(row.text, max(width, 0)))
		}
		lines = append(lines, cut(strings.TrimRight(line, " "), width))
	}
	for _, note := range b.warnings(notesShown) {
		lines = append(lines, cut(p.note(note), width))
	}
	return lines
}

// cut shortens a styled line: one that wraps would be drawn over the next one.
func cut(line string, width int) string {
	if width <= 0 {
		return line
	}
	return ansi.Truncate(line, width, "…")
}

func (p palette) treeStages(b *board, now time.Time, fold int) []row {
	rows := p.stageRows(b, now)
	if fold >= foldFine || b.promoting() {
		cached := 0
		for _, stage := range b.stages {
			if stage.Cached {
				cached++
			}
		}
		rows = folded(rows, fine, func(these []row) row {
			return row{sign: p.good.Render("✓"), name: "stages", text: fmt.Sprintf("%d done, %d from cache", len(these), cached)}
		})
	}
	if fold >= foldOpen {
		rows = folded(rows, open, p.toCome("stages"))
	}
	return rows
}

// toCome folds what has not begun.
func (p palette) toCome(name string) func([]row) row {
	return func(these []row) row {
		return row{sign: p.dim.Render("○"), name: name, text: fmt.Sprintf("%d to come: %s", len(these), strings.Join(namesOf(these), ", "))}
	}
}

// treeGates is one row for those that let the run go on, that are asked, or will be; and one for each that has something to say.
func (p palette) treeGates(b *board, now time.Time) []row {
	if len(b.gates) == 0 {
		return nil
	}
	all := row{sign: p.dim.Render("○"), name: "gates"}
	let, toCome := 0, 0
	var asking []string
	var loudOnes []row
	for i, one := range p.gateRows(b, now) {
		switch gate := b.gates[i]; {
		case one.fate == fine:
			let++
		case one.fate == loud, one.fate == busy && now.Sub(gate.started) >= slowGate:
			loudOnes = append(loudOnes, one)
		case one.fate == busy:
			asking = append(asking, one.name)
		default:
			toCome++
		}
	}
	switch {
	case toCome == len(b.gates):
		all.text = fmt.Sprintf("%d to be asked", toCome)
	case len(asking) > 0:
		all.sign = p.strong.Render("●")
		all.text = fmt.Sprintf("%d of %d pass · asking %s", let, len(b.gates), strings.Join(asking, ", "))
	default:
		all.text = fmt.Sprintf("%d of %d pass", let, len(b.gates))
		if toCome > 0 {
			all.text += fmt.Sprintf(" · %d to be asked", toCome)
		} else if let == len(b.gates) {
			all.sign = p.good.Render("✓")
		}
	}
	return append([]row{all}, loudOnes...)
}

func (p palette) treeSteps(b *board, now time.Time, fold int) []row {
	rows := p.stepRows(b, now)
	if !b.promoting() {
		fold = foldOpen
	}
	if fold >= foldFine {
		rows = folded(rows, fine, func(these []row) row {
			return row{sign: p.good.Render("✓"), name: "promotion", text: fmt.Sprintf("%s done", gates.Counted(len(these), "step"))}
		})
	}
	if fold >= foldOpen {
		rows = folded(rows, open, p.toCome("promotion"))
	}
	return rows
}

func (p palette) heading(b *board) string {
	text := b.info.App
	if what := b.info.Command + b.info.Purpose; what != "" { // it has one of them at most
		text = what + " " + text
	}
	if b.info.Environment != "" {
		text += " → " + b.info.Environment
	}
	var facts []string
	if b.run != "" { // what others ask for comes first: a narrow terminal cuts the end
		facts = append(facts, "run "+b.run)
	}
	if b.info.Commit != "" {
		commit := short(b.info.Commit)[:min(7, len(b.info.Commit))]
		if b.info.Dirty {
			commit += " with local changes"
		}
		facts = append(facts, commit)
	}
	if b.info.Command == "" {
		facts = append(facts, gates.Counted(b.info.Files, "file"))
	}
	return text + p.dim.Render(" · "+strings.Join(facts, " · "))
}

// names is how wide the tree's names are: the same from the first drawing to the last. The names of gates, which come and go, may
// be wider.
func (b *board) names() int {
	width := len("promotion")
	for _, row := range b.stages {
		width = max(width, len(row.label()))
	}
	for _, row := range b.steps {
		width = max(width, len(row.Name))
	}
	return width
}

func (row *stageRow) label() string {
	if row.Moment != "" && row.Moment != "build" {
		return row.Name + " (" + row.Moment + ")"
	}
	return row.Name
}

// tell says in one line where the stage stands, and how long it took or takes.
func (row *stageRow) tell(now time.Time) (text, spent string) {
	switch row.state {
	case waiting:
		return "", ""
	case running:
		if row.Attempt > 1 {
			return fmt.Sprintf("attempt %d · %s", row.Attempt, row.last), gates.Span(now.Sub(row.started))
		}
		return row.last, gates.Span(now.Sub(row.started))
	}
	if row.Cached {
		return "cached: " + row.Why, gates.Span(row.Duration)
	}
	switch row.Outcome {
	case event.Passed:
		return row.Why, gates.Span(row.Duration)
	case event.Skipped:
		return "skipped: " + row.Why, ""
	case event.Failed:
		if row.TimedOut {
			return "timed out", gates.Span(row.Duration)
		}
		return fmt.Sprintf("exit code %d", row.ExitCode), gates.Span(row.Duration)
	default:
		return strings.TrimSuffix(string(row.Outcome)+": "+row.Why, ": "), gates.Span(row.Duration)
	}
}

func (row *gateRow) tell(now time.Time) (text, spent string) {
	switch {
	case row.state == waiting:
		return row.Title, ""
	case row.state == running || row.Verdict == nil:
		return row.progress, gates.Span(now.Sub(row.started))
	}
	text = row.Verdict.Summary
	if row.Blocks {
		text = string(row.Verdict.Outcome) + ": " + text
	} else if row.Waived != "" {
		text = string(row.Verdict.Outcome) + ", " + row.Waived + ": " + text
	} else if !row.Verdict.Outcome.Allows() {
		text = string(row.Verdict.Outcome) + " (" + row.Weight() + ", does not block): " + text
	} else if row.DryRun {
		text = string(row.Verdict.Outcome) + " (" + row.Weight() + "): " + text
	}
	return text, gates.Span(row.Duration)
}

func (row *stepRow) tell(now time.Time) (text, spent string) {
	switch {
	case row.state == waiting:
		return row.Title, ""
	case row.state == running:
		return row.progress, gates.Span(now.Sub(row.started))
	case row.Error != "":
		return row.Error, gates.Span(row.Duration)
	case row.Detail != "":
		return row.Detail, gates.Span(row.Duration)
	case row.Skipped:
		return "nothing to do", gates.Span(row.Duration)
	default:
		return row.Title, gates.Span(row.Duration)
	}
}
