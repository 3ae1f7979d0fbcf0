package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// settlement is the end of a hold that is neither a decision nor a promotion: superseded or expired.
type settlement struct {
	Run    string          `json:"run"`
	State  promotion.Phase `json:"state"`
	Reason string          `json:"reason"`
}

// Hold records that a run waits. Older runs that wait for the same environment are superseded by it, and named. A run that
// is itself older than one that waits or was promoted there is refused: [*promotion.OvertakenError]. Held again, a run
// waits with its new plan, and what was decided about the old one does not count any more; one that was rejected meanwhile
// does not wait again: [*promotion.RefusedError].
func (l *Ledger) Hold(ctx context.Context, hold promotion.Hold) (superseded []string, err error) {
	err = l.write(ctx, func(tx *sql.Tx) ([]entry, error) {
		superseded = nil
		if err := overtaken(ctx, tx, hold.App, hold.Environment, hold.Run); err != nil {
			return nil, err
		}
		if err := ended(ctx, tx, hold.App, hold.Environment, hold.Run); err != nil {
			return nil, err
		}
		made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindHold, Hold: &hold})
		if err != nil {
			return nil, err
		}
		entries := []entry{made}
		others, err := queryHeld(ctx, tx, "app = ? AND environment = ? AND waits = 1 AND run <> ?", hold.App, hold.Environment, hold.Run)
		if err != nil {
			return nil, err
		}
		for _, other := range others {
			made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindSettle, Settle: &settlement{
				Run: other.Run, State: promotion.Superseded, Reason: "run " + hold.Run + " is newer and waits for the same environment",
			}})
			if err != nil {
				return nil, err
			}
			entries = append(entries, made)
			superseded = append(superseded, other.Run)
		}
		return entries, nil
	})
	if err != nil {
		return nil, fmt.Errorf("record that run %s waits: %w", hold.Run, err)
	}
	return superseded, nil
}

// Decide records a decision about a run that waits, and returns where the run stands after it. Whether it counts is judged
// in the same transaction: [*promotion.RefusedError] when it does not.
func (l *Ledger) Decide(ctx context.Context, decision promotion.Decision) (promotion.Held, error) {
	err := l.write(ctx, func(tx *sql.Tx) ([]entry, error) {
		held, err := oneHeld(ctx, tx, decision.Run)
		if err != nil {
			return nil, err
		}
		if err := l.beingPromoted(ctx, tx, held); err != nil {
			return nil, err
		}
		current, err := now(ctx, tx)
		if err != nil {
			return nil, err
		}
		after, err := held.Take(decision, current)
		if err != nil {
			return nil, err
		}
		made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindDecision, Decision: &decision, After: after})
		return []entry{made}, err
	})
	if err != nil {
		return promotion.Held{}, fmt.Errorf("decide about run %s: %w", decision.Run, err)
	}
	return l.Held(ctx, decision.Run)
}

// beingPromoted refuses a decision about a run at which a living process is at work under the lease: it comes too late, and
// must not be on record as if it had stopped anything.
func (l *Ledger) beingPromoted(ctx context.Context, tx *sql.Tx, held promotion.Held) error {
	lease, found, err := readLease(ctx, tx, held.App, held.Environment)
	if err != nil || !found || lease.released {
		return err
	}
	if holds, err := l.holds(ctx, tx, lease); err != nil || !holds {
		return err
	}
	var run string
	err = tx.QueryRowContext(ctx, "SELECT run FROM promotions WHERE id = ? AND state NOT IN (?, ?, ?)",
		lease.promotion, promotion.Gating, promotion.AwaitingApproval, promotion.Approved).Scan(&run)
	switch {
	case errors.Is(err, sql.ErrNoRows) || (err == nil && run != held.Run):
		return nil
	case err != nil:
		return err
	default:
		return &promotion.RefusedError{
			What:     fmt.Sprintf("run %s is being promoted already, by %s", held.Run, lease.process),
			NextStep: "stop it with Ctrl-C where it runs, which puts back what it changed, or `penstock rollback` once it is over",
		}
	}
}

// ended refuses to go on with a run whose waiting is over: it was rejected, or superseded, after whoever goes on had looked.
func ended(ctx context.Context, q querier, app, environment, run string) error {
	var state, reason string
	err := q.QueryRowContext(ctx, "SELECT state, reason FROM holds WHERE app = ? AND environment = ? AND run = ? AND waits = 0", app, environment, run).Scan(&state, &reason)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	default:
		what := fmt.Sprintf("run %s does not wait any more: it is %s", run, state)
		if reason != "" {
			what += " (" + reason + ")"
		}
		return &promotion.RefusedError{What: what, NextStep: "`penstock history` shows what came after it"}
	}
}

// Settle records that a run waits no longer: it expired, or something newer superseded it. One that does not wait is left
// as it is.
func (l *Ledger) Settle(ctx context.Context, run string, state promotion.Phase, reason string) error {
	err := l.write(ctx, func(tx *sql.Tx) ([]entry, error) {
		held, err := oneHeld(ctx, tx, run)
		if err != nil || !held.State.Waits() {
			return nil, err
		}
		made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindSettle, Settle: &settlement{run, state, reason}})
		return []entry{made}, err
	})
	if err != nil {
		return fmt.Errorf("record that run %s is %s: %w", run, state, err)
	}
	return nil
}

// Claim records that this process goes on with a run, of which at most one process can: [promotion.ErrBusy] while another
// is at work on it. Its end is that of the run.
func (l *Ledger) Claim(ctx context.Context, run string) error {
	err := l.write(ctx, func(tx *sql.Tx) ([]entry, error) {
		var process string
		var finished sql.NullString
		err := tx.QueryRowContext(ctx, "SELECT process, finished FROM runs WHERE id = ?", run).Scan(&process, &finished)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, ErrNotFound
		}
		var holder Process
		if err := errors.Join(err, json.Unmarshal([]byte(process), &holder)); err != nil {
			return nil, err
		}
		if !finished.Valid {
			works, err := l.works(ctx, tx, run, holder)
			if err != nil {
				return nil, err
			}
			if works {
				return nil, fmt.Errorf("%w: %s is at work on it", promotion.ErrBusy, holder)
			}
		}
		made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindClaim, Process: &l.me, Claim: run})
		return []entry{made}, err
	})
	if err != nil {
		return fmt.Errorf("go on with run %s: %w", run, err)
	}
	if l.line == nil {
		return nil
	}
	seq, err := runEntry(ctx, l.db, run)
	if err != nil {
		return fmt.Errorf("go on with run %s: %w", run, err)
	}
	l.keepAlive(leaseKey{environment: run, token: seq}, beatLineEvery, l.beatLine(seq))
	return nil
}

// works says whether the process that went on with a run, or began it, is still at it. Where only the ledger is shared, that is told
// by when it was last heard of.
func (l *Ledger) works(ctx context.Context, q querier, run string, holder Process) (bool, error) {
	life := l.me.lifeOf(holder)
	if life != unknown || l.line == nil {
		return life == alive, nil
	}
	seq, err := runEntry(ctx, q, run)
	if err != nil {
		return false, err
	}
	return l.heardOf(ctx, seq)
}

// runEntry is the number of the entry by which a process last went on with a run, or began it.
func runEntry(ctx context.Context, q querier, run string) (seq int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT seq FROM events WHERE run = ?3 AND kind IN (?1, ?2) ORDER BY kind = ?1 DESC, seq DESC LIMIT 1", kindClaim, string(event.RunStarted), run).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("find the entry by which run %s was last gone on with: %w", run, err)
	}
	return seq, nil
}

// Held returns what is held of a run and what was decided about it. [ErrNotFound] for a run that never waited.
func (l *Ledger) Held(ctx context.Context, run string) (promotion.Held, error) {
	return oneHeld(ctx, l.db, run)
}

// Waiting returns the runs that wait, of one app or (app "") of all, and for one environment or (environment "") for all,
// newest first. Those that have expired meanwhile are among them: ask StateAt.
func (l *Ledger) Waiting(ctx context.Context, app, environment string) ([]promotion.Held, error) {
	held, err := queryHeld(ctx, l.db, "(?1 = '' OR app = ?1) AND (?2 = '' OR environment = ?2) AND waits = 1", app, environment)
	if err != nil {
		return nil, fmt.Errorf("list what waits: %w", err)
	}
	return held, nil
}

// Overtaken says why a run must not go on ([*promotion.OvertakenError]): a newer one was promoted to the environment, or
// waits for it.
func (l *Ledger) Overtaken(ctx context.Context, app, environment, run string) error {
	return overtaken(ctx, l.db, app, environment, run)
}

func overtaken(ctx context.Context, q querier, app, environment, run string) error {
	var newer, how string
	// A run that the ledger does not know yet is the newest.
	err := q.QueryRowContext(ctx, `SELECT newer.id, newer.how FROM (
			SELECT r.id AS id, r.started_seq AS seq, 'was promoted' AS how FROM environments e JOIN runs r ON r.id = e.run WHERE e.app = ?1 AND e.name = ?2
			UNION ALL
			SELECT r.id, r.started_seq, 'waits' FROM holds h JOIN runs r ON r.id = h.run WHERE h.app = ?1 AND h.environment = ?2 AND h.waits = 1
		) AS newer, (SELECT COALESCE((SELECT started_seq FROM runs WHERE id = ?3), 1 << 62) AS seq) AS ours
		WHERE newer.id <> ?3 AND newer.seq > ours.seq ORDER BY newer.seq DESC LIMIT 1`, app, environment, run).Scan(&newer, &how)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look for newer runs to %s: %w", environment, err)
	default:
		return &promotion.OvertakenError{Run: run, Environment: environment, Newer: newer, How: how}
	}
}

func oneHeld(ctx context.Context, q querier, run string) (promotion.Held, error) {
	found, err := queryHeld(ctx, q, "run = ?", run)
	if err != nil {
		return promotion.Held{}, fmt.Errorf("read what is held of run %s: %w", run, err)
	}
	if len(found) == 0 {
		return promotion.Held{}, fmt.Errorf("run %s does not wait for anything: %w; `penstock status` lists those that do", run, ErrNotFound)
	}
	return found[0], nil
}

func queryHeld(ctx context.Context, q querier, where string, args ...any) ([]promotion.Held, error) {
	rows, err := q.QueryContext(ctx, "SELECT state, reason, hold FROM holds WHERE "+where+" ORDER BY seq DESC", args...)
	if err != nil {
		return nil, err
	}
	found, err := scanHeld(rows)
	if err != nil {
		return nil, err
	}
	for i := range found {
		rows, err := q.QueryContext(ctx, "SELECT decision FROM decisions WHERE run = ? ORDER BY seq", found[i].Run) //nolint:rowserrcheck // decodeRows asks it
		if err != nil {
			return nil, err
		}
		if found[i].Decisions, err = decodeRows[promotion.Decision](rows); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func scanHeld(rows *sql.Rows) ([]promotion.Held, error) {
	defer rows.Close()
	var found []promotion.Held
	for rows.Next() {
		var held promotion.Held
		var state, hold string
		if err := rows.Scan(&state, &held.Reason, &hold); err != nil {
			return nil, err
		}
		held.State = promotion.Phase(state)
		if err := json.Unmarshal([]byte(hold), &held.Hold); err != nil {
			return nil, err
		}
		found = append(found, held)
	}
	return found, rows.Err()
}

// Waive records a waiver. Its check is the caller's: [promotion.Waiver.Check].
func (l *Ledger) Waive(ctx context.Context, waiver promotion.Waiver) error {
	made, err := newEntry(record{Time: time.Now().UTC(), Kind: kindWaiver, Waiver: &waiver})
	if err == nil {
		err = l.write(ctx, func(*sql.Tx) ([]entry, error) { return []entry{made}, nil })
	}
	if err != nil {
		return fmt.Errorf("record the waiver of %s: %w", waiver.Gate, err)
	}
	return nil
}

// Waivers returns the waivers of one app or (app "") of all, and of one environment or (environment "") of all, that have
// not expired at that time, newest first.
func (l *Ledger) Waivers(ctx context.Context, app, environment string, now time.Time) ([]promotion.Waiver, error) {
	rows, err := l.db.QueryContext(ctx, "SELECT waiver FROM waivers WHERE (?1 = '' OR app = ?1) AND (?2 = '' OR environment = ?2) ORDER BY seq DESC", app, environment) //nolint:rowserrcheck // decodeRows asks it
	if err != nil {
		return nil, fmt.Errorf("list waivers: %w", err)
	}
	all, err := decodeRows[promotion.Waiver](rows)
	if err != nil {
		return nil, fmt.Errorf("list waivers: %w", err)
	}
	var live []promotion.Waiver
	for _, waiver := range all {
		if now.Before(waiver.Expires) {
			live = append(live, waiver)
		}
	}
	return live, nil
}

// PromotedFrom returns the newest run that took this source to the environment and completed; "" when none did.
func (l *Ledger) PromotedFrom(ctx context.Context, app, environment, source string) (string, error) {
	var run string
	err := l.db.QueryRowContext(ctx, `SELECT p.run FROM promotions p JOIN runs r ON r.id = p.run WHERE p.app = ? AND p.environment = ? AND p.state = ?
		AND json_extract(r.info, '$.sourceDigest') = ? AND COALESCE(json_extract(p.checkpoint, '$.kind'), '') <> ? ORDER BY p.seq DESC LIMIT 1`,
		app, environment, string(promotion.Completed), source, string(promotion.KindMigration)).Scan(&run)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for promotions to %s: %w", environment, err)
	}
	return run, nil
}

// shortestName is how much of a run's id can stand for it, where no other run's begins or ends so.
const shortestName = 4

// severalRunsError is an [ErrNotFound] for a name that more than one run has.
type severalRunsError struct {
	name  string
	found []string
}

func (e *severalRunsError) Error() string {
	return fmt.Sprintf("run %s: several runs begin or end so: %s", e.name, strings.Join(e.found, ", "))
}

func (e *severalRunsError) Unwrap() error { return ErrNotFound }

// Resolve returns the id of the run that a name means: an id, or a beginning or end of one that no other has.
// [ErrNotFound] when none or several are meant.
func (l *Ledger) Resolve(ctx context.Context, name string) (string, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT json_quote(id) FROM runs WHERE id = ?1 OR upper(id) = upper(?1)
		OR (length(?1) >= ?2 AND (substr(upper(id), 1, length(?1)) = upper(?1) OR substr(upper(id), -length(?1)) = upper(?1))) ORDER BY started_seq DESC LIMIT 4`,
		name, shortestName) //nolint:rowserrcheck // decodeRows asks it
	if err != nil {
		return "", fmt.Errorf("find run %s: %w", name, err)
	}
	found, err := decodeRows[string](rows)
	switch {
	case err != nil:
		return "", fmt.Errorf("find run %s: %w", name, err)
	case len(found) == 0:
		return "", fmt.Errorf("run %s: %w", name, ErrNotFound)
	case len(found) > 1 && found[0] != name:
		return "", &severalRunsError{name: name, found: found}
	default:
		return found[0], nil
	}
}
