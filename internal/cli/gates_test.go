package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAGateFromNothing follows docs/gates.md as a new author would: write, test, build, try, lock.
func TestAGateFromNothing(t *testing.T) {
	t.Parallel()
	folder := app(t)
	module, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if got := say(t, folder, "gates", "new", "acme/few-marks", "--sdk", module); got.code != ExitDone {
		t.Fatalf("new: %+v", got)
	}
	set := filepath.Join(folder, "gates", "acme")
	binary := filepath.Join(set, "penstock-gates-acme")
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}, {"build", "-trimpath", "-buildvcs=false", "-o", binary, "."}} {
		command := exec.CommandContext(t.Context(), "go", args...)
		command.Dir = set
		command.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0") // nothing is looked up
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, output)
		}
	}

	if got := say(t, folder, "gates", "test", binary); got.code != ExitDone || !strings.Contains(got.out, " 0 failed") {
		t.Errorf("test: %+v", got)
	}
	if got := say(t, folder, "gates", "lock", binary); got.code != ExitDone || !strings.Contains(got.out, "added: version 0.1.0") {
		t.Errorf("lock: %+v", got)
	}
	if got := say(t, folder, "gates", "lock", "--check"); got.code != ExitDone {
		t.Errorf("check: %+v", got)
	}

	content, err := os.ReadFile(binary)
	if err == nil {
		err = os.WriteFile(binary, append(content, '\n'), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"gates", "lock", "--check"}, {"gates", "lock"}} {
		if got := say(t, folder, args...); got.code != ExitBlocked || !strings.Contains(got.err, "its version did not") {
			t.Errorf("%v of a changed binary: %+v", args, got)
		}
	}
	var told lockEntry
	got := say(t, folder, "gates", "lock", "--same-version", "--json")
	if err := json.Unmarshal([]byte(got.out), &told); err != nil || got.code != ExitDone || !told.Written || len(told.Changes) != 1 {
		t.Errorf("%v: %+v", err, got)
	}
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	if got := say(t, folder, "gates", "lock"); got.code != ExitBlocked || !strings.Contains(got.err, "is not there") {
		t.Errorf("lock without the binary: %+v", got)
	}
}

func TestGatesNewRefuses(t *testing.T) {
	t.Parallel()
	folder := app(t)
	if err := os.MkdirAll(filepath.Join(folder, "gates", "taken", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for says, args := range map[string][]string{
		"lower-case word":                   {"gates", "new", "Acme"},
		"is there already":                  {"gates", "new", "taken", "--sdk", filepath.Join("..", "..")},
		"holds the gate SDK":                {"gates", "new", "acme"},
		"no such file":                      {"gates", "new", "acme", "--sdk", t.TempDir()},
		"takes SET[/GATE], and got nothing": {"gates", "new"},
	} {
		if got := say(t, folder, args...); got.code != ExitUsage || !strings.Contains(got.err, says) {
			t.Errorf("%v should say %q: %+v", args, says, got)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "gates", "acme")); err == nil {
		t.Error("something was written all the same")
	}
}

func TestRefuseShipped(t *testing.T) {
	t.Parallel()
	pins := "quality=" + strings.Repeat("0a", 32) + ",security=" + strings.Repeat("0b", 32)
	if err := refuseShipped("security", pins); err == nil || !strings.Contains(err.Error(), "security comes with penstock") {
		t.Errorf("the name of a shipped set: %v", err)
	}
	if err := refuseShipped("acme", pins); err != nil {
		t.Error(err)
	}
}

func TestGatesTestTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	folder := app(t)
	broken := filepath.Join(folder, "penstock-gates-broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho hello\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := say(t, folder, "gates", "test", broken); got.code != ExitBlocked || !strings.Contains(got.out, "FAIL") || !strings.Contains(got.out, "something other than a handshake") {
		t.Errorf("%+v", got)
	}
	got := say(t, folder, "gates", "test", broken, "--json")
	var told conformanceEntry
	if err := json.Unmarshal([]byte(got.out), &told); err != nil || told.Passed || len(told.Results) == 0 {
		t.Errorf("%v: %+v", err, got)
	}
	if got := say(t, folder, "gates", "test", filepath.Join(folder, "package.json")); got.code != ExitUsage || !strings.Contains(got.err, "penstock-gates-<set>") {
		t.Errorf("%+v", got)
	}
}
