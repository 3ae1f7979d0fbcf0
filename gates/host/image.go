package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// image is a private copy of a set's binary that was verified while it was copied, so that what was checked is what is
// executed: on Linux memory that can no longer be written, elsewhere a file in a folder of our own.
type image struct {
	name   string // of the original, to be called by
	path   string // to execute
	digest string // "sha256:…"
	linked bool   // it needs the system's loader and libraries
	file   *os.File
	folder string // to remove
	// interpreter is what is executed when the binary is a script; nil when it is a program.
	interpreter *image
}

// verify copies the binary that ref names and compares its checksum with the pin.
func verify(ref PluginRef, scratch string, limit int64) (*image, error) {
	if ref.Pin.SHA256 == "" {
		return nil, fmt.Errorf("%w: nothing pins the gate set %s on %s/%s: add its checksum to penstock.lock once you trust it",
			ErrUntrusted, ref.Set, runtime.GOOS, runtime.GOARCH)
	}
	if ref.Pin.Set != ref.Set || !validDigest(ref.Pin.SHA256) {
		return nil, fmt.Errorf("%w: the pin of the gate set %s is not well formed", ErrUntrusted, ref.Set)
	}
	copied, found, err := copyOf(ref.Path, scratch, limit)
	var open *os.PathError
	switch {
	case errors.Is(err, errNoFile):
		return nil, fmt.Errorf("%w: the gate set %s at %s is not a file", ErrUntrusted, ref.Set, ref.Path)
	case errors.As(err, &open) && open.Op == "open" && open.Path == ref.Path:
		return nil, fmt.Errorf("%w: the gate set %s cannot be opened: %w: build it (`make build`) or install it where penstock.lock says",
			ErrUntrusted, ref.Set, err)
	case err != nil:
		return nil, fmt.Errorf("copy the gate set %s: %w", ref.Set, err)
	}
	if found != ref.Pin.SHA256 {
		return nil, errors.Join(copied.close(), fmt.Errorf(
			"%w: the gate set %s at %s has the checksum %s, and %s was pinned: build penstock and its sets together (`make build`), "+
				"or find out who changed the file before you pin it anew", ErrUntrusted, ref.Set, ref.Path, found, ref.Pin.SHA256))
	}
	copied.digest = "sha256:" + found
	if isScript(copied.file) {
		copied.interpreter, err = verifyInterpreter(ref, scratch, limit)
	} else {
		copied.linked = isLinked(copied.file)
	}
	if err == nil {
		err = copied.seal()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("seal the copy of the gate set %s: %w", ref.Set, err), copied.close())
	}
	return copied, nil
}

var errNoFile = errors.New("it is not a file")

// copyOf copies a program to where nobody else can change it and returns the SHA-256 of what was copied, in hex.
func copyOf(path, scratch string, limit int64) (*image, string, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer source.Close()
	if info, err := source.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, "", errNoFile
	}
	copied, err := newImage(filepath.Base(path), scratch)
	if err != nil {
		return nil, "", err
	}
	sum, err := copyAndHash(copied.file, source, limit)
	if err != nil {
		return nil, "", errors.Join(err, copied.close())
	}
	return copied, hex.EncodeToString(sum), nil
}

// copyAndHash copies source and returns the SHA-256 of exactly the bytes that it wrote. Writing and hashing take about as
// long as each other and together most of a start, so they go side by side.
func copyAndHash(target io.Writer, source io.Reader, limit int64) ([]byte, error) {
	digest := sha256.New()
	block := make([]byte, 1<<20)
	for written := int64(0); ; {
		n, readErr := io.ReadFull(source, block)
		if written += int64(n); written > limit {
			return nil, fmt.Errorf("it is larger than %d bytes", limit)
		}
		var writeErr error
		var writing sync.WaitGroup
		writing.Go(func() { _, writeErr = target.Write(block[:n]) })
		digest.Write(block[:n])
		writing.Wait()
		switch {
		case writeErr != nil:
			return nil, writeErr
		case errors.Is(readErr, io.EOF), errors.Is(readErr, io.ErrUnexpectedEOF):
			return digest.Sum(nil), nil
		case readErr != nil:
			return nil, readErr
		}
	}
}

// digestOf returns the SHA-256 of what can be read, in hex.
func digestOf(source io.Reader) (string, error) {
	digest := sha256.New()
	if _, err := io.Copy(digest, source); err != nil {
		return "", fmt.Errorf("compute its checksum: %w", err)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func newFileImage(name, scratch string) (*image, error) {
	folder, err := os.MkdirTemp(scratch, "bin-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, name)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &image{name: name, path: path, file: file, folder: folder}, nil
}

// sealFile closes the copy, because a file that is open for writing cannot be executed, and takes the right to write
// from its folder.
func (i *image) sealFile() error {
	err := i.file.Close()
	i.file = nil
	return errors.Join(err, os.Chmod(i.folder, 0o500))
}

func (i *image) close() error {
	var problems []error
	if i.interpreter != nil {
		problems = append(problems, i.interpreter.close())
	}
	if i.file != nil {
		problems = append(problems, i.file.Close())
		i.file = nil
	}
	if i.folder != "" {
		problems = append(problems, os.Chmod(i.folder, 0o700), os.RemoveAll(i.folder))
	}
	return errors.Join(problems...)
}
