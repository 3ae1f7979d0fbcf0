package terminal

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
)

// Plain tells a run in lines, for logs and pipes. Lines of a stage begin with its name in brackets, so that parallel
// output stays readable and greppable.
type Plain struct {
	lines   io.Writer
	summary io.Writer
	board   board
	look    Look
	palette palette
}

// NewPlain writes progress to lines and the summary to summary, which alone is styled.
func NewPlain(lines, summary io.Writer, look Look) *Plain {
	return &Plain{lines: lines, summary: summary, look: look, palette: newPalette(look.Colour)}
}

// Observe implements [event.Observer].
func (p *Plain) Observe(e event.Event) {
	p.board.apply(e)
	switch e.Type {
	case event.RunStarted:
		fmt.Fprintf(p.lines, "penstock %s\n", palette{}.heading(&p.board))
	case event.StageStarted:
		row := p.board.stage(e.Stage)
		if e.Stage.Attempt > 1 {
			p.say(row.label(), "attempt %d", e.Stage.Attempt)
		} else {
			p.say(row.label(), "started")
		}
	case event.StageOutput:
		p.say(p.board.stage(e.Stage).label(), "| %s", oneLine(e.Text, 0))
	case event.StageFinished:
		p.finished(p.board.stage(e.Stage))
	case event.GateProgress:
		p.say("gate "+e.Gate.Name, "%s", oneLine(e.Text, 0))
	case event.GateFinished:
		row := p.board.gate(e.Gate)
		text, spent := row.tell(e.Time)
		if e.Gate.Verdict != nil { // its outcome is told anyway
			rest, cut := strings.CutPrefix(text, string(e.Gate.Verdict.Outcome))
			if !cut || !(strings.HasPrefix(rest, ": ") || strings.HasPrefix(rest, " (") || strings.HasPrefix(rest, ", ")) {
				rest = ": " + text
			}
			text = rest
			p.say("gate "+row.Name, "%s in %s%s", e.Gate.Verdict.Outcome, spent, oneLine(text, 0))
		}
	case event.StepProgress:
		p.say(e.Step.Name, "%s", oneLine(e.Text, 0))
	case event.StepFinished:
		row := p.board.step(e.Step)
		text, spent := row.tell(e.Time)
		word := "done"
		if row.Error != "" {
			word = "failed"
		} else if row.Skipped {
			word = "passed over"
		}
		p.say(row.Name, "%s in %s: %s", word, spent, oneLine(text, 0))
	case event.Note:
		// Whoever pressed Ctrl-C is answered now; what is known at the beginning is for the summary.
		if warns(e) && slices.ContainsFunc(p.board.stages, func(row *stageRow) bool { return row.state != waiting }) {
			fmt.Fprintf(p.lines, "! %s\n", oneLine(e.Text, 0))
		}
	case event.RunFinished:
		width, _ := p.look.size()
		p.palette.summary(p.summary, &p.board, p.look.All, width)
	}
}

func (p *Plain) finished(row *stageRow) {
	text, spent := row.tell(row.started)
	text = strings.TrimPrefix(text, string(row.Outcome)+": ")
	if spent != "" {
		spent = " in " + spent
	}
	p.say(row.label(), "%s", strings.TrimSuffix(string(row.Outcome)+spent+": "+oneLine(text, 0), ": "))
}

func (p *Plain) say(who, format string, args ...any) {
	fmt.Fprintf(p.lines, "[%s] %s\n", who, fmt.Sprintf(format, args...))
}
