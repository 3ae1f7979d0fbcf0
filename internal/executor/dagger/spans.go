package dagger

import (
	"context"
	"os"
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

// spanTime bounds telling of one span. A view that does not listen costs a run no more than that.
const spanTime = 2 * time.Second

// stageSpans tell Dagger's own view which stages run. Safe for concurrent use.
type stageSpans struct {
	provider *sdktrace.TracerProvider // nil where nobody listens
	parent   trace.SpanContext        // of this process
	baggage  baggage.Baggage          // what Dagger hands on from span to span
}

// newStageSpans finds who listens in the environment. Without a listener, or with one that cannot be used, spans go nowhere:
// they are for people who watch, and nothing depends on them.
func newStageSpans(ctx context.Context) *stageSpans {
	if os.Getenv(tracesEndpoint) == "" {
		return &stageSpans{}
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithTimeout(spanTime), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	if err != nil {
		return &stageSpans{}
	}
	said := propagation.MapCarrier{"traceparent": os.Getenv("TRACEPARENT"), "baggage": os.Getenv("BAGGAGE")}
	both := propagation.NewCompositeTextMapPropagator(propagation.Baggage{}, propagation.TraceContext{})
	above := both.Extract(context.Background(), said)
	return &stageSpans{
		provider: sdktrace.NewTracerProvider(
			sdktrace.WithSpanProcessor(live{sdktrace.NewSimpleSpanProcessor(exporter), exporter}),
			sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "penstock"))),
		),
		parent: trace.SpanContextFromContext(above), baggage: baggage.FromContext(above),
	}
}

// start begins the span of a stage. What the engine is asked under the context that it returns shows below it.
func (s *stageSpans) start(ctx context.Context, stage string) (context.Context, trace.Span) {
	if s.provider == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	ctx = baggage.ContextWithBaggage(trace.ContextWithRemoteSpanContext(ctx, s.parent), s.baggage)
	return s.provider.Tracer("penstock.dev/executor").Start(ctx, "stage "+stage, trace.WithAttributes(encapsulate))
}

// end says how the stage went.
func (s *stageSpans) end(span trace.Span, result engine.Result, err error) {
	if s.provider == nil {
		return
	}
	switch {
	case err != nil:
		span.SetStatus(codes.Error, "could not be run")
	case result.Outcome != event.Passed:
		span.SetStatus(codes.Error, string(result.Outcome))
	}
	span.End()
}

// close sends what is left.
func (s *stageSpans) close(ctx context.Context) {
	if s.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spanTime)
	defer cancel()
	_ = s.provider.Shutdown(ctx) // spans are for people who watch
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
