package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// keepFiles keeps the contents of static files, each once, by its digest: most of them are the same from bundle to bundle.
func (v Vault) keepFiles(assets *bundle.Assets) error {
	for _, asset := range assets.Files {
		path := v.file(asset.Digest)
		if touched(path) {
			continue
		}
		content, err := asset.Read()
		if err != nil {
			return err
		}
		err = settle(path, func(file *os.File) error {
			_, err := file.Write(content)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v Vault) file(digest string) string { return filepath.Join(v.dir, "files", digest) }

// KeepAssetList keeps which static files a bundle has, without their contents, so that a later plan can name what changes.
func (v Vault) KeepAssetList(b *bundle.Bundle) error {
	path, err := v.path("bundles", b.Digest, ".assets")
	if err != nil {
		return fmt.Errorf("keep the list of static files: %w", err)
	}
	if touched(path) {
		return nil
	}
	err = settle(path, func(file *os.File) error {
		_, err := file.Write(b.Assets.Manifest())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the list of static files: %w", err)
	}
	return nil
}

// PruneAssetLists drops the lists that were not kept or read since the time and whose bundle is not kept.
func (v Vault) PruneAssetLists(before time.Time) error {
	lists, err := filepath.Glob(filepath.Join(v.dir, "bundles", "*.assets"))
	if err != nil {
		return err
	}
	var problems []error
	for _, list := range lists {
		info, err := os.Stat(list)
		if err != nil || !info.ModTime().Before(before) {
			continue // gone meanwhile, or young
		}
		if _, err := os.Stat(strings.TrimSuffix(list, ".assets") + ".form"); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Remove(list); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// AssetList reads which static files a bundle has. Their contents can be read when the bundle itself is kept. One that is not
// there wraps [ErrGone]. Whoever needs to be sure that it is the bundle's own compares the digest: [Vault.Bundle] does.
func (v Vault) AssetList(digest string) (*bundle.Assets, error) {
	path, err := v.path("bundles", digest, ".assets")
	if err != nil {
		return nil, err
	}
	manifest, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("static files of bundle %s: %w", digest, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open the kept list of static files: %w", err)
	}
	touched(path)
	assets, err := bundle.ParseManifest(manifest, v.file)
	if err != nil {
		return nil, fmt.Errorf("the kept bundle %s was changed: %w", digest, err)
	}
	return assets, nil
}

// pruneFiles drops the contents that no kept bundle has and that were not kept since the time.
func (v Vault) pruneFiles(before time.Time) error {
	entries, err := os.ReadDir(filepath.Join(v.dir, "files"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	forms, err := filepath.Glob(filepath.Join(v.dir, "bundles", "*.form"))
	if err != nil {
		return err
	}
	for _, form := range forms {
		manifest, err := os.ReadFile(strings.TrimSuffix(form, ".form") + ".assets")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err // what is wanted is not known
		}
		assets, err := bundle.ParseManifest(manifest, nil)
		if err != nil {
			return err
		}
		for _, asset := range assets.Files {
			wanted[asset.Digest] = true
		}
	}
	var problems []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || wanted[entry.Name()] || !info.ModTime().Before(before) {
			continue // gone meanwhile, wanted, or young
		}
		if err := os.Remove(v.file(entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}
