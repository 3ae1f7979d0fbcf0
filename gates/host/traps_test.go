package host_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// TestAFailedStartTellsItsCauseEachTime: a client of go-plugin that failed once must not be used again, where the next call
// would say only that its streams are taken.
func TestAFailedStartTellsItsCauseEachTime(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "crash-at-start")}})
	for range 3 {
		verdict := ask(t, h, "crash-at-start/gate", gates.Request{})
		if !strings.Contains(verdict.Summary, "ended or fell silent") || len(verdict.Findings) == 0 || !strings.Contains(verdict.Findings[0].Detail, "cannot start") {
			t.Errorf("%+v", verdict)
		}
	}
}

// TestAPageIsNoSet: an error page that was saved as the binary, and even pinned as such, is refused in words.
func TestAPageIsNoSet(t *testing.T) {
	t.Parallel()
	name := host.BinaryPrefix + "page"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("<!DOCTYPE html><title>404 Not Found</title>\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ref, err := host.Trusting(path)
	if err != nil {
		t.Fatal(err)
	}
	verdict := ask(t, newHost(t, host.Options{Sets: []host.PluginRef{ref}}), "page/gate", gates.Request{})
	if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "start the gate set page") || verdict.NextStep == "" {
		t.Errorf("%+v", verdict)
	}
}

// TestAHangingSetDelaysNoOther: one that never answers at its start keeps nobody but those who ask it waiting.
func TestAHangingSetDelaysNoOther(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "hang-at-start"), refTo(t, "good")}, Limits: host.Limits{Start: time.Hour}})
	ctx, cancel := context.WithCancel(t.Context())
	hanging := make(chan gates.Verdict, 1)
	go func() { hanging <- h.Evaluate(ctx, "hang-at-start/gate", gates.Request{Phase: gates.PhaseBuild}, nil) }()
	for range 3 {
		if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
			t.Errorf("%+v", verdict)
		}
	}
	select {
	case verdict := <-hanging:
		t.Errorf("it answered: %+v", verdict)
	default:
	}
	cancel()
	if verdict := <-hanging; verdict.Outcome != gates.Error {
		t.Errorf("%+v", verdict)
	}
}
