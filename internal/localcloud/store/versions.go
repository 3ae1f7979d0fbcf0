package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// KeptVersions is how many of a script's newest versions can still be deployed.
// Source: changelog of 2025-09-11, "increased version rollback limit".
const KeptVersions = 100

// Binding is one entry of metadata.bindings, with every field that the client sent, secrets' values included.
type Binding map[string]any

// String returns a field's text, empty when it is absent or not text.
func (b Binding) String(field string) string {
	text, _ := b[field].(string)
	return text
}

// Name is the variable that the worker sees.
func (b Binding) Name() string { return b.String("name") }

// Type is Cloudflare's name for the kind of resource.
func (b Binding) Type() string { return b.String("type") }

// Secret says whether the value must never be shown.
func (b Binding) Secret() bool { return b.Type() == "secret_text" || b.Type() == "secret_key" }

// Version is one immutable upload.
type Version struct {
	ID                 string            `json:"-"`
	Script             string            `json:"-"`
	Number             int               `json:"-"`
	CreatedAt          time.Time         `json:"-"`
	Source             string            `json:"source"`      // wrangler or api
	Annotations        map[string]string `json:"annotations"` // workers/message, workers/tag, workers/alias, workers/triggered_by
	MainModule         string            `json:"main_module"`
	CompatibilityDate  string            `json:"compatibility_date"`
	CompatibilityFlags []string          `json:"compatibility_flags"`
	Bindings           []Binding         `json:"bindings"`
	Modules            []Module          `json:"modules"`
	ETag               string            `json:"etag"`          // digest of the code
	MigrationTag       string            `json:"migration_tag"` // the Durable Object migration it was uploaded under
	// Assets are the version's static files; nil when it has none. With them, MainModule may be empty.
	Assets *VersionAssets `json:"assets,omitempty"`
	// Extra holds what is kept and answered but changes nothing here: limits, placement, cache_options.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
}

// Module names one uploaded file and the stored file that holds it.
type Module struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Blob        string `json:"blob"`
	Size        int64  `json:"size"`
}

func scanVersion(row interface{ Scan(...any) error }) (Version, error) {
	version := Version{}
	var created int64
	var body string
	if err := row.Scan(&version.ID, &version.Script, &version.Number, &created, &body); err != nil {
		return Version{}, notFound(err)
	}
	if err := json.Unmarshal([]byte(body), &version); err != nil {
		return Version{}, fmt.Errorf("version %s: %w", version.ID, err)
	}
	version.CreatedAt = fromMicros(created)
	return version, nil
}

const versionColumns = "id, script, number, created, body"

// Versions lists a script's versions, newest first, at most limit.
func (s *Store) Versions(ctx context.Context, script string, limit int) ([]Version, error) {
	return rows(ctx, s.read, scanVersion,
		"SELECT "+versionColumns+" FROM versions WHERE script = ? ORDER BY number DESC LIMIT ?", script, limit)
}

// Version finds one of a script.
func (s *Store) Version(ctx context.Context, script, id string) (Version, error) {
	return scanVersion(s.read.QueryRowContext(ctx, "SELECT "+versionColumns+" FROM versions WHERE script = ? AND id = ?", script, id))
}

// AddVersion stores a version and returns it with its number.
func (s *Store) AddVersion(ctx context.Context, version Version) (Version, error) {
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		version, err = addVersion(ctx, tx, version)
		return err
	})
	return version, err
}

func addVersion(ctx context.Context, tx *sql.Tx, version Version) (Version, error) {
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) + 1 FROM versions WHERE script = ?", version.Script).
		Scan(&version.Number); err != nil {
		return Version{}, err
	}
	body, err := json.Marshal(version)
	if err != nil {
		return Version{}, err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO versions ("+versionColumns+") VALUES (?, ?, ?, ?, ?)",
		version.ID, version.Script, version.Number, toMicros(version.CreatedAt), string(body)); err != nil {
		return Version{}, err
	}
	named := []string{}
	for _, module := range version.Modules {
		named = append(named, module.Blob)
	}
	if version.Assets != nil {
		for _, asset := range version.Assets.Files {
			named = append(named, asset.Blob)
		}
	}
	for _, blob := range named {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO version_blobs VALUES (?, ?)", version.ID, blob); err != nil {
			return Version{}, err
		}
	}
	return version, nil
}

// Runnable reads a version's files and gives it the shape that the runtime runs.
func (s *Store) Runnable(version Version) (runtime.Version, error) {
	out := runtime.Version{
		ID: version.ID, Number: version.Number, Tag: version.Annotations["workers/tag"],
		Message: version.Annotations["workers/message"], CreatedAt: version.CreatedAt, MainModule: version.MainModule,
		CompatibilityDate: version.CompatibilityDate, CompatibilityFlags: version.CompatibilityFlags,
	}
	bindings, err := json.Marshal(version.Bindings)
	if err != nil {
		return runtime.Version{}, err
	}
	if err := json.Unmarshal(bindings, &out.Bindings); err != nil {
		return runtime.Version{}, fmt.Errorf("bindings of version %s: %w", version.ID, err)
	}
	for _, module := range version.Modules {
		body, err := s.readBlob(module.Blob)
		if err != nil {
			return runtime.Version{}, fmt.Errorf("module %s of version %s: %w", module.Name, version.ID, err)
		}
		out.Modules = append(out.Modules, runtime.Module{Name: module.Name, ContentType: module.ContentType, Body: body})
	}
	return out, nil
}

func (s *Store) readBlob(digest string) ([]byte, error) {
	file, err := s.OpenBlob(digest)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}
