package dagger

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// RunSpans tell Dagger's own view of a run what a [Session] does not see: gates, and the steps of a promotion. Make it with
// [NewRunSpans]. It implements [event.Observer].
//
// Gates that are asked together show as one line, or belong to the step that asks them. What went well is folded; what
// stopped the run is red, in its own words.
type RunSpans struct {
	listener *listener
	step     *opened // that is at work; nil when none is
	askings  map[gates.Phase]*asking
	gates    map[string]trace.Span
}

// opened is a span that has not ended.
type opened struct {
	ctx  context.Context
	span trace.Span
}

// asking is the span of gates of one phase that are asked together.
type asking struct {
	*opened
	waiting int // gates that have not answered
	blocked string
}

var _ event.Observer = (*RunSpans)(nil)

// NewRunSpans finds who listens in the environment. Where nobody does, it tells nothing.
func NewRunSpans(ctx context.Context) *RunSpans {
	return &RunSpans{listener: findListener(ctx), askings: map[gates.Phase]*asking{}, gates: map[string]trace.Span{}}
}

// Observe implements [event.Observer].
func (r *RunSpans) Observe(e event.Event) {
	if r.listener.provider == nil {
		return
	}
	at := trace.WithTimestamp(e.Time)
	switch e.Type {
	case event.GateStarted:
		_, r.gates[e.Gate.Name] = r.listener.start(r.above(e.Gate.Phase, at), "gate "+e.Gate.Name, at)
	case event.GateFinished:
		r.answered(e.Gate, at)
	case event.StepStarted:
		r.step = r.open("step "+e.Step.Name, at)
	case event.StepFinished:
		if r.step != nil {
			finish(r.step.span, e.Step.Error, at)
			r.step = nil
		}
	case event.RunFinished:
		r.stopped(at)
	}
}

// open begins a span below this process's own, with what will be below it folded.
func (r *RunSpans) open(name string, at trace.SpanStartEventOption) *opened {
	ctx, span := r.listener.start(r.listener.below(context.Background()), name, at, trace.WithAttributes(encapsulate))
	return &opened{ctx, span}
}

// above is what a gate of a phase shows below: the step at work, else the asking of its phase, which begins with its first gate.
func (r *RunSpans) above(phase gates.Phase, at trace.SpanStartEventOption) context.Context {
	if r.step != nil {
		return r.step.ctx
	}
	if r.askings[phase] == nil {
		r.askings[phase] = &asking{opened: r.open("gates of "+string(phase), at)}
	}
	r.askings[phase].waiting++
	return r.askings[phase].ctx
}

// answered ends a gate's span, and that of the asking when it was the last.
func (r *RunSpans) answered(gate *event.Gate, at trace.SpanEndOption) {
	why := ""
	if gate.Blocks {
		why = "blocks"
		if gate.Verdict != nil && gate.Verdict.Summary != "" {
			why = gate.Verdict.Summary
		}
	}
	if span := r.gates[gate.Name]; span != nil {
		finish(span, why, at)
		delete(r.gates, gate.Name)
	}
	together := r.askings[gate.Phase]
	if together == nil {
		return
	}
	if why != "" {
		together.blocked = gate.Name + " blocks"
	}
	if together.waiting--; together.waiting <= 0 {
		finish(together.span, together.blocked, at)
		delete(r.askings, gate.Phase)
	}
}

// stopped ends what a run left behind that was stopped in the middle.
func (r *RunSpans) stopped(at trace.SpanEndOption) {
	const stopped = "stopped"
	for _, span := range r.gates {
		finish(span, stopped, at)
	}
	for _, together := range r.askings {
		finish(together.span, stopped, at)
	}
	if r.step != nil {
		finish(r.step.span, stopped, at)
	}
	clear(r.gates)
	clear(r.askings)
	r.step = nil
}

// finish ends a span, as an error when there is a reason for one.
func finish(span trace.Span, why string, at trace.SpanEndOption) {
	if why != "" {
		span.SetStatus(codes.Error, why)
	}
	span.End(at)
}

// Close sends what is left.
func (r *RunSpans) Close(ctx context.Context) { r.listener.close(ctx) }
