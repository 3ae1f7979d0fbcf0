package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// plan plans a lock in a folder, as `penstock gates lock` does there.
func plan(t *testing.T, folder string, add ...string) *host.Relock {
	t.Helper()
	made, err := host.PlanLock(t.Context(), filepath.Join(folder, host.LockName), add, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestLock(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if empty := plan(t, folder); !empty.UpToDate() || len(empty.Changes) > 0 {
		t.Errorf("an app without sets: %+v", empty.Changes)
	}

	binary := filepath.Join(folder, host.BinaryPrefix+"good")
	copyFile(t, built.path, binary)
	added := plan(t, folder, binary)
	if len(added.Changes) != 1 || added.Changes[0].State != host.LockAdded || added.Changes[0].Version != "1.2.3" || added.UpToDate() {
		t.Fatalf("%+v", added.Changes)
	}
	if _, err := os.Stat(filepath.Join(folder, host.LockName)); err == nil {
		t.Error("a plan wrote the file")
	}
	if err := added.Write(); err != nil {
		t.Fatal(err)
	}
	if again := plan(t, folder, binary); !again.UpToDate() {
		t.Errorf("locked again: %+v", again.Changes)
	}

	refs, err := host.ReadLock(filepath.Join(folder, host.LockName))
	if err != nil || len(refs) != 1 {
		t.Fatal(refs, err)
	}
	if verdict := ask(t, newHost(t, host.Options{Sets: refs}), "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
		t.Errorf("what was locked does not run: %+v", verdict)
	}

	// Another build that calls itself by the same version.
	appendTo(t, binary, "\n")
	if changed := plan(t, folder); changed.Changes[0].State != host.LockChanged || len(changed.Silent()) != 1 {
		t.Errorf("changed without a word: %+v", changed.Changes)
	}
	if verdict := ask(t, newHost(t, host.Options{Sets: refs}), "good/pass", gates.Request{}); verdict.Outcome != gates.Error {
		t.Errorf("a changed binary was asked: %+v", verdict)
	}
	// The lock is of another version, and of another platform besides.
	text, err := os.ReadFile(filepath.Join(folder, host.LockName))
	if err != nil {
		t.Fatal(err)
	}
	older := strings.Replace(string(text), "version: 1.2.3", "version: 1.2.2", 1)
	older = strings.Replace(older, "    sha256:\n", "    sha256:\n      plan9/386: "+strings.Repeat("ab", 32)+"\n", 1)
	if err := os.WriteFile(filepath.Join(folder, host.LockName), []byte(older), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := plan(t, folder)
	if c := changed.Changes[0]; c.OldVersion != "1.2.2" || c.Version != "1.2.3" || len(changed.Silent()) != 0 || len(c.Dropped) != 1 {
		t.Errorf("a new version: %+v", c)
	}
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	if gone := plan(t, folder); gone.Changes[0].State != host.LockMissing || gone.UpToDate() {
		t.Errorf("its binary is gone: %+v", gone.Changes)
	}
}

func TestWhatIsNoSetIsNotLocked(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	other := filepath.Join(folder, "tool")
	copyFile(t, built.path, other)
	broken := filepath.Join(folder, host.BinaryPrefix+"exit-at-start")
	copyFile(t, built.path, broken)
	for _, path := range []string{other, broken, filepath.Join(folder, host.BinaryPrefix+"nowhere")} {
		if made, err := host.PlanLock(t.Context(), filepath.Join(folder, host.LockName), []string{path}, t.TempDir()); err == nil {
			t.Errorf("%s: %+v", path, made.Changes)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(content, text...), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
}
