package localcloud

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// exportDatabase dumps a database as SQL and offers it under a signed URL. Clients poll until the status is complete;
// here it is so at the first time. The dump is of one moment, which at_bookmark names: it is read from that copy, while
// the database goes on working.
// Source: https://developers.cloudflare.com/api/resources/d1/subresources/database/methods/export/
func (c *Cloud) exportDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	database, err := c.database(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		OutputFormat string      `json:"output_format"`
		Options      dumpOptions `json:"dump_options"`
	}](r)
	if err != nil {
		return nil, err
	}
	if request.OutputFormat != "polling" {
		return nil, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "output_format must be polling, not %q", request.OutputFormat)
	}
	bookmark, err := c.bookmark(r.Context(), database.ID)
	if err != nil {
		return nil, err
	}
	dump, err := dump(r.Context(), c.store.BlobPath(bookmark.Blob), request.Options)
	if err != nil {
		return nil, err
	}
	file := database.ID + "-" + bookmark.Name + ".sql"
	return ok(map[string]any{
		"type": "export", "success": true, "status": "complete", "at_bookmark": bookmark.Name, "messages": []string{"Finished uploading " + file},
		"result": map[string]any{"filename": file, "signed_url": signedURL(r, c.transfers.offer(dump))},
	}), nil
}

// signedURL leads to this API under the address that the client used itself.
func signedURL(r *http.Request, ticket string) string {
	return "http://" + r.Host + transferPrefix + ticket
}

type dumpOptions struct {
	NoData   bool     `json:"no_data"`
	NoSchema bool     `json:"no_schema"`
	Tables   []string `json:"tables"`
}

// dump writes a database file as SQL that creates it anew: tables with their rows, then indexes, triggers and views, so
// that no trigger fires while rows come in.
func dump(ctx context.Context, file string, options dumpOptions) ([]byte, error) {
	path := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: "mode=ro&immutable=1"} // nobody changes a stored copy
	db, err := sql.Open("sqlite", path.String())
	if err != nil {
		return nil, fmt.Errorf("open copy of database: %w", err)
	}
	defer db.Close()
	parts, err := schemaParts(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read schema of database: %w", err)
	}
	wanted := func(part schemaPart) bool {
		return len(options.Tables) == 0 || slices.Contains(options.Tables, part.table)
	}
	var out, rest bytes.Buffer
	out.WriteString("PRAGMA defer_foreign_keys=TRUE;\n")
	for _, part := range parts {
		switch {
		case !wanted(part):
			continue
		case part.kind != "table":
			rest.WriteString(part.sql + ";\n")
			continue
		case strings.HasPrefix(strings.ToUpper(part.sql), "CREATE VIRTUAL TABLE"):
			// Its shadow tables cannot be written as SQL; D1's own export refuses with these words.
			return nil, refuse(http.StatusBadRequest, codeDatabaseSQL, "D1 Export error: cannot export databases with Virtual Tables (fts5)")
		}
		if !options.NoSchema {
			out.WriteString(part.sql + ";\n")
		}
		if !options.NoData {
			if err := dumpRows(ctx, &out, db, part.table); err != nil {
				return nil, fmt.Errorf("read table %s: %w", part.table, err)
			}
		}
	}
	if !options.NoSchema {
		out.Write(rest.Bytes())
	}
	return out.Bytes(), nil
}

// schemaPart is one statement of a schema and the table that it is about.
type schemaPart struct {
	kind, table, sql string
}

// schemaParts lists what is the user's: not what SQLite, D1 and Durable Objects keep beside it.
func schemaParts(ctx context.Context, db *sql.DB) ([]schemaPart, error) {
	found, err := db.QueryContext(ctx, `SELECT type, tbl_name, sql FROM sqlite_master WHERE `+userSchema+` ORDER BY rowid`)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var parts []schemaPart
	for found.Next() {
		part := schemaPart{}
		if err := found.Scan(&part.kind, &part.table, &part.sql); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, found.Err()
}

const userSchema = `sql IS NOT NULL AND tbl_name NOT LIKE 'sqlite\_%' ESCAPE '\' AND tbl_name NOT LIKE '\_cf\_%' ESCAPE '\'`

// dumpRows writes one INSERT per row. SQLite itself writes the values, so that numbers and blobs lose nothing on the way.
func dumpRows(ctx context.Context, out *bytes.Buffer, db *sql.DB, table string) error {
	columns, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table) // without generated columns
	if err != nil {
		return err
	}
	defer columns.Close()
	var names, values []string
	for columns.Next() {
		var name string
		if err := columns.Scan(&name); err != nil {
			return err
		}
		name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		names, values = append(names, name), append(values, "quote("+name+")")
	}
	if err := columns.Err(); err != nil {
		return err
	}
	name := `"` + strings.ReplaceAll(table, `"`, `""`) + `"`
	found, err := db.QueryContext(ctx, "SELECT "+strings.Join(values, " || ',' || ")+" FROM "+name)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			return err
		}
		fmt.Fprintf(out, "INSERT INTO %s (%s) VALUES(%s);\n", name, strings.Join(names, ","), row)
	}
	return found.Err()
}
