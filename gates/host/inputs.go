package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// inputs are the files that one process was given to read: private copies, so that a gate can neither change the
// evidence nor read what lies beside it. A file is copied once per process, however many gates ask for it.
type inputs struct {
	folder string

	mu     sync.Mutex
	copies map[inputKey]string
}

// inputKey says whether a file is still the one that was copied.
type inputKey struct {
	path    string
	size    int64
	changed int64 // nanoseconds
}

func newInputs(folder string) *inputs {
	return &inputs{folder: folder, copies: map[inputKey]string{}}
}

// give copies a file and returns the copy's path. For a file that does not exist it returns a path where there is
// nothing, because what a missing report means is for the gate to say; every other problem is an error.
func (i *inputs) give(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	// Opened first and looked at then, without waiting for a writer: what is looked at is what is copied.
	source, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(i.folder, "missing", filepath.Base(path)), nil
	}
	if err != nil {
		return "", fmt.Errorf("give the gate %s: %w", path, err)
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return "", fmt.Errorf("give the gate %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("give the gate %s: it is not a file", path)
	}

	key := inputKey{path: path, size: info.Size(), changed: info.ModTime().UnixNano()}
	i.mu.Lock()
	defer i.mu.Unlock()
	if copied, done := i.copies[key]; done {
		return copied, nil
	}
	target := filepath.Join(i.folder, fmt.Sprintf("%d-%s", len(i.copies), filepath.Base(path)))
	if err := copyTo(target, source); err != nil {
		return "", fmt.Errorf("give the gate %s: %w", path, err)
	}
	i.copies[key] = target
	return target, nil
}

func copyTo(path string, source io.Reader) error {
	target, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
