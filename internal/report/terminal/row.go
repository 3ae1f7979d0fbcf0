package terminal

import (
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// row is one line of the tree or of the summary: a stage, a gate or a step as it stands.
type row struct {
	sign, name, spent, text string
	fate                    fate
	short                   string        // what a row that it is folded into says of it
	items                   []string      // in place of text: what is wrapped only between its parts
	longest                 time.Duration // of the gates that are folded into it
}

// fate says whether a row may be folded away.
type fate int

const (
	open fate = iota // its turn has not come
	busy
	fine
	loud // it warns, failed, was waived or could not be found out: always shown
)

// folded puts one row in the place of all that have a fate: of the first one of those that are over, of the last one of those that
// are to come. A single one is not folded.
func folded(rows []row, which fate, one func([]row) row) []row {
	var these []row
	at := -1
	for i, row := range rows {
		if row.fate != which {
			continue
		}
		these = append(these, row)
		if at < 0 || which == open {
			at = i
		}
	}
	if len(these) < 2 {
		return rows
	}
	var left []row
	for i, row := range rows {
		switch {
		case i == at:
			left = append(left, one(these))
		case row.fate != which:
			left = append(left, row)
		}
	}
	return left
}

func namesOf(rows []row) []string {
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = row.name
	}
	return names
}

// stageRows are the stages; one that has not begun says for which of the stages that it needs it waits.
func (p palette) stageRows(b *board, now time.Time) []row {
	rows := make([]row, len(b.stages))
	for i, stage := range b.stages {
		text, spent := stage.tell(now)
		one := row{sign: p.stageSign(stage), name: stage.label(), spent: spent, text: text, fate: loud}
		switch {
		case stage.state == waiting:
			one.fate, one.text = open, b.awaits(stage)
		case stage.state == running:
			one.fate = busy
		case stage.Outcome == event.Passed:
			one.fate = fine
		}
		rows[i] = one
	}
	return rows
}

func (b *board) awaits(stage *stageRow) string {
	missing := slices.DeleteFunc(slices.Clone(stage.Needs), func(name string) bool {
		return slices.ContainsFunc(b.stages, func(row *stageRow) bool { return row.Name == name && row.state == done })
	})
	if len(missing) == 0 {
		return ""
	}
	return "after " + strings.Join(missing, ", ")
}

// gateRows are the gates, in the order of the board.
func (p palette) gateRows(b *board, now time.Time) []row {
	rows := make([]row, len(b.gates))
	for i, gate := range b.gates {
		text, spent := gate.tell(now)
		one := row{sign: p.gateSign(gate), name: gate.Name, spent: spent, text: text, fate: loud}
		switch {
		case gate.state == waiting:
			one.fate = open
		case gate.state == running || gate.Verdict == nil:
			one.fate = busy
		case gate.Verdict.Outcome == gates.Pass && !gate.Blocks && gate.Waived == "" && !gate.DryRun:
			one.fate = fine
		}
		rows[i] = one
	}
	return rows
}

// stepRows are the steps of the promotion.
func (p palette) stepRows(b *board, now time.Time) []row {
	rows := make([]row, len(b.steps))
	for i, step := range b.steps {
		text, spent := step.tell(now)
		one := row{sign: p.stepSign(step), name: step.Name, spent: spent, text: text, fate: fine}
		switch {
		case step.state == waiting:
			one.fate = open
		case step.state == running:
			one.fate = busy
		case step.Error != "":
			one.fate = loud
		}
		rows[i] = one
	}
	return rows
}
