package ledger

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
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
// decide sees the tables as they are under the write lock, and is asked again where a shared ledger has moved on. Nothing is written
// when it fails, but what was observed before is kept for the next write.
func (l *Ledger) write(ctx context.Context, decide func(*sql.Tx) ([]entry, error)) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.line == nil {
		_, err := l.attempt(ctx, decide)
		return err
	}
	for len(l.due()) < len(l.observed()) {
		if err := l.writeLine(ctx, func(*sql.Tx) ([]entry, error) { return nil, nil }); err != nil {
			return err
		}
	}
	return l.writeLine(ctx, decide)
}

// outcome is how an attempt to write ended.
type outcome int

const (
	broke   outcome = iota // whether it can be written could not be found out, or it failed
	refused                // decide said no, or had nothing to write
	moved                  // the shared line has moved on
	wrote
)

// attempt writes once, all or nothing.
func (l *Ledger) attempt(ctx context.Context, decide func(*sql.Tx) ([]entry, error)) (outcome, error) {
	if l.line != nil {
		if err := ctx.Err(); err != nil {
			return broke, err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), lineTime)
		defer cancel()
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return broke, fmt.Errorf("begin to write to the ledger: %w", err)
	}
	defer tx.Rollback() // after a commit this does nothing
	entries, err := decide(tx)
	if err != nil {
		return refused, err
	}
	observed := l.due()
	entries = append(observed[:len(observed):len(observed)], entries...)
	if len(entries) == 0 {
		return refused, nil
	}
	seq, hash, err := headOf(ctx, tx)
	if err != nil {
		return broke, fmt.Errorf("read the ledger's head: %w", err)
	}
	head, err := appendEntries(ctx, tx, entries)
	if err != nil {
		return broke, fmt.Errorf("append to the ledger: %w", err)
	}
	if l.line != nil {
		links := linksOf(seq, hash, entries)
		err := l.send(ctx, Head{Seq: seq, Hash: hex.EncodeToString(hash[:])}, links)
		if errors.Is(err, ErrMoved) {
			return moved, err
		}
		l.sent = append(l.sent, sentLinks{links[len(links)-1], len(observed)}) // until this machine has it too
		if err != nil {
			return broke, err
		}
	}
	if err := tx.Commit(); err != nil {
		return broke, fmt.Errorf("commit to the ledger: %w", err)
	}
	l.sent = nil
	l.forget(len(observed))
	if err := writeHead(l.path, head, os.O_CREATE); err != nil {
		return broke, fmt.Errorf("keep the ledger's head beside it: %w", err)
	}
	return wrote, nil
}

// appendEntries adds entries to the chain and to every projection.
func appendEntries(ctx context.Context, tx *sql.Tx, entries []entry) (Head, error) {
	seq, hash, err := headOf(ctx, tx)
	if err != nil {
		return Head{}, err
	}
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
