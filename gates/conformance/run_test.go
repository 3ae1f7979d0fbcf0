package conformance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates/conformance"
	"github.com/penstock-ci/penstock/gates/host"
)

// sets is the one binary that is every set of these tests: its file name says which.
var sets string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "penstock-conformance-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	sets = filepath.Join(dir, "sets")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", sets, "../host/testdata/sets")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the sets of the tests: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// try runs the kit on the set of that name, and checks that it leaves nothing behind.
func try(t *testing.T, name string, limits host.Limits) conformance.Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), host.BinaryPrefix+name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if err := os.Link(sets, path); err != nil {
		t.Fatal(err)
	}
	ref, err := host.Trusting(path)
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	report, err := conformance.Run(t.Context(), ref, conformance.Options{ScratchDir: scratch, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return report
}

func TestGoodSetsConform(t *testing.T) {
	for _, name := range []string{"right", "slow-right"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := try(t, name, host.Limits{Start: time.Minute, Evaluate: time.Minute})
			if !report.Passed() {
				t.Errorf("%+v", report.Results)
			}
			if name == "slow-right" {
				if result := find(report, "withdrawn"); result.State != conformance.Passed {
					t.Errorf("%+v", result)
				}
			}
		})
	}
}

// TestBadSetsFail: each is wrong in one way, and the kit must fail the check that is about it and say how.
func TestBadSetsFail(t *testing.T) {
	// Long enough for what is right on a busy machine, short enough for what never comes.
	noStart := host.Limits{Start: 3 * time.Second, Stop: 5 * time.Second}
	noAnswer := host.Limits{Start: time.Minute, Evaluate: 3 * time.Second, Stop: 5 * time.Second}
	long := host.Limits{Start: time.Minute, Evaluate: time.Minute, Stop: 5 * time.Second}
	for _, bad := range []struct {
		set, check, says string
		limits           host.Limits
	}{
		{"hang-at-start", "start", "in time", noStart},
		{"slow-start", "start", "in time", noStart},
		{"crash-at-start", "start", "ended or fell silent", long},
		{"garbage", "start", "something other than a handshake", noStart},
		{"print-first", "start", "must not print before it calls Serve", long},
		{"next-protocol", "start", "speaks version 2", noStart},
		{"old-sdk", "start", "0.0.9", long},
		{"no-certificate", "start", "", long},
		{"elsewhere", "start", "listens where it may not", noStart},
		{"other-name", "start", `calls itself "quality"`, long},
		{"loose-schema", "config", "additionalProperties", long},
		{"hangs", "answer", "did not answer within 3s", noAnswer},
		{"two-verdicts", "answer", "two verdicts", long},
		{"no-verdict", "answer", "without a verdict", long},
		{"huge-message", "answer", "more than 8 MiB", long},
		{"flood", "answer", "progress messages", long},
		{"replay", "answer", "another question", long},
		{"other-gate", "answer", `for the gate "coverage"`, long},
		{"unknown-outcome", "answer", `"passed"`, long},
		{"crashes", "answer", "ended before it answered", long},
		{"curt", "answer", "without a next step", long},
		{"easy", "no evidence", "it answers pass", long},
		{"remembers", "asked again", "answered fail and then pass", long},
		{"blabs", "secrets", "the value of TOKEN", long},
		{"prints-secrets", "secrets", "the value of TOKEN", long},
		{"ignores-cancel", "withdrawn", "still works on a question", long},
		{"does-by-hand", "started by hand", "exits with status 0", long},
	} {
		t.Run(bad.set, func(t *testing.T) {
			t.Parallel()
			report := try(t, bad.set, bad.limits)
			if report.Passed() {
				t.Fatalf("it passes: %+v", report.Results)
			}
			result := find(report, bad.check)
			if result.State != conformance.Failed || !strings.Contains(result.Detail, bad.says) || result.NextStep == "" {
				t.Errorf("%q should fail and say %q: %+v", bad.check, bad.says, report.Results)
			}
		})
	}
}

// find returns the result of a check; the first failed one where several gates have it.
func find(report conformance.Report, check string) conformance.Result {
	var found conformance.Result
	for _, result := range report.Results {
		if result.Check == check && (found.Check == "" || result.State == conformance.Failed) {
			found = result
		}
	}
	return found
}
