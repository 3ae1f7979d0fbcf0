package vault_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/vault"
)

// bucket is a shared place in memory.
type bucket struct {
	files map[string][]byte
	at    map[string]time.Time
	puts  int
	fails error
}

func newBucket() *bucket { return &bucket{files: map[string][]byte{}, at: map[string]time.Time{}} }

func (b *bucket) Put(_ context.Context, name string, content io.Reader, size int64) error {
	text, err := io.ReadAll(content)
	if err != nil || int64(len(text)) != size {
		return errors.Join(err, io.ErrUnexpectedEOF)
	}
	b.puts++
	b.files[name], b.at[name] = text, time.Now()
	return b.fails
}

func (b *bucket) Get(_ context.Context, name string, into io.Writer) (bool, error) {
	content, found := b.files[name]
	_, err := into.Write(content)
	return found, errors.Join(err, b.fails)
}

func (b *bucket) List(context.Context) (map[string]time.Time, error) {
	return maps.Clone(b.at), b.fails
}

func (b *bucket) Delete(_ context.Context, name string) error {
	delete(b.files, name)
	delete(b.at, name)
	return b.fails
}

// aRun keeps a bundle with static files, and a source, in a vault of its own.
func aRun(t *testing.T) (vault.Vault, *bundle.Bundle, string) {
	t.Helper()
	v := vault.At(t.TempDir())
	b, _ := withAssets(t, map[string]string{"a.txt": "a", "b.txt": "b", "again.txt": "a"})
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "index.js"), []byte("export default {}"), 0o644); err != nil {
		t.Fatal(err)
	}
	source, err := snapshot.Take(t.Context(), folder, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.KeepBundle(b), v.KeepSource(source, folder)); err != nil {
		t.Fatal(err)
	}
	return v, b, source.Digest
}

func TestWhatIsSharedIsFetchedElsewhere(t *testing.T) {
	t.Parallel()
	here, b, source := aRun(t)
	shared := newBucket()
	what := vault.Sharing{Bundle: b, Source: source, Lists: []string{"sha256:" + strings.Repeat("0", 64)}}
	for range 2 { // the second finds all of it there
		if err := here.Share(t.Context(), shared, what); err != nil {
			t.Fatal(err)
		}
	}
	if shared.puts != 3 {
		t.Errorf("%d files were written: %q", shared.puts, slices.Sorted(maps.Keys(shared.files)))
	}
	there := vault.At(t.TempDir())
	if err := there.FetchAssetList(t.Context(), shared, b.Digest); err != nil {
		t.Fatal(err)
	}
	if list, err := there.AssetList(b.Digest); err != nil || list.Digest() != b.Assets.Digest() {
		t.Errorf("%v, %v", list, err)
	}
	if err := there.Fetch(t.Context(), shared, b.Digest, source); err != nil {
		t.Fatal(err)
	}
	again, err := there.Bundle(b.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range again.Assets.Files {
		if _, err := file.Read(); err != nil {
			t.Error(err)
		}
	}
	opened, err := there.OpenSource(source, filepath.Join(t.TempDir(), "source"))
	if err != nil || len(opened.Files) != 1 {
		t.Errorf("%+v, %v", opened, err)
	}
	// What is here is not asked for again.
	shared.fails = errors.New("no network")
	if err := there.Fetch(t.Context(), shared, b.Digest, source); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotSharedIsGone(t *testing.T) {
	t.Parallel()
	_, b, source := aRun(t)
	there := vault.At(t.TempDir())
	if err := there.Fetch(t.Context(), newBucket(), b.Digest, source); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Bundle(b.Digest); !errors.Is(err, vault.ErrGone) {
		t.Errorf("%v", err)
	}
	if _, err := there.OpenSource(source, filepath.Join(t.TempDir(), "source")); !errors.Is(err, vault.ErrGone) {
		t.Errorf("%v", err)
	}
	broken := newBucket()
	broken.fails = errors.New("no network")
	if err := there.Fetch(t.Context(), broken, b.Digest, source); !errors.Is(err, broken.fails) {
		t.Errorf("%v", err)
	}
	if err := there.FetchAssetList(t.Context(), broken, "../../etc"); err == nil {
		t.Error("that is no digest")
	}
}

// What was changed in the shared place is refused and not kept, so that the right one can come later.
func TestWhatWasChangedThereIsRefused(t *testing.T) {
	t.Parallel()
	here, b, source := aRun(t)
	right := newBucket()
	if err := here.Share(t.Context(), right, vault.Sharing{Bundle: b, Source: source}); err != nil {
		t.Fatal(err)
	}
	wrong := newBucket()
	for name, content := range right.files {
		wrong.files[name] = bytes.Clone(content)
	}
	d, _ := withAssets(t, map[string]string{"evil.txt": "e"})
	evil := vault.At(t.TempDir())
	if err := evil.KeepBundle(d); err != nil {
		t.Fatal(err)
	}
	swapped := newBucket()
	if err := evil.Share(t.Context(), swapped, vault.Sharing{Bundle: d}); err != nil {
		t.Fatal(err)
	}
	hex := strings.TrimPrefix(b.Digest, "sha256:")
	wrong.files["bundles/"+hex+".tar.gz"] = swapped.files["bundles/"+strings.TrimPrefix(d.Digest, "sha256:")+".tar.gz"]
	there := vault.At(t.TempDir())
	if err := there.Fetch(t.Context(), wrong, b.Digest, ""); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("another bundle: %v", err)
	}
	for what, change := range map[string]func(name string, content []byte) (string, []byte){
		"its static file": func(name string, content []byte) (string, []byte) {
			if strings.HasPrefix(name, "files/") {
				content = append(content, '!')
			}
			return name, content
		},
		"is no part of a bundle": func(name string, content []byte) (string, []byte) {
			return strings.Replace(name, "files/", "files/../../", 1), content
		},
	} {
		wrong.files["bundles/"+hex+".tar.gz"] = repacked(t, right.files["bundles/"+hex+".tar.gz"], change)
		if err := there.Fetch(t.Context(), wrong, b.Digest, ""); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wrong.files["bundles/"+hex+".tar.gz"] = right.files["bundles/"+hex+".tar.gz"]
	name := "sources/" + strings.TrimPrefix(source, "sha256:") + ".tar.gz"
	wrong.files[name] = []byte("not even packed")
	if err := there.Fetch(t.Context(), wrong, b.Digest, source); err == nil {
		t.Error("a source that is none")
	}
	if err := there.Fetch(t.Context(), right, b.Digest, source); err != nil {
		t.Errorf("the right ones after the wrong ones: %v", err)
	}
	if again, err := there.Bundle(b.Digest); err != nil || again.Digest != b.Digest {
		t.Errorf("%v", err)
	}
}

// repacked is an archive with members that were changed.
func repacked(t *testing.T, archive []byte, change func(name string, content []byte) (string, []byte)) []byte {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	again := gzip.NewWriter(&out)
	members, packed := tar.NewReader(zipped), tar.NewWriter(again)
	for {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		content, readErr := io.ReadAll(members)
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		header.Name, content = change(header.Name, content)
		header.Size = int64(len(content))
		if err := packed.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(packed.Close(), again.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A few kilobytes can unpack to gigabytes: how much is judged by what is announced, before it is read.
func TestABundleThatFillsTheMemoryIsNotRead(t *testing.T) {
	t.Parallel()
	there, digest := newBucket(), strings.Repeat("a", 64)
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	err := tar.NewWriter(zipped).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "form", Size: 1 << 30, Mode: 0o600})
	if err := errors.Join(err, zipped.Close()); err != nil {
		t.Fatal(err)
	}
	there.files["bundles/"+digest+".tar.gz"] = packed.Bytes()
	err = vault.At(t.TempDir()).Fetch(t.Context(), there, "sha256:"+digest, "")
	if err == nil || !strings.Contains(err.Error(), "more than any bundle has") {
		t.Errorf("%v", err)
	}
}

func TestWhatNobodyWantsIsDroppedThere(t *testing.T) {
	t.Parallel()
	here, b, source := aRun(t)
	shared := newBucket()
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"bundles/aa.tar.gz", "bundles/aa.assets", "sources/bb.tar.gz", "sources/cc.tar.gz"} {
		shared.files[name], shared.at[name] = nil, old
	}
	shared.at["sources/cc.tar.gz"] = time.Now()
	wanted := map[string]bool{"sha256:bb": true}
	if err := here.Share(t.Context(), shared, vault.Sharing{Bundle: b, Source: source, Before: time.Now().Add(-time.Minute), Wanted: wanted}); err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]bool{"bundles/aa.tar.gz": false, "bundles/aa.assets": false, "sources/bb.tar.gz": true, "sources/cc.tar.gz": true} {
		if _, found := shared.files[name]; found != there {
			t.Errorf("%s is there: %v", name, found)
		}
	}
	// What is kept again after long is young again.
	name := "sources/" + strings.TrimPrefix(source, "sha256:") + ".tar.gz"
	shared.at[name] = time.Now().Add(-48 * time.Hour)
	if err := here.Share(t.Context(), shared, vault.Sharing{Source: source, Before: time.Now().Add(-time.Hour * 47), Wanted: map[string]bool{source: true}}); err != nil {
		t.Fatal(err)
	}
	if time.Since(shared.at[name]) > time.Hour {
		t.Error("what was kept again would soon be dropped")
	}
}
