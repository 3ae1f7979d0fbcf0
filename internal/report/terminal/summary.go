package terminal

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// findingsShown bounds the failure screen: it has to fit one screen; the rest is counted, and is whole in --json.
const findingsShown = 10

// logShown is how many of a failed stage's last lines are shown when no gate could say more exactly what is wrong.
const logShown = 15

// summary writes the end of a run for people: what ran and how long, what came from cache, every verdict with its measured
// value and limit, what is live and where, or what stopped it, where, and what to do next.
func (p palette) summary(w io.Writer, b *board, width int) {
	if b.result == nil {
		return
	}
	fmt.Fprintln(w)
	p.table(w, b, width)
	for _, note := range b.notes {
		fmt.Fprintln(w, p.note(note))
	}
	if b.result.ExitCode != 0 {
		p.failure(w, b)
	}
	p.ending(w, b)
}

func (p palette) table(w io.Writer, b *board, width int) {
	names := b.nameWidth()
	if width == 0 {
		width = 160
	}
	now := b.started.Add(b.result.Duration)
	for _, row := range b.stages {
		text, spent := row.tell(now)
		if row.state == waiting {
			text = "not run"
		}
		fmt.Fprintf(w, "  %s %-*s %8s  %s\n", p.stageSign(row), names, row.label(), spent, p.dim.Render(oneLine(text, room(width, names))))
	}
	for _, row := range b.gates {
		text, spent := row.tell(now)
		if row.state == waiting {
			text = "not asked"
		}
		if value := measured(row.Verdict); value != "" && !strings.Contains(text, number(row.Verdict.Measurements[0].Value)) {
			text = value + " · " + text
		}
		fmt.Fprintf(w, "  %s %-*s %8s  %s\n", p.gateSign(row), names, row.Name, spent, oneLine(text, room(width, names)))
	}
	if !b.promoting() {
		if len(b.steps) > 0 && b.result.ExitCode != 0 {
			fmt.Fprintf(w, "  %s %-*s %8s  %s\n", p.dim.Render("○"), names, "promotion", "", p.dim.Render("not begun: what is live stays as it is"))
		}
		return
	}
	for _, row := range b.steps {
		text, spent := row.tell(now)
		if row.state == waiting {
			if b.result.ExitCode == 0 {
				continue // there was nothing to do for it
			}
			text = "not done"
		}
		fmt.Fprintf(w, "  %s %-*s %8s  %s\n", p.stepSign(row), names, row.Name, spent, p.dim.Render(oneLine(text, room(width, names))))
	}
}

func (p palette) note(note event.Event) string {
	sign := p.dim.Render("·")
	if warns(note) {
		sign = p.warn.Render("!")
	}
	return "  " + sign + " " + oneLine(note.Text, 0)
}

// failure shows where it went wrong: findings of the gates that did not let it through, else the end of the failed stages'
// output, and the step that failed.
func (p palette) failure(w io.Writer, b *board) {
	explained := map[string]bool{}
	for _, row := range b.gates {
		if row.Verdict == nil || row.Verdict.Outcome.Allows() || !row.Blocks {
			continue
		}
		fmt.Fprintf(w, "\n%s %s\n", p.bad.Render(string(row.Verdict.Outcome)+" "+row.Name), oneLine(row.Verdict.Summary, 0))
		p.findings(w, row.Verdict.Findings)
		if len(row.Verdict.Findings) > 0 {
			explained[strings.TrimPrefix(row.Name[strings.Index(row.Name, "/")+1:], "/")] = true
		}
		if row.Verdict.NextStep != "" {
			fmt.Fprintf(w, "  next: %s\n", oneLine(row.Verdict.NextStep, 0))
		}
	}
	for _, row := range b.stages {
		if row.state != done || (row.Outcome != event.Failed && row.Outcome != event.Errored) {
			continue
		}
		text, _ := row.tell(time.Time{})
		fmt.Fprintf(w, "\n%s %s\n", p.bad.Render("failed stage "+row.label()), text)
		if !explained[row.Name] && !explained[row.Name+"s"] {
			for _, line := range row.tail[max(0, len(row.tail)-logShown):] {
				fmt.Fprintf(w, "  %s %s\n", p.dim.Render("│"), oneLine(line, 0))
			}
		}
		if row.Log != "" {
			fmt.Fprintf(w, "  %s\n", p.dim.Render("whole output: "+row.Log))
		}
	}
	for _, row := range b.steps {
		if row.Error != "" {
			fmt.Fprintf(w, "\n%s %s\n", p.bad.Render("failed step "+row.Name+":"), oneLine(row.Error, 0))
		}
	}
}

func (p palette) findings(w io.Writer, findings []gates.Finding) {
	for i, finding := range findings {
		if i == findingsShown {
			fmt.Fprintf(w, "  … and %d more (--json lists all)\n", len(findings)-i)
			return
		}
		place := finding.File
		if finding.File != "" && finding.Line > 0 {
			place = fmt.Sprintf("%s:%d", finding.File, finding.Line)
			if finding.Column > 0 {
				place += fmt.Sprintf(":%d", finding.Column)
			}
		}
		text := oneLine(finding.Message, 0)
		if finding.Rule != "" {
			text += " " + p.dim.Render("("+oneLine(finding.Rule, 0)+")")
		}
		if place != "" {
			text = p.strong.Render(oneLine(place, 0)) + "  " + text
		}
		fmt.Fprintf(w, "  %s\n", text)
		for _, line := range strings.Split(strings.TrimRight(finding.Detail, "\n"), "\n") {
			if line != "" {
				fmt.Fprintf(w, "      %s\n", p.dim.Render(oneLine(line, 0)))
			}
		}
	}
}

func (p palette) ending(w io.Writer, b *board) {
	result := b.result
	fmt.Fprintln(w)
	word := p.good.Render(result.Outcome)
	switch {
	case result.ExitCode != 0 && result.Outcome == "waiting": // nothing is wrong, and nothing is done
		word = p.warn.Render(result.Outcome)
	case result.ExitCode != 0:
		word = p.bad.Render(result.Outcome)
	}
	cached, ran := 0, 0
	for _, row := range b.stages {
		switch {
		case row.Cached:
			cached++
		case row.state == done && row.Outcome != event.Skipped && (row.Outcome != event.Cancelled || !row.started.IsZero()):
			ran++
		}
	}
	fmt.Fprintf(w, "%s in %s", word, elapsed(result.Duration))
	if b.info.Command == "" {
		fmt.Fprintf(w, " · %s ran, %d from cache", counted(ran, "stage"), cached)
	}
	if b.bundle != nil {
		fmt.Fprintf(w, " · bundle %s (%d bytes)", short(b.bundle.Digest), b.bundle.Size)
	}
	fmt.Fprintln(w)
	told := slices.ContainsFunc(b.steps, func(row *stepRow) bool { return row.Error == result.Reason })
	if result.Reason != "" && !told {
		fmt.Fprintf(w, "%s\n", oneLine(result.Reason, 0))
	}
	if result.Version != "" {
		fmt.Fprintf(w, "live: version %s", p.strong.Render(result.Version))
		if result.Previous != "" && result.Previous != result.Version {
			fmt.Fprintf(w, " (before: %s)", result.Previous)
		}
		fmt.Fprintln(w)
	}
	if result.URL != "" {
		fmt.Fprintf(w, "url:  %s\n", p.link.Render(result.URL))
	}
	if result.NextStep != "" {
		fmt.Fprintf(w, "next: %s\n", oneLine(result.NextStep, 0))
	}
}
