package cloudflare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// history is what a database's migrations table says. The table is wrangler's own, so that both tools agree.
type history struct {
	hasTable bool
	applied  []string // names of migration files, in the order in which they were applied
	// empty says that the database has no table of the app's.
	empty bool
	// seedDue says that Penstock noted, when the database was empty, that this seed file is to follow.
	seedDue map[string]bool
	seeded  []seeded // oldest first
}

// Rows with this prefix are Penstock's notes in the migrations table. wrangler only asks whether the files that it finds
// are in the table, so other rows do not concern it.
const (
	notePrefix     = "penstock: "
	noteSeedDue    = notePrefix + "seed due "
	noteSeedDone   = notePrefix + "seeded "
	tableNameWords = `^[A-Za-z_][A-Za-z0-9_]*$`
)

// tableNames are what is written into SQL as a table's name without quotes, as wrangler does.
var tableNames = regexp.MustCompile(tableNameWords)

// history reads a database without changing it.
func (t *Target) history(ctx context.Context, id string, database wrangler.D1Database) (history, error) {
	name := t.databaseName(database)
	table := migrationsTable(database)
	if !tableNames.MatchString(table) {
		return history{}, fmt.Errorf("%s: %q cannot be the name of a migrations table", t.ConfigFile, table)
	}
	var tables []struct{ Name string }
	// _cf_ tables are D1's, sqlite_ tables SQLite's.
	err := t.rows(ctx, id, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'`, &tables)
	if err != nil {
		return history{}, fmt.Errorf("read the tables of database %s: %w", name, err)
	}
	h := history{empty: true, seedDue: map[string]bool{}}
	for _, found := range tables {
		if strings.EqualFold(found.Name, table) {
			h.hasTable = true
		} else {
			h.empty = false
		}
	}
	if !h.hasTable {
		return h, nil
	}
	var applied []struct{ Name string }
	if err := t.rows(ctx, id, "SELECT name FROM "+table+" ORDER BY id", &applied); err != nil {
		return history{}, fmt.Errorf("read the migrations of database %s: %w", name, err)
	}
	for _, row := range applied {
		if file, due := strings.CutPrefix(row.Name, noteSeedDue); due {
			h.seedDue[file] = true
		}
		if done, ok := parseSeeded(row.Name); ok {
			h.seeded = append(h.seeded, done)
		}
		if !strings.HasPrefix(row.Name, notePrefix) {
			h.applied = append(h.applied, row.Name)
		}
	}
	return h, nil
}

// rows runs one SELECT and decodes its rows into a slice of structs.
func (t *Target) rows(ctx context.Context, database, sql string, into any) error {
	results, err := t.api.Select(ctx, database, sql)
	if err != nil {
		return err
	}
	if len(results) != 1 || !results[0].Success {
		return fmt.Errorf("the database did not answer the query with one result: %+v", results)
	}
	rows, err := json.Marshal(results[0].Results)
	if err != nil {
		return fmt.Errorf("read the rows: %w", err)
	}
	return json.Unmarshal(rows, into)
}

func migrationsTable(database wrangler.D1Database) string {
	if database.MigrationsTable != "" {
		return database.MigrationsTable
	}
	return "d1_migrations"
}

// migrationFile is one file of a migrations folder.
type migrationFile struct {
	promotion.Migration
	text string
}

// maxMigration bounds a file: D1 takes no statement over 100 KB and no request over 100 MB; a file past this belongs into
// an import.
const maxMigration = 16 << 20

// migrationsFolder is where a database's migration files are, as the config writes it.
func migrationsFolder(database wrangler.D1Database) string {
	if database.MigrationsDir != "" {
		return database.MigrationsDir
	}
	return "migrations"
}

// migrationFiles reads a database's migration files in the order in which wrangler applies them. No folder, no files.
func (t *Target) migrationFiles(database wrangler.D1Database) ([]migrationFile, error) {
	dir := filepath.FromSlash(migrationsFolder(database))
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(t.AppDir, dir)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the migrations of database %s: %w", t.databaseName(database), err)
	}
	var files []migrationFile
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".sql") {
			continue
		}
		text, err := readSQL(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", entry.Name(), err)
		}
		files = append(files, migrationFile{
			promotion.Migration{Database: t.databaseName(database), Name: entry.Name(), Digest: digestOf(text), Breaks: breaks(text)},
			text,
		})
	}
	sort.SliceStable(files, func(i, j int) bool { return migrationLess(files[i].Name, files[j].Name) })
	return files, nil
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// readSQL reads a file behind whose text a note is put that it was executed. SQLite lets the last comment of a text be open: the
// note would be part of it, and the file be executed again and again.
func readSQL(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > maxMigration {
		return "", fmt.Errorf("it is larger than %d MiB; use `wrangler d1 execute --file` for data of that size", maxMigration>>20)
	}
	text, err := os.ReadFile(path)
	if err == nil && endsInComment(string(text)) {
		err = errors.New("it ends in a comment that is not closed: add */ where the comment ends")
	}
	return string(text), err
}

// migrationLess is wrangler's order: by the number before the first "_", then by name. Of two names without a number the
// name decides alone.
func migrationLess(a, b string) bool {
	numberA, okA := leadingNumber(a)
	numberB, okB := leadingNumber(b)
	if okA && okB && numberA != numberB {
		return numberA < numberB
	}
	return a < b
}

var leadingDigits = regexp.MustCompile(`^[0-9]+`)

func leadingNumber(name string) (int, bool) {
	number, err := strconv.Atoi(leadingDigits.FindString(name))
	return number, err == nil
}

// pending are the files that the history does not have, in order.
func (h history) pending(files []migrationFile) []migrationFile {
	var pending []migrationFile
	for _, file := range files {
		if !slices.Contains(h.applied, file.Name) {
			pending = append(pending, file)
		}
	}
	return pending
}

// gone are the applied migrations whose files no longer exist.
func (h history) gone(files []migrationFile) []string {
	var gone []string
	for _, name := range h.applied {
		if !slices.ContainsFunc(files, func(f migrationFile) bool { return f.Name == name }) {
			gone = append(gone, name)
		}
	}
	return gone
}
