//go:build linux

package host_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/host"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

const victimArgument = "__victim"

// holding lists the living processes whose command line holds the text.
func holding(t testing.TB, text string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil || entry.Name() == strconv.Itoa(os.Getpid()) {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && bytes.Contains(line, []byte(text)) {
			found = append(found, entry.Name()+": "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// eventually waits until as many processes hold the text.
func eventually(t testing.TB, text string, want int, within time.Duration) {
	t.Helper()
	var found []string
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if found = holding(t, text); len(found) == want {
			return
		}
	}
	t.Fatalf("%d processes, want %d:\n%s", len(found), want, strings.Join(found, "\n"))
}

// unruly is a stage that starts programs which do not want to end: one that ignores interrupts, one in the background,
// one in a session of its own, and one that also closed its output and whose parent has died.
func unruly(tag string) pipelines.Stage {
	return script("unruly-"+tag,
		fmt.Sprintf("sleep 1%s &", tag),
		fmt.Sprintf("setsid sleep 2%s &", tag),
		fmt.Sprintf("sh -c '(setsid sleep 3%s </dev/null >/dev/null 2>&1 &)'", tag),
		fmt.Sprintf("sh -c 'trap \"\" INT TERM; sleep 4%s; sleep 4%s'", tag, tag))
}

const unrulyProcesses = 5 // the last one is a shell and its sleep

// tagged makes a number that no other test uses, as seconds to sleep.
func tagged(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("%07d", (time.Now().UnixNano()/1000+int64(os.Getpid())*7919)%10_000_000)
}

func TestCancelLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.extra = func(o *host.Options) { o.Grace = 300 * time.Millisecond }
	s := w.open()
	tag := tagged(t)
	ctx, cancel := context.WithCancel(context.Background())
	stage := unruly(tag)
	type answer struct {
		result engine.Result
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		result, err := s.Run(ctx, s.job(&stage))
		answers <- answer{result, err}
	}()
	eventually(t, tag, unrulyProcesses, 10*time.Second)
	cancel()
	a := <-answers
	if a.err != nil || a.result.Outcome != event.Cancelled {
		t.Errorf("%v, %v", a.result.Outcome, a.err)
	}
	if left := holding(t, tag); len(left) != 0 {
		t.Errorf("left when Run returned:\n%s", strings.Join(left, "\n"))
	}
}

func TestGraceIsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.extra = func(o *host.Options) { o.Grace = 20 * time.Second }
	s := w.open()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	stage := script("polite", `sh -c 'trap "echo putting things away; exit 0" INT; echo ready; while :; do sleep 0.01; done'`)
	job := s.job(&stage)
	var said []string
	job.Output = func(line string, _ bool) {
		said = append(said, line)
		if line == "ready" {
			close(ready)
		}
	}
	go func() {
		<-ready
		cancel()
	}()
	started := time.Now()
	result, err := s.Run(ctx, job)
	if err != nil || result.Outcome != event.Cancelled || !strings.Contains(strings.Join(said, "\n"), "putting things away") {
		t.Errorf("%v, %v, said %q", result.Outcome, err, said)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("a stage that ended at once was waited for: %s", took)
	}
}

func TestKillTakesTheGraceAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.extra = func(o *host.Options) { o.Grace = time.Hour }
	executor := w.executor()
	stage := script("stubborn", `sh -c 'trap "" INT; echo ready; while :; do sleep 0.01; done'`)
	opened, err := executor.Open(context.Background(), &pipelines.Pipeline{Name: "app"}, w.snapshot())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result, err := opened.Run(ctx, engine.Job{Stage: &stage, Output: func(string, bool) {
		cancel()
		time.AfterFunc(50*time.Millisecond, executor.Kill)
	}})
	if err != nil || result.Outcome != event.Cancelled {
		t.Errorf("%v, %v", result.Outcome, err)
	}
	if err := opened.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestStageThatEndsLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.extra = func(o *host.Options) { o.Minder = nil } // which would look once more itself
	s := w.open()
	tag := tagged(t)
	s.pass(script("background", fmt.Sprintf("sleep 5%s &", tag), "echo done"))
	if left := holding(t, tag); len(left) != 0 {
		t.Errorf("a background program is left:\n%s", strings.Join(left, "\n"))
	}
	s.pass(script("daemon", fmt.Sprintf("sh -c '(setsid sleep 6%s &)'", tag)))
	if left := holding(t, tag); len(left) != 0 {
		t.Errorf("a daemon with the stage's output is left:\n%s", strings.Join(left, "\n"))
	}
	s.pass(script("quiet-daemon", fmt.Sprintf("sh -c '(setsid sleep 7%s </dev/null >/dev/null 2>&1 &); sleep 0.03'", tag)))
	s.close()
	if left := holding(t, tag); len(left) != 0 {
		t.Errorf("a daemon is left when the run has ended:\n%s", strings.Join(left, "\n"))
	}
}

// runVictim is a Penstock that is going to be killed.
func runVictim(state, tag string) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	app, err := os.MkdirTemp(state, "app")
	if err != nil {
		return
	}
	source, err := snapshot.Take(context.Background(), app, snapshot.Options{})
	if err != nil {
		return
	}
	executor := host.New(host.Options{StateDir: state, Minder: []string{self, minderArgument}})
	session, err := executor.Open(context.Background(), &pipelines.Pipeline{Name: "victim"}, source)
	if err != nil {
		return
	}
	stage := unruly(tag)
	_, _ = session.Run(context.Background(), engine.Job{Stage: &stage})
}

func TestKillNineLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tag := tagged(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self, victimArgument, w.state, tag)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	// The victim itself holds the tag too.
	eventually(t, tag, unrulyProcesses+1, 20*time.Second)
	if err := victim.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // "signal: killed"
	eventually(t, tag, 0, 10*time.Second)
	// And the next run sweeps what it left.
	if left, _ := filepath.Glob(filepath.Join(w.state, "work", "*")); len(left) == 0 {
		t.Error("the victim left no workspace; is the test still about it?")
	}
	s := w.open()
	s.pass(script("next", "/bin/true"))
	s.close()
	if left, _ := filepath.Glob(filepath.Join(w.state, "work", "*")); len(left) != 0 {
		t.Errorf("left of the dead run: %v", left)
	}
}
