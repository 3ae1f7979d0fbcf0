package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/penstock-ci/penstock/internal/event"
)

// Record implements promotion.Journal. Output and progress are left out without an error.
func (l *Ledger) Record(ctx context.Context, e event.Event) error {
	if !recorded(e) {
		return nil
	}
	made, err := l.eventEntry(e)
	if err != nil {
		return err
	}
	return l.write(ctx, func(*sql.Tx) ([]entry, error) { return []entry{made}, nil })
}

// recorded says which events are kept: progress and output are for those who watch.
func recorded(e event.Event) bool {
	switch e.Type {
	case event.StageOutput, event.GateProgress, event.StepProgress:
		return false
	default:
		return true
	}
}

// write is the one way into the ledger: what was observed before goes first, then what decide returns, in one transaction.
// decide sees the tables as they are under the write lock. Nothing is written when it fails, but what was observed before
// is kept for the next write.
func (l *Ledger) write(ctx context.Context, decide func(*sql.Tx) ([]entry, error)) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin to write to the ledger: %w", err)
	}
	defer tx.Rollback() // after a commit this does nothing
	entries, err := decide(tx)
	if err != nil {
		return err
	}
	observed := l.observed()
	entries = append(observed[:len(observed):len(observed)], entries...)
	if len(entries) == 0 {
		return nil
	}
	head, err := appendEntries(ctx, tx, entries)
	if err != nil {
		return fmt.Errorf("append to the ledger: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit to the ledger: %w", err)
	}
	l.forget(len(observed))
	if err := writeHead(l.path, head, os.O_CREATE); err != nil {
		return fmt.Errorf("keep the ledger's head beside it: %w", err)
	}
	return nil
}

// appendEntries adds entries to the chain and to every projection.
func appendEntries(ctx context.Context, tx *sql.Tx, entries []entry) (Head, error) {
	var seq int64
	var last []byte
	if err := tx.QueryRowContext(ctx, "SELECT seq, hash FROM head").Scan(&seq, &last); err != nil {
		return Head{}, err
	}
	hash := [sha256.Size]byte(last)
	for _, e := range entries {
		seq++
		hash = chain(hash, e.body)
		if _, err := tx.ExecContext(ctx, "INSERT INTO events (seq, kind, run, body, hash) VALUES (?, ?, ?, ?, ?)",
			seq, e.kind, e.run, string(e.body), hash[:]); err != nil {
			return Head{}, err
		}
		if err := project(ctx, tx, seq, e.record); err != nil {
			return Head{}, fmt.Errorf("project %s: %w", e.kind, err)
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE head SET seq = ?, hash = ?", seq, hash[:]); err != nil {
		return Head{}, err
	}
	return Head{Seq: seq, Hash: hex.EncodeToString(hash[:])}, nil
}
