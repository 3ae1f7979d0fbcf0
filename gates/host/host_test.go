package host_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// built is the one binary that is every set of these tests, and its checksum.
var built struct{ path, digest string }

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "penstock-host-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.path = filepath.Join(dir, "sets")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", built.path, "./testdata/sets")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the sets of the tests: %v\n%s", err, output)
		return 1
	}
	content, err := os.ReadFile(built.path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv("PENSTOCK_HOST_TEST_SETS", built.path) // for the tests inside of the package, and for those that start this one anew
	digest := sha256.Sum256(content)
	built.digest = hex.EncodeToString(digest[:])
	return m.Run()
}

// refTo refers to the set of the tests that has that name.
func refTo(t testing.TB, name string) host.PluginRef {
	t.Helper()
	path := filepath.Join(t.TempDir(), host.BinaryPrefix+name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if err := os.Link(built.path, path); err != nil {
		t.Fatal(err)
	}
	return host.PluginRef{Set: name, Path: path, Pin: host.Pin{Set: name, SHA256: built.digest}}
}

// newHost returns a host for those sets, and checks that it leaves nothing behind.
func newHost(t testing.TB, options host.Options) *host.Host {
	t.Helper()
	if options.ScratchDir == "" {
		options.ScratchDir = t.TempDir()
	}
	if options.Limits.Start == 0 {
		options.Limits.Start = 20 * time.Second // two cores, and other packages' tests beside this one
	}
	h := host.New(options)
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
		left, err := os.ReadDir(options.ScratchDir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the scratch folder: %v %v", left, err)
		}
	})
	return h
}

// ask asks a gate in the build phase.
func ask(t testing.TB, h *host.Host, gate string, request gates.Request) gates.Verdict {
	t.Helper()
	if request.Phase == "" {
		request.Phase = gates.PhaseBuild
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return h.Evaluate(ctx, gate, request, nil)
}
