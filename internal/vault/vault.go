// Package vault keeps what a run that waits is made of, so that it can go on without its process and whatever becomes of the
// folder that it came from: bundles and sources, each named by its digest and checked against it when it is read.
package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// ErrGone is wrapped when the vault does not have what is asked for.
var ErrGone = errors.New("not kept any more")

// Vault is a folder. It is safe for concurrent use, also by several processes: what is in it is complete and never changes.
type Vault struct{ dir string }

// At is the vault in that folder, which is made when something is kept.
func At(dir string) Vault { return Vault{dir} }

// digestShape keeps what comes from a ledger from naming any other file.
var digestShape = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (v Vault) path(kind, digest, ext string) (string, error) {
	if !digestShape.MatchString(digest) {
		return "", fmt.Errorf("%q is no digest", digest)
	}
	return filepath.Join(v.dir, kind, strings.TrimPrefix(digest, "sha256:")+ext), nil
}

// KeepBundle keeps a bundle. It is on disk when there is no error.
func (v Vault) KeepBundle(b *bundle.Bundle) error {
	path, err := v.path("bundles", b.Digest, ".form")
	if err != nil {
		return fmt.Errorf("keep the bundle: %w", err)
	}
	if b.Assets != nil { // before the form, by which the bundle is found
		if err := errors.Join(v.keepFiles(b.Assets), v.KeepAssetList(b)); err != nil {
			return fmt.Errorf("keep the bundle: %w", err)
		}
	}
	if touched(path) {
		return nil
	}
	var body bytes.Buffer
	if _, err := b.Encode(&body, nil); err != nil {
		return fmt.Errorf("keep the bundle: %w", err)
	}
	err = settle(path, func(file *os.File) error {
		_, err := body.WriteTo(file)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the bundle: %w", err)
	}
	return nil
}

// Bundle reads a bundle back. One that is not what its name says is an error; one that is not there wraps [ErrGone].
func (v Vault) Bundle(digest string) (*bundle.Bundle, error) {
	path, err := v.path("bundles", digest, ".form")
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("bundle %s: %w", digest, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open the kept bundle: %w", err)
	}
	defer file.Close()
	b, err := bundle.Parse(file, "")
	if err != nil {
		return nil, fmt.Errorf("the kept bundle %s was changed: %w", digest, err)
	}
	switch assets, err := v.AssetList(digest); {
	case err == nil:
		b = b.WithAssets(assets)
		for _, asset := range assets.Files {
			if !touched(v.file(asset.Digest)) {
				return nil, fmt.Errorf("the static file %s of bundle %s: %w", asset.Path, digest, ErrGone)
			}
		}
	case !errors.Is(err, ErrGone):
		return nil, err
	}
	if b.Digest != digest {
		return nil, fmt.Errorf("the kept bundle %s was changed: it is %s now", digest, b.Digest)
	}
	return b, nil
}

// Prune drops what was not kept or read since the time, except for the digests that are still wanted.
func (v Vault) Prune(before time.Time, wanted map[string]bool) error {
	var problems []error
	for _, kind := range []string{"bundles", "sources"} {
		entries, err := os.ReadDir(filepath.Join(v.dir, kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
		for _, entry := range entries {
			name, _, _ := strings.Cut(entry.Name(), ".")
			info, err := entry.Info()
			if err != nil || wanted["sha256:"+name] || !info.ModTime().Before(before) {
				continue // gone meanwhile, wanted, or young
			}
			if err := os.Remove(filepath.Join(v.dir, kind, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(append(problems, v.pruneFiles(before))...)
}

// touched reports whether the file is there, and makes it young.
func touched(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}

// settle writes a file so that at path there is either nothing or all of it, on disk.
func settle(path string, write func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".*.new")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // after the rename there is nothing of that name
	err = write(draft)
	if err == nil {
		err = draft.Sync()
	}
	if err := errors.Join(err, draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}
