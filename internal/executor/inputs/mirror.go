package inputs

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

// Mirror is the run's own copy of the snapshot, made when the first stage needs files. From then on the developer may edit
// on: the run works with what it was started with.
type Mirror struct {
	Source      *snapshot.Snapshot
	Folder      string // where the copy lies; made by Path
	Parallelism int

	once sync.Once
	err  error
}

// Path makes the copy if need be. Each file's content is compared with the snapshot's digest while it is copied.
func (m *Mirror) Path(ctx context.Context) (string, error) {
	m.once.Do(func() {
		// The copy is for the whole run; one stage's end must not spoil it for the others.
		m.err = m.make(context.WithoutCancel(ctx))
	})
	return m.Folder, m.err
}

func (m *Mirror) make(ctx context.Context) error {
	if err := makeFolders(m.Folder, m.Source.Files); err != nil {
		return fmt.Errorf("copy the source: %w", err)
	}
	return ForEach(ctx, m.Parallelism, len(m.Source.Files), func(i int) error {
		file := &m.Source.Files[i]
		from := filepath.Join(m.Source.Root, filepath.FromSlash(file.Path))
		to := filepath.Join(m.Folder, filepath.FromSlash(file.Path))
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

// Copy copies a set of the snapshot's files into a folder, and never links: what is written there stays there.
func (m *Mirror) Copy(ctx context.Context, set *Set, to string) error {
	if len(set.Files) == 0 {
		return nil
	}
	source, err := m.Path(ctx)
	if err != nil {
		return err
	}
	if err := makeFolders(to, set.Files); err != nil {
		return err
	}
	return ForEach(ctx, m.Parallelism, len(set.Files), func(i int) error {
		file := &set.Files[i]
		path := filepath.Join(to, filepath.FromSlash(file.Path))
		if file.Mode&os.ModeSymlink != 0 {
			return os.Symlink(filepath.FromSlash(file.Target), path)
		}
		return CopyFile(filepath.Join(source, filepath.FromSlash(file.Path)), path, file.Mode)
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

// CopyFile copies a regular file; where the file system can, without copying its blocks (os.File.ReadFrom asks for that).
func CopyFile(from, to string, mode os.FileMode) error {
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
