package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// ErrNotEmpty says that a bucket still holds objects and therefore cannot be deleted.
var ErrNotEmpty = errors.New("bucket is not empty")

// Bucket is an R2 bucket.
type Bucket struct {
	Name         string    `json:"-"`
	CreatedAt    time.Time `json:"-"`
	Location     string    `json:"location"`
	StorageClass string    `json:"storage_class"`
	Jurisdiction string    `json:"jurisdiction"`
}

func scanBucket(row interface{ Scan(...any) error }) (Bucket, error) {
	bucket := Bucket{}
	var created int64
	var body string
	if err := row.Scan(&bucket.Name, &created, &body); err != nil {
		return Bucket{}, notFound(err)
	}
	bucket.CreatedAt = fromMicros(created)
	err := json.Unmarshal([]byte(body), &bucket)
	return bucket, err
}

// Buckets lists all, by name.
func (s *Store) Buckets(ctx context.Context) ([]Bucket, error) {
	return rows(ctx, s.read, scanBucket, "SELECT name, created, body FROM buckets ORDER BY name")
}

// Bucket finds one.
func (s *Store) Bucket(ctx context.Context, name string) (Bucket, error) {
	return scanBucket(s.read.QueryRowContext(ctx, "SELECT name, created, body FROM buckets WHERE name = ?", name))
}

// AddBucket creates one; ErrExists when the name is taken.
func (s *Store) AddBucket(ctx context.Context, bucket Bucket) error {
	body, err := json.Marshal(bucket)
	if err != nil {
		return err
	}
	return s.insert(ctx, "INSERT INTO buckets (name, created, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		bucket.Name, toMicros(bucket.CreatedAt), string(body))
}

// DeleteBucket removes an empty one; ErrNotEmpty otherwise.
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if err := exists(ctx, tx, "SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", name); !errors.Is(err, ErrNotFound) {
			return errors.Join(err, ErrNotEmpty)
		}
		return changed(tx.ExecContext(ctx, "DELETE FROM buckets WHERE name = ?", name))
	})
}

const objectColumns = "key, version, etag, size, uploaded, http, custom, blob"

type storedObject struct {
	runtime.R2Object
	blob string
}

func scanObject(row interface{ Scan(...any) error }) (storedObject, error) {
	object := storedObject{}
	var uploaded int64
	var httpMetadata, custom string
	if err := row.Scan(&object.Key, &object.Version, &object.ETag, &object.Size, &uploaded, &httpMetadata, &custom, &object.blob); err != nil {
		return storedObject{}, notFound(err)
	}
	object.Uploaded = fromMicros(uploaded)
	err := errors.Join(json.Unmarshal([]byte(httpMetadata), &object.HTTPMetadata), json.Unmarshal([]byte(custom), &object.CustomMetadata))
	return object, err
}

func (s *Store) object(ctx context.Context, bucket, key string) (storedObject, error) {
	return scanObject(s.read.QueryRowContext(ctx, "SELECT "+objectColumns+" FROM objects WHERE bucket = ? AND key = ?", bucket, key))
}

// R2Head implements runtime.Store.
func (s *Store) R2Head(ctx context.Context, bucket, key string) (runtime.R2Object, error) {
	object, err := s.object(ctx, bucket, key)
	return object.R2Object, err
}

// R2Get implements runtime.Store. The reader stays good when the object is overwritten or deleted meanwhile.
func (s *Store) R2Get(ctx context.Context, bucket, key string) (runtime.R2Object, io.ReadCloser, error) {
	object, err := s.object(ctx, bucket, key)
	if err != nil {
		return runtime.R2Object{}, nil, err
	}
	file, err := s.OpenBlob(object.blob)
	if err != nil {
		return runtime.R2Object{}, nil, fmt.Errorf("object %s of bucket %s: %w", key, bucket, err)
	}
	return object.R2Object, file, nil
}

// R2Put implements runtime.Store.
func (s *Store) R2Put(ctx context.Context, bucket string, object runtime.R2Object, body io.Reader) (runtime.R2Object, error) {
	blob, err := s.PutBlob(body)
	if err != nil {
		return runtime.R2Object{}, err
	}
	object.Version, object.ETag, object.Size, object.Uploaded = NewID(), blob.MD5, blob.Size, time.Now().UTC()
	httpMetadata, err := json.Marshal(orEmpty(object.HTTPMetadata))
	if err != nil {
		return runtime.R2Object{}, err
	}
	custom, err := json.Marshal(orEmpty(object.CustomMetadata))
	if err != nil {
		return runtime.R2Object{}, err
	}
	err = s.update(ctx, func(tx *sql.Tx) error {
		if err := exists(ctx, tx, "SELECT 1 FROM buckets WHERE name = ?", bucket); err != nil {
			return fmt.Errorf("bucket %s: %w", bucket, err)
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO objects (bucket, `+objectColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			bucket, object.Key, object.Version, object.ETag, object.Size, toMicros(object.Uploaded), string(httpMetadata), string(custom), blob.Digest)
		return err
	})
	return object, err
}

// R2Delete implements runtime.Store. Absent keys are no error. The bytes go at the next Open, see PutBlob.
func (s *Store) R2Delete(ctx context.Context, bucket string, keys ...string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		for _, key := range keys {
			if _, err := tx.ExecContext(ctx, "DELETE FROM objects WHERE bucket = ? AND key = ?", bucket, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// R2List implements runtime.Store. With a delimiter, keys that contain it after the prefix are folded into one prefix
// each, which counts once against the limit. A limit of 0 or less means 1,000, R2's own maximum.
func (s *Store) R2List(ctx context.Context, bucket, prefix, cursor, delimiter string, limit int) (runtime.R2Page, error) {
	after, err := decodeCursor(cursor)
	if err != nil {
		return runtime.R2Page{}, err
	}
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	found, err := s.read.QueryContext(ctx, "SELECT "+objectColumns+` FROM objects
		WHERE bucket = ? AND key >= ? AND key > ? ORDER BY key`, bucket, prefix, after)
	if err != nil {
		return runtime.R2Page{}, err
	}
	defer found.Close()
	page, last, folded := runtime.R2Page{}, "", ""
	for found.Next() {
		object, err := scanObject(found)
		if err != nil {
			return runtime.R2Page{}, err
		}
		rest, inside := strings.CutPrefix(object.Key, prefix)
		if !inside {
			break // sorted, so none of the rest has it
		}
		if folded != "" && strings.HasPrefix(object.Key, folded) {
			last = object.Key
			continue
		}
		if len(page.Objects)+len(page.DelimitedPrefixes) == limit {
			page.Cursor = encodeCursor(last)
			break
		}
		last = object.Key
		if at := strings.Index(rest, delimiter); delimiter != "" && at >= 0 {
			folded = prefix + rest[:at+len(delimiter)]
			page.DelimitedPrefixes = append(page.DelimitedPrefixes, folded)
			continue
		}
		page.Objects = append(page.Objects, object.R2Object)
	}
	return page, found.Err()
}

// R2Usage counts a bucket's objects and their bytes.
func (s *Store) R2Usage(ctx context.Context, bucket string) (objects, bytes int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE bucket = ?", bucket).Scan(&objects, &bytes)
	return objects, bytes, err
}
