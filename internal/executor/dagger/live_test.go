package dagger_test

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

	"dagger.io/dagger/engineconn"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/dagger"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

func openLive(ctx context.Context, t *testing.T, stages ...pipelines.Stage) engine.Session {
	t.Helper()
	source, err := snapshot.Take(ctx, t.TempDir(), snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	open, err := dagger.New(dagger.Options{StateDir: t.TempDir()}).Open(ctx, &pipelines.Pipeline{Name: "live", Stages: stages}, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := open.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return open
}

// TestLiveCancel stops a run in the middle of a stage that asks a server again and again: the engine must end it.
func TestLiveCancel(t *testing.T) {
	liveEngine(t)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { asked.Add(1); fmt.Fprintln(out, "yes") }))
	defer server.Close()
	endless := with(stage("endless", `while :; do curl -sS "$PENSTOCK_URL"; sleep 0.1; done`), func(s *pipelines.Stage) { s.When = pipelines.WhenSmoke })
	open := openLive(t.Context(), t, endless)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := open.Run(ctx, engine.Job{Stage: &endless, Env: map[string]string{"PENSTOCK_URL": server.URL}, Output: func(line string, _ bool) {
		if line == "yes" { // so lines come while it runs
			cancel()
		}
	}})
	if err != nil || result.Outcome != event.Cancelled || result.ExitCode != -1 {
		t.Fatalf("%+v, %v", result, err)
	}
	time.Sleep(2 * time.Second) // the engine ends it on its own time, after the call has returned
	before := asked.Load()
	time.Sleep(2 * time.Second)
	if after := asked.Load(); before == 0 || after != before {
		t.Errorf("the stage was asked to end after %d questions and asked %d more", before, after-before)
	}
}

// TestLiveImage names an image that there is not.
func TestLiveImage(t *testing.T) {
	liveEngine(t)
	bad := with(stage("bad", "true"), func(s *pipelines.Stage) { s.Image = "penstock-has-no-such-image:1.2.3" })
	result, err := openLive(t.Context(), t, bad).Run(t.Context(), engine.Job{Stage: &bad})
	if err == nil || !strings.Contains(err.Error(), bad.Image) {
		t.Errorf("%+v, error %v, want one that names the image", result, err)
	}
	t.Log(err)
}

// TestNeedsImages refuses a pipeline with a stage that has no image, before anything is connected.
func TestNeedsImages(t *testing.T) {
	t.Parallel()
	_, err := dagger.New(dagger.Options{StateDir: t.TempDir()}).Open(t.Context(), &pipelines.Pipeline{Stages: []pipelines.Stage{{Name: "bare"}}}, &snapshot.Snapshot{})
	if err == nil || !strings.Contains(err.Error(), "bare") {
		t.Errorf("error %v, want one that names the stage", err)
	}
}

// TestWaits has an engine that never answers: it is said what is waited for, and Ctrl-C ends the waiting at once.
func TestWaits(t *testing.T) {
	t.Setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "tcp://engine.example:1234")
	ctx, stop := context.WithCancel(t.Context())
	never := make(chan struct{})
	defer close(never)
	var said atomic.Value
	executor := dagger.New(dagger.Options{
		StateDir: t.TempDir(), Patience: time.Millisecond,
		Waiting: func(what string) { said.Store(what); stop() },
		Connect: func(context.Context) (engineconn.EngineConn, error) { <-never; return nil, errors.New("never") },
	})
	_, err := executor.Open(ctx, &pipelines.Pipeline{Stages: []pipelines.Stage{stage("any", "true")}}, &snapshot.Snapshot{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was stopped", err)
	}
	if what, _ := said.Load().(string); !strings.Contains(what, "tcp://engine.example:1234") {
		t.Errorf("said %q, want the engine's address", what)
	}
}
