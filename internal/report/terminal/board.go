// Package terminal shows a run to a person: a live tree on a terminal, plain lines elsewhere, and one summary at the end.
package terminal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

// tailLines is how many of a stage's last output lines are kept for the failure screen. A failing tool says what is wrong
// at its end; the whole log stays in its file.
const tailLines = 40

// lastBytes bounds what is kept of the last output line for its row in the tree, which is drawn at every event: no terminal
// is wider.
const lastBytes = 1 << 10

// board is all that is known of a run so far. It is filled by apply and only read by renderers; one goroutine at a time.
type board struct {
	run     string
	started time.Time
	info    event.RunInfo
	stages  []*stageRow
	gates   []*gateRow
	steps   []*stepRow
	notes   []event.Event
	bundle  *event.Bundle
	plan    *event.Plan
	result  *event.Result
}

type state int

const (
	waiting state = iota
	running
	done
)

type stageRow struct {
	event.Stage
	state   state
	started time.Time
	last    string   // the beginning of the last output line, without control characters
	tail    []string // last tailLines output lines
}

type gateRow struct {
	event.Gate
	state    state
	started  time.Time
	progress string
}

type stepRow struct {
	event.Step
	state    state
	started  time.Time
	progress string
}

func (b *board) apply(e event.Event) {
	switch e.Type {
	case event.RunStarted:
		b.begin(e)
	case event.StageStarted, event.StageOutput, event.StageFinished:
		b.applyStage(e)
	case event.GateStarted, event.GateProgress, event.GateFinished:
		b.applyGate(e)
	case event.StepStarted, event.StepProgress, event.StepFinished:
		b.applyStep(e)
	case event.BundleBuilt:
		b.bundle = e.Bundle
	case event.PlanMade:
		b.plan = e.Plan
	case event.Note:
		b.notes = append(b.notes, e)
	case event.RunFinished:
		b.result = e.Result
	}
}

func (b *board) begin(e event.Event) {
	b.run, b.started = e.Run, e.Time
	if e.RunInfo == nil {
		return
	}
	b.info = *e.RunInfo
	for _, stage := range e.RunInfo.Stages {
		b.stages = append(b.stages, &stageRow{Stage: stage})
	}
	for _, gate := range e.RunInfo.Gates {
		b.gates = append(b.gates, &gateRow{Gate: gate})
	}
	for _, step := range e.RunInfo.Steps {
		b.steps = append(b.steps, &stepRow{Step: step})
	}
}

func (b *board) applyStage(e event.Event) {
	if e.Stage == nil {
		return
	}
	row := b.stage(e.Stage)
	switch e.Type {
	case event.StageStarted:
		row.state, row.started = running, e.Time
		row.Attempt = e.Stage.Attempt
		row.tail, row.last = nil, ""
	case event.StageOutput:
		if last := oneLine(e.Text[:min(len(e.Text), lastBytes)], 0); strings.TrimSpace(last) != "" {
			row.last = last
		}
		row.tail = append(row.tail, e.Text)
		if len(row.tail) > tailLines {
			row.tail = slices.Delete(row.tail, 0, len(row.tail)-tailLines)
		}
	case event.StageFinished:
		title, needs, moment := row.Title, row.Needs, row.Moment
		row.Stage, row.state = *e.Stage, done
		row.Title, row.Needs = cmp.Or(row.Title, title), needs
		row.Moment = cmp.Or(row.Moment, moment)
	}
}

func (b *board) applyGate(e event.Event) {
	if e.Gate == nil {
		return
	}
	row := b.gate(e.Gate)
	switch e.Type {
	case event.GateStarted:
		row.state, row.started = running, e.Time
	case event.GateProgress:
		row.progress = e.Text
	case event.GateFinished:
		title := row.Title
		row.Gate, row.state = *e.Gate, done
		row.Title = cmp.Or(row.Title, title)
	}
}

func (b *board) applyStep(e event.Event) {
	if e.Step == nil {
		return
	}
	row := b.step(e.Step)
	switch e.Type {
	case event.StepStarted:
		row.state, row.started = running, e.Time
	case event.StepProgress:
		row.progress = e.Text
	case event.StepFinished:
		title := row.Title
		row.Step, row.state = *e.Step, done
		row.Title = cmp.Or(row.Title, title)
	}
}

// stage finds the row of a stage, or adds one: a smoke stage runs more than once and gets a row for each moment.
func (b *board) stage(wanted *event.Stage) *stageRow {
	for _, row := range b.stages {
		if row.Name == wanted.Name && (wanted.Moment == "" || row.Moment == wanted.Moment) {
			return row
		}
	}
	row := &stageRow{Stage: *wanted}
	b.stages = append(b.stages, row)
	return row
}

func (b *board) gate(wanted *event.Gate) *gateRow {
	for _, row := range b.gates {
		if row.Name == wanted.Name && row.Phase == wanted.Phase {
			return row
		}
	}
	row := &gateRow{Gate: *wanted}
	b.gates = append(b.gates, row)
	return row
}

func (b *board) step(wanted *event.Step) *stepRow {
	for _, row := range b.steps {
		if row.Name == wanted.Name {
			return row
		}
	}
	row := &stepRow{Step: *wanted}
	b.steps = append(b.steps, row)
	return row
}

// promoting tells whether any step of the promotion has begun.
func (b *board) promoting() bool {
	return slices.ContainsFunc(b.steps, func(row *stepRow) bool { return row.state != waiting })
}

// warnings returns the last n notes that warn.
func (b *board) warnings(n int) []event.Event {
	var found []event.Event
	for i := len(b.notes) - 1; i >= 0 && len(found) < n; i-- {
		if warns(b.notes[i]) {
			found = append(found, b.notes[i])
		}
	}
	slices.Reverse(found)
	return found
}

func warns(note event.Event) bool { return note.Level == "warning" || note.Level == "error" }
