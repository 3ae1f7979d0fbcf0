package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/sqldump"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// Backup bookmarks every database of the app, marks its tables, and exports it where the environment wants that. Of several
// databases the bookmark is "BINDING=bookmark" for each, with spaces between.
func (t *Target) Backup(ctx context.Context, id string) (promotion.Backup, error) {
	var backup promotion.Backup
	if t.Environment.Backup == pipelines.BackupNone {
		return backup, nil
	}
	var bookmarks []string
	for _, database := range t.Worker.D1Databases {
		found, err := t.findDatabase(ctx, database)
		if err != nil {
			return promotion.Backup{}, err
		}
		if found == "" {
			continue
		}
		name := t.databaseName(database)
		bookmark, err := t.api.Bookmark(ctx, found)
		if err != nil {
			return promotion.Backup{}, fmt.Errorf("bookmark database %s: %w", name, err)
		}
		if bookmark == "" {
			return promotion.Backup{}, fmt.Errorf("bookmark database %s: the answer has no bookmark", name)
		}
		marks, err := t.marks(ctx, found, name)
		if err != nil {
			return promotion.Backup{}, err
		}
		backup.Marks = append(backup.Marks, marks...)
		if t.Environment.Backup == pipelines.BackupExport {
			export, _, err := t.export(ctx, found, name, filepath.Join(t.BackupDir, id))
			if err != nil {
				return promotion.Backup{}, err
			}
			backup.Exports = append(backup.Exports, export)
		}
		if len(t.Worker.D1Databases) > 1 {
			bookmark = database.Binding + "=" + bookmark
		}
		bookmarks = append(bookmarks, bookmark)
	}
	backup.Bookmark = strings.Join(bookmarks, " ")
	return backup, nil
}

// Bookmarks takes apart what Backup returned as the bookmark: each database's, by its name.
func (t *Target) Bookmarks(bookmark string) map[string]string {
	own := map[string]string{}
	for _, database := range t.Worker.D1Databases {
		if one := t.bookmarkOf(bookmark, database); one != "" {
			own[t.databaseName(database)] = one
		}
	}
	return own
}

// bookmarkOf is one database's part of what Backup returned; "" when it has none.
func (t *Target) bookmarkOf(bookmark string, database wrangler.D1Database) string {
	if len(t.Worker.D1Databases) == 1 {
		return bookmark
	}
	for _, part := range strings.Fields(bookmark) {
		if binding, own, found := strings.Cut(part, "="); found && binding == database.Binding {
			return own
		}
	}
	return ""
}

// tablesAtOnce is for how many tables one query asks: D1 allows 100 columns, and 5 terms of a compound SELECT.
const tablesAtOnce = 50

// marks are the highest row ids of the app's tables, each found without reading the table. Tables without row ids have no
// mark, and then nobody can tell what was written to them later.
func (t *Target) marks(ctx context.Context, id, name string) ([]promotion.Mark, error) {
	tables, err := t.rowTables(ctx, id, name)
	if err != nil || len(tables) == 0 {
		return nil, err
	}
	var marks []promotion.Mark
	for group := range slices.Chunk(tables, tablesAtOnce) {
		var columns []string
		for i, table := range group {
			columns = append(columns, fmt.Sprintf("(SELECT coalesce(max(_rowid_), 0) FROM %s) AS c%d", quoteName(table), i))
		}
		var rows []map[string]int64
		if err := t.rows(ctx, id, "SELECT "+strings.Join(columns, ", "), &rows); err != nil {
			return nil, fmt.Errorf("mark the rows of database %s: %w", name, err)
		}
		if len(rows) != 1 {
			return nil, fmt.Errorf("mark the rows of database %s: %d answers", name, len(rows))
		}
		for i, table := range group {
			marks = append(marks, promotion.Mark{Database: name, Table: table, Row: rows[0][fmt.Sprintf("c%d", i)]})
		}
	}
	return marks, nil
}

// rowTables are the tables of the app's own that have row ids. A WITHOUT ROWID or virtual table is known by its SQL.
func (t *Target) rowTables(ctx context.Context, id, name string) ([]string, error) {
	var tables []struct{ Name, SQL string }
	err := t.rows(ctx, id, `SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*' ORDER BY name`, &tables)
	if err != nil {
		return nil, fmt.Errorf("read the tables of database %s: %w", name, err)
	}
	var names []string
	for _, table := range tables {
		words := strings.ToUpper(strings.Join(strings.Fields(table.SQL), " "))
		if !strings.Contains(words, "WITHOUT ROWID") && !strings.HasPrefix(words, "CREATE VIRTUAL") {
			names = append(names, table.Name)
		}
	}
	return names, nil
}

// exportTime bounds an export: Cloudflare prepares it while the client polls.
const exportTime = 15 * time.Minute

// export writes a database as SQL into dir and reads it back. Nothing is reported that was not proven whole.
func (t *Target) export(ctx context.Context, id, name, dir string) (promotion.Export, sqldump.Dump, error) {
	fails := func(err error) (promotion.Export, sqldump.Dump, error) {
		return promotion.Export{}, sqldump.Dump{}, fmt.Errorf("export database %s: %w", name, err)
	}
	if t.BackupDir == "" {
		return fails(errors.New("there is no folder for backups"))
	}
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	transfer, err := t.api.Export(ctx, id, "")
	for err == nil && transfer.Status != "complete" {
		if transfer.Status == "error" || !transfer.Success {
			return fails(fmt.Errorf("the database says %s", saidBy(transfer.Error, transfer.Messages)))
		}
		if err = sleep(ctx, t.pace.poll); err == nil {
			transfer, err = t.api.Export(ctx, id, transfer.AtBookmark)
		}
	}
	if err != nil {
		return fails(err)
	}
	if transfer.Result.SignedURL == "" {
		return fails(errors.New("it is said to be complete, and there is no address to read it from"))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fails(err)
	}
	path := filepath.Join(dir, safeName(name)+".sql")
	if err := t.download(ctx, transfer.Result.SignedURL, path); err != nil {
		return fails(err)
	}
	dump, err := sqldump.Read(ctx, path)
	if err != nil {
		return fails(err)
	}
	if err := t.holdsAll(ctx, id, name, dump); err != nil {
		return fails(err)
	}
	return promotion.Export{Database: name, File: path, Digest: dump.Digest, Size: dump.Size, Bookmark: transfer.AtBookmark}, dump, nil
}

// holdsAll makes sure that no table is missing: an export of nothing is valid SQL too.
func (t *Target) holdsAll(ctx context.Context, id, name string, dump sqldump.Dump) error {
	tables, err := t.rowTables(ctx, id, name)
	if err != nil {
		return err
	}
	held := map[string]bool{}
	for _, table := range dump.Tables {
		held[table.Name] = true
	}
	for _, table := range tables {
		if !held[table] {
			return fmt.Errorf("the export lacks table %s", table)
		}
	}
	return nil
}

// download writes to a file that has its name only when it is whole.
func (t *Target) download(ctx context.Context, address, path string) (err error) {
	scratch, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return err
	}
	defer os.Remove(scratch.Name())
	_, err = t.api.Download(ctx, address, scratch, sqldump.MaxSize)
	if err = errors.Join(err, scratch.Sync(), scratch.Close()); err != nil {
		return err
	}
	return os.Rename(scratch.Name(), path)
}

func saidBy(message string, more []string) string {
	if message == "" {
		message = strings.Join(more, "; ")
	}
	if message == "" {
		return "no, and gives no reason"
	}
	return message
}

// quoteName makes a SQL name of any text.
func quoteName(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

// safeName makes a file's name of a database's.
func safeName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
			return r
		}
		return '_'
	}, name)
}
