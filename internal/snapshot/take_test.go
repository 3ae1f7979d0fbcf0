package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

func write(t testing.TB, dir, path, content string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func take(t testing.TB, dir, state string) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Take(context.Background(), dir, snapshot.Options{StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func paths(s *snapshot.Snapshot) []string {
	var names []string
	for _, file := range s.Files {
		names = append(names, file.Path)
	}
	return names
}

func TestTakeInRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	write(t, dir, ".gitignore", "dist\n")
	write(t, dir, "app/a.txt", "a")
	write(t, dir, "app/deleted.txt", "x")
	write(t, dir, "app/run.sh", "#!/bin/sh\n")
	write(t, dir, "other/b.txt", "b")
	if err := os.Chmod(filepath.Join(dir, "app/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "one")
	clean := take(t, filepath.Join(dir, "app"), t.TempDir())
	if clean.Dirty || clean.Branch != "main" || len(clean.Commit) != 40 {
		t.Errorf("clean: dirty %v, branch %q, commit %q", clean.Dirty, clean.Branch, clean.Commit)
	}
	if err := os.Remove(filepath.Join(dir, "app/deleted.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.txt", filepath.Join(dir, "app/link")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "app/dist/out.js", "ignored")
	write(t, dir, "app/node_modules/x/index.js", "not ignored, and yet left out")
	write(t, dir, "app/späce name\n.txt", "untracked")
	s := take(t, filepath.Join(dir, "app"), "")
	want := []string{"a.txt", "link", "run.sh", "späce name\n.txt"}
	if diff := cmp.Diff(want, paths(s)); diff != "" {
		t.Error(diff)
	}
	if !s.Dirty {
		t.Error("a deleted and an untracked file, and not dirty")
	}
	for _, file := range s.Files {
		if wantMode := map[string]fs.FileMode{"a.txt": 0o644, "link": fs.ModeSymlink, "run.sh": 0o755}[file.Path]; wantMode != 0 && file.Mode != wantMode {
			t.Errorf("%s: mode %v, want %v", file.Path, file.Mode, wantMode)
		}
		if file.Path == "link" && file.Target != "a.txt" {
			t.Errorf("link: target %q", file.Target)
		}
	}
}

func TestTakeOutsideRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	write(t, dir, "src/index.ts", "1")
	write(t, dir, ".gitignore", "*.log\n")
	write(t, dir, "src/.gitignore", "secret.txt\n")
	write(t, dir, "x.log", "ignored")
	write(t, dir, "src/secret.txt", "ignored")
	write(t, dir, "node_modules/a/index.js", "left out")
	for _, where := range []string{"", state, state} {
		s := take(t, dir, where)
		if diff := cmp.Diff([]string{".gitignore", "src/.gitignore", "src/index.ts"}, paths(s)); diff != "" {
			t.Errorf("state %q: %s", where, diff)
		}
		if s.Commit != "" || s.Dirty {
			t.Errorf("commit %q, dirty %v outside a repository", s.Commit, s.Dirty)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		t.Error("a repository was made in the app's folder")
	}
}

func TestSubmodules(t *testing.T) {
	t.Parallel()
	library, dir := t.TempDir(), t.TempDir()
	git(t, library, "init", "-q")
	write(t, library, "lib.ts", "lib")
	git(t, library, "add", ".")
	git(t, library, "commit", "-q", "-m", "lib")
	git(t, dir, "init", "-q")
	git(t, dir, "submodule", "--quiet", "add", library, "vendor/lib")
	write(t, dir, "vendor/lib/new.ts", "untracked in the submodule")
	write(t, dir, "main.ts", "main")
	want := []string{".gitmodules", "main.ts", "vendor/lib/lib.ts", "vendor/lib/new.ts"}
	if diff := cmp.Diff(want, paths(take(t, dir, ""))); diff != "" {
		t.Error(diff)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		write(t, dir, "a", "1")
		write(t, dir, "b/c", "2")
	}
	first := take(t, one, "").Digest
	if other := take(t, two, "").Digest; first != other {
		t.Errorf("the same files in another folder: %s and %s", first, other)
	}
	changes := map[string]func(){
		"content": func() { write(t, two, "a", "3") },
		"mode":    func() { _ = os.Chmod(filepath.Join(two, "a"), 0o755) },
		"name":    func() { _ = os.Rename(filepath.Join(two, "a"), filepath.Join(two, "aa")) },
		"link":    func() { _ = os.Remove(filepath.Join(two, "b/c")); _ = os.Symlink("2", filepath.Join(two, "b/c")) },
	}
	seen := map[string]string{first: "nothing"}
	for _, name := range []string{"content", "mode", "name", "link"} {
		changes[name]()
		digest := take(t, two, "").Digest
		if was, twice := seen[digest]; twice {
			t.Errorf("a change of %s gives the digest that a change of %s gave", name, was)
		}
		seen[digest] = name
	}
}

func TestStatCacheNeverLies(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "old", "content1")
	past := time.Now().Add(-time.Hour)
	path := filepath.Join(dir, "old")
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	first := take(t, dir, state).Digest
	if again := take(t, dir, state).Digest; again != first {
		t.Errorf("nothing changed: %s, then %s", first, again)
	}
	// The same size, and the modification time put back: what a careless comparison would miss.
	write(t, dir, "old", "content2")
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	if changed := take(t, dir, state).Digest; changed == first {
		t.Error("a changed file with its old time and size was taken for the old one")
	}
	// Written twice within one tick: a digest of so young a file must not be kept.
	for i := range 50 {
		write(t, dir, "young", fmt.Sprintf("%04d", i))
		want := take(t, dir, "").Digest
		if got := take(t, dir, state).Digest; got != want {
			t.Fatalf("round %d: the cache says %s, the files %s", i, got, want)
		}
	}
}

func TestDamagedStatCacheIsIgnored(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "a", "1")
	want := take(t, dir, state).Digest
	if err := filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".stat") {
			return os.WriteFile(path, []byte("penstock stat cache 1\ngarbage garbage garbage garbage garbage garbage"), 0o644)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := take(t, dir, state).Digest; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFileThatKeepsChanging(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "busy", strings.Repeat("x", 1<<20))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		f, err := os.OpenFile(filepath.Join(dir, "busy"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = f.Write([]byte("more\n"))
			}
		}
	}()
	// On a busy machine the writer may sleep through a whole snapshot, so it gets several.
	var err error
	for deadline := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(deadline); {
		_, err = snapshot.Take(context.Background(), dir, snapshot.Options{})
	}
	close(stop)
	<-stopped
	if err == nil || !strings.Contains(err.Error(), "changed while it was being read") {
		t.Errorf("got %v", err)
	}
}

func TestNoGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := snapshot.Take(context.Background(), t.TempDir(), snapshot.Options{})
	if !errors.Is(err, snapshot.ErrNoGit) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkTakeWarm is what a run with nothing changed pays for its snapshot.
func BenchmarkTakeWarm(b *testing.B) {
	for _, files := range []int{60, 5000} {
		b.Run(fmt.Sprint(files), func(b *testing.B) {
			dir, state := b.TempDir(), b.TempDir()
			git(b, dir, "init", "-q")
			past := time.Now().Add(-time.Hour)
			for i := range files {
				name := fmt.Sprintf("src/%d/file%d.ts", i%100, i)
				write(b, dir, name, strings.Repeat(name, 200))
				if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
					b.Fatal(err)
				}
			}
			git(b, dir, "add", ".")
			git(b, dir, "commit", "-q", "-m", "all")
			time.Sleep(2100 * time.Millisecond) // change times must leave the racy window
			take(b, dir, state)
			for b.Loop() {
				take(b, dir, state)
			}
		})
	}
}
