package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWriteCommit: the folder as it is in the commit, whatever the working tree and its attributes say, and from origin when
// a shallow clone lacks it.
func TestWriteCommit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	app := filepath.Join(root, "apps", "one")
	gitIn(t, root, "init", "-q", "-b", "main")
	put(t, filepath.Join(app, "penstock.yaml"), "base\n")
	put(t, filepath.Join(app, "deep", "a b.txt"), "x")
	put(t, filepath.Join(root, "other.txt"), "not the app's")
	put(t, filepath.Join(app, ".gitattributes"), "penstock.yaml export-ignore\n*.txt filter=none\n")
	if err := os.Symlink("/etc/passwd", filepath.Join(app, "link")); err != nil {
		t.Fatal(err)
	}
	gitIn(t, root, "add", ".")
	gitIn(t, root, "commit", "-q", "-m", "base")
	base := gitIn(t, root, "rev-parse", "HEAD")
	put(t, filepath.Join(app, "penstock.yaml"), "changed\n")
	gitIn(t, root, "add", ".")
	gitIn(t, root, "commit", "-q", "-m", "head")
	put(t, filepath.Join(app, "penstock.yaml"), "not even committed\n")

	shallow := filepath.Join(t.TempDir(), "shallow")
	gitIn(t, t.TempDir(), "clone", "-q", "--depth=1", "file://"+root, shallow)
	for name, folder := range map[string]string{"the repository": app, "a shallow clone of it": filepath.Join(shallow, "apps", "one")} {
		into := filepath.Join(t.TempDir(), "base")
		if err := snapshot.WriteCommit(t.Context(), folder, base, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for path, want := range map[string]string{"penstock.yaml": "base\n", "deep/a b.txt": "x"} {
			if got, err := os.ReadFile(filepath.Join(into, path)); err != nil || string(got) != want {
				t.Errorf("%s: %s is %q, %v", name, path, got, err)
			}
		}
		for _, path := range []string{"other.txt", "link"} {
			if _, err := os.Lstat(filepath.Join(into, path)); err == nil {
				t.Errorf("%s: %s was written", name, path)
			}
		}
	}
	if top, err := snapshot.Top(t.Context(), app); err != nil || top != "apps/one/" {
		t.Errorf("the app's place is %q, %v", top, err)
	}
	if err := snapshot.WriteCommit(t.Context(), app, strings.Repeat("0", 40), filepath.Join(t.TempDir(), "x")); !errors.Is(err, snapshot.ErrNoCommit) {
		t.Errorf("a commit that is nowhere: %v", err)
	}
	if err := snapshot.WriteCommit(t.Context(), app, "--upload-pack=evil", filepath.Join(t.TempDir(), "x")); err == nil {
		t.Error("an option passed for a commit")
	}
}

// To look at a commit that a whole clone does not have yet must not make a shallow one of it: git would take what the developer
// pulls next for a history of its own.
func TestACommitThatIsFetchedLeavesAWholeCloneWhole(t *testing.T) {
	t.Parallel()
	root, clone := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	commit := func(text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, "file"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		gitIn(t, root, "add", ".")
		gitIn(t, root, "commit", "-q", "-m", text)
		return gitIn(t, root, "rev-parse", "HEAD")
	}
	gitIn(t, root, "init", "-q")
	gitIn(t, root, "config", "uploadpack.allowAnySHA1InWant", "true")
	commit("one")
	gitIn(t, t.TempDir(), "clone", "-q", "file://"+root, clone)
	commit("two")
	newest := commit("three")
	if err := snapshot.WriteCommit(t.Context(), clone, newest, filepath.Join(t.TempDir(), "x")); err != nil {
		t.Fatal(err)
	}
	if said := gitIn(t, clone, "rev-parse", "--is-shallow-repository"); said != "false" {
		t.Errorf("is it shallow now: %s", said)
	}
	gitIn(t, clone, "pull", "-q", "--ff-only")
	if said := gitIn(t, clone, "rev-list", "--count", "HEAD"); said != "3" {
		t.Errorf("%s commits after a pull", said)
	}
}
