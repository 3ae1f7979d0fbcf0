// Package sqldump proves that a database's export as SQL is whole, by doing what it is for: it makes a database of it.
package sqldump

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Dump is what an export holds.
type Dump struct {
	File   string  `json:"file"`
	Digest string  `json:"digest"` // "sha256:…" of the file
	Size   int64   `json:"size"`   // bytes
	Tables []Table `json:"tables"`
}

// Table is one table of it.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

// MaxSize bounds a dump that is read here: it is run as one script, from memory.
const MaxSize = 1 << 30

// Read runs the dump at path into a database of its own, which is thrown away, and counts what came out. An error says that
// the dump is not one that a database can be made of again: it is cut off, is not SQL, or leaves references to rows that it
// does not have.
func Read(ctx context.Context, path string) (Dump, error) {
	dump := Dump{File: path}
	script, err := read(path, &dump)
	if err != nil {
		return Dump{}, err
	}
	scratch, err := os.MkdirTemp("", "penstock-dump-*")
	if err != nil {
		return Dump{}, err
	}
	defer os.RemoveAll(scratch)
	db, err := sql.Open("sqlite", filepath.Join(scratch, "dump.sqlite"))
	if err != nil {
		return Dump{}, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // pragmas are a connection's own
	if err := fill(ctx, db, script); err != nil {
		return Dump{}, fmt.Errorf("the dump %s does not make a database: %w", filepath.Base(path), err)
	}
	if dump.Tables, err = count(ctx, db); err != nil {
		return Dump{}, fmt.Errorf("count the rows of the dump %s: %w", filepath.Base(path), err)
	}
	return dump, nil
}

func read(path string, dump *Dump) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	var script strings.Builder
	if dump.Size, err = io.Copy(io.MultiWriter(sum, &script), io.LimitReader(file, MaxSize+1)); err != nil {
		return "", err
	}
	switch {
	case dump.Size > MaxSize:
		return "", fmt.Errorf("the dump %s is larger than %d MiB, which is more than is checked here", filepath.Base(path), MaxSize>>20)
	case !strings.HasSuffix(strings.TrimRight(script.String(), " \t\r\n"), ";"):
		return "", fmt.Errorf("the dump %s is cut off: it does not end with a statement's end", filepath.Base(path))
	}
	dump.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return script.String(), nil
}

// fill runs the script in one transaction. Foreign keys are checked at its end: a dump names tables in the order in which
// they were made, not in that of their references.
func fill(ctx context.Context, db *sql.DB, script string) error {
	if _, err := db.ExecContext(ctx, "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; BEGIN; "+script+"\n; COMMIT;"); err != nil {
		return err
	}
	var sound string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&sound); err != nil {
		return err
	}
	if sound != "ok" {
		return errors.New(sound)
	}
	var table, parent string
	var row, key sql.NullInt64
	err := db.QueryRowContext(ctx, "PRAGMA foreign_key_check").Scan(&table, &row, &parent, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("row %d of table %s refers to a row of %s that is not there", row.Int64, table, parent)
}

func count(ctx context.Context, db *sql.DB) ([]Table, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []Table
	for rows.Next() {
		var table Table
		if err := rows.Scan(&table.Name); err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range tables {
		query := `SELECT count(*) FROM "` + strings.ReplaceAll(tables[i].Name, `"`, `""`) + `"`
		if err := db.QueryRowContext(ctx, query).Scan(&tables[i].Rows); err != nil {
			return nil, err
		}
	}
	return tables, nil
}
