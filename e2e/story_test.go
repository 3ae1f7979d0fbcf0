package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/event"
)

// TestStory is the README's story, in order, on one machine: served, unchanged, edited under load, broken in three ways.
func TestStory(t *testing.T) {
	m := newMachine(t, "examples/atomic-guide")
	m.edit("penstock.yaml", "limit: 50", "limit: 5000") // others may work beside it

	first := m.must(0, "deploy", "--env", "local")
	t.Logf("first deploy took %s", first.took.Round(time.Millisecond))
	for _, want := range []string{
		"install", "test", "typecheck", "lint", "audit", "build", // stages
		"quality", "tests 130 ≥ 1", "coverage lines 100 ≥ 80 %", "typecheck 0 ≤ 0 errors", "benchmark", "security", "sql 0 ≤ 0 findings", "ratelimit",
		"health", "endpoint", "data", "migrations", "rehearsal", "migrate · upload", "live: version ", "url:  http://127.0.0.1:", "penstock local down", "run:  ",
	} {
		if !strings.Contains(first.out, want) {
			t.Errorf("the summary does not mention %q", want)
		}
	}
	_, run, _ := strings.Cut(first.out, "run:  ")
	whole := m.must(0, "history", run[:len("01M89S6N")])
	for _, want := range []string{
		"quality/tests", "quality/coverage", "limit 80 %", "quality/typecheck", "quality/lint", "quality/benchmark", "security/sql",
		"health/endpoint", "security/headers", "security/cors", "security/ratelimit", "data/migrations", "data/rehearsal", " gates let it through",
	} {
		if !strings.Contains(whole.out, want) {
			t.Errorf("the run on record does not mention %q:\n%s", want, whole)
		}
	}
	if t.Failed() {
		t.Fatal(first)
	}
	version := liveVersion(t, first)
	expectServed(t, m, version)
	recorded := m.doctor("--recorded")
	for _, gate := range []string{"quality/tests", "quality/coverage", "quality/typecheck", "quality/lint", "quality/benchmark"} {
		recorded.stands(t, gate, "pass")
	}

	t.Run("nothing changed", func(t *testing.T) {
		m := m.in(t)
		again := m.must(0, "deploy", "--env", "local")
		t.Logf("unchanged deploy took %s", again.took.Round(time.Millisecond))
		if again.took > 5*time.Second {
			t.Errorf("a run with nothing changed took %s, more than 5 s", again.took)
		}
		// A registry that gives no advisories leaves the audit without a report, and a result without its report is not reused.
		ran := " 0 stages ran, 8 from cache"
		if strings.Contains(again.out, "the last run did not leave $PENSTOCK_REPORTS/audit.json") {
			ran = " 1 stage ran, 7 from cache"
		}
		if !strings.Contains(again.out, ran) {
			t.Errorf("it does not say that everything came from the cache:\n%s", again)
		}
		if got := liveVersion(t, again); got != version {
			t.Errorf("version %s replaced %s although nothing changed", got, version)
		}
	})

	t.Run("edited under load", func(t *testing.T) {
		m := m.in(t)
		hammer := startHammer(t, m.url()+"/health")
		defer m.edit("src/handlers/health.ts", "5_000", "5_001")()
		edited := m.must(0, "deploy", "--env", "local")
		sent, failed, seen := hammer.stop()
		t.Logf("edited deploy took %s; %d requests, %d failed, versions %v", edited.took.Round(time.Millisecond), sent, len(failed), seen)
		if len(failed) > 0 || sent < 50 {
			t.Errorf("%d of %d requests failed: %v", len(failed), sent, failed[:min(3, len(failed))])
		}
		replacement := liveVersion(t, edited)
		if replacement == version {
			t.Fatalf("the edit made no new version:\n%s", edited)
		}
		if seen[version] == 0 || seen[replacement] == 0 || len(seen) != 2 {
			t.Errorf("want answers of %s, then of %s, and of nobody else: %v", version, replacement, seen)
		}
	})

	for _, broken := range []struct {
		name, file, old, replacement string
		code                         int
		says                         []string
	}{
		{"a broken test", "test/health.test.ts", "toBe(200)", "toBe(201)", 3, []string{"quality/tests", "test/health.test.ts:", "201"}},
		{"a type error", "src/handlers/health.ts", "export", "export const wrong: number = 'text';\nexport", 3, []string{"quality/typecheck", "src/handlers/health.ts:", "TS2322"}},
		{"a lint error", "src/handlers/health.ts", "export", "var old = 1; export { old };\nexport", 3, []string{"quality/lint", "src/handlers/health.ts:", "no-var"}},
		{"low coverage", "src/handlers/health.ts", "export", untested(400) + "export", 4, []string{"quality/coverage", "limit 80 %"}},
		// Neither the app's tests nor its smoke test see it: only the gate that asks the new version does.
		{"a page of yesterday", "src/handlers/health.ts", "new Date()", "new Date(0)", 6, []string{"health/endpoint", "1970-01-01", "put-back"}},
	} {
		t.Run(broken.name, func(t *testing.T) {
			m := m.in(t)
			putBack := m.edit(broken.file, broken.old, broken.replacement)
			defer putBack()
			before := m.url()
			o := m.must(broken.code, "deploy", "--env", "local")
			for _, want := range broken.says {
				if !strings.Contains(o.out, want) {
					t.Errorf("the screen does not say %q", want)
				}
			}
			// Nine stages, thirty gates and a dozen steps have a line each; what is beside them must stay short.
			if lines := strings.Count(o.out, "\n"); lines > 80 {
				t.Errorf("%d lines are more than one screen", lines)
			}
			if t.Failed() {
				t.Log(o)
			}
			if broken.code != 6 { // a version that was put back is no longer what doctor is asked about
				m.doctor("--recorded").stands(t, broken.says[0], "fail")
			}
			if before != m.url() {
				t.Error("the URL changed")
			}
			if status, _ := m.get("/health"); status != http.StatusOK {
				t.Errorf("a run that was stopped took the app down: %d", status)
			}
		})
	}

	t.Run("the record", func(t *testing.T) {
		m := m.in(t)
		var runs []struct {
			State    string `json:"state"`
			ExitCode *int   `json:"exitCode"`
		}
		history := m.must(0, "history", "--json")
		if err := json.Unmarshal([]byte(history.out), &runs); err != nil {
			t.Fatalf("%v\n%s", err, history)
		}
		var got []string
		for _, run := range slices.Backward(runs) { // told newest first
			code := "no exit code"
			if run.ExitCode != nil {
				code = strconv.Itoa(*run.ExitCode)
			}
			got = append(got, run.State+" "+code)
		}
		want := []string{"done 0", "done 0", "done 0", "failed 3", "failed 3", "failed 3", "blocked 4", "rolled back 6"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the history (-want +got):\n%s", diff)
		}
		m.must(0, "verify")
		if status := m.must(0, "status"); !strings.Contains(status.out, "local") {
			t.Errorf("status does not tell of the environment:\n%s", status)
		}
	})
}

// TestGatesOnTheRunningVersion drops a security header, and what the app's own test and smoke test know of it: only a gate
// that asks the new version can see that. It is put back before it takes traffic.
func TestGatesOnTheRunningVersion(t *testing.T) {
	m := newWarmMachine(t, "examples/atomic-guide")
	version := liveVersion(t, m.must(0, "deploy", "--env", "local"))
	defer m.edit("src/http/security-headers.ts", "  'X-Content-Type-Options': 'nosniff',\n", "")()
	defer m.edit("test/every-answer.test.ts", "  'x-content-type-options': 'nosniff',\n", "")()
	defer m.edit("scripts/smoke.mjs", "  'x-content-type-options': 'nosniff',\n", "")()
	hammer := startHammer(t, m.url()+"/health")
	o := m.must(6, "deploy", "--env", "local")
	_, failed, seen := hammer.stop()
	for _, want := range []string{"fail security/headers", "X-Content-Type-Options", "put-back"} {
		if !strings.Contains(strings.ToLower(o.out), strings.ToLower(want)) {
			t.Errorf("the screen does not say %q:\n%s", want, o)
		}
	}
	if len(failed) > 0 || seen[version] == 0 || len(seen) != 1 {
		t.Errorf("somebody else than %s answered, or nobody: %v, %d failed", version, seen, len(failed))
	}
	if now := m.serving(); now != version {
		t.Errorf("version %s serves, want %s", now, version)
	}
}

// TestStopAnywhere stops deployments at chosen moments, in the stages and in the promotion, with Ctrl-C, with Ctrl-C twice,
// and with kill -9. It wants nobody left, what was live to serve, and the next run to work: each run has to come as far as
// its own moment.
func TestStopAnywhere(t *testing.T) {
	m := newWarmMachine(t, "examples/atomic-guide")
	m.must(0, "deploy", "--env", "local")

	// After a promotion was put back the exit code tells that, whoever asked for it.
	interrupted, putBack, killed := []int{130}, []int{6, 130}, []int{-1}
	once, twice, kill := []syscall.Signal{syscall.SIGINT}, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, []syscall.Signal{syscall.SIGKILL}
	for i, stop := range []struct {
		name   string
		at     moment
		with   []syscall.Signal
		within time.Duration
		codes  []int
		args   []string
	}{
		{"the start, Ctrl-C", moment{event.RunStarted, ""}, once, 15 * time.Second, interrupted, []string{"--no-cache"}},
		{"the start, kill -9", moment{event.RunStarted, ""}, kill, 5 * time.Second, killed, []string{"--no-cache"}},
		{"install, Ctrl-C", moment{event.StageStarted, "install"}, once, 15 * time.Second, interrupted, []string{"--no-cache"}},
		{"install, kill -9", moment{event.StageStarted, "install"}, kill, 5 * time.Second, killed, []string{"--no-cache"}},
		{"test, Ctrl-C", moment{event.StageStarted, "test"}, once, 15 * time.Second, interrupted, []string{"--no-cache"}},
		{"test, Ctrl-C twice", moment{event.StageStarted, "test"}, twice, 10 * time.Second, interrupted, []string{"--no-cache"}},
		{"test, kill -9", moment{event.StageStarted, "test"}, kill, 5 * time.Second, killed, []string{"--no-cache"}},
		// Only the environment differs, so that the stages come from the cache and the promotion is there at once.
		{"upload, Ctrl-C", moment{event.StepStarted, "upload"}, once, 15 * time.Second, putBack, nil},
		{"upload, kill -9", moment{event.StepStarted, "upload"}, kill, 5 * time.Second, killed, nil},
		{"smoke, Ctrl-C", moment{event.StepStarted, "smoke"}, once, 15 * time.Second, putBack, nil},
		{"smoke, Ctrl-C twice", moment{event.StepStarted, "smoke"}, twice, 10 * time.Second, putBack, nil},
		{"smoke, kill -9", moment{event.StepStarted, "smoke"}, kill, 5 * time.Second, killed, nil},
		{"shift, Ctrl-C", moment{event.StepStarted, "shift-100"}, once, 30 * time.Second, putBack, nil},
		{"shift, kill -9", moment{event.StepStarted, "shift-100"}, kill, 5 * time.Second, killed, nil},
	} {
		t.Run(stop.name, func(t *testing.T) {
			m := m.in(t)
			before := m.serving()
			if stop.at.kind == event.StepStarted {
				defer m.edit("penstock.yaml", "  local:\n", fmt.Sprintf("  local:\n    vars: { ATTEMPT: '%d' }\n", i))()
			}
			o := m.stopAt(stop.at, stop.with, append([]string{"deploy", "--env", "local"}, stop.args...)...)
			t.Logf("ended with %d, %s after the signal", o.code, o.took.Round(time.Millisecond))
			if !slices.Contains(stop.codes, o.code) {
				t.Errorf("want exit code %v, got %s", stop.codes, o)
			}
			if o.took > stop.within {
				t.Errorf("it took %s to stop, more than %s", o.took, stop.within)
			}
			m.expectOnlyCloudLeft()
			// Who is killed cannot put anything back: then either of the two may serve.
			if after := m.serving(); after != before && stop.with[0] != syscall.SIGKILL {
				t.Errorf("version %s served before, %s after a run that was stopped", before, after)
			}
		})
	}
	last := m.must(0, "deploy", "--env", "local")
	m.must(0, "verify")
	expectServed(t, m, liveVersion(t, last))
}

var liveLine = regexp.MustCompile(`(?m)^live: version ([0-9a-f-]{36})`)

func liveVersion(t *testing.T, o outcome) string {
	t.Helper()
	found := liveLine.FindStringSubmatch(o.out)
	if found == nil {
		t.Fatalf("the summary names no live version:\n%s", o)
	}
	return found[1]
}

func expectServed(t *testing.T, m *machine, version string) {
	t.Helper()
	status, health := m.get("/health")
	if status != http.StatusOK || !strings.Contains(health, `"healthy"`) || !strings.Contains(health, version) {
		t.Errorf("GET /health: %d %s", status, health)
	}
	if status, home := m.get("/"); status != http.StatusOK || !strings.Contains(home, "<li") {
		t.Errorf("GET / shows no rows of the database: %d %s", status, home)
	}
}

// untested is code that no test runs: enough of it drops the coverage below any limit.
func untested(functions int) string {
	var out strings.Builder
	for i := range functions {
		fmt.Fprintf(&out, "export function untested%d(n: number): number {\n  if (n > %d) {\n    return n;\n  }\n  return -n;\n}\n", i, i)
	}
	return out.String()
}

// hammer sends requests one after the other, from several goroutines, until it is stopped.
type hammer struct {
	quit   chan struct{}
	ended  sync.WaitGroup
	mu     sync.Mutex
	sent   int
	failed []string
	seen   map[string]int
}

func startHammer(t *testing.T, url string) *hammer {
	t.Helper()
	h := &hammer{quit: make(chan struct{}), seen: map[string]int{}}
	for range 2 {
		h.ended.Go(func() {
			client := &http.Client{Timeout: 20 * time.Second}
			for {
				select {
				case <-h.quit:
					return
				default:
				}
				h.once(client, url)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return h
}

func (h *hammer) once(client *http.Client, url string) {
	answer, err := client.Get(url)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent++
	if err != nil {
		h.failed = append(h.failed, err.Error())
		return
	}
	defer answer.Body.Close()
	h.seen[answer.Header.Get("x-version-id")]++
	if answer.StatusCode != http.StatusOK {
		h.failed = append(h.failed, answer.Status)
	}
}

func (h *hammer) stop() (sent int, failed []string, versions map[string]int) {
	close(h.quit)
	h.ended.Wait()
	return h.sent, h.failed, h.seen
}
