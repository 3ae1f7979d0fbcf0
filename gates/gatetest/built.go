package gatetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// built is the binary that Main made; tests only read it.
var built string

// Main is the whole of a set's TestMain: it builds the package under test as the set's binary, runs the tests, removes
// the binary and ends the process. set is the set's name.
func Main(m *testing.M, set string) {
	os.Exit(buildAndRun(m, set))
}

func buildAndRun(m *testing.M, set string) int {
	dir, err := os.MkdirTemp("", "penstock-gates-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the gate set:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, host.BinaryPrefix+set)
	if runtime.GOOS == "windows" {
		built += ".exe"
	}
	if output, err := exec.Command("go", "build", "-o", built, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the gate set %s: %v\n%s", set, err, output)
		return 1
	}
	return m.Run()
}

// Binary returns the set's binary that [Main] built.
func Binary(t *testing.T) string {
	t.Helper()
	if built == "" {
		t.Fatal("there is no binary of the set: write func TestMain(m *testing.M) { gatetest.Main(m, \"NAME-OF-THE-SET\") }")
	}
	return built
}

// Try tries a gate with the same cases in this process ([Run]) and over the wire ([Replay]) in the binary that [Main]
// built.
func Try(t *testing.T, gate gates.Gate, cases []Case) {
	t.Helper()
	t.Run("in process", func(t *testing.T) { Run(t, gate, cases) })
	t.Run("over the wire", func(t *testing.T) { Replay(t, Binary(t), gate.Describe().Name, cases) })
}
