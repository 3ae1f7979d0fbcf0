package store

import (
	"context"
	"database/sql"
)

// Asset is a static file that was uploaded, named by the hash that its client gave it.
type Asset struct {
	Hash        string `json:"hash"`
	ContentType string `json:"content_type"`
	Blob        string `json:"blob"`
	Size        int64  `json:"size"`
}

// VersionAssets are the static files of a version, and how paths find them.
type VersionAssets struct {
	Files            map[string]Asset `json:"files"` // by path
	HTMLHandling     string           `json:"html_handling"`
	NotFoundHandling string           `json:"not_found_handling"`
	WorkerFirst      []string         `json:"worker_first"`
	Redirects        string           `json:"redirects,omitempty"` // the text of _redirects
	Headers          string           `json:"headers,omitempty"`   // the text of _headers
}

// Asset finds an uploaded file by its hash.
func (s *Store) Asset(ctx context.Context, hash string) (Asset, error) {
	asset := Asset{}
	err := s.read.QueryRowContext(ctx, "SELECT hash, content_type, blob, size FROM assets WHERE hash = ?", hash).
		Scan(&asset.Hash, &asset.ContentType, &asset.Blob, &asset.Size)
	return asset, notFound(err)
}

// PutAsset notes an uploaded file. It stays as long as a version names it, and otherwise until the next Open.
func (s *Store) PutAsset(ctx context.Context, asset Asset) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO assets (hash, content_type, blob, size) VALUES (?, ?, ?, ?)",
			asset.Hash, asset.ContentType, asset.Blob, asset.Size)
		return err
	})
}
