package cloudflare

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/wrangler"
)

// guardPrefix begins the names of the triggers that refuse writes.
const guardPrefix = "penstock_read_only_"

// guard is a trigger that refuses one kind of write to one table.
type guard struct{ name, table string }

// guards are those that a database has.
func (t *Target) guards(ctx context.Context, id, name string) ([]guard, error) {
	var rows []struct {
		Name  string
		Table string `json:"tbl_name"`
	}
	if err := t.rows(ctx, id, "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name GLOB '"+guardPrefix+"*'", &rows); err != nil {
		return nil, fmt.Errorf("read the triggers of database %s: %w", name, err)
	}
	guards := make([]guard, 0, len(rows))
	for _, row := range rows {
		guards = append(guards, guard{row.Name, row.Table})
	}
	return guards, nil
}

// Lock makes every database of the app refuse to be written, and returns the tables that could not be protected. D1 has no
// read-only mode, and no PRAGMA for one: triggers on every table refuse inserts, updates and deletes, whoever sends them.
// They are no protection against changes of the schema, which nothing can refuse.
func (t *Target) Lock(ctx context.Context, message string) (unprotected []string, err error) {
	seen := 0
	err = t.eachDatabase(ctx, func(_ wrangler.D1Database, id, name string) error {
		var tables []struct{ Name, SQL string }
		if err := t.rows(ctx, id, `SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*' ORDER BY name`, &tables); err != nil {
			return fmt.Errorf("read the tables of database %s: %w", name, err)
		}
		seen += len(tables)
		shadows := shadowTables(tables)
		for _, table := range tables {
			if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(table.SQL)), "CREATE VIRTUAL") || slices.Contains(shadows, table.Name) {
				if !slices.Contains(shadows, table.Name) {
					unprotected = append(unprotected, name+"."+table.Name)
				}
				continue
			}
			var sql strings.Builder
			for _, verb := range []string{"INSERT", "UPDATE", "DELETE"} {
				fmt.Fprintf(&sql, "CREATE TRIGGER IF NOT EXISTS %s BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, %s); END;\n",
					quoteName(guardPrefix+strings.ToLower(verb)+"_"+table.Name), verb, quoteName(table.Name), quote(message))
			}
			if err := t.repeatHarmless(ctx, func() error { return t.executeAll(ctx, id, sql.String()) }); err != nil {
				return fmt.Errorf("make table %s of database %s read-only: %w", table.Name, name, err)
			}
		}
		return nil
	})
	if err == nil && seen == 0 {
		err = fmt.Errorf("environment %s has no table that could be made read-only", t.Environment.Name)
	}
	return unprotected, err
}

// shadowSuffixes end the names of the tables in which SQLite's own virtual tables keep their content.
// Source: https://www.sqlite.org/fts5.html#fts5_data_structures and https://www.sqlite.org/fts3.html#shadow_tables
var shadowSuffixes = []string{"data", "idx", "content", "docsize", "config", "segments", "segdir", "stat"}

// shadowTables are those in which virtual tables keep their content; they are written through them. A table of the app's own
// whose name only begins like a virtual table's is none.
func shadowTables(tables []struct{ Name, SQL string }) []string {
	var shadows []string
	for _, virtual := range tables {
		if !strings.HasPrefix(strings.ToUpper(strings.TrimSpace(virtual.SQL)), "CREATE VIRTUAL") {
			continue
		}
		for _, table := range tables {
			if suffix, ok := strings.CutPrefix(table.Name, virtual.Name+"_"); ok && slices.Contains(shadowSuffixes, suffix) {
				shadows = append(shadows, table.Name)
			}
		}
	}
	return shadows
}

// Unlock removes what Lock made, and nothing else.
func (t *Target) Unlock(ctx context.Context) error {
	return t.eachDatabase(ctx, func(_ wrangler.D1Database, id, name string) error {
		guards, err := t.guards(ctx, id, name)
		if err != nil || len(guards) == 0 {
			return err
		}
		var sql strings.Builder
		for _, guard := range guards {
			fmt.Fprintf(&sql, "DROP TRIGGER IF EXISTS %s;\n", quoteName(guard.name))
		}
		if err := t.repeatHarmless(ctx, func() error { return t.executeAll(ctx, id, sql.String()) }); err != nil {
			return fmt.Errorf("make database %s writable again: %w", name, err)
		}
		left, err := t.guards(ctx, id, name)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("make database %s writable again: %d triggers are still there", name, len(left))
		}
		return err
	})
}

// executeAll runs SQL and believes it only when each of its results is a success.
func (t *Target) executeAll(ctx context.Context, id, sql string) error {
	return (&migration{target: t, id: id}).query(ctx, sql)
}
