package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

const (
	// heartbeatEvery is how often the holder of a lease says that it lives.
	heartbeatEvery = 10 * time.Second
	// heartbeatExpiry is after how long without a word a holder that cannot be judged from here counts as dead. Six missed
	// beats: a machine that slept for a moment keeps its lease, and if it does not, the token stops it.
	heartbeatExpiry = time.Minute
	// beatLineEvery is heartbeatEvery where each beat is a call over the network: four until the holder counts as dead.
	beatLineEvery = 15 * time.Second
)

var _ promotion.Journal = (*Ledger)(nil)

// heldLease is the row of an environment's lease.
type heldLease struct {
	app, environment    string
	token               int64
	promotion           string
	process             Process
	acquired, heartbeat time.Time
	released            bool
}

// Acquire implements promotion.Journal. A holder on this machine is judged by its process (pid, start, boot), at once; any
// other by its heartbeat. The lease is kept alive until Release or Close.
func (l *Ledger) Acquire(ctx context.Context, app, environment, promotionID string) (promotion.Lease, error) {
	lease := promotion.Lease{App: app, Environment: environment, Promotion: promotionID}
	err := l.write(ctx, func(tx *sql.Tx) ([]entry, error) {
		change := leaseChange{App: app, Environment: environment, Promotion: promotionID, Token: 1}
		held, found, err := readLease(ctx, tx, app, environment)
		if err != nil {
			return nil, err
		}
		if found {
			change.Token = held.token + 1
			ours := held.process == l.me && held.promotion == promotionID
			if !held.released && !ours {
				holds, err := l.holds(ctx, tx, held)
				if err != nil {
					return nil, err
				}
				if holds {
					return nil, &promotion.BusyError{Environment: environment, Promotion: held.promotion, Holder: held.process.String(), Since: held.acquired}
				}
				change.TakenOver = held.promotion
			}
		}
		lease.Token = change.Token
		if lease.Abandoned, err = unended(ctx, tx, app, environment); err != nil {
			return nil, err
		}
		made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindLease, Process: &l.me, Lease: &change})
		return []entry{made}, err
	})
	if err != nil {
		return promotion.Lease{}, fmt.Errorf("acquire the lease of %s: %w", environment, err)
	}
	if l.line == nil {
		l.keepAlive(keyOf(lease), heartbeatEvery, func(ctx context.Context, now time.Time) { l.beat(ctx, lease, now) })
		return lease, nil
	}
	seq, err := leaseEntry(ctx, l.db, app, environment, lease.Token)
	if err != nil {
		return promotion.Lease{}, fmt.Errorf("acquire the lease of %s: %w", environment, err)
	}
	l.keepAlive(keyOf(lease), beatLineEvery, l.beatLine(seq))
	return lease, nil
}

// holds says whether the lease still counts.
func (l *Ledger) holds(ctx context.Context, q querier, held heldLease) (bool, error) {
	switch l.me.lifeOf(held.process) {
	case alive:
		return true, nil
	case dead:
		return false, nil
	case unknown: // by when it was last heard of
	}
	if l.line == nil {
		return time.Since(held.heartbeat) < heartbeatExpiry, nil
	}
	seq, err := leaseEntry(ctx, q, held.app, held.environment, held.token)
	if err != nil {
		return false, err
	}
	return l.heardOf(ctx, seq)
}

// heardOf says whether whoever wrote an entry of the shared line has been heard of lately.
func (l *Ledger) heardOf(ctx context.Context, seq int64) (bool, error) {
	silence, err := l.line.Silence(ctx, seq)
	if err != nil {
		return false, fmt.Errorf("ask the shared ledger whether the holder of entry %d lives: %w", seq, err)
	}
	return silence < heartbeatExpiry, nil
}

// leaseEntry is the number of the entry by which a lease was taken.
func leaseEntry(ctx context.Context, q querier, app, environment string, token int64) (seq int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT seq FROM events WHERE kind = ? AND json_extract(body, '$.lease.app') = ?
		AND json_extract(body, '$.lease.environment') = ? AND json_extract(body, '$.lease.token') = ? ORDER BY seq DESC LIMIT 1`,
		kindLease, app, environment, token).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("find the entry of lease %d of %s: %w", token, environment, err)
	}
	return seq, nil
}

// Checkpoint implements promotion.Journal.
func (l *Ledger) Checkpoint(ctx context.Context, lease promotion.Lease, state promotion.Checkpoint, told ...event.Event) error {
	var entries []entry
	for _, e := range told {
		if !recorded(e) {
			continue
		}
		made, err := l.eventEntry(e)
		if err != nil {
			return err
		}
		entries = append(entries, made)
	}
	placed := placedRecord{App: lease.App, Environment: lease.Environment, Token: lease.Token, State: state}
	made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindCheckpoint, Checkpoint: &placed})
	if err != nil {
		return err
	}
	entries = append(entries, made)
	return l.write(ctx, func(tx *sql.Tx) ([]entry, error) {
		if err := l.fence(ctx, tx, lease); err != nil {
			return nil, err
		}
		var before promotion.Phase
		err := tx.QueryRowContext(ctx, "SELECT state FROM promotions WHERE id = ?", state.Promotion).Scan(&before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if begins := err != nil || before.Waits() || before.Ended(); begins && state.State == promotion.Leased {
			if err := ended(ctx, tx, lease.App, lease.Environment, state.Run); err != nil {
				return nil, err
			}
		}
		if before.Ended() && before != state.State {
			return nil, fmt.Errorf("promotion %s ended as %s and cannot become %s", state.Promotion, before, state.State)
		}
		return entries, nil
	})
}

// fence refuses whoever lost the lease, also when nobody else has taken it yet.
func (l *Ledger) fence(ctx context.Context, tx *sql.Tx, lease promotion.Lease) error {
	held, found, err := readLease(ctx, tx, lease.App, lease.Environment)
	if err != nil {
		return err
	}
	if !found || held.token != lease.Token || held.released {
		return fmt.Errorf("lease %d of %s: %w: %d is the last one given", lease.Token, lease.Environment, promotion.ErrLeaseLost, held.token)
	}
	return nil
}

// Release implements promotion.Journal.
func (l *Ledger) Release(ctx context.Context, lease promotion.Lease) error {
	l.stopKeeping(lease)
	err := l.write(ctx, func(tx *sql.Tx) ([]entry, error) {
		if err := l.fence(ctx, tx, lease); errors.Is(err, promotion.ErrLeaseLost) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		change := leaseChange{App: lease.App, Environment: lease.Environment, Promotion: lease.Promotion, Token: lease.Token}
		made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindRelease, Lease: &change})
		return []entry{made}, err
	})
	if err != nil {
		return fmt.Errorf("release the lease of %s: %w", lease.Environment, err)
	}
	return nil
}

// keepAlive beats until the lease is released, lost, or the ledger is closed. A beat that cannot be written is not an event: the next
// checkpoint meets the same trouble and says it.
func (l *Ledger) keepAlive(key leaseKey, every time.Duration, beat func(ctx context.Context, now time.Time)) {
	ctx, cancel := context.WithCancel(context.Background())
	l.writing.Lock()
	l.ends[key] = cancel
	l.writing.Unlock()
	l.beats.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				beat(ctx, now)
			}
		}
	})
}

func (l *Ledger) beatLine(seq int64) func(context.Context, time.Time) {
	return func(ctx context.Context, _ time.Time) {
		ctx, cancel := context.WithTimeout(ctx, beatLineEvery) // what is not answered must not keep the next ones back
		defer cancel()
		_ = l.line.Beat(ctx, seq)
	}
}

func (l *Ledger) beat(ctx context.Context, lease promotion.Lease, now time.Time) {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, _ = l.db.ExecContext(ctx, "UPDATE leases SET heartbeat = ? WHERE app = ? AND environment = ? AND token = ? AND released = 0",
		stamp(now), lease.App, lease.Environment, lease.Token)
}

func (l *Ledger) stopKeeping(lease promotion.Lease) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if end, kept := l.ends[keyOf(lease)]; kept {
		end()
		delete(l.ends, keyOf(lease))
	}
}

// leaseKey names a lease; with a run for its environment and no app, a claim.
type leaseKey struct {
	app, environment string
	token            int64
}

func keyOf(lease promotion.Lease) leaseKey {
	return leaseKey{lease.App, lease.Environment, lease.Token}
}

// querier is a transaction or the database.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readLease(ctx context.Context, q querier, app, environment string) (held heldLease, found bool, err error) {
	var process, acquired, heartbeat string
	held.app, held.environment = app, environment
	err = q.QueryRowContext(ctx, "SELECT token, promotion, process, acquired, released, heartbeat FROM leases WHERE app = ? AND environment = ?", app, environment).
		Scan(&held.token, &held.promotion, &process, &acquired, &held.released, &heartbeat)
	if errors.Is(err, sql.ErrNoRows) {
		return heldLease{}, false, nil
	}
	if err != nil {
		return heldLease{}, false, err
	}
	if err := json.Unmarshal([]byte(process), &held.process); err != nil {
		return heldLease{}, false, err
	}
	if held.acquired, err = time.Parse(time.RFC3339Nano, acquired); err != nil {
		return heldLease{}, false, err
	}
	if held.heartbeat, err = time.Parse(time.RFC3339Nano, heartbeat); err != nil {
		return heldLease{}, false, err
	}
	return held, true, nil
}

// unended returns the checkpoints of promotions that were at work and reached no end, newest first. Those that wait for
// gates or people hold no lease and are not abandoned.
func unended(ctx context.Context, q querier, app, environment string) ([]promotion.Checkpoint, error) {
	rows, err := q.QueryContext(ctx, `SELECT checkpoint FROM promotions WHERE app = ? AND environment = ? AND ended = 0
		AND state NOT IN (?, ?, ?, ?) ORDER BY seq DESC`, app, environment, promotion.Planned, promotion.Gating, promotion.AwaitingApproval, promotion.Approved)
	if err != nil {
		return nil, err
	}
	return decodeRows[promotion.Checkpoint](rows)
}

// decodeRows reads rows of one JSON column.
func decodeRows[T any](rows *sql.Rows) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		var data string
		if err := rows.Scan(&data); err != nil {
			return nil, err
		}
		var one T
		if err := json.Unmarshal([]byte(data), &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
