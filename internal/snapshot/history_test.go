package snapshot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

// gitIn runs git in a folder, with nobody's configuration.
func gitIn(t *testing.T, dir string, arguments ...string) string {
	t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}

// repositoryWithApp has an app in a folder, two commits, a branch and a token in its config.
func repositoryWithApp(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	app := filepath.Join(root, "apps", "one")
	if err := os.MkdirAll(app, 0o755); err != nil {
		t.Fatal(err)
	}
	gitIn(t, root, "init", "--quiet", "--initial-branch=main")
	gitIn(t, root, "config", "http.extraheader", "AUTHORIZATION: do-not-tell")
	for i, content := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(app, "a.txt"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		gitIn(t, root, "add", ".")
		gitIn(t, root, "commit", "--quiet", "-m", content)
		if i == 0 {
			gitIn(t, root, "branch", "old")
		}
	}
	return root
}

func TestHistory(t *testing.T) {
	t.Parallel()
	root := repositoryWithApp(t)
	view := filepath.Join(t.TempDir(), "view")
	history, err := snapshot.TakeHistory(t.Context(), filepath.Join(root, "apps", "one"), view)
	if err != nil || history.Folder != "apps/one" {
		t.Fatalf("%+v, %v", history, err)
	}
	if got, want := gitIn(t, view, "rev-parse", "HEAD"), gitIn(t, root, "rev-parse", "HEAD"); got != want {
		t.Errorf("its HEAD is %s, and the repository's %s", got, want)
	}
	if got := gitIn(t, view, "show", "old:apps/one/a.txt"); got != "one" {
		t.Errorf("the branch old holds %q", got)
	}
	// What the real repository knows besides must not be found in any of its files.
	err = filepath.WalkDir(view, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "do-not-tell") {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}

	gitIn(t, root, "commit", "--quiet", "--allow-empty", "-m", "later")
	if got := gitIn(t, view, "log", "--format=%s"); got != "two\none" {
		t.Errorf("it moved with the repository: %q", got)
	}
}

func TestHistoryOfAWorktree(t *testing.T) {
	t.Parallel()
	root := repositoryWithApp(t)
	tree := filepath.Join(t.TempDir(), "tree")
	gitIn(t, root, "worktree", "add", "--quiet", tree, "old")
	view := filepath.Join(t.TempDir(), "view")
	history, err := snapshot.TakeHistory(t.Context(), tree, view)
	if err != nil || history.Folder != "" {
		t.Fatalf("%+v, %v", history, err)
	}
	if got := gitIn(t, view, "log", "--format=%s"); got != "one" {
		t.Errorf("the worktree is at one, and its history is %q", got)
	}
}

func TestHistoryOfBorrowedObjects(t *testing.T) {
	t.Parallel()
	root := repositoryWithApp(t)
	borrower := filepath.Join(t.TempDir(), "borrower")
	gitIn(t, filepath.Dir(borrower), "clone", "--quiet", "--shared", root, borrower)
	view := filepath.Join(t.TempDir(), "view")
	if _, err := snapshot.TakeHistory(t.Context(), borrower, view); err != nil {
		t.Fatal(err)
	}
	if got := gitIn(t, view, "log", "--format=%s"); got != "two\none" {
		t.Errorf("its history is %q", got)
	}
	stores, err := os.ReadFile(filepath.Join(view, "objects", "info", "alternates"))
	if err != nil || strings.Count(string(stores), "\n") != 2 {
		t.Errorf("both stores must be named, so that both can be granted: %q, %v", stores, err)
	}
}

func TestHistoryStaysShallow(t *testing.T) {
	t.Parallel()
	root := repositoryWithApp(t)
	clone := filepath.Join(t.TempDir(), "clone")
	gitIn(t, filepath.Dir(clone), "clone", "--quiet", "--depth=1", "file://"+root, clone)
	view := filepath.Join(t.TempDir(), "view")
	if _, err := snapshot.TakeHistory(t.Context(), clone, view); err != nil {
		t.Fatal(err)
	}
	if got := gitIn(t, view, "rev-parse", "--is-shallow-repository"); got != "true" {
		t.Errorf("shallow: %s", got)
	}
}

func TestHistoryWhereThereIsNone(t *testing.T) {
	t.Parallel()
	view := filepath.Join(t.TempDir(), "view")
	if history, err := snapshot.TakeHistory(t.Context(), t.TempDir(), view); history != nil || err != nil {
		t.Errorf("outside a repository: %+v, %v", history, err)
	}
	fresh := t.TempDir()
	gitIn(t, fresh, "init", "--quiet")
	history, err := snapshot.TakeHistory(t.Context(), fresh, view)
	if err != nil || history == nil {
		t.Fatalf("before the first commit: %+v, %v", history, err)
	}
	if got := gitIn(t, view, "rev-list", "--all"); got != "" {
		t.Errorf("commits before the first: %q", got)
	}
}

// TestHistoryIsNotHiddenByAttributes: a file of the source must not decide that another one is not to be looked at.
func TestHistoryIsNotHiddenByAttributes(t *testing.T) {
	t.Parallel()
	root := repositoryWithApp(t)
	if err := os.WriteFile(filepath.Join(root, ".gitattributes"), []byte("*.txt -diff\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	gitIn(t, root, "add", ".")
	gitIn(t, root, "commit", "--quiet", "-m", "hide")
	view := filepath.Join(t.TempDir(), "view")
	if _, err := snapshot.TakeHistory(t.Context(), root, view); err != nil {
		t.Fatal(err)
	}
	if got := gitIn(t, view, "log", "--patch", "-1", "--format=", "HEAD~1"); !strings.Contains(got, "+two") {
		t.Errorf("the patch is hidden:\n%s", got)
	}
}
