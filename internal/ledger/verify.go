package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// VerifyReport is what a check of the whole ledger found.
type VerifyReport struct {
	OK     bool `json:"ok"`
	Head   Head `json:"head"` // of the chain as far as it holds
	Events int  `json:"events"`
	// Problems say what is wrong, the first bad event first. Each names the event where one can be named.
	Problems []Problem `json:"problems,omitempty"`
	// Proven says in one sentence what the check shows and what it cannot.
	Proven string `json:"proven"`
}

// Problem is one thing that does not hold.
type Problem struct {
	Seq  int64  `json:"seq,omitempty"` // of the event, 0 when it is not about one
	What string `json:"what"`
}

// String names the event and what is wrong with it.
func (p Problem) String() string {
	if p.Seq == 0 {
		return p.What
	}
	return fmt.Sprintf("event %d: %s", p.Seq, p.What)
}

// projected are the tables that the events must give again, with their keys. A lease's heartbeat
// is not from an event.
var projected = []struct{ table, columns, key string }{
	{"runs", "*", "id"},
	{"stages", "*", "run, moment, name"},
	{"verdicts", "*", "run, phase, gate"},
	{"steps", "*", "run, name"},
	{"promotions", "*", "id"},
	{"environments", "*", "app, name"},
	{"holds", "*", "run"},
	{"decisions", "*", "seq"},
	{"waivers", "*", "id"},
	{"leases", "app, environment, token, promotion, process, acquired, released", "app, environment"},
}

// Verify checks the whole ledger offline: SQLite's own structure, every link of the chain, that the tables say what the
// events say, the head in the ledger, the head beside it, and any heads that the caller noted elsewhere. Problems are in
// the report; an error means that the check itself could not be made.
func (l *Ledger) Verify(ctx context.Context, noted ...Head) (VerifyReport, error) {
	tx, err := l.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return VerifyReport{}, fmt.Errorf("verify the ledger: %w", err)
	}
	defer tx.Rollback()
	// Read before the events: another process may append while we look, and then the head beside the file would name an
	// event that this transaction does not see.
	beside, besideErr := readHead(l.path)
	v := verification{ctx: ctx, tx: tx, noted: map[int64][]noting{}}
	for _, head := range noted {
		v.note(head, "a head that was noted elsewhere")
	}
	if besideErr == nil {
		v.note(beside, "the head beside the ledger")
	}
	if err := v.run(); err != nil {
		return VerifyReport{}, asFileError(l.path, err)
	}
	switch {
	case errors.Is(besideErr, fs.ErrNotExist):
		v.problem(0, "the head beside the ledger is missing (%s): events at the end may have been cut off; "+
			"if the ledger was moved, move that file too", headPath(l.path))
	case besideErr != nil:
		v.problem(0, "%v", besideErr)
	}
	v.report.OK = len(v.report.Problems) == 0
	v.report.Proven = fmt.Sprintf("%d events, chained up to %.12s; whoever can write the ledger and the file beside it could have rewritten both: "+
		"compare this head with one noted elsewhere", v.report.Events, v.report.Head.Hash)
	return v.report, nil
}

// Holds says whether a head that was noted elsewhere is one of this ledger.
func (l *Ledger) Holds(ctx context.Context, noted Head) (bool, error) {
	var hash []byte
	switch err := l.db.QueryRowContext(ctx, "SELECT hash FROM events WHERE seq = ?", noted.Seq).Scan(&hash); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for event %d: %w", noted.Seq, err)
	default:
		return hex.EncodeToString(hash) == noted.Hash, nil
	}
}

// noting is a head whose event must be found with its hash.
type noting struct {
	hash, where string
}

type verification struct {
	ctx    context.Context
	tx     *sql.Tx
	noted  map[int64][]noting
	report VerifyReport
}

func (v *verification) note(head Head, where string) {
	v.noted[head.Seq] = append(v.noted[head.Seq], noting{head.Hash, where})
}

func (v *verification) problem(seq int64, format string, args ...any) {
	v.report.Problems = append(v.report.Problems, Problem{Seq: seq, What: fmt.Sprintf(format, args...)})
}

func (v *verification) run() error {
	if err := v.structure(); err != nil {
		return err
	}
	again, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer again.Close()
	again.SetMaxOpenConns(1) // each connection to :memory: is a database of its own
	if _, err := again.ExecContext(v.ctx, schema); err != nil {
		return err
	}
	replay, err := again.BeginTx(v.ctx, nil)
	if err != nil {
		return err
	}
	defer replay.Rollback()
	sound, err := v.chain(replay)
	if err != nil || !sound {
		return err // tables made from a broken chain would say nothing
	}
	return v.tables(replay)
}

func (v *verification) structure() error {
	rows, err := v.tx.QueryContext(v.ctx, "PRAGMA integrity_check(5)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			v.problem(0, "the file's structure is damaged: %s", line)
		}
	}
	return rows.Err()
}

// chain follows the events from the first on, making the tables again as it goes, and stops at the first that is wrong.
func (v *verification) chain(replay *sql.Tx) (sound bool, err error) {
	rows, err := v.tx.QueryContext(v.ctx, "SELECT seq, kind, run, body, hash FROM events ORDER BY seq")
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var hash [sha256.Size]byte
	var last int64
	for rows.Next() {
		var seq int64
		var kind, run string
		var body, stored []byte
		if err := rows.Scan(&seq, &kind, &run, &body, &stored); err != nil {
			return false, err
		}
		if seq != last+1 {
			v.problem(last+1, "is missing (the next one is %d)", seq)
			return false, nil
		}
		next := chain(hash, body)
		if next != [sha256.Size]byte(stored) {
			v.problem(seq, "does not follow from the events before it: it, or one before it, was changed, inserted or removed")
			return false, nil
		}
		decoded, err := readEntry(body)
		if err != nil {
			v.problem(seq, "cannot be read: %v", err)
			return false, nil
		}
		if decoded.kind != kind || decoded.run != run {
			v.problem(seq, "is filed as %s of run %q and says %s of run %q", kind, run, decoded.kind, decoded.run)
			return false, nil
		}
		if err := project(v.ctx, replay, seq, decoded.record); err != nil {
			return false, fmt.Errorf("replay event %d: %w", seq, err)
		}
		last, hash = seq, next
		v.report.Events++
		v.report.Head = Head{Seq: seq, Hash: hex.EncodeToString(hash[:])}
		v.compareNoted()
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	for seq, notings := range v.noted {
		for _, noting := range notings {
			if seq > last {
				v.problem(seq, "is gone: %s names it, and the ledger ends at %d", noting.where, last)
			}
		}
	}
	return true, v.head(last, hash)
}

func (v *verification) compareNoted() {
	for _, noting := range v.noted[v.report.Head.Seq] {
		if noting.hash != v.report.Head.Hash {
			v.problem(v.report.Head.Seq, "is not the one that %s names: the ledger was rewritten", noting.where)
		}
	}
}

func (v *verification) head(last int64, hash [sha256.Size]byte) error {
	var seq int64
	var stored []byte
	if err := v.tx.QueryRowContext(v.ctx, "SELECT seq, hash FROM head").Scan(&seq, &stored); err != nil {
		return err
	}
	switch {
	case seq > last:
		v.problem(last+1, "is gone: the ledger's own head names event %d as the last", seq)
	case seq < last:
		v.problem(seq+1, "was added behind the ledger's own head")
	case hex.EncodeToString(stored) != hex.EncodeToString(hash[:]):
		v.problem(seq, "is not the one that the ledger's own head names")
	}
	return nil
}

// tables compares every projection with the one made again from the events.
func (v *verification) tables(replay *sql.Tx) error {
	for _, p := range projected {
		stored, err := readTable(v.ctx, v.tx, p.table, p.key, p.columns)
		if err != nil {
			return err
		}
		made, err := readTable(v.ctx, replay, p.table, p.key, p.columns)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(stored)) {
			switch other, known := made[key]; {
			case !known:
				v.problem(0, "table %s holds %s, of which no event tells", p.table, key)
			case other != stored[key]:
				v.problem(0, "table %s says of %s other than the events do", p.table, key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(made)) {
			if _, known := stored[key]; !known {
				v.problem(0, "table %s lacks %s, of which the events tell", p.table, key)
			}
		}
	}
	return nil
}

// readTable returns the rows of a table by their key, both as text.
func readTable(ctx context.Context, tx *sql.Tx, table, key, columns string) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+key+", "+columns+" FROM "+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	keys := strings.Count(key, ",") + 1
	values := make([]any, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	found := map[string]string{}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		found[fmt.Sprintf("%v", values[:keys])] = fmt.Sprintf("%#v", values[keys:])
	}
	return found, rows.Err()
}
