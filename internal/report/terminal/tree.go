package terminal

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/penstock-ci/penstock/internal/event"
)

// notesShown bounds the notes under the tree: what was said last matters most, such as that a stop is under way.
const notesShown = 3

// tree draws the board as it stands, one row per stage, gate and step, then the last warnings. width bounds each line; 0 does not.
func (p palette) tree(b *board, now time.Time, width int) string {
	var out strings.Builder
	line := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if width > 0 { // a line that wraps would be drawn over the next one
			text = ansi.Truncate(text, width, "…")
		}
		out.WriteString(text + "\n")
	}

	line("%s %s", p.strong.Render("penstock"), p.heading(b))
	names := b.nameWidth()
	if len(b.stages) > 0 {
		line("%s", p.dim.Render("stages"))
	}
	for _, row := range b.stages {
		text, spent := row.tell(now)
		line("  %s %-*s %8s  %s", p.stageSign(row), names, row.label(), spent, p.dim.Render(oneLine(text, room(width, names))))
	}
	if len(b.gates) > 0 {
		line("%s", p.dim.Render("gates"))
	}
	for _, row := range b.gates {
		text, spent := row.tell(now)
		line("  %s %-*s %8s  %s", p.gateSign(row), names, row.Name, spent, p.dim.Render(oneLine(text, room(width, names))))
	}
	if len(b.steps) > 0 {
		line("%s", p.dim.Render("promotion"))
	}
	for _, row := range b.steps {
		text, spent := row.tell(now)
		line("  %s %-*s %8s  %s", p.stepSign(row), names, row.Name, spent, p.dim.Render(oneLine(text, room(width, names))))
	}
	for _, note := range b.warnings(notesShown) {
		line("%s", p.note(note))
	}
	return out.String()
}

func (p palette) heading(b *board) string {
	text := b.info.App
	if b.info.Command != "" { // an operation, which has no source
		text = b.info.Command + " " + text
	}
	if b.info.Environment != "" {
		text += " → " + b.info.Environment
	}
	var facts []string
	if b.info.Commit != "" {
		commit := short(b.info.Commit)[:min(7, len(b.info.Commit))]
		if b.info.Dirty {
			commit += " with local changes"
		}
		facts = append(facts, commit)
	}
	if b.info.Command == "" {
		facts = append(facts, fmt.Sprintf("%d files", b.info.Files))
	}
	if b.run != "" {
		facts = append(facts, "run "+b.run)
	}
	return text + p.dim.Render(" · "+strings.Join(facts, " · "))
}

func (b *board) nameWidth() int {
	width := 8
	for _, row := range b.stages {
		width = max(width, len(row.label()))
	}
	for _, row := range b.gates {
		width = max(width, len(row.Name))
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
		if len(row.Needs) > 0 {
			return "after " + strings.Join(row.Needs, ", "), ""
		}
		return "", ""
	case running:
		if row.Attempt > 1 {
			return fmt.Sprintf("attempt %d · %s", row.Attempt, row.last), elapsed(now.Sub(row.started))
		}
		return row.last, elapsed(now.Sub(row.started))
	}
	if row.Cached {
		return "cached: " + row.Why, elapsed(row.Duration)
	}
	switch row.Outcome {
	case event.Passed:
		return row.Why, elapsed(row.Duration)
	case event.Skipped:
		return "skipped: " + row.Why, ""
	case event.Failed:
		if row.TimedOut {
			return "timed out", elapsed(row.Duration)
		}
		return fmt.Sprintf("exit code %d", row.ExitCode), elapsed(row.Duration)
	default:
		return strings.TrimSuffix(string(row.Outcome)+": "+row.Why, ": "), elapsed(row.Duration)
	}
}

func (row *gateRow) tell(now time.Time) (text, spent string) {
	switch {
	case row.state == waiting:
		return row.Title, ""
	case row.state == running || row.Verdict == nil:
		return row.progress, elapsed(now.Sub(row.started))
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
	return text, elapsed(row.Duration)
}

func (row *stepRow) tell(now time.Time) (text, spent string) {
	switch {
	case row.state == waiting:
		return row.Title, ""
	case row.state == running:
		return row.progress, elapsed(now.Sub(row.started))
	case row.Error != "":
		return row.Error, elapsed(row.Duration)
	case row.Detail != "":
		return row.Detail, elapsed(row.Duration)
	case row.Skipped:
		return "nothing to do", elapsed(row.Duration)
	default:
		return row.Title, elapsed(row.Duration)
	}
}
