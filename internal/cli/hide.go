package cli

import (
	"context"
	"slices"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// hiding is an observer that takes the values of the run's secrets out of every text before anybody is told. Output of
// stages and words of gates have been through it where they arose; this is for all the rest: errors, details, notes.
type hiding struct {
	hide func(string) string
	next event.Observer
}

// Observe implements [event.Observer].
func (h hiding) Observe(e event.Event) { h.next.Observe(hideIn(e, h.hide)) }

// hidingJournal does the same for what a promotion records itself.
type hidingJournal struct {
	promotion.Journal
	hide func(string) string
}

// Record implements promotion.Journal.
func (j hidingJournal) Record(ctx context.Context, e event.Event) error {
	return j.Journal.Record(ctx, hideIn(e, j.hide))
}

// Checkpoint implements promotion.Journal.
func (j hidingJournal) Checkpoint(ctx context.Context, lease promotion.Lease, state promotion.Checkpoint, events ...event.Event) error {
	hidden := make([]event.Event, len(events))
	for i, e := range events {
		hidden[i] = hideIn(e, j.hide)
	}
	state.Reason = j.hide(state.Reason)
	return j.Journal.Checkpoint(ctx, lease, state, hidden...)
}

// hideIn returns a copy of e: what others hold of it is not changed.
func hideIn(e event.Event, hide func(string) string) event.Event {
	e.Text = hide(e.Text)
	if e.Stage != nil {
		stage := *e.Stage
		stage.Why = hide(stage.Why)
		e.Stage = &stage
	}
	if e.Step != nil {
		step := *e.Step
		step.Detail, step.Error = hide(step.Detail), hide(step.Error)
		e.Step = &step
	}
	if e.Gate != nil && e.Gate.Waived != "" { // a reason is what somebody typed
		gate := *e.Gate
		gate.Waived = hide(gate.Waived)
		e.Gate = &gate
	}
	if e.Plan != nil && len(e.Plan.Scripts) > 0 {
		plan := *e.Plan
		plan.Scripts = slices.Clone(plan.Scripts)
		for i := range plan.Scripts {
			plan.Scripts[i].SQL = hide(plan.Scripts[i].SQL)
		}
		e.Plan = &plan
	}
	if e.Result != nil {
		result := *e.Result
		result.Reason, result.NextStep = hide(result.Reason), hide(result.NextStep)
		e.Result = &result
	}
	return e
}
