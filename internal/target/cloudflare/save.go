package cloudflare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/penstock-ci/penstock/internal/sqldump"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// The kinds of what is saved.
const (
	SavedDatabase  = "database"
	SavedNamespace = "kv-namespace"
	SavedIndex     = "vectorize-index"
)

// Saved is one file of a backup, read back and found whole.
type Saved struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"` // of the database, namespace or index in the account
	File   string `json:"file"`
	Digest string `json:"digest"` // "sha256:…"
	Size   int64  `json:"size"`   // bytes
	// Tables are those of a database, Keys how many a namespace has.
	Tables   []sqldump.Table `json:"tables,omitempty"`
	Keys     int             `json:"keys,omitempty"`
	Bookmark string          `json:"bookmark,omitempty"` // of the moment that a database's export shows
}

// Resource is something of the app that can be saved.
type Resource struct {
	Kind, Name string
	save       func(ctx context.Context, dir string) (Saved, error)
}

// Save writes it into dir.
func (r Resource) Save(ctx context.Context, dir string) (Saved, error) { return r.save(ctx, dir) }

// Savable lists what can be saved: databases and KV namespaces with their content, Vectorize indexes as what they are made
// of. A resource that the config names and the account lacks is an error: a backup without it would be none.
func (t *Target) Savable(ctx context.Context) ([]Resource, error) {
	var list []Resource
	for _, database := range t.Worker.D1Databases {
		name := t.databaseName(database)
		id, err := t.findDatabase(ctx, database)
		if err != nil {
			return nil, err
		}
		if id == "" {
			return nil, t.notProvisioned("database " + name)
		}
		list = append(list, Resource{SavedDatabase, name, func(ctx context.Context, dir string) (Saved, error) { return t.saveDatabase(ctx, id, name, dir) }})
	}
	for _, namespace := range t.Worker.KVNamespaces {
		id, err := t.findNamespace(ctx, namespace)
		if err != nil {
			return nil, err
		}
		if id == "" {
			return nil, t.notProvisioned("KV namespace " + namespace.Binding)
		}
		list = append(list, Resource{SavedNamespace, namespace.Binding, func(ctx context.Context, dir string) (Saved, error) {
			return t.saveNamespace(ctx, id, namespace.Binding, dir)
		}})
	}
	for _, index := range t.Worker.Vectorize {
		list = append(list, Resource{SavedIndex, index.IndexName, func(ctx context.Context, dir string) (Saved, error) { return t.saveIndex(ctx, index, dir) }})
	}
	return list, nil
}

func (t *Target) saveDatabase(ctx context.Context, id, name, dir string) (Saved, error) {
	export, dump, err := t.export(ctx, id, name, dir)
	if err != nil {
		return Saved{}, err
	}
	return Saved{Kind: SavedDatabase, Name: name, File: export.File, Digest: dump.Digest, Size: dump.Size, Tables: dump.Tables, Bookmark: export.Bookmark}, nil
}

// pair is a key of a KV namespace in the form that `wrangler kv bulk put` takes.
type pair struct {
	Key        string          `json:"key"`
	Value      string          `json:"value"`
	Base64     bool            `json:"base64,omitempty"` // for values that are no text
	Expiration float64         `json:"expiration,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
}

// maxValue is KV's own bound.
const maxValue = 25 << 20

// saveNamespace writes every key with its value. Keys that are written or expire meanwhile may be missing or new: KV has no
// moment that one could hold on to.
func (t *Target) saveNamespace(ctx context.Context, id, name, dir string) (Saved, error) {
	keys, err := t.api.Keys(ctx, id)
	if err != nil {
		return Saved{}, fmt.Errorf("list the keys of KV namespace %s: %w", name, err)
	}
	count := 0
	saved, err := writeSaved(dir, "kv-"+safeName(name)+".json", func(w io.Writer) error {
		separator := "[\n"
		for _, key := range keys {
			value, err := t.api.Value(ctx, id, key.Name, maxValue)
			if api.NoSuchKey(err) {
				continue // it expired or was deleted since it was listed
			}
			if err != nil {
				return fmt.Errorf("read key %q: %w", key.Name, err)
			}
			one := pair{Key: key.Name, Value: string(value), Expiration: key.Expiration, Metadata: key.Metadata}
			if !utf8.Valid(value) {
				one.Value, one.Base64 = base64.StdEncoding.EncodeToString(value), true
			}
			if _, err := io.WriteString(w, separator+string(encode(one))); err != nil {
				return err
			}
			separator = ",\n"
			count++
		}
		if separator == "[\n" {
			_, err := io.WriteString(w, "[]\n")
			return err
		}
		_, err := io.WriteString(w, "\n]\n")
		return err
	})
	if err != nil {
		return Saved{}, fmt.Errorf("save KV namespace %s: %w", name, err)
	}
	var back []pair
	text, err := os.ReadFile(saved.File)
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil || len(back) != count {
		return Saved{}, fmt.Errorf("save KV namespace %s: the file that was written has %d of %d keys: %w", name, len(back), count, err)
	}
	saved.Kind, saved.Name, saved.Keys = SavedNamespace, name, count
	return saved, nil
}

// saveIndex writes what an index is made of. Cloudflare hands out no index as a whole: its vectors come from the app's own
// data again.
func (t *Target) saveIndex(ctx context.Context, index wrangler.VectorizeIndex, dir string) (Saved, error) {
	config, err := t.api.VectorIndex(ctx, index.IndexName)
	if err != nil {
		return Saved{}, fmt.Errorf("read Vectorize index %s: %w", index.IndexName, err)
	}
	saved, err := writeSaved(dir, "vectorize-"+safeName(index.IndexName)+".json", func(w io.Writer) error {
		_, err := w.Write(append(slices.Clone(config), '\n'))
		return err
	})
	saved.Kind, saved.Name = SavedIndex, index.IndexName
	return saved, err
}

// writeSaved writes a file that has its name only when it is whole and on disk.
func writeSaved(dir, name string, write func(io.Writer) error) (Saved, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Saved{}, err
	}
	scratch, err := os.CreateTemp(dir, ".save-*")
	if err != nil {
		return Saved{}, err
	}
	defer os.Remove(scratch.Name())
	sum := sha256.New()
	counted := &counter{w: io.MultiWriter(scratch, sum)}
	err = write(counted)
	if err = errors.Join(err, scratch.Sync(), scratch.Close()); err != nil {
		return Saved{}, err
	}
	path := filepath.Join(dir, name)
	if err := os.Rename(scratch.Name(), path); err != nil {
		return Saved{}, err
	}
	return Saved{File: path, Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Size: counted.n}, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// maxObject is what the API takes as one object; larger ones go through R2's S3 interface.
// Source: https://developers.cloudflare.com/r2/platform/limits/ (upload through the API: 300 MB).
const maxObject = 300 << 20

// Store puts a file into an R2 bucket and reads it back: an upload that is not there as it was sent is an error.
func (t *Target) Store(ctx context.Context, bucket, key, path string) (digest string, err error) {
	fails := func(err error) (string, error) {
		return "", fmt.Errorf("put %s into bucket %s: %w", filepath.Base(path), bucket, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fails(err)
	}
	if len(content) > maxObject {
		return fails(fmt.Errorf("it has %d MiB, and Cloudflare's API takes 300: upload it with an S3 client", len(content)>>20))
	}
	put := func() error { return t.api.PutObject(ctx, bucket, key, bytes.NewReader(content), int64(len(content))) }
	err = t.repeatHarmless(ctx, put)
	if errors.Is(err, api.ErrNotFound) {
		return fails(&AbsentError{What: "there is no such bucket", NextStep: "name one that is there, or make it with `wrangler r2 bucket create " + bucket + "`; then run the same command again"})
	}
	if err != nil {
		return fails(err)
	}
	var back bytes.Buffer
	if _, err := t.api.GetObject(ctx, bucket, key, &back, maxObject); err != nil {
		return fails(fmt.Errorf("read it back: %w", err))
	}
	if !bytes.Equal(back.Bytes(), content) {
		return fails(errors.New("what is in the bucket is not what was sent"))
	}
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Fetch reads an object of an R2 bucket into dir and returns its path.
func (t *Target) Fetch(ctx context.Context, bucket, key, dir string) (string, error) {
	saved, err := writeSaved(dir, filepath.Base(key), func(w io.Writer) error {
		_, err := t.api.GetObject(ctx, bucket, key, w, maxObject)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read %s of bucket %s: %w", key, bucket, err)
	}
	return saved.File, nil
}

// Objects lists the keys of an R2 bucket that begin with prefix, in order.
func (t *Target) Objects(ctx context.Context, bucket, prefix string) ([]string, error) {
	keys, err := t.api.Objects(ctx, bucket, prefix)
	if err != nil {
		return nil, fmt.Errorf("list bucket %s: %w", bucket, err)
	}
	slices.Sort(keys)
	return keys, nil
}

// Restored is a database that was made from an export.
type Restored struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	// Tables are as counted in the new database; they are those of the export, row for row.
	Tables []sqldump.Table `json:"tables"`
}

// RestoreInto makes a new database of a dump and proves that it holds what the dump does. The name must be free: nothing that
// exists is overwritten. When it fails, the database that it made stays, and Name and ID are its; they are empty when it made
// none.
func (t *Target) RestoreInto(ctx context.Context, name, path string) (Restored, error) {
	made := Restored{}
	fails := func(err error) (Restored, error) {
		return made, fmt.Errorf("restore %s into database %s: %w", filepath.Base(path), name, err)
	}
	dump, err := sqldump.Read(ctx, path)
	if err != nil {
		return fails(err)
	}
	find := func() (id string, err error) {
		databases, err := t.api.Databases(ctx)
		for _, database := range databases {
			if database.Name == name {
				id = database.ID
			}
		}
		return id, err
	}
	id, err := find()
	if err == nil && id != "" {
		err = &AbsentError{What: "there is a database of that name already, and none is overwritten", NextStep: "give --into a name that is free"}
	}
	if err != nil {
		return fails(err)
	}
	create := func() error { _, err := t.api.CreateDatabase(ctx, name); return err }
	if err := t.lookBeforeRepeating(ctx, create, func() (bool, error) { id, err := find(); return id != "", err }); err != nil {
		return fails(err)
	}
	if id, err = find(); err == nil && id == "" {
		err = errors.New("it was made and is not there")
	}
	if err != nil {
		return fails(err)
	}
	made = Restored{Name: name, ID: id}
	if err := t.importDump(ctx, id, path, dump); err != nil {
		return fails(err)
	}
	made.Tables = dump.Tables
	return made, nil
}

// Discard deletes a database that RestoreInto made.
func (t *Target) Discard(ctx context.Context, restored Restored) error {
	if err := t.api.DeleteDatabase(ctx, restored.ID); err != nil && !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("delete database %s: %w", restored.Name, err)
	}
	return nil
}
