package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// bakingApp is the smallest Worker with the guide's alerts, which shifts traffic in steps and watches each.
const (
	bakingPipeline = `gates:
  health/alerts:
    enforcement: mandatory
environments:
  local:
    steps: [10, 100]
    stepBake: 15s
    bake: 5s
`
	bakingAlerts = `alerts:
  - name: High Error Rate
    condition: error_rate > 5%
    duration: 5m
    severity: critical
  - name: High Latency
    condition: p95_latency > 1000ms
    duration: 5m
    severity: warning
`
)

// TestAVersionThatBreaksUnderRealTrafficIsPutBack: the new version answers its probes and fails for people. A tenth of them get
// it; within the bake the app's own alert fires, and everybody has the old version again. A sound version goes the same way
// to its end.
func TestAVersionThatBreaksUnderRealTrafficIsPutBack(t *testing.T) {
	m := newWarmMachine(t, "e2e/testdata/tiny")
	for name, text := range map[string]string{"penstock.yaml": bakingPipeline, "alerts.yml": bakingAlerts} {
		if err := os.WriteFile(filepath.Join(m.app, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The first deployment has nobody's traffic to judge by, and no version to shift from.
	putBack := m.edit("penstock.yaml", "enforcement: mandatory", "enforcement: advisory")
	m.must(0, "deploy")
	putBack()

	people := visit(t, m.url()+"/there")
	t.Run("sound", func(t *testing.T) {
		m := m.in(t)
		m.edit("src/index.js", "from", "out of")
		o := m.must(0, "deploy", "--json")
		verdict(t, o, "health/alerts", gates.Pass)
		if failed := people.failed.Load(); failed != 0 {
			t.Errorf("%d requests failed", failed)
		}
	})
	t.Run("broken", func(t *testing.T) {
		m := m.in(t)
		m.edit("src/index.js", "return new Response", `if (new URL(request.url).pathname === "/there") throw new Error("boom");
    return new Response`)
		began := time.Now()
		o := m.must(6, "deploy", "--json")
		last := verdict(t, o, "health/alerts", gates.Fail, "High Error Rate: error_rate > 5% held for")
		if len(last.Findings) == 0 || last.Findings[0].File != "alerts.yml" || last.Findings[0].Line != 2 {
			t.Errorf("the alerts' findings: %+v", last.Findings)
		}
		if people.failed.Load() == 0 {
			t.Error("nobody met the broken version, so nothing was shown")
		}
		t.Logf("put back %s after the deployment began; %d of %d requests failed", time.Since(began).Round(time.Second), people.failed.Load(), people.asked.Load())
	})
	failed := people.failed.Load()
	for range 100 {
		if status, body := m.get("/there"); status != http.StatusOK || !strings.Contains(body, "out of /there") {
			t.Fatalf("after it was put back: %d %s", status, body)
		}
	}
	people.stop()
	if after := people.failed.Load(); after != failed {
		t.Errorf("%d requests failed after it was put back", after-failed)
	}
}

// TestASlowerVersionIsPutBack: the new version answers everything well, and takes a fifth of a second longer for it. Nobody's
// probes mind; the people who get it are what the gate measures.
func TestASlowerVersionIsPutBack(t *testing.T) {
	m := newMachine(t, "e2e/testdata/tiny")
	m.write("penstock.yaml", `gates:
  health/slowdown: {phase: bake, enforcement: mandatory}
environments:
  local: {steps: [50, 100], stepBake: 15s, bake: 5s}
`)
	// The first deployment has no version to be compared with.
	verdict(t, m.must(6, "deploy", "--json"), "health/slowdown", gates.Inconclusive, "nothing to compare with")
	putBack := m.edit("penstock.yaml", "enforcement: mandatory", "enforcement: advisory")
	m.must(0, "deploy")
	putBack()
	visit(t, m.url()+"/there")

	slow := m.edit("src/index.js", "fetch(request, env) {", "async fetch(request, env) {\n    await scheduler.wait(200);")
	o := m.must(6, "deploy", "--json")
	verdict(t, o, "health/slowdown", gates.Fail, "p95 is 2", "that of version")
	verdicts := judged(t, o, "health/slowdown")
	if last := verdicts[len(verdicts)-1]; !strings.Contains(last.NextStep, "see what the new version does that the old one did not") || last.Measurements[0].Baseline == nil {
		t.Errorf("the verdict: %+v", last)
	}
	if _, body := m.get("/there"); body != "hello from /there\n" {
		t.Errorf("it serves %q", body)
	}

	slow()
	m.edit("src/index.js", "from", "at once from")
	verdict(t, m.must(0, "deploy", "--json"), "health/slowdown", gates.Pass, "p95 is")
}

// visitors ask one address again and again.
type visitors struct {
	asked, failed atomic.Int64
	stop          func()
}

// visit asks about forty times a second, until stop or the test's end.
func visit(t *testing.T, url string) *visitors {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	people := &visitors{}
	var gone sync.WaitGroup
	people.stop = func() { cancel(); gone.Wait() }
	t.Cleanup(people.stop)
	client := &http.Client{Timeout: 20 * time.Second}
	for range 4 {
		gone.Go(func() {
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
				if err != nil {
					return
				}
				answer, err := client.Do(request)
				if ctx.Err() != nil {
					return
				}
				people.asked.Add(1)
				if err != nil || answer.StatusCode != http.StatusOK {
					people.failed.Add(1)
				}
				if err == nil {
					_ = answer.Body.Close()
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	return people
}

// judged are a gate's verdicts in a run that was told as JSON, in order.
func judged(t *testing.T, o outcome, gate string) []gates.Verdict {
	t.Helper()
	var verdicts []gates.Verdict
	for line := range strings.Lines(o.out) {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.Type == event.GateFinished && e.Gate.Name == gate {
			verdicts = append(verdicts, *e.Gate.Verdict)
		}
	}
	return verdicts
}
