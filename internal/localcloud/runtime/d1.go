package runtime

import (
	"context"
	"encoding/json"
	"errors"
)

// D1 runs SQL on databases that live as SQLite Durable Objects in one long-lived workerd, so that D1's own rules hold:
// what Cloudflare refuses is refused here. A database comes to be when it is first used. Methods are safe for concurrent
// use.
type D1 struct{}

// Statement is one or several SQL statements separated by semicolons. Params are JSON values: nil, bool, numbers, strings
// and []byte (a blob); with several statements in SQL, they are bound to the last one.
type Statement struct {
	SQL    string
	Params []any
}

// D1Result is what one statement gave.
type D1Result struct {
	Columns []string
	// Rows hold one JSON value per column, exactly as D1 encodes it: null, number, string, or an array of bytes for a blob.
	Rows [][]json.RawMessage
	Meta D1Meta
}

// Objects returns the rows as JSON objects whose members keep the order of the columns; for columns of the same name the
// last one wins.
func (r D1Result) Objects() []json.RawMessage { return nil }

// D1Meta is D1's account of one statement; it encodes to the API's own member names.
type D1Meta struct {
	ServedBy    string  `json:"served_by"`
	Duration    float64 `json:"duration"` // milliseconds
	Changes     int64   `json:"changes"`
	LastRowID   int64   `json:"last_row_id"`
	ChangedDB   bool    `json:"changed_db"`
	SizeAfter   int64   `json:"size_after"` // bytes
	RowsRead    int64   `json:"rows_read"`
	RowsWritten int64   `json:"rows_written"`
}

// SQLError is the database's own refusal, without D1's prefixes: "no such table: users: SQLITE_ERROR". It is an answer
// about the SQL; any other error means that the database could not be asked.
type SQLError struct {
	Message string
}

func (e *SQLError) Error() string { return e.Message }

// Query runs the statements as one batch, in order, in one transaction: when one fails, none has happened and the error is
// a *SQLError. There is one result per SQL statement, which is more than len(statements) where a Statement holds several.
func (d *D1) Query(ctx context.Context, databaseID string, statements []Statement) ([]D1Result, error) {
	return nil, errors.New("not implemented yet")
}

// Snapshot writes a copy of a database to toFile, which must not exist: a plain SQLite file, consistent, holding every
// Query that returned before Snapshot was called. Queries wait meanwhile.
func (d *D1) Snapshot(ctx context.Context, databaseID, toFile string) error {
	return errors.New("not implemented yet")
}

// Restore replaces a database by a copy that Snapshot wrote. Queries wait meanwhile; those that run are let finish. After
// a crash in the middle the database is either the old or the new one.
func (d *D1) Restore(ctx context.Context, databaseID, fromFile string) error {
	return errors.New("not implemented yet")
}

// Delete removes a database and its file. To delete an absent one is no error.
func (d *D1) Delete(ctx context.Context, databaseID string) error {
	return errors.New("not implemented yet")
}

// Size is the database file's length in bytes; 0 for one that was never used.
func (d *D1) Size(databaseID string) (int64, error) {
	return 0, errors.New("not implemented yet")
}
