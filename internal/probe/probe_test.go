package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

const (
	green = "1a2b3c4d-0000-4000-8000-000000000001"
	blue  = "9f8e7d6c-0000-4000-8000-000000000002"
)

// quick is a prober that does not wait long for anything.
var quick = HTTP{Timeout: time.Minute, Patience: 300 * time.Millisecond, Settle: 50 * time.Millisecond, InARow: 3}

func serve(t *testing.T, handler http.HandlerFunc) promotion.Address {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return promotion.Address{URL: server.URL, Header: http.Header{"Cloudflare-Workers-Version-Overrides": {`app="` + green + `"`}}}
}

func paths(proof pipelines.VersionProof, probes ...pipelines.Probe) pipelines.Smoke {
	return pipelines.Smoke{Probes: probes, Version: proof}
}

func TestWhatCountsAsWorking(t *testing.T) {
	t.Parallel()
	health := pipelines.Probe{Path: "/health", Status: 200}
	inHeader := func(version string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Version-Id", version)
			w.WriteHeader(status)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		version string
		smoke   pipelines.Smoke
		ok      bool
		proven  bool
		says    string
	}{
		"the id in a header": {inHeader(green, 200), green, paths(pipelines.ProofRequired, health), true, true, "version 1a2b3c4d answered"},
		"the id in the body": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"v":%q}`, green) }, green,
			paths(pipelines.ProofRequired, health), true, true, "GET /health → 200 in "},
		"another version answers":               {inHeader(blue, 200), green, paths(pipelines.ProofRequired, health), false, false, "does not say"},
		"no id, and one is required":            {inHeader("", 200), green, paths(pipelines.ProofRequired, health), false, false, "does not say"},
		"no id, and none is required":           {inHeader("", 200), green, paths(pipelines.ProofIfShown, health), true, false, "does not say"},
		"the wrong status":                      {inHeader(green, 500), green, paths(pipelines.ProofRequired, health), false, true, "wanted 200"},
		"whichever version, and it fails":       {inHeader(blue, 503), "", paths(pipelines.ProofRequired, health), false, true, "wanted 200"},
		"whichever version":                     {inHeader(blue, 200), "", paths(pipelines.ProofRequired, health), true, true, "GET /health"},
		"no status to expect: 404 is an answer": {inHeader(green, 404), green, paths(pipelines.ProofRequired, pipelines.Probe{Path: "/"}), true, true, "404"},
		"no status to expect: 500 is not":       {inHeader(green, 500), green, paths(pipelines.ProofRequired, pipelines.Probe{Path: "/"}), false, true, "500"},
		"no probe, and proof is required":       {inHeader(green, 200), green, paths(pipelines.ProofRequired), false, false, "smoke.probes"},
		"no probe at all":                       {inHeader(green, 200), green, paths(pipelines.ProofIfShown), true, false, "smoke.probes"},
		"one of two paths is wrong": {func(w http.ResponseWriter, r *http.Request) {
			status := 200
			if r.URL.Path == "/x" {
				status = 404
			}
			inHeader(green, status)(w, r)
		}, green, paths(pipelines.ProofRequired, health, pipelines.Probe{Path: "/x", Status: 200}), false, true, "GET /x → 404"},
		"a redirect to another host is not followed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Version-Id", green)
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, green, paths(pipelines.ProofRequired, pipelines.Probe{Path: "/", Status: 302}), true, true, "302"},
		"a redirect within the host is": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/health", http.StatusFound)
				return
			}
			inHeader(green, 200)(w, r)
		}, green, paths(pipelines.ProofRequired, pipelines.Probe{Path: "/", Status: 200}), true, true, "200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := quick.Probe(t.Context(), serve(t, test.handler), test.version, test.smoke)
			if err != nil {
				t.Fatal(err)
			}
			said := report.Summary + "\n" + strings.Join(report.Lines, "\n")
			if report.OK != test.ok || (test.version != "" && report.Proven != test.proven) || !strings.Contains(said, test.says) {
				t.Errorf("ok %v, proven %v, want %v, %v and %q:\n%s", report.OK, report.Proven, test.ok, test.proven, test.says, said)
			}
		})
	}
}

func TestAFreshDeploymentIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, proof := range map[string]pipelines.VersionProof{"required": pipelines.ProofRequired, "if shown": pipelines.ProofIfShown} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				version, status := green, 200
				// The old version, then both in turn, then the new one.
				if n := asked.Add(1); n < 4 || n == 5 {
					version, status = blue, 404
				}
				w.Header().Set("X-Version-Id", version)
				w.WriteHeader(status)
			})
			patient := quick
			patient.Patience = time.Minute
			report, err := patient.Probe(t.Context(), address, green, paths(proof, pipelines.Probe{Path: "/", Status: 200}))
			if err != nil || !report.OK || !report.Proven {
				t.Fatalf("%+v, %v", report, err)
			}
			if asked.Load() < 8 {
				t.Errorf("asked %d times: one right answer between wrong ones was believed", asked.Load())
			}
		})
	}
}

// What the wanted version itself answers is final: a broken version is not waited for.
func TestABrokenVersionIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	patient := quick
	patient.Patience = time.Minute
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version-Id", green)
		w.WriteHeader(500)
	})
	began := time.Now()
	report, err := patient.Probe(t.Context(), address, green, paths(pipelines.ProofRequired, pipelines.Probe{Path: "/", Status: 200}))
	if err != nil || report.OK {
		t.Fatalf("%+v, %v", report, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestTheOverrideHeaderIsSent(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked := r.Header.Get("Cloudflare-Workers-Version-Overrides")
		if r.URL.Path == "/" {
			asked = strings.Trim(strings.TrimPrefix(asked, "app="), `"`)
		}
		_, _ = w.Write([]byte(asked))
	})
	for path, proves := range map[string]bool{"/": true, "/echo": false} {
		report, err := quick.Probe(t.Context(), address, green, paths(pipelines.ProofRequired, pipelines.Probe{Path: path, Status: 200}))
		if err != nil || report.Proven != proves {
			t.Errorf("%s: %+v, %v", path, report, err)
		}
	}
}

func TestNoAnswerIsNotAnAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := quick.Probe(t.Context(), promotion.Address{URL: server.URL}, green, paths(pipelines.ProofIfShown, pipelines.Probe{Path: "/"}))
	if !errors.Is(err, promotion.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestACancelEndsTheProbing(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	address := serve(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	patient := HTTP{}
	began := time.Now()
	_, err := patient.Probe(ctx, address, green, paths(pipelines.ProofRequired, pipelines.Probe{Path: "/"}))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// An endless body must not fill the memory or outlive the timeout.
func TestAnEndlessBodyIsCut(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version-Id", green)
		chunk := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	report, err := quick.Probe(t.Context(), address, green, paths(pipelines.ProofRequired, pipelines.Probe{Path: "/", Status: 200}))
	if err != nil || !report.OK {
		t.Errorf("%+v, %v", report, err)
	}
}
