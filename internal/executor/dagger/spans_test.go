package dagger_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dagger.io/dagger/engineconn"
	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/dagger"
)

// view is who listens to spans, as Dagger's own view does.
type view struct {
	t     *testing.T
	mu    sync.Mutex
	told  []string
	names map[string]string // of spans, by their ids
}

// listening makes a view that this process tells its spans to until the test ends.
func listening(t *testing.T) *view {
	t.Helper()
	v := &view{t: t, names: map[string]string{"b7ad6b7169203331": "this process"}}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL+"/v1/traces")
	t.Setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	return v
}

func (v *view) ServeHTTP(_ http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	var sent collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &sent)
	}
	if err != nil {
		v.t.Error(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, resource := range sent.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				v.hear(span)
			}
		}
	}
}

func (v *view) hear(span *trace.Span) {
	if trace := fmt.Sprintf("%x", span.GetTraceId()); trace != "0af7651916cd43dd8448eb211c80319c" {
		v.t.Errorf("%s is in the trace %s", span.GetName(), trace)
	}
	state := "begins"
	if span.GetEndTimeUnixNano() > 0 {
		state = "ended"
		if status := span.GetStatus(); status.GetCode() == trace.Status_STATUS_CODE_ERROR {
			state = "red: " + status.GetMessage()
		}
	}
	folded := ""
	for _, attribute := range span.GetAttributes() {
		if attribute.GetKey() == "dagger.io/ui.encapsulate" && attribute.GetValue().GetBoolValue() {
			folded = ", folded"
		}
	}
	v.names[fmt.Sprintf("%x", span.GetSpanId())] = span.GetName()
	v.told = append(v.told, fmt.Sprintf("%s %s (below %s%s)", span.GetName(), state, v.names[fmt.Sprintf("%x", span.GetParentSpanId())], folded))
}

func (v *view) heard(want []string) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if diff := cmp.Diff(want, v.told); diff != "" {
		v.t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestSpans plays stages in a process that Dagger's own view listens to: each must be there when it begins and when it has
// ended, below the span of the process, with what the engine did for it folded.
func TestSpans(t *testing.T) {
	listener := listening(t)
	var want []string
	for _, stage := range playRecorded(t, "gets what it needs") {
		want = append(want, "stage "+stage+" begins (below this process, folded)", "stage "+stage+" ended (below this process, folded)")
	}
	codes := map[string]string{"no": "3", "piped": "1"}
	for _, stage := range playRecorded(t, "fails") {
		want = append(want, "stage "+stage+" begins (below this process, folded)", "stage "+stage+" red: exit code "+codes[stage]+" (below this process, folded)")
	}
	listener.heard(want)
}

// TestRunSpans tells of a run's gates and steps: gates of the build together, those that a step asks below the step.
func TestRunSpans(t *testing.T) {
	listener := listening(t)
	spans := dagger.NewRunSpans(t.Context())
	gate := func(name string, phase gates.Phase) {
		spans.Observe(event.Event{Type: event.GateStarted, Time: time.Now(), Gate: &event.Gate{Name: name, Phase: phase}})
	}
	answer := func(name string, phase gates.Phase, blocks bool, summary string) {
		spans.Observe(event.Event{Type: event.GateFinished, Time: time.Now(), Gate: &event.Gate{
			Name: name, Phase: phase, Blocks: blocks, Verdict: &gates.Verdict{Summary: summary},
		}})
	}
	step := func(kind event.Type, name, problem string) {
		spans.Observe(event.Event{Type: kind, Time: time.Now(), Step: &event.Step{Name: name, Error: problem}})
	}
	gate("q/tests", gates.PhaseBuild)
	gate("q/coverage", gates.PhaseBuild)
	answer("q/tests", gates.PhaseBuild, false, "12 tests passed")
	answer("q/coverage", gates.PhaseBuild, true, "70 % of lines covered, limit 80 %")
	step(event.StepStarted, "upload", "")
	step(event.StepFinished, "upload", "")
	step(event.StepStarted, "gates", "")
	gate("health/endpoint", gates.PhasePromote)
	answer("health/endpoint", gates.PhasePromote, false, "it works")
	step(event.StepFinished, "gates", "a gate blocks")
	gate("d/migrations", gates.PhasePlan)
	spans.Observe(event.Event{Type: event.RunFinished, Time: time.Now(), Result: &event.Result{Outcome: "cancelled"}})
	spans.Close(t.Context())
	listener.heard([]string{
		"gates of build begins (below this process, folded)",
		"gate q/tests begins (below gates of build)",
		"gate q/coverage begins (below gates of build)",
		"gate q/tests ended (below gates of build)",
		"gate q/coverage red: 70 % of lines covered, limit 80 % (below gates of build)",
		"gates of build red: q/coverage blocks (below this process, folded)",
		"step upload begins (below this process, folded)",
		"step upload ended (below this process, folded)",
		"step gates begins (below this process, folded)",
		"gate health/endpoint begins (below step gates)",
		"gate health/endpoint ended (below step gates)",
		"step gates red: a gate blocks (below this process, folded)",
		"gates of plan begins (below this process, folded)",
		"gate d/migrations begins (below gates of plan)",
		"gate d/migrations red: stopped (below gates of plan)",
		"gates of plan red: stopped (below this process, folded)",
	})
}

// TestRunSpansNobodyAnswers has a view that refuses: it is asked once, and the run goes on.
func TestRunSpansNobodyAnswers(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		out.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL+"/v1/traces")
	spans := dagger.NewRunSpans(t.Context())
	for range 3 {
		spans.Observe(event.Event{Type: event.StepStarted, Time: time.Now(), Step: &event.Step{Name: "upload"}})
		spans.Observe(event.Event{Type: event.StepFinished, Time: time.Now(), Step: &event.Step{Name: "upload"}})
	}
	spans.Close(t.Context())
	if asked.Load() != 1 {
		t.Errorf("a view that refuses was asked %d times", asked.Load())
	}
}

// TestSpansNobody runs stages while the one who should listen is gone: it is no matter of the run.
func TestSpansNobody(t *testing.T) {
	view := httptest.NewServer(http.NotFoundHandler())
	view.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", view.URL+"/v1/traces")
	playRecorded(t, "fails")
}

// playRecorded plays a scenario's first session against what was recorded and returns the stages that ran.
func playRecorded(t *testing.T, name string) []string {
	t.Helper()
	sc := scenarios[slices.IndexFunc(scenarios, func(sc scenario) bool { return sc.name == name })]
	recorded := readRecording(t, fileOf(sc))
	w := newWorld(t, sc, recorded.ID)
	conn := newReplay(t, loadSchema(t), w.names, recorded.Sessions[0])
	w.play(t, w.dagger(0, func(context.Context) (engineconn.EngineConn, error) { return conn, nil }), 0)
	return sc.sessions[0].run
}
