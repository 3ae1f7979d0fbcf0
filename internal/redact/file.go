package redact

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File takes the secrets out of a regular file in place, keeping its mode. The file is replaced as a whole, so that a
// reader sees the old or the new one and other links to the old one are left alone.
func (r *Redactor) File(path string) error {
	if r.Empty() {
		return nil
	}
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("take secrets out of a file: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("take secrets out of a file: %w", err)
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".redacting-*")
	if err != nil {
		return fmt.Errorf("take secrets out of %s: %w", path, err)
	}
	defer os.Remove(out.Name()) // fails once it has been renamed
	if err := r.copy(out, in); err != nil {
		out.Close()
		return fmt.Errorf("take secrets out of %s: %w", path, err)
	}
	if err := out.Chmod(info.Mode().Perm()); err != nil {
		out.Close()
		return fmt.Errorf("take secrets out of %s: %w", path, err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("take secrets out of %s: %w", path, err)
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return fmt.Errorf("take secrets out of %s: %w", path, err)
	}
	return nil
}

func (r *Redactor) copy(out io.Writer, in io.Reader) error {
	buffered := bufio.NewWriter(out)
	clean := r.Writer(buffered)
	if _, err := io.Copy(clean, in); err != nil {
		return err
	}
	if err := clean.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}
