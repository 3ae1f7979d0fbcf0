package vault_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/vault"
)

func aBundle(t testing.TB) *bundle.Bundle {
	t.Helper()
	body := "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"main_module\":\"index.js\"}\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"index.js\"; filename=\"index.js\"\r\nContent-Type: application/javascript+module\r\n\r\nexport default {}\r\n--b--\r\n"
	b, err := bundle.Parse(strings.NewReader(body), "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func aSource(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"src/index.ts": 0o644, "run.sh": 0o755, "wrangler.toml": 0o644} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("content of "+name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("src/index.ts", filepath.Join(dir, "link")); err != nil {
		t.Skip("no links here: ", err)
	}
	source, err := snapshot.Take(t.Context(), dir, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestWhatIsKeptComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := vault.At(dir)
	b, source := aBundle(t), aSource(t)
	for range 2 { // the second time it is there already
		if err := errors.Join(v.KeepBundle(b), v.KeepSource(source, source.Root)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := v.Bundle(b.Digest)
	if err != nil || again.Digest != b.Digest || again.Code() != b.Code() {
		t.Fatalf("%v, %+v", err, again)
	}
	opened, err := v.OpenSource(source.Digest, filepath.Join(t.TempDir(), "open"))
	if err != nil || opened.Digest != source.Digest || len(opened.Files) != 4 {
		t.Fatalf("%v, %+v", err, opened)
	}
	content, err := os.ReadFile(filepath.Join(opened.Root, "link"))
	if err != nil || string(content) != "content of src/index.ts" {
		t.Errorf("%v, %q", err, content)
	}
	retaken, err := snapshot.Take(t.Context(), opened.Root, snapshot.Options{})
	if err != nil || retaken.Digest != source.Digest {
		t.Errorf("what was unpacked is another source: %v", err)
	}
	drafts, _ := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if len(drafts) > 0 {
		t.Errorf("left behind: %v", drafts)
	}
}

func TestWhatWasChangedIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := vault.At(dir)
	b, source := aBundle(t), aSource(t)
	if err := errors.Join(v.KeepBundle(b), v.KeepSource(source, source.Root)); err != nil {
		t.Fatal(err)
	}
	kept, _ := filepath.Glob(filepath.Join(dir, "*", "*.*"))
	if len(kept) != 2 {
		t.Fatalf("kept: %v", kept)
	}
	for _, path := range kept {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(content, []byte("export default {}"), []byte("export default 1;"), 1)
		if bytes.Equal(changed, content) {
			changed = append(bytes.Clone(content[:len(content)-20]), make([]byte, 20)...)
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Bundle(b.Digest); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("a changed bundle: %v", err)
	}
	if _, err := v.OpenSource(source.Digest, filepath.Join(t.TempDir(), "open")); err == nil {
		t.Error("a changed source is opened")
	}
	if err := os.WriteFile(filepath.Join(source.Root, "run.sh"), []byte("another."), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := vault.At(t.TempDir()).KeepSource(source, source.Root); err == nil {
		t.Error("a source that changed since its snapshot is kept under the old name")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	v := vault.At(t.TempDir())
	unknown := "sha256:" + strings.Repeat("0", 64)
	if _, err := v.Bundle(unknown); !errors.Is(err, vault.ErrGone) {
		t.Error(err)
	}
	if _, err := v.OpenSource(unknown, filepath.Join(t.TempDir(), "x")); !errors.Is(err, vault.ErrGone) {
		t.Error(err)
	}
	for _, name := range []string{"", "sha256:", "sha256:../../etc/passwd", strings.Repeat("0", 64)} {
		if _, err := v.Bundle(name); err == nil || errors.Is(err, vault.ErrGone) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	v := vault.At(t.TempDir())
	b, source := aBundle(t), aSource(t)
	if err := errors.Join(v.KeepBundle(b), v.KeepSource(source, source.Root)); err != nil {
		t.Fatal(err)
	}
	if err := v.Prune(time.Now().Add(-time.Hour), nil); err != nil {
		t.Fatal(err)
	}
	if err := v.Prune(time.Now().Add(time.Hour), map[string]bool{b.Digest: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Bundle(b.Digest); err != nil {
		t.Errorf("what is wanted is gone: %v", err)
	}
	if _, err := v.OpenSource(source.Digest, filepath.Join(t.TempDir(), "x")); !errors.Is(err, vault.ErrGone) {
		t.Errorf("what is old and not wanted stays: %v", err)
	}
}

// FuzzOpenSource: whatever lies in the vault, nothing is written outside of the folder, and only what has the digest opens.
func FuzzOpenSource(f *testing.F) {
	archive := func(headers ...tar.Header) []byte {
		var out bytes.Buffer
		zipped := gzip.NewWriter(&out)
		packed := tar.NewWriter(zipped)
		for _, header := range headers {
			if err := packed.WriteHeader(&header); err != nil {
				f.Fatal(err)
			}
		}
		if err := errors.Join(packed.Close(), zipped.Close()); err != nil {
			f.Fatal(err)
		}
		return out.Bytes()
	}
	f.Add(archive(tar.Header{Typeflag: tar.TypeReg, Name: "../escaped"}))
	f.Add(archive(tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "../.."}, tar.Header{Typeflag: tar.TypeReg, Name: "a/escaped"}))
	f.Add(archive(tar.Header{Typeflag: tar.TypeReg, Name: "x"}, tar.Header{Typeflag: tar.TypeReg, Name: "x"}))
	digest := "sha256:" + strings.Repeat("a", 64)
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "vault", "sources", strings.Repeat("a", 64)+".tar.gz")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.At(filepath.Join(dir, "vault")).OpenSource(digest, filepath.Join(dir, "open")); err == nil {
			t.Error("it opens under a digest that it cannot have")
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 2 {
			t.Errorf("written outside: %v %v", entries, err)
		}
	})
}
