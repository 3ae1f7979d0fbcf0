package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// Namespace is a KV namespace.
type Namespace struct {
	ID    string
	Title string
}

func scanNamespace(row interface{ Scan(...any) error }) (Namespace, error) {
	namespace := Namespace{}
	err := row.Scan(&namespace.ID, &namespace.Title)
	return namespace, notFound(err)
}

// Namespaces lists all, oldest first.
func (s *Store) Namespaces(ctx context.Context) ([]Namespace, error) {
	return rows(ctx, s.read, scanNamespace, "SELECT id, title FROM namespaces ORDER BY created, id")
}

// Namespace finds one by its ID.
func (s *Store) Namespace(ctx context.Context, id string) (Namespace, error) {
	return scanNamespace(s.read.QueryRowContext(ctx, "SELECT id, title FROM namespaces WHERE id = ?", id))
}

// AddNamespace creates one; ErrExists when the title is taken.
func (s *Store) AddNamespace(ctx context.Context, namespace Namespace, now time.Time) error {
	return s.insert(ctx, "INSERT INTO namespaces (id, title, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		namespace.ID, namespace.Title, toMicros(now))
}

// RenameNamespace changes a title.
func (s *Store) RenameNamespace(ctx context.Context, namespace Namespace) error {
	return s.remove(ctx, "UPDATE namespaces SET title = ? WHERE id = ?", namespace.Title, namespace.ID)
}

// DeleteNamespace removes one with all its entries.
func (s *Store) DeleteNamespace(ctx context.Context, id string) error {
	return s.remove(ctx, "DELETE FROM namespaces WHERE id = ?", id)
}

// Entry is a key with its value, for bulk writes.
type Entry struct {
	Key      string
	Value    []byte
	Metadata json.RawMessage // nil: none
	Expires  time.Time       // zero: never
}

// KVGet implements runtime.Store. An expired entry is as good as gone.
func (s *Store) KVGet(ctx context.Context, namespace, key string) ([]byte, json.RawMessage, error) {
	entry, err := s.KVEntry(ctx, namespace, key)
	return entry.Value, entry.Metadata, err
}

// KVEntry reads an entry with its expiry.
func (s *Store) KVEntry(ctx context.Context, namespace, key string) (Entry, error) {
	entry := Entry{Key: key}
	var metadata sql.NullString
	var expires int64
	err := s.read.QueryRowContext(ctx, `SELECT value, metadata, expires FROM entries
		WHERE namespace = ? AND key = ? AND (expires = 0 OR expires > ?)`, namespace, key, toMicros(time.Now())).
		Scan(&entry.Value, &metadata, &expires)
	if err != nil {
		return Entry{}, notFound(err)
	}
	if metadata.Valid {
		entry.Metadata = json.RawMessage(metadata.String)
	}
	entry.Expires = fromMicros(expires)
	return entry, nil
}

// KVPut implements runtime.Store.
func (s *Store) KVPut(ctx context.Context, namespace, key string, value []byte, metadata json.RawMessage, expires time.Time) error {
	return s.KVPutAll(ctx, namespace, []Entry{{Key: key, Value: value, Metadata: metadata, Expires: expires}})
}

// KVPutAll writes all entries or none; ErrNotFound when there is no such namespace.
func (s *Store) KVPutAll(ctx context.Context, namespace string, entries []Entry) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if err := exists(ctx, tx, "SELECT 1 FROM namespaces WHERE id = ?", namespace); err != nil {
			return fmt.Errorf("KV namespace %s: %w", namespace, err)
		}
		// Expired entries are hidden from readers at once; their room is taken back when somebody writes anyway.
		if _, err := tx.ExecContext(ctx, "DELETE FROM entries WHERE expires > 0 AND expires <= ?", toMicros(time.Now())); err != nil {
			return err
		}
		for _, entry := range entries {
			var metadata any
			if len(entry.Metadata) > 0 && string(entry.Metadata) != "null" {
				metadata = string(entry.Metadata)
			}
			if entry.Value == nil {
				entry.Value = []byte{} // nil would be stored as NULL
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO entries (namespace, key, value, metadata, expires) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET value = excluded.value, metadata = excluded.metadata, expires = excluded.expires`,
				namespace, entry.Key, entry.Value, metadata, toMicros(entry.Expires)); err != nil {
				return err
			}
		}
		return nil
	})
}

func exists(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	var one int
	return notFound(tx.QueryRowContext(ctx, query, args...).Scan(&one))
}

// KVDelete implements runtime.Store. To delete an absent key is no error, as with Cloudflare.
func (s *Store) KVDelete(ctx context.Context, namespace, key string) error {
	return s.KVDeleteAll(ctx, namespace, []string{key})
}

// KVDeleteAll deletes all keys or none.
func (s *Store) KVDeleteAll(ctx context.Context, namespace string, keys []string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		for _, key := range keys {
			if _, err := tx.ExecContext(ctx, "DELETE FROM entries WHERE namespace = ? AND key = ?", namespace, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// ErrCursor says that a cursor was not made by this store.
var ErrCursor = errors.New("cursor is not one that an earlier page gave")

// KVList implements runtime.Store. Keys are sorted by their UTF-8 bytes; a limit of 0 or less means 1,000.
func (s *Store) KVList(ctx context.Context, namespace, prefix, cursor string, limit int) (runtime.KVPage, error) {
	after, err := decodeCursor(cursor)
	if err != nil {
		return runtime.KVPage{}, err
	}
	if limit <= 0 {
		limit = 1000
	}
	found, err := s.read.QueryContext(ctx, `SELECT key, metadata, expires FROM entries
		WHERE namespace = ? AND key >= ? AND key > ? AND (expires = 0 OR expires > ?) ORDER BY key`,
		namespace, prefix, after, toMicros(time.Now()))
	if err != nil {
		return runtime.KVPage{}, err
	}
	defer found.Close()
	page := runtime.KVPage{}
	for found.Next() {
		key := runtime.KVKey{}
		var metadata sql.NullString
		var expires int64
		if err := found.Scan(&key.Name, &metadata, &expires); err != nil {
			return runtime.KVPage{}, err
		}
		if !strings.HasPrefix(key.Name, prefix) {
			break // sorted, so none of the rest has it
		}
		if len(page.Keys) == limit {
			page.Cursor = encodeCursor(page.Keys[limit-1].Name)
			break
		}
		if metadata.Valid {
			key.Metadata = json.RawMessage(metadata.String)
		}
		key.Expires = fromMicros(expires)
		page.Keys = append(page.Keys, key)
	}
	return page, found.Err()
}

func encodeCursor(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func decodeCursor(cursor string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", ErrCursor
	}
	return string(key), nil
}
