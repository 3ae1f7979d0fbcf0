package dagger_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"dagger.io/dagger/engineconn"
	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestSpans plays stages in a process that Dagger's own view listens to: each must be there when it begins and when it has
// ended, below the span of the process, with what the engine did for it folded.
func TestSpans(t *testing.T) {
	var mu sync.Mutex
	var told []string
	view := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		var sent collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range sent.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					state := "begins"
					if span.GetEndTimeUnixNano() > 0 {
						state = "ended " + span.GetStatus().GetMessage()
					}
					folded := false
					for _, attribute := range span.GetAttributes() {
						folded = folded || attribute.GetKey() == "dagger.io/ui.encapsulate" && attribute.GetValue().GetBoolValue()
					}
					told = append(told, fmt.Sprintf("%s: %s · %x below %x · folded %t", span.GetName(), state, span.GetTraceId(), span.GetParentSpanId(), folded))
				}
			}
		}
	}))
	defer view.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", view.URL+"/v1/traces")
	t.Setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

	var want []string
	for name, ended := range map[string]string{"gets what it needs": "ended ", "fails": "ended failed"} {
		for _, stage := range playRecorded(t, name) {
			const where = " · 0af7651916cd43dd8448eb211c80319c below b7ad6b7169203331 · folded true"
			want = append(want, "stage "+stage+": begins"+where, "stage "+stage+": "+ended+where)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
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
