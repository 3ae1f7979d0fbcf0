package vault

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// Shared is a place for files that several machines reach. Names hold letters, digits, dots and slashes.
type Shared interface {
	Put(ctx context.Context, name string, content io.Reader, size int64) error
	// Get writes the file to into; found is false when there is none of that name.
	Get(ctx context.Context, name string, into io.Writer) (found bool, err error)
	// List returns when each file was written, by its name.
	List(ctx context.Context) (map[string]time.Time, error)
	// Delete removes a file, if it is there.
	Delete(ctx context.Context, name string) error
}

// putAgain is the age from which a shared file that is kept again is written again, so that it does not seem old to who prunes.
const putAgain = 24 * time.Hour

// Sharing is what of a vault is to be shared.
type Sharing struct {
	Bundle *bundle.Bundle // nil for none
	Source string         // its digest; "" for none
	Lists  []string       // bundles of which only the lists of static files are wanted, by digest; those not kept here are left out
	// Before and Wanted say what is dropped there, as of [Vault.Prune].
	Before time.Time
	Wanted map[string]bool
}

// Share puts into the shared place what it lacks of what this vault keeps, and drops what nobody wants there any more. Two machines
// may do so at once: what one of them drops in the very moment in which another finds it there is gone, which that one's run is told
// when it goes on.
func (v Vault) Share(ctx context.Context, with Shared, what Sharing) error {
	written, err := with.List(ctx)
	if err != nil {
		return err
	}
	send := func(name string, write func(io.Writer) error) error {
		if at, there := written[name]; there && time.Since(at) < putAgain {
			return nil
		}
		if err := v.send(ctx, with, name, write); err != nil {
			return err
		}
		written[name] = time.Now()
		return nil
	}
	file := func(path string) func(io.Writer) error {
		return func(to io.Writer) error { return copyFile(path, to) }
	}
	lists := what.Lists
	if what.Bundle != nil {
		if err := send(sharedName("bundles", what.Bundle.Digest, ".tar.gz"), func(to io.Writer) error { return v.packBundle(what.Bundle, to) }); err != nil {
			return err
		}
		lists = append(lists[:len(lists):len(lists)], what.Bundle.Digest)
	}
	if what.Source != "" {
		path, err := v.path("sources", what.Source, ".tar.gz")
		if err != nil {
			return err
		}
		if err := send(sharedName("sources", what.Source, ".tar.gz"), file(path)); err != nil {
			return err
		}
	}
	for _, digest := range lists {
		path, err := v.path("bundles", digest, ".assets")
		if err != nil {
			return err
		}
		if err := send(sharedName("bundles", digest, ".assets"), file(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	var problems []error
	for name, at := range written {
		digest, _, _ := strings.Cut(name[strings.IndexByte(name, '/')+1:], ".")
		if at.Before(what.Before) && !what.Wanted["sha256:"+digest] {
			problems = append(problems, with.Delete(ctx, name))
		}
	}
	return errors.Join(problems...)
}

// sharedName is what a thing is called in the shared place.
func sharedName(kind, digest, ext string) string {
	return kind + "/" + strings.TrimPrefix(digest, "sha256:") + ext
}

// send writes to a file first: what is sent must have a size.
func (v Vault) send(ctx context.Context, with Shared, name string, write func(io.Writer) error) error {
	draft, err := os.CreateTemp("", "penstock-share-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()
	if err := write(draft); err != nil {
		return err
	}
	size, err := draft.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = draft.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	return with.Put(ctx, name, draft, size)
}

func copyFile(path string, to io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}

// The members of a packed bundle. One file for all of it: a call for each static file would soon be too many for an hour.
const (
	packedForm   = "form"
	packedAssets = "assets"
	packedFiles  = "files/"
)

// packBundle writes all of a kept bundle, its static files with it.
func (v Vault) packBundle(b *bundle.Bundle, to io.Writer) error {
	zipped, _ := gzip.NewWriterLevel(to, gzip.BestSpeed) // the level exists
	packed := tar.NewWriter(zipped)
	add := func(name string, content []byte) error {
		if err := packed.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600}); err != nil {
			return err
		}
		_, err := packed.Write(content)
		return err
	}
	var form bytes.Buffer
	if _, err := b.Encode(&form, nil); err != nil {
		return err
	}
	if b.Assets != nil {
		if err := add(packedAssets, b.Assets.Manifest()); err != nil {
			return err
		}
		sent := map[string]bool{}
		for _, asset := range b.Assets.Files {
			if sent[asset.Digest] {
				continue
			}
			sent[asset.Digest] = true
			content, err := asset.Read()
			if err != nil {
				return err
			}
			if err := add(packedFiles+asset.Digest, content); err != nil {
				return err
			}
		}
	}
	// Last, because by it the bundle is found.
	if err := add(packedForm, form.Bytes()); err != nil {
		return err
	}
	return errors.Join(packed.Close(), zipped.Close())
}

// Fetch brings a bundle and a source ("" for none) here from the shared place, as far as they are not here. What is not there either
// is left to [Vault.Bundle] and [Vault.OpenSource], which say so; what is not what its name says is an error, and is not kept.
func (v Vault) Fetch(ctx context.Context, from Shared, bundleDigest, source string) error {
	if _, err := v.Bundle(bundleDigest); errors.Is(err, ErrGone) {
		if err := v.fetchBundle(ctx, from, bundleDigest); err != nil {
			return fmt.Errorf("fetch bundle %s: %w", bundleDigest, err)
		}
	}
	if source == "" {
		return nil
	}
	path, err := v.path("sources", source, ".tar.gz")
	if err != nil || touched(path) {
		return err
	}
	err = v.receive(ctx, from, sharedName("sources", source, ".tar.gz"), func(file *os.File) error {
		if err := settle(path, func(to *os.File) error {
			_, err := io.Copy(to, file)
			return err
		}); err != nil {
			return err
		}
		return v.checkSource(source, path)
	})
	if err != nil {
		return fmt.Errorf("fetch source %s: %w", source, err)
	}
	return nil
}

// checkSource opens a source once, and drops it when it is another one.
func (v Vault) checkSource(digest, path string) error {
	into, err := os.MkdirTemp("", "penstock-source-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(into)
	if _, err := v.OpenSource(digest, filepath.Join(into, "source")); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// FetchAssetList brings the list of a bundle's static files here, if it is not here and is there.
func (v Vault) FetchAssetList(ctx context.Context, from Shared, digest string) error {
	path, err := v.path("bundles", digest, ".assets")
	if err != nil || touched(path) {
		return err
	}
	return v.receive(ctx, from, sharedName("bundles", digest, ".assets"), func(file *os.File) error {
		content, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		if _, err := bundle.ParseManifest(content, nil); err != nil {
			return err
		}
		return settle(path, func(to *os.File) error {
			_, err := to.Write(content)
			return err
		})
	})
}

// receive reads a shared file whole before it is used; there is nothing to use when there is no such file.
func (v Vault) receive(ctx context.Context, from Shared, name string, use func(*os.File) error) error {
	draft, err := os.CreateTemp("", "penstock-fetch-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()
	found, err := from.Get(ctx, name, draft)
	if err != nil || !found {
		return err
	}
	if _, err := draft.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return use(draft)
}

var packedFile = regexp.MustCompile(`^files/[0-9a-f]{64}$`)

func (v Vault) fetchBundle(ctx context.Context, from Shared, digest string) error {
	form, err := v.path("bundles", digest, ".form")
	if err != nil {
		return err
	}
	return v.receive(ctx, from, sharedName("bundles", digest, ".tar.gz"), func(file *os.File) error {
		zipped, err := gzip.NewReader(file)
		if err != nil {
			return err
		}
		packed := tar.NewReader(io.LimitReader(zipped, maxSource))
		for {
			header, err := packed.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if header.Size > bundle.MaxSize {
				return fmt.Errorf("its %q has %d MB, more than any bundle has", header.Name, header.Size>>20)
			}
			content, err := io.ReadAll(packed)
			if err != nil {
				return err
			}
			var path string
			switch {
			case header.Name == packedForm:
				path = form
			case header.Name == packedAssets:
				path = strings.TrimSuffix(form, ".form") + ".assets"
			case packedFile.MatchString(header.Name):
				name := strings.TrimPrefix(header.Name, packedFiles)
				if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != name {
					return fmt.Errorf("its static file %s was changed", name)
				}
				path = v.file(name)
			default:
				return fmt.Errorf("it holds %q, which is no part of a bundle", header.Name)
			}
			if err := settle(path, func(to *os.File) error {
				_, err := to.Write(content)
				return err
			}); err != nil {
				return err
			}
		}
		if _, err := v.Bundle(digest); err != nil {
			return errors.Join(err, os.Remove(form), removeIfThere(strings.TrimSuffix(form, ".form")+".assets"))
		}
		return nil
	})
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
