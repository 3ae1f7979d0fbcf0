package ledger

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
)

//go:embed schema.sql
var firstSchema string

//go:embed waiting.sql
var waitingSchema string

// upgrades are what takes a ledger of schema n+1 to n+2. Each only adds: the events are as they were, and the new tables
// are empty, because no event of an older Penstock tells of what they hold.
var upgrades = []string{waitingSchema}

// schema is the whole of the newest one.
var schema = firstSchema + waitingSchema

// schemaVersion is kept in SQLite's user_version.
var schemaVersion = uint32(1 + len(upgrades))

// upgrade brings an older ledger to this schema, in one transaction. Several processes may try at the same time.
func upgrade(ctx context.Context, path string) (err error) {
	db, err := connect(path, patience)
	if err != nil {
		return fmt.Errorf("upgrade ledger %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return asFileError(path, err)
	}
	defer tx.Rollback() // after a commit this does nothing
	// The header on disk may be older than what the write-ahead log says, so ask again under the lock.
	var version uint32
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return asFileError(path, err)
	}
	if version < 1 || version >= schemaVersion {
		return nil
	}
	for _, statements := range upgrades[version-1:] {
		if _, err := tx.ExecContext(ctx, statements); err != nil {
			return fmt.Errorf("upgrade ledger %s: %w", path, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return fmt.Errorf("upgrade ledger %s: %w", path, err)
	}
	return tx.Commit()
}
