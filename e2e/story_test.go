package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestStory is the README's story, in order, on one machine: served, unchanged, edited under load, broken in three ways.
func TestStory(t *testing.T) {
	m := newMachine(t, "examples/atomic-guide")

	first := m.must(0, "deploy", "--env", "local")
	t.Logf("first deploy took %s", first.took.Round(time.Millisecond))
	for _, want := range []string{
		"install", "test", "typecheck", "lint", "audit", "build",
		"quality/tests", "quality/coverage", "limit 80 %", "quality/typecheck", "quality/lint",
		"migrate", "upload", "smoke", "live: version ", "url:  http://127.0.0.1:", "penstock local down",
	} {
		if !strings.Contains(first.out, want) {
			t.Errorf("the summary does not mention %q", want)
		}
	}
	if t.Failed() {
		t.Fatal(first)
	}
	version := liveVersion(t, first)
	expectServed(t, m, version)

	t.Run("nothing changed", func(t *testing.T) {
		m := m.in(t)
		again := m.must(0, "deploy", "--env", "local")
		t.Logf("unchanged deploy took %s", again.took.Round(time.Millisecond))
		if again.took > 5*time.Second {
			t.Errorf("a run with nothing changed took %s, more than 5 s", again.took)
		}
		if !strings.Contains(again.out, "cached: ") || !strings.Contains(again.out, " 0 stages ran") {
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
		if strings.Contains(edited.out, "is already what the plan asks for") {
			t.Fatalf("the edit made no new version:\n%s", edited)
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
			if lines := strings.Count(o.out, "\n"); lines > 60 {
				t.Errorf("%d lines are more than one screen", lines)
			}
			if t.Failed() {
				t.Log(o)
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
			Outcome  string `json:"outcome"`
			ExitCode int    `json:"exitCode"`
		}
		history := m.must(0, "history", "--json")
		if err := json.Unmarshal([]byte(history.out), &runs); err != nil || len(runs) != 8 {
			t.Fatalf("want 8 runs in the history: %v\n%s", err, history)
		}
		m.must(0, "verify")
		if status := m.must(0, "status"); !strings.Contains(status.out, "local") {
			t.Errorf("status does not tell of the environment:\n%s", status)
		}
	})
}

// TestStopAnywhere stops a deployment at many moments, with Ctrl-C and with kill -9, and wants nobody left and the next
// run to work.
func TestStopAnywhere(t *testing.T) {
	m := newMachine(t, "examples/atomic-guide")
	for _, with := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		for _, wait := range []time.Duration{
			30 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 6 * time.Second, 12 * time.Second, 20 * time.Second,
		} {
			t.Run(fmt.Sprintf("%s after %s", with, wait), func(t *testing.T) {
				m := m.in(t)
				o := m.stopAfter(wait, with, "deploy", "--env", "local", "--no-cache")
				t.Logf("ended with %d after %s", o.code, o.took.Round(time.Millisecond))
				if o.code == 0 {
					t.Skip("it had finished before the signal")
				}
				begun := o.out+o.err != "" // before that the system's own way to end a process is as good
				if with == syscall.SIGINT && o.code != 130 && begun {
					t.Errorf("want exit code 130, got %s", o)
				}
				if o.took > wait+15*time.Second {
					t.Errorf("it took %s to stop", o.took-wait)
				}
				m.expectNobodyLeft()
			})
		}
	}
	m.must(0, "deploy", "--env", "local")
	m.must(0, "verify")
	expectServed(t, m, "")
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
