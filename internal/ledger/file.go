package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// applicationID marks the file as ours in SQLite's header: "Pstk".
	applicationID = 0x5073746b

	moveAway = "move the file away and run again to begin a new ledger, or restore it from a backup"
)

// FileError says why a file cannot be used as the ledger. The file was not changed.
type FileError struct {
	Path     string
	Why      string
	NextStep string
}

// Error says what is wrong with which file and what to do.
func (e *FileError) Error() string { return "ledger " + e.Path + " " + e.Why + ": " + e.NextStep }

// ensureFile makes sure that a ledger of this schema is at path. The check reads the header itself: opening a stranger's
// database with SQLite would already change it (WAL mode, recovery of its journal).
func ensureFile(ctx context.Context, path string) error {
	header := make([]byte, 100) // sqlite.org/fileformat.html, section 1.3
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(ctx, path)
	}
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	_, err = io.ReadFull(file, header)
	closeErr := file.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &FileError{Path: path, Why: "is too short to be one", NextStep: moveAway}
	}
	if err := errors.Join(err, closeErr); err != nil {
		return fmt.Errorf("read ledger %s: %w", path, err)
	}
	if string(header[:16]) != "SQLite format 3\x00" {
		return &FileError{Path: path, Why: "is not a ledger but some other file", NextStep: "name another file, or move this one away"}
	}
	if id := binary.BigEndian.Uint32(header[68:]); id != applicationID {
		return &FileError{Path: path, Why: "is a database of another program", NextStep: "name another file, or move this one away"}
	}
	switch version := binary.BigEndian.Uint32(header[60:]); {
	case version > schemaVersion:
		return &FileError{
			Path: path, Why: fmt.Sprintf("was written by a newer Penstock (schema %d, this one knows %d)", version, schemaVersion),
			NextStep: "use that version, or name another file",
		}
	case version < schemaVersion:
		return upgrade(ctx, path)
	default:
		return nil
	}
}

// create makes the whole ledger under another name and then links it into place, so that at path there is either nothing
// or a complete ledger, whoever else creates it at the same time and wherever the process dies.
func create(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create the ledger's folder: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".ledger-*.new")
	if err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	defer os.Remove(draft.Name())
	if err := draft.Close(); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := writeSchema(ctx, draft.Name()); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := writeHead(path, Head{}, os.O_CREATE|os.O_EXCL); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	return nil
}

func writeSchema(ctx context.Context, path string) (err error) {
	db, err := connect(path, patience)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }() // closing moves the WAL into the file
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; BEGIN; %s COMMIT;", applicationID, schemaVersion, schema))
	return err
}
