package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Ledger is an open ledger. It is safe for concurrent use, also by several processes on one file.
type Ledger struct {
	path string
	db   *sql.DB
	me   Process

	// line is what is shared with other machines, of which the file is a copy; nil for a ledger that is this machine's own.
	line Line
	sent []sentLinks // behind the head of the file, which may be in the line; one is at most

	writing sync.Mutex // one write at a time; held through commit and head file

	pendingMu sync.Mutex
	pending   []entry // observed and not written yet

	beats sync.WaitGroup // heartbeats of held leases
	ends  map[leaseKey]context.CancelFunc
}

// Open opens the ledger at path, creating it with its folder when nothing is there. A file that is damaged, was made by
// another program or by a newer Penstock is left untouched: [*FileError].
func Open(ctx context.Context, path string) (*Ledger, error) { return openWith(ctx, path, patience) }

// patience is how long a process waits for another one that writes.
const patience = 10 * time.Second

func openWith(ctx context.Context, path string, patience time.Duration) (*Ledger, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	if err := ensureFile(ctx, path); err != nil {
		return nil, err
	}
	db, err := connect(path, patience)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	var seq int64
	if err := db.QueryRowContext(ctx, "SELECT seq FROM head").Scan(&seq); err != nil {
		return nil, errors.Join(asFileError(path, err), db.Close())
	}
	return &Ledger{path: path, db: db, me: thisProcess(), ends: map[leaseKey]context.CancelFunc{}}, nil
}

// Path is the absolute path of the ledger's file: of this machine's copy, where it is shared.
func (l *Ledger) Path() string { return l.path }

// Close stops heartbeats, writes what is still pending and closes the file. Leases that were not released stay taken until
// this process ends.
func (l *Ledger) Close() error {
	l.writing.Lock()
	for _, end := range l.ends {
		end()
	}
	clear(l.ends)
	l.writing.Unlock()
	l.beats.Wait()
	return errors.Join(l.flush(context.Background()), l.db.Close())
}

// connect opens the database with the guarantees that the package promises. Transactions begin IMMEDIATE, so that two
// processes never both append after the same event; FULL makes a commit reach the disk before it returns.
func connect(path string, patience time.Duration) (*sql.DB, error) {
	options := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)"},
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: options.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; more connections would only wait for each other
	return db, nil
}

// asFileError tells damage to the file from other trouble.
func asFileError(path string, err error) error {
	if errors.Is(err, sql.ErrNoRows) { // every question asked here has an answer in a whole ledger
		return &FileError{Path: path, Why: "is damaged (its head is missing)", NextStep: moveAway}
	}
	if failure, ok := errors.AsType[*sqlite.Error](err); ok {
		switch failure.Code() & 0xff { // the low byte is the primary code: sqlite.org/rescode.html
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return &FileError{Path: path, Why: "is damaged (" + err.Error() + ")", NextStep: moveAway}
		}
	}
	return fmt.Errorf("read ledger %s: %w", path, err)
}
