package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

var _ promotion.Seeder = (*Target)(nil)

// seeded is a note in a migrations table: this text was executed by that promotion.
type seeded struct{ file, digest, promotion string }

// row is the note's name. Names are unique in the table, so that no promotion can leave it twice.
func (s seeded) row() string { return noteSeedDone + s.file + " " + s.digest + " by " + s.promotion }

func parseSeeded(row string) (seeded, bool) {
	text, ok := strings.CutPrefix(row, noteSeedDone)
	if !ok {
		return seeded{}, false
	}
	by, digest := strings.LastIndex(text, " by "), strings.LastIndex(text, " sha256:")
	if digest < 0 || by < digest {
		return seeded{}, false
	}
	return seeded{text[:digest], text[digest+1 : by], text[by+len(" by "):]}, true
}

// LookAtSeed implements promotion.Seeder. One seed file goes to one database: the first.
func (t *Target) LookAtSeed(ctx context.Context, file string) (promotion.Seeding, error) {
	if len(t.Worker.D1Databases) == 0 {
		return promotion.Seeding{}, errors.New("the app binds no D1 database")
	}
	text, err := readSQL(filepath.Join(t.AppDir, filepath.FromSlash(file)))
	if err != nil {
		return promotion.Seeding{}, err
	}
	database := t.Worker.D1Databases[0]
	found := promotion.Seeding{Database: t.databaseName(database), Digest: digestOf(text), SQL: text, Breaks: breaks(text)}
	id, err := t.findDatabase(ctx, database)
	if err != nil || id == "" {
		return found, err
	}
	h, err := t.history(ctx, id, database)
	if err != nil {
		return found, err
	}
	for _, done := range h.seeded {
		if done.digest == found.Digest {
			found.Done = done.promotion
		}
	}
	found.Holds, err = t.holds(ctx, id, database)
	return found, err
}

// holds is a table of the app's own that has rows; "" when none has. What virtual tables keep their content in always does.
func (t *Target) holds(ctx context.Context, id string, database wrangler.D1Database) (string, error) {
	name := t.databaseName(database)
	var tables []struct{ Name, SQL string }
	err := t.rows(ctx, id, `SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*' ORDER BY name`, &tables)
	if err != nil {
		return "", fmt.Errorf("read the tables of database %s: %w", name, err)
	}
	shadows := shadowTables(tables)
	tables = slices.DeleteFunc(tables, func(table struct{ Name, SQL string }) bool {
		return strings.EqualFold(table.Name, migrationsTable(database)) || slices.Contains(shadows, table.Name)
	})
	for group := range slices.Chunk(tables, tablesAtOnce) {
		var columns []string
		for i, table := range group {
			columns = append(columns, fmt.Sprintf("EXISTS (SELECT 1 FROM %s) AS c%d", quoteName(table.Name), i))
		}
		var rows []map[string]int64
		if err := t.rows(ctx, id, "SELECT "+strings.Join(columns, ", "), &rows); err != nil {
			return "", fmt.Errorf("look for rows in database %s: %w", name, err)
		}
		if len(rows) != 1 {
			return "", fmt.Errorf("look for rows in database %s: %d answers", name, len(rows))
		}
		for i, table := range group {
			if rows[0][fmt.Sprintf("c%d", i)] != 0 {
				return table.Name, nil
			}
		}
	}
	return "", nil
}

// Seed implements promotion.Seeder. The file goes out as one query together with its note, as a migration does.
func (t *Target) Seed(ctx context.Context, promotionID, file, digest string) error {
	found, err := t.LookAtSeed(ctx, file)
	if err != nil {
		return err
	}
	if found.Digest != digest {
		return fmt.Errorf("%s was changed since it was planned: its digest is %s, not %s", file, found.Digest, digest)
	}
	if found.Done == promotionID {
		return nil
	}
	database := t.Worker.D1Databases[0]
	id, err := t.findDatabase(ctx, database)
	if err != nil {
		return err
	}
	if id == "" {
		return fmt.Errorf("database %s does not exist; create it with `wrangler d1 create %s`, or allow it with `provision: true`", found.Database, found.Database)
	}
	m := &migration{target: t, promotion: promotionID, database: database, id: id}
	h, err := t.history(ctx, id, database)
	if err != nil {
		return err
	}
	if !h.hasTable {
		if _, err := m.makeTable(ctx, h); err != nil {
			return err
		}
	}
	row := seeded{file, digest, promotionID}.row()
	sql := found.SQL + "\nINSERT INTO " + m.table() + " (name) VALUES (" + quote(row) + ");\n"
	if err := m.execute(ctx, sql, row); err != nil {
		return m.failure(err, promotion.Migration{Database: found.Database, Name: file}, nil)
	}
	return nil
}
