package cloudflare_test

import (
	"slices"
	"testing"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// A column that is called rowid hides SQLite's own row id.
func TestATableWithAColumnCalledRowidIsMarked(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{Backup: pipelines.BackupBookmark})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE imported (rowid TEXT, oid TEXT); INSERT INTO imported VALUES ('r-9', 'x'), ('r-7', 'y');")
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	backup, err := p.target().Backup(t.Context(), "b1")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(backup.Marks, promotion.Mark{Database: "rows-db", Table: "imported", Row: 2}) {
		t.Errorf("%+v", backup.Marks)
	}
	written, err := p.target().Written(t.Context(), []promotion.Mark{{Database: "rows-db", Table: "imported", Row: 1}})
	if err != nil || !slices.Contains(written, promotion.Written{Database: "rows-db", Table: "imported", Rows: 1}) {
		t.Errorf("%+v, %v", written, err)
	}
}
