package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// built is the set as it ships, built once by TestMain.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "penstock-security-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "penstock-gates-security")
	if runtime.GOOS == "windows" {
		built += ".exe"
	}
	if output, err := exec.Command("go", "build", "-o", built, ".").CombinedOutput(); err != nil {
		panic(string(output))
	}
	return m.Run()
}

func TestConformance(t *testing.T) {
	gatetest.Conformance(t, built)
}

// tryBoth tries a gate in this process and over the wire.
func tryBoth(t *testing.T, gate gates.Gate, cases []gatetest.Case) {
	t.Helper()
	t.Run("in process", func(t *testing.T) { gatetest.Run(t, gate, cases) })
	t.Run("over the wire", func(t *testing.T) { gatetest.Replay(t, built, gate.Describe().Name, cases) })
}

// stageOf is a stage that ended as told; its files refer to /app.
func stageOf(name, outcome string, exitCode int) gates.Stage {
	return gates.Stage{Name: name, Outcome: outcome, ExitCode: exitCode, Command: "npm run " + name, Root: "/app"}
}

// written writes a file for one test.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "written")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func says(parts ...string) func(*testing.T, gates.Verdict) {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(verdict.Summary, part) {
				t.Errorf("the summary %q does not say %q", verdict.Summary, part)
			}
		}
	}
}

func finds(want ...gates.Finding) func(*testing.T, gates.Verdict) {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for i, wanted := range want {
			if i >= len(verdict.Findings) {
				t.Errorf("finding %d is missing: %+v", i, wanted)
				continue
			}
			got := verdict.Findings[i]
			if !strings.Contains(got.Detail, wanted.Detail) {
				t.Errorf("finding %d: the detail lacks %q:\n%s", i, wanted.Detail, got.Detail)
			}
			got.Detail, wanted.Detail = "", ""
			if got != wanted {
				t.Errorf("finding %d:\n got %+v\nwant %+v", i, got, wanted)
			}
		}
		if len(verdict.Findings) > len(want) {
			t.Errorf("more findings than wanted: %+v", verdict.Findings[len(want):])
		}
	}
}

func measures(t *testing.T, verdict gates.Verdict, name string, want float64) {
	t.Helper()
	for _, measurement := range verdict.Measurements {
		if measurement.Name == name {
			if measurement.Value != want {
				t.Errorf("%s is %v, want %v", name, measurement.Value, want)
			}
			return
		}
	}
	t.Errorf("%s was not measured: %+v", name, verdict.Measurements)
}

func all(checks ...func(*testing.T, gates.Verdict)) func(*testing.T, gates.Verdict) {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, check := range checks {
			check(t, verdict)
		}
	}
}
