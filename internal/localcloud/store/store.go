// Package store keeps the state of the local Cloudflare: one SQLite file, and content-addressed files for what is large.
//
// A call that returned nil has been written to disk. Only package localcloud imports it; workers reach it through
// runtime.Store, which *Store implements.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// ErrNotFound is the answer about anything that does not exist. It is the runtime's own, so that workers see it too.
var ErrNotFound = runtime.ErrNotFound

// ErrExists is the answer to creating what is already there under the same name.
var ErrExists = errors.New("already exists")

// Store is safe for concurrent use: one writer at a time, readers beside it. One process at a time may have a folder open;
// package daemon sees to that with a file lock.
type Store struct {
	dir   string
	write *sql.DB // one connection: SQLite has one writer, and waiting in Go is fairer than SQLITE_BUSY
	read  *sql.DB
}

// Open opens or creates the state in dir. Files are readable by their owner only: they hold secrets of workers.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, blobFolder), 0o700); err != nil {
		return nil, fmt.Errorf("create state folder: %w", err)
	}
	file := filepath.Join(dir, "state.sqlite")
	// SQLite gives its -wal and -shm files the mode of the main file, so it is enough to create that one narrowly.
	created, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create state file: %w", err)
	}
	if err := created.Close(); err != nil {
		return nil, fmt.Errorf("create state file: %w", err)
	}
	s := &Store{dir: dir}
	if s.write, err = connect(file, 1, "_txlock=immediate"); err != nil {
		return nil, err
	}
	if s.read, err = connect(file, 4, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func connect(file string, connections int, extra string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: "_pragma=busy_timeout(5000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + extra}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open state file: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func (s *Store) prepare(ctx context.Context) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		var version int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		if version > schemaVersion {
			return fmt.Errorf("state has layout %d and this program knows up to %d: use the program that wrote it, or remove the folder to begin anew",
				version, schemaVersion)
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
		return err
	})
	if err != nil {
		return fmt.Errorf("prepare state in %s: %w", s.dir, err)
	}
	return s.sweepBlobs(ctx)
}

// Close waits for running calls and closes the files.
func (s *Store) Close() error {
	return errors.Join(s.read.Close(), s.write.Close())
}

// update runs do in one write transaction.
func (s *Store) update(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone drops the complaint about a transaction that a cancelled context has already rolled back.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// notFound turns SQL's word for no row into ours.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// changed answers ErrNotFound when a statement touched nothing.
func changed(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrNotFound
}

// rows reads a whole result with one scan function per row.
func rows[T any](ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, scan func(interface{ Scan(...any) error }) (T, error), query string, args ...any) ([]T, error) {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	all := []T{}
	for found.Next() {
		one, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}

// Times are stored as microseconds since 1970, 0 for none: they sort, and lose nothing that Cloudflare prints.
func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
