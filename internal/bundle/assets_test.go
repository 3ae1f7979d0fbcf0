package bundle_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// assetsOf writes files and reads them as static ones.
func assetsOf(t *testing.T, files map[string]string) (*bundle.Assets, string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	assets, err := bundle.ReadAssets(dir, bundle.AssetConfig{HTMLHandling: "none", RunWorkerFirst: []byte(` [ "/api/*" ] `)})
	return assets, dir, err
}

func pathsOf(assets *bundle.Assets) []string {
	var paths []string
	for _, file := range assets.Files {
		paths = append(paths, file.Path)
	}
	return paths
}

func TestAssetsAreWhatWranglerWouldUpload(t *testing.T) {
	t.Parallel()
	assets, _, err := assetsOf(t, map[string]string{
		".assetsignore": "# not for people\n*.map\r\n/only-top.txt\nprivate/\n!keep.map\ndocs/*.draft\nA{b}.txt\n\n/\n", "_headers": "/x\n  a: b\n", "_redirects": "/a /b\n",
		"index.html": "i", "a.map": "m", "sub/B.MAP": "m", "keep.map": "k", "only-top.txt": "t", "sub/only-top.txt": "t", "sub/private/x.txt": "x", "private/keep.map": "k",
		"sub/private.txt": "p", "docs/a.draft": "d", "docs/sub/a.draft": "d", "sub/_headers": "h", "_worker.js": "w", ".well-known/security.txt": "s", "a{b}.txt": "b", "ab.txt": "b",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/.well-known/security.txt", "/_worker.js", "/ab.txt", "/docs/sub/a.draft", "/index.html", "/keep.map", "/sub/_headers", "/sub/only-top.txt", "/sub/private.txt",
	}
	if got := pathsOf(assets); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if c := assets.Config; c.Headers != "/x\n  a: b\n" || c.Redirects != "/a /b\n" || string(c.RunWorkerFirst) != `["/api/*"]` || c.HTMLHandling != "none" {
		t.Errorf("%+v", c)
	}
}

func TestAssetsThatCannotBeServedAreRefused(t *testing.T) {
	t.Parallel()
	for what, files := range map[string]map[string]string{
		"_worker.js":   {"_worker.js": "code"},
		"25 MiB":       {"film.mp4": strings.Repeat("x", bundle.MaxAssetSize+1)},
		"line 2":       {".assetsignore": "a\n[\n"},
		"_headers is ": {"_headers": strings.Repeat("x", 2<<20)},
	} {
		if _, _, err := assetsOf(t, files); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want an error about %s", err, what)
		}
	}
}

func TestDigestCoversTheAssets(t *testing.T) {
	t.Parallel()
	plain := parse(t, recorded(t))
	base := map[string]string{"index.html": "i", "a.css": "a"}
	with := func(files map[string]string) *bundle.Bundle {
		assets, _, err := assetsOf(t, files)
		if err != nil {
			t.Fatal(err)
		}
		return plain.WithAssets(assets)
	}
	one := with(base)
	if again := with(base); again.Digest != one.Digest || again.Code() != one.Code() || again.Assets.Digest() != one.Assets.Digest() {
		t.Error("the same files elsewhere give another digest")
	}
	// Whoever changes how it is computed makes every recorded digest worthless: that must be on purpose.
	if want := "sha256:b911ebd9c048c46b0b798a1770f1d825e65d020e8703d46adcfb63a7357cee05"; one.Digest != want {
		t.Errorf("Digest = %s, want %s", one.Digest, want)
	}
	for what, files := range map[string]map[string]string{
		"content": {"index.html": "j", "a.css": "a"}, "name": {"index.htm": "i", "a.css": "a"}, "one less": {"index.html": "i"},
		"rules": {"index.html": "i", "a.css": "a", "_headers": "/x\n"},
	} {
		other := with(files)
		if other.Digest == one.Digest || other.Digest == plain.Digest {
			t.Errorf("%s was changed and the digest stayed", what)
		}
		if (other.Code() == one.Code()) != (what == "rules") {
			t.Errorf("%s: the code's digest covers the files and nothing of one environment", what)
		}
	}
}

func TestAnAssetThatWasChangedIsNotRead(t *testing.T) {
	t.Parallel()
	assets, dir, err := assetsOf(t, map[string]string{"index.html": "i"})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := assets.Files[0].Read(); err != nil || string(content) != "i" {
		t.Errorf("%q, %v", content, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("j"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := assets.Files[0].Read(); err == nil || !strings.Contains(err.Error(), "/index.html") {
		t.Errorf("got %v", err)
	}
	if _, err := bundle.ParseManifest([]byte(`{"files":[{"path":"x","digest":"../../etc/passwd"}]}`), nil); err == nil {
		t.Error("a list that names other files is taken")
	}
}

// TestLinksAreNoStaticFiles: a stage in a container can leave a link that leads on this machine to something else.
func TestLinksAreNoStaticFiles(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("do-not-tell"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"logo.png", "_headers", "_redirects", ".assetsignore"} {
		dir := t.TempDir()
		if err := os.Symlink(secret, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if assets, err := bundle.ReadAssets(dir, bundle.AssetConfig{}); err == nil {
			t.Errorf("%s: %+v", name, assets)
		}
	}
	whole := filepath.Join(t.TempDir(), "assets")
	if err := os.Symlink(filepath.Dir(secret), whole); err != nil {
		t.Fatal(err)
	}
	if assets, err := bundle.ReadAssets(whole, bundle.AssetConfig{}); err == nil {
		t.Errorf("the folder: %+v", assets)
	}
}
