// Package d1line keeps a ledger's shared line in a Cloudflare D1 database: one table of links, which nothing changes, and one of
// when their writers were last heard of. Each call here is one call of Cloudflare's API, unless the tables are still to be made.
package d1line

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/ledger"
)

// Database asks a D1 database. Parameters are texts, as Cloudflare's API has them. Rows are JSON objects.
type Database interface {
	// Select runs a statement that only reads, and may be repeated.
	Select(ctx context.Context, sql string, params ...string) ([]json.RawMessage, error)
	// Execute runs a statement that changes something, once.
	Execute(ctx context.Context, sql string, params ...string) ([]json.RawMessage, error)
}

// Line is a line in a D1 database. It is safe for concurrent use.
type Line struct{ database Database }

var _ ledger.Line = Line{}

// In is the line that is kept in a database. Its tables are made before the first entry.
func In(database Database) Line { return Line{database} }

// tables are made one by one: D1 takes several statements at once, and splits them itself.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS penstock_ledger (
		seq INTEGER PRIMARY KEY, hash TEXT NOT NULL CHECK (length(hash) = 64), body TEXT NOT NULL, at INTEGER NOT NULL DEFAULT (unixepoch())
	) STRICT`,
	`CREATE TABLE IF NOT EXISTS penstock_heard (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT`,
	`CREATE TRIGGER IF NOT EXISTS penstock_ledger_is_not_changed BEFORE UPDATE ON penstock_ledger
		BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END`,
	`CREATE TRIGGER IF NOT EXISTS penstock_ledger_is_not_shortened BEFORE DELETE ON penstock_ledger
		BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END`,
}

// missing reports whether the database has no tables of a ledger yet.
func missing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such table: penstock_")
}

// pageSize bounds the bodies of one answer in bytes: what Cloudflare's API answers is read whole.
const pageSize = 4 << 20

// Since implements [ledger.Line]. A database without the tables holds an empty line.
func (l Line) Since(ctx context.Context, seq int64) (ledger.Page, error) {
	rows, err := l.database.Select(ctx, `SELECT seq, hash, body, last FROM (
			SELECT seq, hash, body, sum(length(body)) OVER (ORDER BY seq) AS size, (SELECT max(seq) FROM penstock_ledger) AS last
			FROM (SELECT seq, hash, body FROM penstock_ledger WHERE seq >= CAST(?1 AS INTEGER) ORDER BY seq LIMIT 2000)
		) WHERE size <= CAST(?2 AS INTEGER) OR seq = CAST(?1 AS INTEGER)
		UNION ALL SELECT 0, '', '', COALESCE(max(seq), 0) FROM penstock_ledger HAVING COALESCE(max(seq), 0) < CAST(?1 AS INTEGER) ORDER BY seq`,
		strconv.FormatInt(seq, 10), strconv.Itoa(pageSize))
	if missing(err) {
		return ledger.Page{}, nil
	}
	if err != nil {
		return ledger.Page{}, err
	}
	var page ledger.Page
	for _, row := range rows {
		var link struct {
			ledger.Link
			Last int64 `json:"last"`
		}
		if err := json.Unmarshal(row, &link); err != nil {
			return ledger.Page{}, fmt.Errorf("read the shared ledger: %w", err)
		}
		page.Last = link.Last
		if link.Seq > 0 { // else it is there for the last one's number alone
			page.Links = append(page.Links, link.Link)
		}
	}
	return page, nil
}

// Append implements [ledger.Line]: one statement, which inserts all links where the line ends with the head, or none.
func (l Line) Append(ctx context.Context, head ledger.Head, links []ledger.Link) error {
	text, err := json.Marshal(links)
	if err != nil {
		return err
	}
	if len(text) > maxText {
		return fmt.Errorf("%w: %d bytes are to be written at once, the largest about %s, and D1 takes %d", ledger.ErrTooLarge, len(text), largest(links), maxText)
	}
	if head.Seq == 0 { // each time: whoever made some of the tables may have died before the rest
		if err := l.makeTables(ctx); err != nil {
			return err
		}
	}
	rows, err := l.database.Execute(ctx, `INSERT INTO penstock_ledger (seq, hash, body)
		SELECT value ->> 'seq', value ->> 'hash', value ->> 'body' FROM json_each(?1)
		WHERE (SELECT COALESCE(max(seq), 0) FROM penstock_ledger) = CAST(?2 AS INTEGER)
		AND (CAST(?2 AS INTEGER) = 0 OR (SELECT hash FROM penstock_ledger WHERE seq = CAST(?2 AS INTEGER)) = ?3) RETURNING seq`,
		string(text), strconv.FormatInt(head.Seq, 10), head.Hash)
	switch {
	case missing(err): // what this machine has seen is gone
		return fmt.Errorf("%w: it has no entries any more", ledger.ErrMoved)
	case err != nil:
		return err
	case len(rows) != len(links):
		return fmt.Errorf("%w: it does not end with entry %d as this machine knows it", ledger.ErrMoved, head.Seq)
	default:
		return nil
	}
}

// largest names the kind of the largest link, for whoever has to make it smaller.
func largest(links []ledger.Link) string {
	var told struct {
		Kind string `json:"kind"`
	}
	one := slices.MaxFunc(links, func(a, b ledger.Link) int { return len(a.Body) - len(b.Body) })
	_ = json.Unmarshal([]byte(one.Body), &told) // what cannot be read has no kind
	return told.Kind
}

// maxText is what D1 takes as one value, in bytes.
// Source: https://developers.cloudflare.com/d1/platform/limits/
const maxText = 2_000_000

func (l Line) makeTables(ctx context.Context) error {
	for _, statement := range tables {
		if _, err := l.database.Execute(ctx, statement); err != nil {
			return fmt.Errorf("make the tables of the shared ledger: %w", err)
		}
	}
	return nil
}

// Beat implements [ledger.Line].
func (l Line) Beat(ctx context.Context, seq int64) error {
	_, err := l.database.Execute(ctx, `INSERT INTO penstock_heard (seq, at) VALUES (CAST(?1 AS INTEGER), unixepoch())
		ON CONFLICT DO UPDATE SET at = excluded.at`, strconv.FormatInt(seq, 10))
	return err
}

// Silence implements [ledger.Line], by the database's clock: both when the link was appended and when its writer was heard of are its.
func (l Line) Silence(ctx context.Context, seq int64) (time.Duration, error) {
	rows, err := l.database.Select(ctx, `SELECT unixepoch() - max(at, COALESCE((SELECT at FROM penstock_heard WHERE seq = CAST(?1 AS INTEGER)), 0)) AS silence
		FROM penstock_ledger WHERE seq = CAST(?1 AS INTEGER)`, strconv.FormatInt(seq, 10))
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		return 0, fmt.Errorf("the shared ledger has no entry %d", seq)
	}
	var row struct {
		Silence int64 `json:"silence"` // seconds
	}
	if err := json.Unmarshal(rows[0], &row); err != nil {
		return 0, fmt.Errorf("read the shared ledger: %w", err)
	}
	return time.Duration(row.Silence) * time.Second, nil
}
