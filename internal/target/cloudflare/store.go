package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// ErrNoStore is wrapped when the account lacks the database or the bucket of a shared store.
var ErrNoStore = errors.New("does not exist in the account")

// StoreOptions name a D1 database and an R2 bucket in which machines share what they know.
type StoreOptions struct {
	BaseURL, Token, AccountID string // as of [Options]
	Database, Bucket          string // their names
	// Folder is what the keys of all objects begin with, without a slash at the end.
	Folder string
	// HTTPClient is for tests; nil means one with time-outs.
	HTTPClient *http.Client
}

// Store is a D1 database and an R2 bucket beside those of any app. It needs no more than the permissions for these two. It is safe for
// concurrent use.
type Store struct {
	options  StoreOptions
	api      *api.Client
	database string // its id
}

// OpenStore finds the database: [ErrNoStore] when there is none of that name. That there is no bucket shows when it is used.
func OpenStore(ctx context.Context, o StoreOptions) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	found, err := s.api.DatabaseNamed(ctx, o.Database)
	if errors.Is(err, api.ErrNotFound) {
		return nil, fmt.Errorf("D1 database %s %w", o.Database, ErrNoStore)
	}
	if err != nil {
		return nil, fmt.Errorf("look for D1 database %s: %w", o.Database, err)
	}
	s.database = found.ID
	return s, nil
}

func newStore(o StoreOptions) (*Store, error) {
	client, err := api.New(api.Options{BaseURL: o.BaseURL, Token: o.Token, AccountID: o.AccountID, HTTPClient: o.HTTPClient})
	if err != nil {
		return nil, err
	}
	return &Store{options: o, api: client}, nil
}

// HasBucket makes sure that there is the bucket: [ErrNoStore] when there is none.
func (s *Store) HasBucket(ctx context.Context) error {
	has, err := s.api.HasBucket(ctx, s.options.Bucket, "")
	if err == nil && !has {
		err = fmt.Errorf("R2 bucket %s %w", s.options.Bucket, ErrNoStore)
	}
	return err
}

// Lacking is what of a store the account does not have.
type Lacking struct {
	Database, Bucket bool
}

// StoreLacks looks for the database and the bucket.
func StoreLacks(ctx context.Context, o StoreOptions) (lacks Lacking, err error) {
	s, err := newStore(o)
	if err != nil {
		return lacks, err
	}
	switch _, err := s.api.DatabaseNamed(ctx, o.Database); {
	case errors.Is(err, api.ErrNotFound):
		lacks.Database = true
	case err != nil:
		return lacks, fmt.Errorf("look for D1 database %s: %w", o.Database, err)
	}
	has, err := s.api.HasBucket(ctx, o.Bucket, "")
	if err != nil {
		return lacks, fmt.Errorf("look for R2 bucket %s: %w", o.Bucket, err)
	}
	lacks.Bucket = !has
	return lacks, nil
}

// MakeStore creates what is lacking. What somebody else has created meanwhile, or an earlier call whose answer was lost, is left as it is.
func MakeStore(ctx context.Context, o StoreOptions, lacks Lacking) error {
	if lacks == (Lacking{}) {
		return nil
	}
	s, err := newStore(o)
	if err != nil {
		return err
	}
	made := func(err error, what string, still func(Lacking) bool) error {
		if err == nil {
			return nil
		}
		if now, looked := StoreLacks(ctx, o); looked == nil && !still(now) {
			return nil
		}
		return fmt.Errorf("create %s: %w", what, err)
	}
	if lacks.Database {
		_, err := s.api.CreateDatabase(ctx, o.Database)
		if err := made(err, "D1 database "+o.Database, func(l Lacking) bool { return l.Database }); err != nil {
			return err
		}
	}
	if lacks.Bucket {
		err := s.api.CreateBucket(ctx, o.Bucket, "")
		if err := made(err, "R2 bucket "+o.Bucket, func(l Lacking) bool { return l.Bucket }); err != nil {
			return err
		}
	}
	return nil
}

// Select runs a statement that only reads. Rows are JSON objects.
func (s *Store) Select(ctx context.Context, sql string, params ...string) ([]json.RawMessage, error) {
	results, err := s.api.SelectWith(ctx, s.database, sql, params)
	return rowsOf(results, err)
}

// Execute runs a statement that changes something, once: when its answer is lost, whether it did is not known.
func (s *Store) Execute(ctx context.Context, sql string, params ...string) ([]json.RawMessage, error) {
	results, err := s.api.ExecuteWith(ctx, s.database, sql, params)
	return rowsOf(results, err)
}

func rowsOf(results []api.QueryResult, err error) ([]json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || !results[0].Success {
		text := fmt.Sprintf("%d results of one statement", len(results))
		if len(results) > 0 && results[0].Error != "" {
			text = results[0].Error
		}
		return nil, fmt.Errorf("D1 did not run it: %s", text)
	}
	return results[0].Results, nil
}

// MaxObject is the largest object that Cloudflare's API takes, in bytes: as much as wrangler sends.
const MaxObject = 300 << 20

func (s *Store) key(name string) string { return s.options.Folder + "/" + name }

// Put writes an object.
func (s *Store) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	if size > MaxObject {
		return fmt.Errorf("%s has %d MB, and Cloudflare's API takes %d at most", name, size>>20, MaxObject>>20)
	}
	return s.explain(s.api.PutObject(ctx, s.options.Bucket, s.key(name), content, size), "write "+name)
}

// Get reads an object; found is false where there is none of that name, also when there is no bucket.
func (s *Store) Get(ctx context.Context, name string, into io.Writer) (found bool, err error) {
	_, err = s.api.GetObject(ctx, s.options.Bucket, s.key(name), into, MaxObject)
	if errors.Is(err, api.ErrNotFound) {
		return false, nil
	}
	return err == nil, s.explain(err, "read "+name)
}

// List returns when each object was written, by its name.
func (s *Store) List(ctx context.Context) (map[string]time.Time, error) {
	objects, err := s.api.BucketObjects(ctx, s.options.Bucket, s.key(""))
	if err != nil {
		return nil, s.explain(err, "list what is there")
	}
	written := make(map[string]time.Time, len(objects))
	for _, object := range objects {
		written[object.Key[len(s.key("")):]] = object.Modified
	}
	return written, nil
}

// Delete removes an object, if it is there.
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.explain(s.api.DeleteObject(ctx, s.options.Bucket, s.key(name)), "remove "+name)
}

func (s *Store) explain(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, api.ErrNotFound):
		return fmt.Errorf("%s: R2 bucket %s %w", what, s.options.Bucket, ErrNoStore)
	default:
		return fmt.Errorf("%s in R2 bucket %s: %w", what, s.options.Bucket, err)
	}
}

// IsDenied reports whether Cloudflare refused the token.
func IsDenied(err error) bool { return errors.Is(err, api.ErrDenied) }
