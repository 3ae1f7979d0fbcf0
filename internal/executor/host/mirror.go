package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

// mirror is the run's own copy of the snapshot, made when the first stage needs files. From then on the developer may edit
// on: the run works with what it was started with.
type mirror struct {
	source      *snapshot.Snapshot
	folder      string
	parallelism int

	once sync.Once
	err  error
}

// path makes the copy if need be. Each file's content is compared with the snapshot's digest while it is copied.
func (m *mirror) path(ctx context.Context) (string, error) {
	m.once.Do(func() {
		// The copy is for the whole run; one stage's end must not spoil it for the others.
		m.err = m.make(context.WithoutCancel(ctx))
	})
	return m.folder, m.err
}

func (m *mirror) make(ctx context.Context) error {
	if err := makeFolders(m.folder, m.source.Files); err != nil {
		return fmt.Errorf("copy the source: %w", err)
	}
	return forEach(ctx, m.parallelism, len(m.source.Files), func(i int) error {
		file := &m.source.Files[i]
		from := filepath.Join(m.source.Root, filepath.FromSlash(file.Path))
		to := filepath.Join(m.folder, filepath.FromSlash(file.Path))
		digest := ""
		var err error
		if file.Mode&os.ModeSymlink != 0 {
			var target string
			if target, err = os.Readlink(from); err == nil && filepath.ToSlash(target) == file.Target {
				digest, err = file.Digest, os.Symlink(target, to)
			}
		} else {
			digest, err = copyHashing(from, to, file.Mode)
		}
		if err != nil {
			return fmt.Errorf("copy the source: %w", err)
		}
		if digest != file.Digest {
			return fmt.Errorf("%s changed after the run had looked at it and before it was copied; run again", file.Path)
		}
		return nil
	})
}

// makeFolders makes the folders in which files lie.
func makeFolders(root string, files []snapshot.File) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	previous := ""
	for _, file := range files {
		folder := filepath.Dir(filepath.FromSlash(file.Path))
		if folder == previous || folder == "." {
			continue
		}
		previous = folder
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func copyHashing(from, to string, mode os.FileMode) (digest string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm())
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, hash), in); err != nil {
		out.Close()
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), out.Close()
}

// copyFile copies a regular file; where the file system can, without copying its blocks (os.File.ReadFrom asks for that).
func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
