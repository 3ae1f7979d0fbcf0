package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMemberOfAWorkspace deploys an app whose code lies in another package of its workspace, beside it. The run waits for somebody, and
// goes on from what was kept: by then the folder holds something else.
func TestMemberOfAWorkspace(t *testing.T) {
	m := newMachine(t, "e2e/testdata/workspace")
	root := m.app
	m.app = filepath.Join(root, "apps", "api")
	m.git("config", "user.email", "ann@example.com")

	id := m.waits()
	code := filepath.Join(root, "packages", "greet", "worker.js")
	if err := os.WriteFile(code, []byte("not code"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.approve(id)
	m.must(0, "promote", id)
	if status, body := m.get("/"); status != 200 || body != "hello from the package" {
		t.Errorf("GET /: %d %q", status, body)
	}

	// What the stage does not read repeats nothing; what it does, does.
	other := m.must(0, "check", "--no-github")
	if strings.Contains(other.out, "cached") {
		t.Errorf("an edit of the package that the stage reads was not seen:\n%s", other)
	}
	if err := os.WriteFile(filepath.Join(root, "README.md"), []byte("news"), 0o644); err != nil {
		t.Fatal(err)
	}
	if again := m.must(0, "check", "--no-github"); !strings.Contains(again.out, "cached: inputs unchanged") {
		t.Errorf("an edit that no stage reads repeated one:\n%s", again)
	}
}
