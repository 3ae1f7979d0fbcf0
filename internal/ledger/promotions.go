package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// Promotion is one attempt to make a plan real, with what is known of its run.
type Promotion struct {
	Environment string
	Checkpoint  promotion.Checkpoint // the last one
	Started     time.Time            // of its run; zero when the run is not on record
	Info        event.RunInfo        // of its run
}

// Promotions returns the app's newest promotions to all environments, newest first, at most limit; complete says that
// there are no more.
func (l *Ledger) Promotions(ctx context.Context, app string, limit int) (found []Promotion, complete bool, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT p.environment, p.checkpoint, COALESCE(r.started, ''), COALESCE(r.info, '')
		FROM promotions p LEFT JOIN runs r ON r.id = p.run WHERE p.app = ? ORDER BY p.seq DESC LIMIT ?`, app, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("list the promotions of %s: %w", app, err)
	}
	defer rows.Close()
	for rows.Next() {
		var one Promotion
		var checkpoint, started, info string
		if err := rows.Scan(&one.Environment, &checkpoint, &started, &info); err != nil {
			return nil, false, fmt.Errorf("list the promotions of %s: %w", app, err)
		}
		err := json.Unmarshal([]byte(checkpoint), &one.Checkpoint)
		if err == nil && started != "" {
			if one.Started, err = time.Parse(time.RFC3339Nano, started); err == nil {
				err = json.Unmarshal([]byte(info), &one.Info)
			}
		}
		if err != nil {
			return nil, false, fmt.Errorf("list the promotions of %s: %w", app, err)
		}
		found = append(found, one)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("list the promotions of %s: %w", app, err)
	}
	if len(found) > limit {
		return found[:limit], false, nil
	}
	return found, true, nil
}

// Migration names a migration file of a database.
type Migration struct {
	Database, Name string
}

// MigrationDigests returns, for each migration that a promotion to the environment planned to apply, the digest that its
// file had in the last of those plans: a migration is in every plan until it is applied.
func (l *Ledger) MigrationDigests(ctx context.Context, app, environment string) (map[Migration]string, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT e.body FROM events e WHERE e.kind = ?
		AND e.run IN (SELECT run FROM promotions WHERE app = ? AND environment = ?) ORDER BY e.seq`, string(event.PlanMade), app, environment)
	if err != nil {
		return nil, fmt.Errorf("read the plans for %s: %w", environment, err)
	}
	defer rows.Close()
	digests := map[Migration]string{}
	for rows.Next() {
		var body string
		var made record
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("read the plans for %s: %w", environment, err)
		}
		if err := json.Unmarshal([]byte(body), &made); err != nil {
			return nil, fmt.Errorf("read the plans for %s: %w", environment, err)
		}
		if made.Event == nil || made.Event.Plan == nil {
			continue
		}
		for _, change := range made.Event.Plan.Changes {
			// As package cloudflare writes it: "<database> sha256:…".
			at := strings.LastIndex(change.To, " sha256:")
			if change.Kind == promotion.ChangeMigration && change.Action == "create" && at > 0 {
				digests[Migration{Database: change.To[:at], Name: change.Name}] = change.To[at+1:]
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the plans for %s: %w", environment, err)
	}
	return digests, nil
}
