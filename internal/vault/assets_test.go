package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/vault"
)

func withAssets(t *testing.T, files map[string]string) (*bundle.Bundle, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	assets, err := bundle.ReadAssets(dir, bundle.AssetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return aBundle(t).WithAssets(assets), dir
}

func TestStaticFilesAreKeptWithTheirBundle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := vault.At(dir)
	one, built := withAssets(t, map[string]string{"a.txt": "a", "b.txt": "b"})
	two, _ := withAssets(t, map[string]string{"b.txt": "b", "c.txt": "c"})
	if err := errors.Join(v.KeepBundle(one), v.KeepBundle(two), v.KeepBundle(one)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(built); err != nil {
		t.Fatal(err)
	}
	again, err := v.Bundle(one.Digest)
	if err != nil || again.Digest != one.Digest || len(again.Assets.Files) != 2 {
		t.Fatalf("%+v, %v", again, err)
	}
	if content, err := again.Assets.Files[0].Read(); err != nil || string(content) != "a" {
		t.Errorf("%q, %v", content, err)
	}

	// What is wanted keeps its files; the other bundle's go with it.
	old := time.Now().Add(-time.Hour)
	for _, kind := range []string{"bundles", "files"} {
		entries, err := os.ReadDir(filepath.Join(dir, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if err := os.Chtimes(filepath.Join(dir, kind, entry.Name()), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	alone, _ := withAssets(t, map[string]string{"d.txt": "d"})
	young, _ := withAssets(t, map[string]string{"e.txt": "e"})
	if err := errors.Join(v.KeepAssetList(alone), v.KeepAssetList(young)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "bundles", strings.TrimPrefix(alone.Digest, "sha256:")+".assets"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := v.PruneAssetLists(time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	for b, there := range map[*bundle.Bundle]bool{one: true, alone: false, young: true} {
		if _, err := os.Stat(filepath.Join(dir, "bundles", strings.TrimPrefix(b.Digest, "sha256:")+".assets")); (err == nil) != there {
			t.Errorf("list of %s: %v", b.Digest, err)
		}
	}
	if err := v.Prune(time.Now().Add(-time.Minute), map[string]bool{two.Digest: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Bundle(one.Digest); !errors.Is(err, vault.ErrGone) {
		t.Errorf("got %v", err)
	}
	kept, err := v.Bundle(two.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range kept.Assets.Files {
		if _, err := file.Read(); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "files")); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}

	// A list that was changed is not the bundle's, and a file that is gone is said.
	if err := os.Remove(filepath.Join(dir, "files", kept.Assets.Files[1].Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Bundle(two.Digest); !errors.Is(err, vault.ErrGone) || !strings.Contains(err.Error(), "/c.txt") {
		t.Errorf("got %v", err)
	}
	list := filepath.Join(dir, "bundles", strings.TrimPrefix(two.Digest, "sha256:")+".assets")
	if err := os.WriteFile(list, []byte(`{"config":{},"files":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Bundle(two.Digest); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("got %v", err)
	}
}
