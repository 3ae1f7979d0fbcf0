package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// closeLimit bounds how long an ended database object may take to let go of its file.
const closeLimit = 5 * time.Second

// Snapshot writes a copy of a database to toFile, which must not exist: a plain SQLite file, consistent, holding every
// Query that returned before Snapshot was called. Queries wait meanwhile.
func (d *D1) Snapshot(ctx context.Context, databaseID, toFile string) error {
	err := d.exclusively(ctx, databaseID, func(file string) error {
		return copyNew(file, toFile)
	})
	if err != nil {
		return fmt.Errorf("snapshot database %s: %w", databaseID, err)
	}
	return nil
}

// Restore replaces a database by a copy that Snapshot wrote. Queries wait meanwhile; those that run are let finish. After
// a crash in the middle the database is either the old or the new one. A file that SQLite finds damaged is refused, and
// the database stays as it was.
func (d *D1) Restore(ctx context.Context, databaseID, fromFile string) error {
	if err := d.restore(ctx, databaseID, fromFile); err != nil {
		return fmt.Errorf("restore database %s: %w", databaseID, err)
	}
	return nil
}

func (d *D1) restore(ctx context.Context, databaseID, fromFile string) error {
	if err := checkSQLiteHeader(fromFile); err != nil {
		return err
	}
	// The copy is first looked at as a database of its own: a damaged one could not be closed in order any more.
	candidate := "restore of " + databaseID + " " + uuid.NewString()
	file := d.file(candidate)
	defer d.discard(context.WithoutCancel(ctx), candidate, file)
	if err := d.prepareFolder(ctx); err != nil {
		return err
	}
	if err := copyNew(fromFile, file); err != nil {
		return err
	}
	if err := d.check(ctx, candidate); err != nil {
		return fmt.Errorf("%s is damaged; take another snapshot: %w", fromFile, err)
	}
	if err := d.release(ctx, candidate, file); err != nil {
		return err
	}
	return d.exclusively(ctx, databaseID, func(live string) error {
		return replaceFile(file, live)
	})
}

// prepareFolder starts the data workerd, which makes the folder for its databases.
func (d *D1) prepareFolder(ctx context.Context) error {
	worker, err := d.enter(ctx)
	if err != nil {
		return err
	}
	worker.leave()
	return nil
}

// check lets SQLite look for damage.
func (d *D1) check(ctx context.Context, databaseID string) error {
	results, err := d.Query(ctx, databaseID, []Statement{{SQL: "PRAGMA quick_check"}})
	if err != nil {
		return err
	}
	for _, r := range results {
		for _, row := range r.Rows {
			if len(row) != 1 || string(row[0]) != `"ok"` {
				return fmt.Errorf("SQLite reports %s", row)
			}
		}
	}
	return nil
}

// discard removes what is left of a candidate. The file has a name of its own, so an open connection does no harm.
func (d *D1) discard(ctx context.Context, candidate, file string) {
	if _, err := os.Stat(file); err != nil {
		return // it became the database
	}
	// The object may be too damaged to start, and then it is closed already.
	_, _ = d.post(ctx, candidate, "/close", nil)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			d.runtime.log.Warn("a refused database copy stays behind", "error", err)
		}
	}
}

// Delete removes a database and its file. To delete an absent one is no error.
func (d *D1) Delete(ctx context.Context, databaseID string) error {
	err := d.exclusively(ctx, databaseID, func(file string) error { return os.Remove(file) })
	if err != nil {
		return fmt.Errorf("delete database %s: %w", databaseID, err)
	}
	return nil
}

// exclusively calls do with the path of a database that nobody has open and whose write-ahead log is folded in: a whole
// database in one file.
func (d *D1) exclusively(ctx context.Context, databaseID string, do func(file string) error) error {
	lock, done := d.locks.get(databaseID)
	lock.Lock()
	defer done()
	defer lock.Unlock()
	file := d.file(databaseID)
	if err := d.release(ctx, databaseID, file); err != nil {
		return err
	}
	return do(file)
}

// release makes workerd close a database. It is opened first: only a connection that closes in order folds the log of an
// earlier crash into the file, and a database that was never used gets one.
func (d *D1) release(ctx context.Context, databaseID, file string) error {
	var answer struct{ Error string }
	if err := d.ask(ctx, databaseID, "/query", []byte(`[{"sql":"SELECT 1","params":[]}]`), &answer); err != nil {
		return err
	}
	if _, err := d.post(ctx, databaseID, "/close", nil); err == nil {
		return errors.New("workerd did not close the database")
	} // an object that ends itself cannot answer: the error is the confirmation, and the log's absence the proof
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	for {
		if _, err := os.Stat(file + "-wal"); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("workerd does not let go of the database's file: %w", ctx.Err())
		}
	}
}

func checkSQLiteHeader(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	magic := []byte("SQLite format 3\x00")
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(file, head); err != nil || !bytes.Equal(head, magic) {
		return fmt.Errorf("%s is not an SQLite database; give a file that Snapshot wrote", name)
	}
	return nil
}

// copyNew copies to a file that must not exist, and makes it durable. Nothing is left of a copy that fails.
func copyNew(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return syncFolder(filepath.Dir(to))
}

// replaceFile renames durably.
func replaceFile(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
