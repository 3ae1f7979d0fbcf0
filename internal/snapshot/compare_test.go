package snapshot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	repository := t.TempDir()
	dir := filepath.Join(repository, "app")
	git(t, repository, "init", "-q", "-b", "main")
	write(t, dir, "kept.ts", "one\n")
	write(t, dir, "changed.ts", "one\ntwo\n")
	write(t, dir, "gone.ts", "one\n")
	write(t, dir, "picture.png", "a\x00b")
	write(t, dir, ".gitignore", "ignored.ts\n")
	write(t, repository, "beside.ts", "one\n")
	git(t, repository, "add", "-A")
	git(t, repository, "commit", "-q", "-m", "first")
	out, err := exec.Command("git", "-C", repository, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	commit := strings.TrimSpace(string(out))

	write(t, dir, "changed.ts", "one\nthree\nfour\n")
	write(t, dir, "picture.png", "a\x00c")
	write(t, dir, "ignored.ts", "x\n")
	write(t, dir, "new file.ts", "one\ntwo")
	write(t, repository, "beside.ts", "two\n")
	if err := os.Remove(filepath.Join(dir, "gone.ts")); err != nil {
		t.Fatal(err)
	}
	got, err := snapshot.Compare(t.Context(), dir, commit)
	want := []snapshot.FileChange{
		{Path: "changed.ts", Added: 2, Deleted: 1}, {Path: "gone.ts", Deleted: 1}, {Path: "picture.png", Binary: true}, {Path: "new file.ts", Added: 2},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	for says, other := range map[string]string{
		"not in this clone":  strings.Repeat("ab", 20),
		"that is no commit":  "--output=x",
		"that is no commit ": "",
	} {
		if _, err := snapshot.Compare(t.Context(), dir, other); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(says)) {
			t.Errorf("%q: %v", other, err)
		}
	}
}
