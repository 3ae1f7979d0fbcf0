package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Script is what belongs to a Worker rather than to one of its versions.
type Script struct {
	Name         string
	Tag          string // the script's immutable ID
	CreatedAt    time.Time
	ModifiedAt   time.Time
	MigrationTag string // the last Durable Object migration; empty when there was none
	Source       string // what deployed it last: wrangler or api
	WorkersDev   bool
	Previews     bool
	// Settings are those without a version (logpush, observability, tail_consumers, tags), as the client sent them.
	Settings      map[string]json.RawMessage
	Crons         []string
	CronsModified time.Time
}

const scriptColumns = "name, tag, created, modified, migration_tag, source, workers_dev, previews, settings, crons, crons_modified"

func scanScript(row interface{ Scan(...any) error }) (Script, error) {
	script := Script{}
	var created, modified, cronsModified int64
	var settings, crons string
	if err := row.Scan(&script.Name, &script.Tag, &created, &modified, &script.MigrationTag, &script.Source,
		&script.WorkersDev, &script.Previews, &settings, &crons, &cronsModified); err != nil {
		return Script{}, notFound(err)
	}
	script.CreatedAt, script.ModifiedAt, script.CronsModified = fromMicros(created), fromMicros(modified), fromMicros(cronsModified)
	if err := json.Unmarshal([]byte(settings), &script.Settings); err != nil {
		return Script{}, fmt.Errorf("settings of script %s: %w", script.Name, err)
	}
	if err := json.Unmarshal([]byte(crons), &script.Crons); err != nil {
		return Script{}, fmt.Errorf("schedules of script %s: %w", script.Name, err)
	}
	return script, nil
}

// Scripts lists all, by name.
func (s *Store) Scripts(ctx context.Context) ([]Script, error) {
	return rows(ctx, s.read, scanScript, "SELECT "+scriptColumns+" FROM scripts ORDER BY name")
}

// Script finds one.
func (s *Store) Script(ctx context.Context, name string) (Script, error) {
	return scanScript(s.read.QueryRowContext(ctx, "SELECT "+scriptColumns+" FROM scripts WHERE name = ?", name))
}

// PutScript creates a script or replaces what is known of it; Tag and CreatedAt of an existing one stay.
func (s *Store) PutScript(ctx context.Context, script Script) error {
	return s.update(ctx, func(tx *sql.Tx) error { return putScript(ctx, tx, script) })
}

func putScript(ctx context.Context, tx *sql.Tx, script Script) error {
	settings, err := json.Marshal(orEmpty(script.Settings))
	if err != nil {
		return err
	}
	crons, err := json.Marshal(append([]string{}, script.Crons...))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO scripts (`+scriptColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET modified = excluded.modified, migration_tag = excluded.migration_tag,
			source = excluded.source, workers_dev = excluded.workers_dev, previews = excluded.previews,
			settings = excluded.settings, crons = excluded.crons, crons_modified = excluded.crons_modified`,
		script.Name, script.Tag, toMicros(script.CreatedAt), toMicros(script.ModifiedAt), script.MigrationTag, script.Source,
		script.WorkersDev, script.Previews, string(settings), string(crons), toMicros(script.CronsModified))
	return err
}

func orEmpty[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}

// DeleteScript removes a script with its versions, deployments, Durable Object classes, routes and domains, and takes it
// off the queues that it consumed.
func (s *Store) DeleteScript(ctx context.Context, name string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		for _, statement := range []string{
			"DELETE FROM routes WHERE script = ?",
			"DELETE FROM domains WHERE script = ?",
			"DELETE FROM consumers WHERE json_extract(body, '$.script') = ?",
		} {
			if _, err := tx.ExecContext(ctx, statement, name); err != nil {
				return err
			}
		}
		return changed(tx.ExecContext(ctx, "DELETE FROM scripts WHERE name = ?", name))
	})
}
