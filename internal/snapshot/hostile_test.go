package snapshot_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

// TestNoProgramOfTheRepositoryIsRun looks at sources that ask git to run a program: each would leave a file behind.
func TestNoProgramOfTheRepositoryIsRun(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, dir, program string) (folder string){
		// A clone is enough for this one: a folder in the shape of a bare repository brings a config of its own.
		"a bare repository that was committed": func(t *testing.T, dir, program string) string {
			bare := filepath.Join(dir, "sub")
			git(t, dir, "init", "-q", "--bare", "sub")
			write(t, bare, "config", "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = "+program+"\n")
			write(t, bare, "refs/.keep", "")
			write(t, bare, "objects/.keep", "")
			git(t, dir, "add", "-A")
			git(t, dir, "commit", "-qm", "x")
			return bare
		},
		"a config that came with the folder": func(t *testing.T, dir, program string) string {
			git(t, dir, "config", "core.fsmonitor", program)
			return dir
		},
		"a clone within the folder": func(t *testing.T, dir, program string) string {
			nested := filepath.Join(dir, "vendor")
			write(t, nested, "a.txt", "a")
			write(t, nested, ".gitattributes", "* filter=evil\n")
			git(t, nested, "init", "-q")
			git(t, nested, "add", "-A")
			git(t, nested, "commit", "-qm", "x")
			git(t, nested, "config", "core.fsmonitor", program)
			git(t, nested, "config", "filter.evil.clean", program)
			write(t, nested, "a.txt", "b")
			return dir
		},
		"hooks": func(t *testing.T, dir, program string) string {
			write(t, dir, "hooks/post-index-change", "#!/bin/sh\n"+program+"\n")
			if err := os.Chmod(filepath.Join(dir, "hooks", "post-index-change"), 0o755); err != nil {
				t.Fatal(err)
			}
			git(t, dir, "config", "core.hooksPath", filepath.Join(dir, "hooks"))
			write(t, dir, "package.json", `{ }`)
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, mark := t.TempDir(), filepath.Join(t.TempDir(), "was-run")
			git(t, dir, "init", "-q")
			write(t, dir, "package.json", "{}")
			git(t, dir, "add", "-A")
			git(t, dir, "commit", "-qm", "one")
			commit, err := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
			if err != nil {
				t.Fatal(err)
			}
			folder := make(t, dir, "touch "+mark)

			ctx, state := t.Context(), t.TempDir()
			_, takeErr := snapshot.Take(ctx, folder, snapshot.Options{StateDir: state})
			_, compareErr := snapshot.Compare(ctx, folder, strings.TrimSpace(string(commit)))
			_, historyErr := snapshot.TakeHistory(ctx, folder, filepath.Join(state, "history"))
			commitErr := snapshot.WriteCommit(ctx, folder, strings.TrimSpace(string(commit)), filepath.Join(state, "commit"))
			_, configErr := snapshot.GitCommand(ctx, folder, "config", "--get", "user.email").Output()
			if _, err := os.Stat(mark); err == nil {
				t.Errorf("it was run; the calls said: %v, %v, %v, %v, %v", takeErr, compareErr, historyErr, commitErr, configErr)
			}
			if folder == dir && takeErr != nil {
				t.Errorf("take: %v", takeErr)
			}
			if folder != dir && (takeErr == nil || !strings.Contains(takeErr.Error(), "bare git repository")) {
				t.Errorf("take of a bare repository: %v", takeErr)
			}
		})
	}
}

// TestLinksAreNotFollowed: a link may lead to a secret of the machine, or to what never ends.
func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(outside, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q")
	write(t, dir, "package.json", "{}")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "one")
	commit, err := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"zero": "/dev/zero", "token": outside, "loop": "loop", "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "package.json"), 2); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := sparse.Truncate(4 << 30); err != nil {
		t.Fatal(err)
	}
	if err := sparse.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	changes, err := snapshot.Compare(ctx, dir, strings.TrimSpace(string(commit)))
	if err != nil || len(changes) != 5 {
		t.Fatalf("%+v %v", changes, err)
	}
	for _, change := range changes {
		if change.Added != 0 {
			t.Errorf("%s was read: %+v", change.Path, change)
		}
	}
	if err := os.Remove(sparse.Name()); err != nil {
		t.Fatal(err)
	}
	for _, file := range take(t, dir, t.TempDir()).Files {
		if file.Path != "package.json" && file.Target == "" {
			t.Errorf("%+v", file)
		}
	}
}

// TestNamesOfFilesStayApart: names that hold what a listing is written with belong to one file each.
func TestNamesOfFilesStayApart(t *testing.T) {
	t.Parallel()
	names := []string{"a\nb", "$(touch x)", "`id`", "-rf", "\x1b[31mred", "a'b\"c", " lead", "ä\u202e", "semi;colon", "tab\there"}
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	for i, name := range names {
		write(t, dir, name, fmt.Sprint(i))
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "$(touch x)\n\x1b[2J")
	taken := take(t, dir, t.TempDir())
	if got := paths(taken); len(got) != len(names) {
		t.Errorf("%q", got)
	}
	into := filepath.Join(t.TempDir(), "commit")
	if err := snapshot.WriteCommit(t.Context(), dir, taken.Commit, into); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if text, err := os.ReadFile(filepath.Join(into, name)); err != nil || string(text) != fmt.Sprint(i) {
			t.Errorf("%q: %q %v", name, text, err)
		}
	}
}
