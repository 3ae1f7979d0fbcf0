package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

const (
	wellChecks = `{"database": {"status": "ok", "latency": 4}, "kv": {"status": "ok", "latency": 1}, "r2": {"status": "ok", "latency": 12}}`
	downChecks = `{"database": {"status": "ok", "latency": 4}, "kv": {"status": "error", "latency": 1}, "r2": {"status": "error", "latency": 5000}}`
)

// healthPage is the guide's, of now.
func healthPage(status, checks string) string {
	return fmt.Sprintf(`{"status": %q, "timestamp": %q, "version": "7f3a2b1c-0000-4000-8000-000000000000", "checks": %s}`,
		status, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), checks)
}

func TestEndpoint(t *testing.T) {
	at := func(path string, status int, contentType, body string) gates.Request {
		return running(t, func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path != path {
				http.NotFound(writer, request)
				return
			}
			writer.Header().Set("Content-Type", contentType)
			writer.WriteHeader(status)
			_, _ = io.WriteString(writer, body) // a gate that went away is the test's to see
		})
	}
	page := func(status int, body string) gates.Request { return at("/health", status, "application/json", body) }
	well := healthPage("healthy", wellChecks)
	without := func(cut string) string { return strings.Replace(well, cut, "", 1) }
	old := func(at string) string {
		return fmt.Sprintf(`{"status": "healthy", "timestamp": %q, "version": "1", "checks": %s}`, at, wellChecks)
	}

	gatetest.Try(t, endpointGate{maxAge: maxPageAge}, []gatetest.Case{{
		Name: "every dependency works", Request: page(200, well), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("version 7f3a2b1c is healthy", "3 dependencies work", "the slowest is r2 with 12 ms"), finds(), func(t *testing.T, verdict gates.Verdict) {
			if got := gatetest.Measured(t, verdict, "r2"); got.Value != 12 || got.Unit != "ms" || got.Limit != nil {
				t.Errorf("%+v", got)
			}
		}),
	}, {
		Name: "at the bake", Want: gates.Pass, Request: gates.Request{Phase: gates.PhaseBake, Run: page(200, well).Run},
	}, {
		Name: "503 names what is down", Request: page(503, healthPage("unhealthy", downChecks)), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("answered 503", "down: kv, r2"),
			finds(`dependency down: kv says "error" after 1 ms`, `dependency down: r2 says "error" after 5000 ms`),
			func(t *testing.T, verdict gates.Verdict) {
				gatetest.Measured(t, verdict, "kv")
				if down := gatetest.Measured(t, verdict, "dependencies down"); down.Value != 2 || down.Limit == nil || *down.Limit != 0 {
					t.Errorf("%+v", down)
				}
			}),
	}, {
		Name: "200 although one is down", Request: page(200, healthPage("healthy", downChecks)), Want: gates.Fail, Check: gatetest.Says("down: kv, r2"),
	}, {
		Name: "503 although all work", Request: page(503, well), Want: gates.Fail, Check: gatetest.Says("answered 503", "no dependency is down"),
	}, {
		Name: "the whole is not well", Request: page(200, healthPage("degraded", wellChecks)), Want: gates.Fail, Check: gatetest.Says(`says "degraded"`),
	}, {
		Name: "another page and other words", Want: gates.Pass, Config: `{"path": "/status", "status": "UP", "checkStatus": "up"}`,
		Request: at("/status", 200, "application/json", healthPage("UP", `{"database": {"status": "up", "latency": 0}}`)),
	}, {
		Name: "what must be checked is", Config: `{"checks": ["database", "r2"]}`, Request: page(200, well), Want: gates.Pass,
	}, {
		Name: "what must be checked is not", Config: `{"checks": ["database", "vectorize"]}`, Request: page(200, well), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("not checked: vectorize"), finds("dependency not checked: vectorize must be checked, and the page does not name it")),
	}, {
		Name: "fast enough", Config: `{"maxLatency": 12}`, Request: page(200, well), Want: gates.Pass,
		Check: func(t *testing.T, verdict gates.Verdict) {
			if got := gatetest.Measured(t, verdict, "kv"); got.Limit == nil || *got.Limit != 12 || got.Better != "lower" {
				t.Errorf("%+v", got)
			}
		},
	}, {
		Name: "too slow", Config: `{"maxLatency": 11.5}`, Request: page(200, well), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("slow: r2"), finds("dependency slow: r2 took 12 ms, at most 11.5 ms are allowed")),
	}, {
		Name: "an index.html", Request: at("/health", 200, "text/html", "<!doctype html><title>Shop</title>"), Want: gates.Inconclusive, Check: gatetest.Says("it is an HTML page"),
	}, {
		Name: "an index.html that says it is JSON", Request: page(200, "<html></html>"), Want: gates.Inconclusive, Check: gatetest.Says("it is an HTML page"),
	}, {
		Name: "a word", Request: at("/health", 200, "text/plain", "ok"), Want: gates.Inconclusive, Check: gatetest.Says("it is not JSON"),
	}, {
		Name: "nothing", Request: page(200, ""), Want: gates.Inconclusive, Check: gatetest.Says("it is empty"),
	}, {
		Name: "no object", Request: page(200, `["healthy"]`), Want: gates.Inconclusive, Check: gatetest.Says("no JSON object (array)"),
	}, {
		Name: "cut off", Request: page(200, well[:60]), Want: gates.Inconclusive, Check: gatetest.Says("it is not JSON"),
	}, {
		Name: "all that is missing is told", Request: page(200, `{"status": "healthy", "checks": {"db": {}}}`), Want: gates.Inconclusive,
		Check: gatetest.Says("no timestamp", "no version", "no status of db", "no latency of db"),
	}, {
		Name: "no checks", Request: page(200, healthPage("healthy", `{}`)), Want: gates.Inconclusive, Check: gatetest.Says("names no checks"),
	}, {
		Name: "a list of checks", Request: page(200, healthPage("healthy", `["database"]`)), Want: gates.Inconclusive, Check: gatetest.Says("its checks is of another kind (array)"),
	}, {
		Name: "a check without its latency", Request: page(200, without(`, "latency": 12`)), Want: gates.Inconclusive, Check: gatetest.Says("no latency of r2"),
	}, {
		Name: "a negative latency", Request: page(200, healthPage("healthy", `{"kv": {"status": "ok", "latency": -1}}`)), Want: gates.Inconclusive,
	}, {
		Name: "a page of yesterday", Request: page(200, old(time.Now().Add(-24*time.Hour).UTC().Format(time.RFC3339))), Want: gates.Inconclusive, Check: gatetest.Says("nothing about now"),
	}, {
		Name: "a page of tomorrow", Request: page(200, old(time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))), Want: gates.Inconclusive,
	}, {
		Name: "a time that is none", Request: page(200, old("just now")), Want: gates.Inconclusive, Check: gatetest.Says("its timestamp is not in the form"),
	}, {
		Name: "more than anybody reads", Request: page(200, well+strings.Repeat(" ", maxBody)), Want: gates.Inconclusive, Check: gatetest.Says("more than 1 MiB"),
	}, {
		Name: "503 and no word", Request: page(503, "Service Unavailable"), Want: gates.Fail, Check: gatetest.Says("does not say what is down"),
	}, {
		Name: "not found", Request: at("/elsewhere", 200, "application/json", well), Want: gates.Fail, Check: gatetest.Says("answered 404"),
	}, {
		Name: "a redirect is not followed", Want: gates.Fail, Check: gatetest.Says("answered 302"),
		Request: running(t, func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/health" {
				http.Redirect(writer, request, "/login", http.StatusFound)
				return
			}
			_, _ = io.WriteString(writer, well)
		}),
	}, {
		Name: "turned away", Want: gates.Error, Check: gatetest.Says("429"),
		Request: running(t, func(writer http.ResponseWriter, _ *http.Request) { writer.WriteHeader(http.StatusTooManyRequests) }),
	}, {
		Name: "nobody listens", Request: nobody(t), Want: gates.Error, Check: gatetest.Says("the connection was refused"),
	}, {
		Name: "the connection breaks", Want: gates.Error, Check: gatetest.Says("got no answer"),
		Request: running(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
	}})
}

// TestOneSlowAnswerIsAskedAgain: the first answer of a new isolate is slow, the next ones are not.
func TestOneSlowAnswerIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		later string
		want  gates.Outcome
	}{
		"only the first is slow":            {`{"kv": {"status": "ok", "latency": 2}}`, gates.Pass},
		"all are slow":                      {`{"kv": {"status": "ok", "latency": 800}}`, gates.Fail},
		"it goes down while it is asked":    {`{"kv": {"status": "error", "latency": 2}}`, gates.Fail},
		"another dependency appears, in it": {`{"kv": {"status": "ok", "latency": 2}, "r2": {"status": "error", "latency": 1}}`, gates.Fail},
	} {
		var asked atomic.Int32
		request := running(t, func(writer http.ResponseWriter, _ *http.Request) {
			checks := row.later
			if asked.Add(1) == 1 {
				checks = `{"kv": {"status": "ok", "latency": 900}}`
			}
			_, _ = io.WriteString(writer, healthPage("healthy", checks))
		})
		request.Config = []byte(`{"maxLatency": 100}`)
		verdict, err := endpointGate{maxAge: maxPageAge}.Evaluate(t.Context(), &request)
		if err != nil || verdict.Outcome != row.want || asked.Load() != 3 {
			t.Errorf("%s: asked %d times: %+v, %v", name, asked.Load(), verdict, err)
		}
	}
}

// TestLaterIsHeeded: a version that says when to come back is asked then.
func TestLaterIsHeeded(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	request := running(t, func(writer http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			writer.Header().Set("Retry-After", "1")
			writer.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = io.WriteString(writer, healthPage("healthy", wellChecks))
	})
	verdict, err := endpointGate{maxAge: maxPageAge}.Evaluate(t.Context(), &request)
	if err != nil || verdict.Outcome != gates.Pass || asked.Load() != 2 {
		t.Errorf("asked %d times: %+v, %v", asked.Load(), verdict, err)
	}
}

func FuzzReadPage(f *testing.F) {
	f.Add("application/json", []byte(healthPage("healthy", wellChecks)))
	f.Add("text/html", []byte("<html>"))
	f.Add("", []byte(`{"checks": {"a": null}}`))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		read, err := readPage(contentType, body)
		if err != nil {
			return
		}
		if read.status == "" || read.version == "" || read.at.IsZero() && !strings.Contains(string(body), "0001-01-01") || len(read.checks) == 0 {
			t.Errorf("a page without what it must have: %+v", read)
		}
		for _, one := range read.checks {
			if one.status == "" || one.latency < 0 {
				t.Errorf("a check that says nothing: %+v", one)
			}
		}
	})
}
