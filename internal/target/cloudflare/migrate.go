package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// Migrate applies the pending migrations of every database in order, and the seed after the first migrations of an empty
// one.
//
// Each file goes out as one query together with its row for the migrations table, as wrangler does it. A migration counts
// as applied only when every result of its query says so, or, after a lost reply, when its row is in the table.
//
// The files lie in the folder in which people may edit on, also while a database is exported; so each is held against the plan.
func (t *Target) Migrate(ctx context.Context, promotionID string, planned []promotion.Migration, applied func(promotion.Migration)) error {
	var done []promotion.Migration
	for i, database := range t.Worker.D1Databases {
		files, err := t.migrationFiles(database)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			continue
		}
		id, err := t.findDatabase(ctx, database)
		if err != nil {
			return err
		}
		if id == "" {
			return fmt.Errorf("migrate: database %s does not exist; create it with `wrangler d1 create %s`, or allow it with `provision: true`", t.databaseName(database), t.databaseName(database))
		}
		m := &migration{target: t, promotion: promotionID, database: database, id: id, applied: applied, check: func(pending []migrationFile) error {
			return t.asPlanned(pending, planned)
		}}
		if i == 0 {
			m.seed = t.Environment.Seed // one seed file goes to one database: the first
		}
		if err := m.run(ctx, files, &done); err != nil {
			return err
		}
	}
	return nil
}

// asPlanned says why pending migrations are not those that were planned ([*promotion.StaleError]).
func (t *Target) asPlanned(pending []migrationFile, planned []promotion.Migration) error {
	for _, file := range pending {
		if slices.Contains(planned, file.Migration) {
			continue
		}
		why := "migration " + file.Name + " of database " + file.Database + " is new"
		if slices.ContainsFunc(planned, func(other promotion.Migration) bool {
			return other.Name == file.Name && other.Database == file.Database
		}) {
			why = "migration " + file.Name + " of database " + file.Database + " was edited since"
		}
		return &promotion.StaleError{Environment: t.Environment.Name, Why: why}
	}
	return nil
}

// migration is the migrating of one database.
type migration struct {
	target    *Target
	promotion string
	database  wrangler.D1Database
	id        string
	seed      string // file, "" for none
	applied   func(promotion.Migration)
	check     func(pending []migrationFile) error // whether they may be applied; nil lets all
}

func (m *migration) run(ctx context.Context, files []migrationFile, done *[]promotion.Migration) error {
	h, err := m.target.history(ctx, m.id, m.database)
	if err != nil {
		return err
	}
	if !h.hasTable {
		if h, err = m.makeTable(ctx, h); err != nil {
			return err
		}
	}
	pending := h.pending(files)
	if m.check != nil {
		if err := m.check(pending); err != nil {
			return err
		}
	}
	for _, file := range pending {
		sql := file.text + "\nINSERT INTO " + m.table() + " (name) VALUES (" + quote(file.Name) + ");\n"
		if err := m.execute(ctx, sql, file.Name); err != nil {
			return m.failure(err, file.Migration, *done)
		}
		*done = append(*done, file.Migration)
		m.applied(file.Migration)
	}
	if m.seed != "" && h.seedDue[m.seed] {
		return m.plant(ctx, *done)
	}
	return nil
}

func (m *migration) table() string { return migrationsTable(m.database) }

// makeTable makes wrangler's table. In an empty database it notes in the same breath that the seed is due, so that a crash
// between the migrations and the seed does not leave the database without it.
func (m *migration) makeTable(ctx context.Context, before history) (history, error) {
	sql := "CREATE TABLE IF NOT EXISTS " + m.table() + `(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);`
	if m.seed != "" && before.empty {
		sql += "\nINSERT OR IGNORE INTO " + m.table() + " (name) VALUES (" + quote(noteSeedDue+m.seed) + ");"
	}
	err := m.target.repeatHarmless(ctx, func() error { return m.query(ctx, sql) })
	if err != nil {
		return history{}, fmt.Errorf("make the migrations table of database %s: %w", m.name(), err)
	}
	return m.target.history(ctx, m.id, m.database)
}

// plant runs the seed file and turns the note that it is due into one that it is done, in one query.
func (m *migration) plant(ctx context.Context, done []promotion.Migration) error {
	text, err := readSQL(filepath.Join(m.target.AppDir, filepath.FromSlash(m.seed)))
	if err != nil {
		return fmt.Errorf("read the seed of database %s: %w", m.name(), err)
	}
	row := seeded{m.seed, digestOf(text), m.promotion}.row()
	sql := text + "\nUPDATE " + m.table() + " SET name = " + quote(row) + " WHERE name = " + quote(noteSeedDue+m.seed) + ";\n"
	if err := m.execute(ctx, sql, row); err != nil {
		return m.failure(err, promotion.Migration{Database: m.name(), Name: m.seed}, done)
	}
	return nil
}

// execute runs SQL that leaves a row of that name in the migrations table. It is never repeated after a lost reply:
// the row tells whether it was done, and if it was not, it is for the next run to ask again.
func (m *migration) execute(ctx context.Context, sql, row string) error {
	err := m.query(ctx, sql)
	if !errors.Is(err, promotion.ErrUnreachable) {
		return err
	}
	recorded := func() (bool, error) {
		var rows []struct{ Name string }
		err := m.target.rows(ctx, m.id, "SELECT name FROM "+m.table()+" WHERE name = "+quote(row), &rows)
		return len(rows) > 0, err
	}
	there, lookErr := m.target.look(ctx, recorded)
	if lookErr != nil {
		return fmt.Errorf("%w (and could not find out whether it was done: %w)", err, lookErr)
	}
	if !there {
		return fmt.Errorf("%w (it is not in the migrations table; look at the database before the next run, which will apply it again)", err)
	}
	m.target.note("the reply was lost, but %s is in the migrations table", row)
	return nil
}

// query runs SQL and believes it only when each of its results is a success: success:false without any error has
// happened.
func (m *migration) query(ctx context.Context, sql string) error {
	results, err := m.target.api.Execute(ctx, m.id, sql)
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return errors.New("the database gave no result")
	}
	for i, result := range results {
		if !result.Success {
			message := result.Error
			if message == "" {
				message = "the database says success: false and gives no reason"
			}
			return fmt.Errorf("statement %d of %d: %s", i+1, len(results), message)
		}
	}
	return nil
}

// failure makes a MigrationError of what the database said; what is not the database's answer stays as it is.
func (m *migration) failure(err error, failed promotion.Migration, done []promotion.Migration) error {
	if errors.Is(err, promotion.ErrUnreachable) || errors.Is(err, api.ErrDenied) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("migration %s on %s: %w", failed.Name, failed.Database, err)
	}
	message := err.Error()
	var answer *api.Error
	if errors.As(err, &answer) && answer.Message() != "" {
		message = answer.Message()
	}
	return &promotion.MigrationError{Migration: failed, Message: message, Applied: done}
}

func (m *migration) name() string { return m.target.databaseName(m.database) }

// quote makes a SQL string of a name.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
