package store

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const blobFolder = "blobs"

// Blob is a file that was stored under its own digest.
type Blob struct {
	Digest string // hex SHA-256; its name on disk
	MD5    string // hex; what R2 and D1 call the ETag
	Size   int64
}

// PutBlob stores a file. It stays if a row that names it is written before the next Open: what nothing refers to by then
// is swept away.
func (s *Store) PutBlob(body io.Reader) (Blob, error) {
	temporary, err := os.CreateTemp(filepath.Join(s.dir, blobFolder), "incoming-*")
	if err != nil {
		return Blob{}, fmt.Errorf("store a file: %w", err)
	}
	defer os.Remove(temporary.Name()) // after the rename there is nothing left to remove
	sha, sum := sha256.New(), md5.New()
	size, err := io.Copy(io.MultiWriter(temporary, sha, sum), body)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return Blob{}, fmt.Errorf("store a file: %w", err)
	}
	blob := Blob{Digest: hex.EncodeToString(sha.Sum(nil)), MD5: hex.EncodeToString(sum.Sum(nil)), Size: size}
	if err := os.Rename(temporary.Name(), s.BlobPath(blob.Digest)); err != nil {
		return Blob{}, fmt.Errorf("store a file: %w", err)
	}
	return blob, nil
}

// OpenBlob opens a stored file for reading.
func (s *Store) OpenBlob(digest string) (*os.File, error) {
	file, err := os.Open(s.BlobPath(digest))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("file %s: %w", digest, ErrNotFound)
	}
	return file, err
}

// BlobPath is where a stored file lies. It must not be changed.
func (s *Store) BlobPath(digest string) string {
	return filepath.Join(s.dir, blobFolder, digest)
}

// sweepBlobs removes the files that no row names. It runs at Open, the one moment when no upload can be half done.
func (s *Store) sweepBlobs(ctx context.Context) error {
	if err := s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM assets WHERE blob NOT IN (SELECT blob FROM version_blobs)")
		return err
	}); err != nil {
		return fmt.Errorf("sweep files: %w", err)
	}
	named, err := rows(ctx, s.read, func(row interface{ Scan(...any) error }) (digest string, err error) {
		err = row.Scan(&digest)
		return digest, err
	}, "SELECT blob FROM version_blobs UNION SELECT blob FROM objects UNION SELECT blob FROM bookmarks")
	if err != nil {
		return fmt.Errorf("sweep files: %w", err)
	}
	keep := make(map[string]bool, len(named))
	for _, digest := range named {
		keep[digest] = true
	}
	files, err := os.ReadDir(filepath.Join(s.dir, blobFolder))
	if err != nil {
		return fmt.Errorf("sweep files: %w", err)
	}
	for _, file := range files {
		if keep[file.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, blobFolder, file.Name())); err != nil {
			return fmt.Errorf("sweep files: %w", err)
		}
	}
	return nil
}
