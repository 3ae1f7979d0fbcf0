package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// Deployment says which versions a script's requests reach, from CreatedAt until the next one.
type Deployment struct {
	ID          string            `json:"-"`
	Script      string            `json:"-"`
	CreatedAt   time.Time         `json:"-"`
	Source      string            `json:"source"`
	Annotations map[string]string `json:"annotations"`
	Shares      []runtime.Share   `json:"shares"` // one or two, summing to 100
}

func scanDeployment(row interface{ Scan(...any) error }) (Deployment, error) {
	deployment := Deployment{}
	var created int64
	var body string
	if err := row.Scan(&deployment.ID, &deployment.Script, &created, &body); err != nil {
		return Deployment{}, notFound(err)
	}
	if err := json.Unmarshal([]byte(body), &deployment); err != nil {
		return Deployment{}, fmt.Errorf("deployment %s: %w", deployment.ID, err)
	}
	deployment.CreatedAt = fromMicros(created)
	return deployment, nil
}

const deploymentColumns = "id, script, created, body"

// Deployments lists a script's, newest first: the first one serves.
func (s *Store) Deployments(ctx context.Context, script string, limit int) ([]Deployment, error) {
	return rows(ctx, s.read, scanDeployment,
		"SELECT "+deploymentColumns+" FROM deployments WHERE script = ? ORDER BY sequence DESC LIMIT ?", script, limit)
}

// Deployment finds one of a script.
func (s *Store) Deployment(ctx context.Context, script, id string) (Deployment, error) {
	return scanDeployment(s.read.QueryRowContext(ctx,
		"SELECT "+deploymentColumns+" FROM deployments WHERE script = ? AND id = ?", script, id))
}

// Change is what one upload or deployment writes, all or nothing. Nil parts are left alone.
type Change struct {
	Script     Script
	Classes    []runtime.DurableObjectClass // what the script's classes are afterwards; nil: as before
	Version    *Version
	Deployment *Deployment
}

// Commit writes a change and returns the version with its number, if there was one.
func (s *Store) Commit(ctx context.Context, change Change) (Version, error) {
	version := Version{}
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		if err := putScript(ctx, tx, change.Script); err != nil {
			return err
		}
		if change.Classes != nil {
			if err := setClasses(ctx, tx, change.Script.Name, change.Classes); err != nil {
				return err
			}
		}
		if change.Version != nil {
			if version, err = addVersion(ctx, tx, *change.Version); err != nil {
				return err
			}
		}
		if change.Deployment == nil {
			return nil
		}
		body, err := json.Marshal(change.Deployment)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO deployments ("+deploymentColumns+") VALUES (?, ?, ?, ?)",
			change.Deployment.ID, change.Deployment.Script, toMicros(change.Deployment.CreatedAt), string(body))
		return err
	})
	return version, err
}

// Classes lists the Durable Object classes that a script's migrations have made.
func (s *Store) Classes(ctx context.Context, script string) ([]runtime.DurableObjectClass, error) {
	return rows(ctx, s.read, func(row interface{ Scan(...any) error }) (class runtime.DurableObjectClass, err error) {
		err = row.Scan(&class.ClassName, &class.UniqueKey, &class.SQL)
		return class, err
	}, "SELECT class, unique_key, sql FROM classes WHERE script = ? ORDER BY class", script)
}

func setClasses(ctx context.Context, tx *sql.Tx, script string, classes []runtime.DurableObjectClass) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM classes WHERE script = ?", script); err != nil {
		return err
	}
	for _, class := range classes {
		if _, err := tx.ExecContext(ctx, "INSERT INTO classes (unique_key, script, class, sql) VALUES (?, ?, ?, ?)",
			class.UniqueKey, script, class.ClassName, class.SQL); err != nil {
			return err
		}
	}
	return nil
}
