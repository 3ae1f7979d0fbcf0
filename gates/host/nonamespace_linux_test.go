package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// TestWithoutNamespaces starts a set as on a system that lets nobody make namespaces, where root's powers must go another way.
// It does so in a process of its own, because what was found out of the system holds for all of one.
func TestWithoutNamespaces(t *testing.T) {
	t.Parallel()
	const variable = "PENSTOCK_HOST_TEST_WITHOUT"
	scratch := os.Getenv(variable)
	if scratch == "" {
		again := exec.Command(os.Args[0], "-test.run=^TestWithoutNamespaces$", "-test.v")
		again.Env = append(os.Environ(), variable+"="+t.TempDir())
		if said, err := again.CombinedOutput(); err != nil || !strings.Contains(string(said), "--- PASS") {
			t.Errorf("%v\n%s", err, said)
		}
		return
	}

	noNamespaces.Store(true)
	binary := filepath.Join(t.TempDir(), BinaryPrefix+"good")
	if err := os.Link(os.Getenv("PENSTOCK_HOST_TEST_SETS"), binary); err != nil {
		t.Fatal(err)
	}
	ref, err := Trusting(binary)
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{Sets: []PluginRef{ref}, ScratchDir: scratch, Limits: Limits{Start: time.Minute}})
	info, err := h.DescribeSet(t.Context(), "good")
	if err != nil || !strings.Contains(strings.Join(info.Sandbox.Missing, "; "), "no process namespaces") {
		t.Fatalf("%v %+v", err, info.Sandbox)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	attempts := []string{"priority x", "chmod " + file, "write " + file, "read /etc/passwd", "mount x", "host-name x", "clock x", "namespace x", "keyring x", "memory-file x"}
	verdict := h.Evaluate(t.Context(), "good/spy", gates.Request{Phase: gates.PhaseBuild, Run: gates.Run{App: strings.Join(attempts, "\n")}}, nil)
	if len(verdict.Findings) != len(attempts) {
		t.Fatalf("%+v", verdict)
	}
	for i, attempt := range attempts {
		if verdict.Findings[i].Detail != "refused" {
			t.Errorf("%s: %s", attempt, verdict.Findings[i].Detail)
		}
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
