package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// Line is a chain that several machines share: the entries alone, in a place that all of them reach. Each machine keeps its own copy
// of it with the tables that are made from it, and reads only those. It is safe for concurrent use.
//
// An error of Append that is not [ErrMoved] says nothing about whether the links arrived: whoever calls it looks.
type Line interface {
	// Since returns the links from the given one on, in order, as many as come in one answer.
	Since(ctx context.Context, seq int64) (Page, error)
	// Append adds links behind the head, all of them or none. [ErrMoved] when the line's end is another one.
	Append(ctx context.Context, head Head, links []Link) error
	// Beat says that whoever wrote the link, a lease or a claim, is still at work under it.
	Beat(ctx context.Context, seq int64) error
	// Silence is for how long nothing was heard of whoever wrote the link, by the line's own clock: those of two machines differ.
	Silence(ctx context.Context, seq int64) (time.Duration, error)
}

// Link is one entry of a line.
type Link struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"` // hex SHA-256, as of [Head]
	Body string `json:"body"`
}

// Page is a part of a line.
type Page struct {
	Links []Link
	Last  int64 // the number of the line's last link, 0 of an empty line
}

// ErrMoved is wrapped when somebody else has appended to the line first.
var ErrMoved = errors.New("the shared ledger has moved on")

// ErrTooLarge is wrapped when links are larger than the line takes, so that nothing was sent.
var ErrTooLarge = errors.New("too large for the shared ledger")

// TamperError says that a shared line is not the one that this machine has seen. What this machine knows was not changed.
type TamperError struct {
	Seq  int64 // of the first entry that is wrong
	What string
}

// Error names the entry and what is wrong with it.
func (e *TamperError) Error() string {
	return fmt.Sprintf("the shared ledger was changed: entry %d %s", e.Seq, e.What)
}

const (
	// lineTime bounds a write that has begun: it is not broken off by Ctrl-C, because then nobody would know whether it arrived.
	lineTime = time.Minute
	// linePatience is how long this machine's other processes wait for one that writes to a line.
	linePatience = lineTime + 10*time.Second
	// resends are how often the same links are sent again after it was seen that they had not arrived.
	resends = 3
	// maxMoves are how often a write is decided again because others were faster. Each time somebody got on, so that of n machines
	// that write at once the slowest needs n.
	maxMoves = 30
	// maxAppend bounds in bytes what observed events are sent at once. D1 takes 2,000,000 bytes in one value, and JSON in JSON grows.
	maxAppend = 512 << 10
	// flushLineEvery is how long an observed event may wait when each write is a call over the network.
	flushLineEvery = 5 * time.Second
)

// OpenShared opens this machine's copy of a line at path, creating an empty one when nothing is there. It asks nobody: see
// [Ledger.Pull].
func OpenShared(ctx context.Context, path string, line Line) (*Ledger, error) {
	l, err := openWith(ctx, path, linePatience)
	if err == nil {
		l.line = line
	}
	return l, err
}

// Pull brings this machine's copy up to the line's end. A [*TamperError] says that the line lacks or contradicts what this machine has
// seen. Of a ledger that is not shared there is nothing to pull.
func (l *Ledger) Pull(ctx context.Context) error {
	if l.line == nil {
		return nil
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.pull(ctx)
	return err
}

// pull is Pull under the lock; news says that there was something new.
func (l *Ledger) pull(ctx context.Context) (news bool, err error) {
	for {
		seq, _, err := headOf(ctx, l.db)
		if err != nil {
			return news, fmt.Errorf("read the ledger's head: %w", err)
		}
		page, err := l.line.Since(ctx, max(seq, 1))
		if err != nil {
			return news, fmt.Errorf("ask the shared ledger what is new: %w", err)
		}
		took, last, err := l.take(ctx, page)
		news = news || took
		if err != nil || last >= page.Last {
			return news, err
		}
		if !took {
			return news, &TamperError{last + 1, fmt.Sprintf("is missing, though the line goes on to %d", page.Last)}
		}
	}
}

// take adds what of a page is new to this machine's copy, and returns where that ends.
func (l *Ledger) take(ctx context.Context, page Page) (took bool, last int64, err error) {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return false, 0, fmt.Errorf("begin to write to the ledger: %w", err)
	}
	defer tx.Rollback() // after a commit this does nothing
	// Another process of this machine may have taken it meanwhile.
	seq, hash, err := headOf(ctx, tx)
	if err != nil {
		return false, 0, fmt.Errorf("read the ledger's head: %w", err)
	}
	if page.Last < seq {
		return false, seq, &TamperError{page.Last + 1, fmt.Sprintf("is gone: this machine has seen %d entries, and the line ends at %d", seq, page.Last)}
	}
	entries, err := follow(page.Links, seq, hash)
	if err != nil || len(entries) == 0 {
		return false, seq, err
	}
	head, err := appendEntries(ctx, tx, entries)
	if failure, ok := errors.AsType[*sqlite.Error](err); ok && failure.Code()&0xff == sqlite3.SQLITE_CONSTRAINT {
		return false, seq, &TamperError{seq + 1, fmt.Sprintf("or one behind it contradicts the others: %v", err)}
	}
	if err != nil {
		return false, seq, fmt.Errorf("take over what is new in the shared ledger: %w", err)
	}
	// Go reads what is nested deeper than SQLite does, which the tables are asked with.
	var unread sql.NullInt64
	if err := tx.QueryRowContext(ctx, "SELECT min(seq) FROM events WHERE seq > ? AND NOT json_valid(body)", seq).Scan(&unread); err != nil {
		return false, seq, fmt.Errorf("take over what is new in the shared ledger: %w", err)
	}
	if unread.Valid {
		return false, seq, &TamperError{unread.Int64, "is no JSON that can be asked"}
	}
	if err := tx.Commit(); err != nil {
		return false, seq, fmt.Errorf("commit to the ledger: %w", err)
	}
	for _, link := range page.Links {
		for _, sent := range l.sent {
			if link == sent.last {
				l.forget(sent.observed) // it did arrive
			}
		}
	}
	if head.Seq >= page.Last { // else it may be in the next page
		l.sent = nil
	}
	if err := writeHead(l.path, head, os.O_CREATE); err != nil {
		return true, head.Seq, fmt.Errorf("keep the ledger's head beside it: %w", err)
	}
	return true, head.Seq, nil
}

// follow returns the entries of the links behind a head, each of which must follow from the one before.
func follow(links []Link, seq int64, hash [sha256.Size]byte) ([]entry, error) {
	var entries []entry
	for i, link := range links {
		if i > 0 && link.Seq != links[i-1].Seq+1 {
			return nil, &TamperError{links[i-1].Seq + 1, "is missing"}
		}
		switch {
		case link.Seq < seq:
			continue
		case link.Seq == seq:
			if link.Hash != hex.EncodeToString(hash[:]) {
				return nil, &TamperError{seq, "is another one than this machine has seen"}
			}
			continue
		case link.Seq != seq+1:
			return nil, &TamperError{seq + 1, "is missing"}
		}
		if hash = chain(hash, []byte(link.Body)); hex.EncodeToString(hash[:]) != link.Hash {
			return nil, &TamperError{link.Seq, "does not follow from those before it"}
		}
		made, err := readEntry([]byte(link.Body))
		if err != nil {
			return nil, &TamperError{link.Seq, fmt.Sprintf("cannot be read: %v", err)}
		}
		entries = append(entries, made)
		seq = link.Seq
	}
	return entries, nil
}

// sentLinks is what was sent of which it is not known whether it arrived.
type sentLinks struct {
	last     Link
	observed int // how many of the pending entries are among it
}

// writeLine is write for a shared ledger. It decides by what this machine knows and appends behind that, which the line refuses where
// it is old; a refusal to write anything counts only after a look at what is new.
func (l *Ledger) writeLine(ctx context.Context, decide func(*sql.Tx) ([]entry, error)) error {
	current := false
	for move := 1; ; move++ {
		how, err := l.attempt(ctx, decide)
		if how == wrote || how == broke || (how == refused && current) {
			return err
		}
		if move == maxMoves {
			return fmt.Errorf("%w: others were faster %d times: %w", promotion.ErrBusy, move, err)
		}
		if how == moved && move > 1 { // let those get on who are at it too
			if err := pause(ctx, rand.N(min(time.Duration(move)*50*time.Millisecond, time.Second))); err != nil {
				return err
			}
		}
		news, failed := l.pull(ctx)
		if failed != nil {
			return failed // what was decided may rest on what is old, and counts for nothing
		}
		if how == refused && !news {
			return err
		}
		current = true
	}
}

func pause(ctx context.Context, lasts time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lasts):
		return nil
	}
}

// send appends the links to the line, once. The links' own hashes settle whether an answer that was lost had been a yes.
func (l *Ledger) send(ctx context.Context, head Head, links []Link) error {
	last := links[len(links)-1]
	for try := 1; ; try++ {
		failed := l.line.Append(ctx, head, links)
		if failed == nil || errors.Is(failed, ErrTooLarge) || (try == 1 && errors.Is(failed, ErrMoved)) {
			return failed
		}
		page, err := l.line.Since(ctx, last.Seq)
		switch {
		case err != nil:
			return fmt.Errorf("append to the shared ledger: whether it arrived is not known: %w", failed)
		case len(page.Links) > 0 && page.Links[0] == last:
			return nil
		case page.Last != head.Seq: // and so what was sent can never arrive
			return ErrMoved
		case try > resends:
			return fmt.Errorf("append to the shared ledger: %w", failed)
		}
	}
}

// linksOf are entries as they follow a head.
func linksOf(seq int64, hash [sha256.Size]byte, entries []entry) []Link {
	links := make([]Link, 0, len(entries))
	for _, e := range entries {
		seq++
		hash = chain(hash, e.body)
		links = append(links, Link{Seq: seq, Hash: hex.EncodeToString(hash[:]), Body: string(e.body)})
	}
	return links
}

// headOf is the end of this machine's chain.
func headOf(ctx context.Context, q querier) (seq int64, hash [sha256.Size]byte, err error) {
	var last []byte
	if err := q.QueryRowContext(ctx, "SELECT seq, hash FROM head").Scan(&seq, &last); err != nil {
		return 0, hash, err
	}
	return seq, [sha256.Size]byte(last), nil
}

// Compare looks at every entry of the shared line beside this machine's copy. Problems are what they differ in; an error means that
// they could not be compared. It asks for the whole line.
func (l *Ledger) Compare(ctx context.Context) ([]Problem, error) {
	if l.line == nil {
		return nil, nil
	}
	var hash [sha256.Size]byte
	seq := int64(0)
	for {
		page, err := l.line.Since(ctx, seq+1)
		if err != nil {
			return nil, fmt.Errorf("ask the shared ledger for all of it: %w", err)
		}
		entries, err := follow(page.Links, seq, hash)
		if tampered, ok := errors.AsType[*TamperError](err); ok {
			return []Problem{{Seq: tampered.Seq, What: "of the shared ledger " + tampered.What}}, nil
		} else if err != nil {
			return nil, err
		}
		for _, link := range linksOf(seq, hash, entries) {
			var body string
			switch err := l.db.QueryRowContext(ctx, "SELECT body FROM events WHERE seq = ?", link.Seq).Scan(&body); {
			case errors.Is(err, sql.ErrNoRows): // it is new
			case err != nil:
				return nil, fmt.Errorf("compare with the shared ledger: %w", err)
			case body != link.Body:
				return []Problem{{Seq: link.Seq, What: "of the shared ledger is another one than this machine has seen"}}, nil
			}
			seq = link.Seq
			decoded, err := hex.DecodeString(link.Hash)
			if err != nil {
				return nil, err
			}
			hash = [sha256.Size]byte(decoded)
		}
		if len(entries) > 0 && seq < page.Last {
			continue
		}
		ours, _, err := headOf(ctx, l.db)
		switch {
		case err != nil:
			return nil, fmt.Errorf("compare with the shared ledger: %w", err)
		case seq < page.Last:
			return []Problem{{Seq: seq + 1, What: "of the shared ledger is missing"}}, nil
		case seq < ours:
			return []Problem{{Seq: seq + 1, What: fmt.Sprintf("is gone from the shared ledger: it ends at %d, and this machine has seen %d", seq, ours)}}, nil
		}
		return nil, nil
	}
}
