package actions

import (
	"fmt"
	"io"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/account"
	"github.com/penstock-ci/penstock/internal/report/markdown"
	"github.com/penstock-ci/penstock/internal/report/terminal"
)

// kept bounds the lines of one stage that are held until it ended; earlier ones are in the stage's log file.
const kept = 5000

// View tells a run in the log of a job. Stages run side by side and the runner cannot nest groups, so a stage's output comes
// in one piece when it ended: folded away when it passed, open when it did not.
type View struct {
	commands *Commander
	lines    io.Writer // guarded
	plain    *terminal.Plain
	output   map[string][]string
	dropped  map[string]int
}

// NewView writes to lines, and the summary to summary.
func NewView(lines, summary io.Writer) *View {
	guarded := NewGuard(lines)
	return &View{
		commands: NewCommander(lines), lines: guarded, plain: terminal.NewPlain(guarded, NewGuard(summary), terminal.Look{}),
		output: map[string][]string{}, dropped: map[string]int{},
	}
}

// Observe implements [event.Observer].
func (v *View) Observe(e event.Event) {
	switch {
	case e.Type == event.StageOutput && e.Stage != nil:
		key := e.Stage.Name + e.Stage.Moment
		if held := v.output[key]; len(held) == kept {
			v.output[key] = held[1:]
			v.dropped[key]++
		}
		v.output[key] = append(v.output[key], e.Text)
		return
	case e.Type == event.StageFinished && e.Stage != nil:
		v.stage(e.Stage)
	}
	v.plain.Observe(e)
}

func (v *View) stage(stage *event.Stage) {
	key := stage.Name + stage.Moment
	lines, dropped := v.output[key], v.dropped[key]
	delete(v.output, key)
	delete(v.dropped, key)
	if len(lines) == 0 {
		return
	}
	if stage.Outcome == event.Passed {
		v.commands.Group(fmt.Sprintf("%s: %d lines", stage.Name, len(lines)))
		defer v.commands.EndGroup()
	}
	if dropped > 0 {
		fmt.Fprintf(v.lines, "[%s] (%d lines before these are in %s)\n", stage.Name, dropped, stage.Log)
	}
	for _, line := range lines {
		fmt.Fprintf(v.lines, "[%s] | %s\n", stage.Name, line)
	}
}

// perLevel is how many annotations of a level GitHub shows of one step.
const perLevel = 10

// Annotations is an observer that shows findings at their places in the pull request, as far as GitHub shows them: ten errors
// and ten warnings of a step. It is for jobs whose token may not write check runs; with those, all findings are there.
type Annotations struct {
	commands *Commander
	folder   string // the app's within the repository, with a slash at its end
	left     map[Level]int
	account  account.Account
}

// NewAnnotations annotates through commands.
func NewAnnotations(commands *Commander, folder string) *Annotations {
	return &Annotations{commands: commands, folder: folder, left: map[Level]int{Error: perLevel, Warning: perLevel, Notice: perLevel}}
}

// Observe implements [event.Observer].
func (a *Annotations) Observe(e event.Event) {
	a.account.Apply(e)
	switch {
	case e.Type == event.GateFinished && e.Gate != nil && e.Gate.Verdict != nil:
		a.gate(e.Gate)
	case e.Type == event.RunFinished && e.Result != nil && e.Result.ExitCode != 0:
		a.end(e.Result)
	}
}

// end shows how a run ended that is not done. A deployment that waits is no error, whatever its job is made of it.
func (a *Annotations) end(result *event.Result) {
	level, lines := Error, []string{result.Reason}
	if text := markdown.NotLive(&a.account); text != "" {
		level, lines = Notice, []string{text, result.Reason}
		if approvers := a.account.Info.Approvers; len(approvers) > 0 {
			lines = append(lines, "may approve: "+strings.Join(approvers, ", "))
		}
	}
	if result.NextStep != "" {
		lines = append(lines, "next: "+result.NextStep)
	}
	a.commands.Annotate(level, "", 0, 0, "penstock: "+result.Outcome, strings.Join(lines, "\n"))
}

func (a *Annotations) gate(gate *event.Gate) {
	for _, finding := range gate.Verdict.Findings {
		level := Warning
		switch {
		case finding.Level == gates.LevelNote:
			level = Notice
		case finding.Level == gates.LevelError && gate.Blocks:
			level = Error
		}
		if a.left[level] == 0 {
			continue
		}
		a.left[level]--
		file := finding.File
		if file != "" {
			file = a.folder + file
		}
		message := finding.Message
		if finding.Rule != "" {
			message = finding.Rule + ": " + message
		}
		a.commands.Annotate(level, file, finding.Line, finding.Column, gate.Name, message)
	}
}
