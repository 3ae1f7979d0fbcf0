package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/host"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// minderArgument makes the test binary a minder, as the hidden argument makes the command line one.
const minderArgument = "__minder"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == minderArgument:
		if err := host.RunMinder(os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) == 4 && os.Args[1] == victimArgument:
		runVictim(os.Args[2], os.Args[3])
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// world is an app's folder and a state folder.
type world struct {
	t     testing.TB
	app   string
	state string
	extra func(*host.Options)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("these stages run sh and other Unix programs")
	}
	return &world{t: t, app: t.TempDir(), state: t.TempDir()}
}

func (w *world) write(path, content string) {
	w.t.Helper()
	full := filepath.Join(w.app, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) snapshot() *snapshot.Snapshot {
	w.t.Helper()
	s, err := snapshot.Take(context.Background(), w.app, snapshot.Options{StateDir: w.state})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) executor() *host.Executor {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	options := host.Options{StateDir: w.state, Minder: []string{self, minderArgument}, Grace: time.Second}
	if w.extra != nil {
		w.extra(&options)
	}
	return host.New(options)
}

// session is an open session that collects what stages say.
type session struct {
	engine.Session
	t     testing.TB
	mu    sync.Mutex
	lines []string
}

func (w *world) open(stages ...pipelines.Stage) *session {
	w.t.Helper()
	s, err := w.executor().Open(context.Background(), &pipelines.Pipeline{Name: "app", Stages: stages}, w.snapshot())
	if err != nil {
		w.t.Fatal(err)
	}
	opened := &session{Session: s, t: w.t}
	w.t.Cleanup(opened.close)
	return opened
}

func (s *session) close() {
	s.t.Helper()
	s.mu.Lock()
	inner := s.Session
	s.Session = nil
	s.mu.Unlock()
	if inner == nil {
		return
	}
	if err := inner.Close(context.Background()); err != nil {
		s.t.Errorf("close the session: %v", err)
	}
}

func (s *session) job(stage *pipelines.Stage, needs ...engine.Result) engine.Job {
	job := engine.Job{Stage: stage, Output: func(line string, _ bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, line)
	}}
	for i := range needs {
		job.Needs = append(job.Needs, &needs[i])
	}
	return job
}

func (s *session) run(stage pipelines.Stage, needs ...engine.Result) engine.Result {
	s.t.Helper()
	result, err := s.Run(context.Background(), s.job(&stage, needs...))
	if err != nil {
		s.t.Fatalf("stage %s: %v\n%s", stage.Name, err, s.said())
	}
	return result
}

// pass runs a stage that must pass.
func (s *session) pass(stage pipelines.Stage, needs ...engine.Result) engine.Result {
	s.t.Helper()
	result := s.run(stage, needs...)
	if result.Outcome != event.Passed {
		s.t.Fatalf("stage %s: %s with %d\n%s", stage.Name, result.Outcome, result.ExitCode, s.said())
	}
	return result
}

func (s *session) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func script(name string, commands ...string) pipelines.Stage {
	return pipelines.Stage{Name: name, Run: commands, Timeout: time.Minute}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
