package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Database is a D1 database; its content lives with the runtime.
type Database struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

func scanDatabase(row interface{ Scan(...any) error }) (Database, error) {
	database := Database{}
	var created int64
	err := row.Scan(&database.ID, &database.Name, &created)
	database.CreatedAt = fromMicros(created)
	return database, notFound(err)
}

// Databases lists all, oldest first.
func (s *Store) Databases(ctx context.Context) ([]Database, error) {
	return rows(ctx, s.read, scanDatabase, "SELECT id, name, created FROM databases ORDER BY created, id")
}

// Database finds one by its ID.
func (s *Store) Database(ctx context.Context, id string) (Database, error) {
	return scanDatabase(s.read.QueryRowContext(ctx, "SELECT id, name, created FROM databases WHERE id = ?", id))
}

// AddDatabase records a database; ErrExists when the name is taken.
func (s *Store) AddDatabase(ctx context.Context, database Database) error {
	return s.insert(ctx, "INSERT INTO databases (id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		database.ID, database.Name, toMicros(database.CreatedAt))
}

// insert runs a statement that does nothing on a conflict, and says so with ErrExists.
func (s *Store) insert(ctx context.Context, statement string, args ...any) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return ErrExists
	})
}

// remove runs a DELETE, and says ErrNotFound when nothing was there.
func (s *Store) remove(ctx context.Context, statement string, args ...any) error {
	return s.update(ctx, func(tx *sql.Tx) error { return changed(tx.ExecContext(ctx, statement, args...)) })
}

// DeleteDatabase forgets a database and its bookmarks.
func (s *Store) DeleteDatabase(ctx context.Context, id string) error {
	return s.remove(ctx, "DELETE FROM databases WHERE id = ?", id)
}

// Bookmark names one state of a database, kept as a file. Bookmarks of one database sort by time as text.
type Bookmark struct {
	Name      string
	CreatedAt time.Time
	Blob      string
}

func scanBookmark(row interface{ Scan(...any) error }) (Bookmark, error) {
	bookmark := Bookmark{}
	var created int64
	err := row.Scan(&bookmark.Name, &created, &bookmark.Blob)
	bookmark.CreatedAt = fromMicros(created)
	return bookmark, notFound(err)
}

// AddBookmark records a state. When the newest bookmark holds the same bytes, that one is returned instead: nothing was
// written in between.
func (s *Store) AddBookmark(ctx context.Context, database, blob string, now time.Time) (Bookmark, error) {
	bookmark := Bookmark{}
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		bookmark, err = scanBookmark(tx.QueryRowContext(ctx,
			"SELECT bookmark, created, blob FROM bookmarks WHERE database = ? ORDER BY sequence DESC LIMIT 1", database))
		if err == nil && bookmark.Blob == blob {
			return nil
		}
		var sequence int64
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(sequence), 0) + 1 FROM bookmarks").Scan(&sequence); err != nil {
			return err
		}
		// D1's own form: 8-8-8-32 hex digits, the leading ones rising.
		bookmark = Bookmark{Name: fmt.Sprintf("%08x-%08x-%08x-%.32s", sequence, 0, now.Unix(), blob), CreatedAt: now, Blob: blob}
		_, err = tx.ExecContext(ctx, "INSERT INTO bookmarks (sequence, database, bookmark, created, blob) VALUES (?, ?, ?, ?, ?)",
			sequence, database, bookmark.Name, toMicros(now), blob)
		return err
	})
	return bookmark, err
}

// Bookmark finds one of a database by its name.
func (s *Store) Bookmark(ctx context.Context, database, name string) (Bookmark, error) {
	return scanBookmark(s.read.QueryRowContext(ctx,
		"SELECT bookmark, created, blob FROM bookmarks WHERE database = ? AND bookmark = ?", database, name))
}

// BookmarkAt finds the newest that was taken at or before a moment.
func (s *Store) BookmarkAt(ctx context.Context, database string, moment time.Time) (Bookmark, error) {
	return scanBookmark(s.read.QueryRowContext(ctx,
		"SELECT bookmark, created, blob FROM bookmarks WHERE database = ? AND created <= ? ORDER BY sequence DESC LIMIT 1",
		database, toMicros(moment)))
}
