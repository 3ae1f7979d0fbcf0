package dagger

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
)

// tracesEndpoint names the receiver of Dagger's own view. It is set for what runs in a session: a container of `dagger
// call`, a command under `dagger run`. Elsewhere nobody listens.
const tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

// encapsulate folds what the engine did for a stage under the stage's line; a failure is unfolded. The attribute is Dagger's.
var encapsulate = attribute.Bool("dagger.io/ui.encapsulate", true)

// spanTime bounds telling of one span.
const spanTime = 2 * time.Second

// listener is Dagger's own view, where it listens to this process. Safe for concurrent use.
type listener struct {
	provider *sdktrace.TracerProvider // nil where nobody listens
	parent   trace.SpanContext        // of this process
	baggage  baggage.Baggage          // what Dagger hands on from span to span
}

// findListener finds who listens in the environment. Without a listener, or with one that cannot be used, spans go nowhere:
// they are for people who watch, and nothing depends on them.
func findListener(ctx context.Context) *listener {
	if os.Getenv(tracesEndpoint) == "" {
		return &listener{}
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithTimeout(spanTime), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	if err != nil {
		return &listener{}
	}
	patient := &untilGone{SpanExporter: exporter}
	said := propagation.MapCarrier{"traceparent": os.Getenv("TRACEPARENT"), "baggage": os.Getenv("BAGGAGE")}
	both := propagation.NewCompositeTextMapPropagator(propagation.Baggage{}, propagation.TraceContext{})
	above := both.Extract(context.Background(), said)
	return &listener{
		provider: sdktrace.NewTracerProvider(
			sdktrace.WithSpanProcessor(live{sdktrace.NewSimpleSpanProcessor(patient), patient}),
			sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "penstock"))),
		),
		parent: trace.SpanContextFromContext(above), baggage: baggage.FromContext(above),
	}
}

// below is ctx, in which spans begin below this process's own.
func (l *listener) below(ctx context.Context) context.Context {
	return baggage.ContextWithBaggage(trace.ContextWithRemoteSpanContext(ctx, l.parent), l.baggage)
}

// start begins a span below that of ctx.
func (l *listener) start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return l.provider.Tracer("penstock.dev/executor").Start(ctx, name, options...)
}

// startStage begins the span of a stage. What the engine is asked under the context that it returns shows below it.
func (l *listener) startStage(ctx context.Context, stage string) (context.Context, trace.Span) {
	if l.provider == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	return l.start(l.below(ctx), "stage "+stage, trace.WithAttributes(encapsulate))
}

// endStage says how the stage went.
func (l *listener) endStage(span trace.Span, result engine.Result, err error) {
	if l.provider == nil {
		return
	}
	switch {
	case err != nil:
		span.SetStatus(codes.Error, "could not be run")
	case result.Outcome == event.Failed && result.ExitCode > 0:
		span.SetStatus(codes.Error, fmt.Sprintf("exit code %d", result.ExitCode))
	case result.Outcome != event.Passed:
		span.SetStatus(codes.Error, string(result.Outcome))
	}
	span.End()
}

// close sends what is left.
func (l *listener) close(ctx context.Context) {
	if l.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spanTime)
	defer cancel()
	_ = l.provider.Shutdown(ctx) // spans are for people who watch
}

// untilGone tells nothing more after the first span that could not be told: a view that hangs costs a run spanTime once.
type untilGone struct {
	sdktrace.SpanExporter
	gone atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (u *untilGone) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if u.gone.Load() {
		return nil
	}
	err := u.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		u.gone.Store(true)
	}
	return err
}

// live tells of a span also when it begins, as Dagger's own programs do, so that its view has the stage while it runs.
type live struct {
	sdktrace.SpanProcessor
	exporter sdktrace.SpanExporter
}

// OnStart implements sdktrace.SpanProcessor.
func (l live) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) {
	_ = l.exporter.ExportSpans(context.WithoutCancel(ctx), []sdktrace.ReadOnlySpan{span})
}
