package gatetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
)

// Check looks at a verdict beyond its outcome, for [Case].
type Check = func(t *testing.T, verdict gates.Verdict)

// All makes one check of several.
func All(checks ...Check) Check {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, check := range checks {
			check(t, verdict)
		}
	}
}

// Says demands that the summary contains each of the parts.
func Says(parts ...string) Check {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(verdict.Summary, part) {
				t.Errorf("the summary %q does not say %q", verdict.Summary, part)
			}
		}
	}
}

// Finds demands exactly these findings in this order. Of a finding's detail a part is enough; none is wanted by "".
func Finds(want ...gates.Finding) Check {
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

// Measures demands that exactly this value was measured under that name.
func Measures(name string, want float64) Check {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		if got := Measured(t, verdict, name); got.Value != want {
			t.Errorf("%s is %v, want %v", name, got.Value, want)
		}
	}
}

// Measured returns what was measured under a name.
func Measured(t *testing.T, verdict gates.Verdict, name string) gates.Measurement {
	t.Helper()
	for _, measurement := range verdict.Measurements {
		if measurement.Name == name {
			return measurement
		}
	}
	t.Errorf("%s was not measured: %+v", name, verdict.Measurements)
	return gates.Measurement{}
}

// Written writes a file for one test and returns its path: a log, a report.
func Written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "written")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Stage is a stage "npm run <name>" that ended as told; its files refer to /app.
func Stage(name, outcome string, exitCode int) gates.Stage {
	return gates.Stage{Name: name, Outcome: outcome, ExitCode: exitCode, Command: "npm run " + name, Root: "/app"}
}
