package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

var _ promotion.Rewinder = (*Target)(nil)

// eachDatabase visits the app's databases that exist.
func (t *Target) eachDatabase(ctx context.Context, visit func(database wrangler.D1Database, id, name string) error) error {
	for _, database := range t.Worker.D1Databases {
		id, err := t.findDatabase(ctx, database)
		if err != nil {
			return err
		}
		if id == "" {
			continue
		}
		if err := visit(database, id, t.databaseName(database)); err != nil {
			return err
		}
	}
	return nil
}

// AppliedSince reads the migrations tables. Their times are whole seconds.
func (t *Target) AppliedSince(ctx context.Context, moment time.Time) ([]promotion.Applied, error) {
	var all []promotion.Applied
	err := t.eachDatabase(ctx, func(database wrangler.D1Database, id, name string) error {
		h, err := t.history(ctx, id, database)
		if err != nil || !h.hasTable {
			return err
		}
		var rows []struct {
			Name string
			At   string `json:"applied_at"`
		}
		if err := t.rows(ctx, id, "SELECT name, applied_at FROM "+migrationsTable(database)+" ORDER BY id", &rows); err != nil {
			return fmt.Errorf("read the migrations of database %s: %w", name, err)
		}
		files, err := t.migrationFiles(database)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if strings.HasPrefix(row.Name, notePrefix) {
				continue
			}
			at, err := time.Parse(time.DateTime, row.At) // CURRENT_TIMESTAMP, which is UTC
			if err != nil {
				return fmt.Errorf("the migrations table of database %s says that %s was applied at %q, which is no time", name, row.Name, row.At)
			}
			if at.Before(moment) {
				continue
			}
			applied := promotion.Applied{At: at, Migration: promotion.Migration{
				Database: name, Name: row.Name, Breaks: "its file is not there, so that nobody can say what it did",
			}}
			for _, file := range files {
				if file.Name == row.Name {
					applied.Migration = file.Migration
				}
			}
			all = append(all, applied)
		}
		return nil
	})
	return all, err
}

// timeTravelDays is how far Time Travel goes back at most; 7 on the free plan.
// Source: https://developers.cloudflare.com/d1/reference/time-travel/
const timeTravelDays = 30

// BeyondTimeTravel asks Time Travel for that moment, since only the account knows its plan.
func (t *Target) BeyondTimeTravel(ctx context.Context, moment time.Time) (string, error) {
	if days := int(time.Since(moment).Hours() / 24); days >= timeTravelDays {
		return fmt.Sprintf("it is %d days old, and Time Travel keeps %d (7 on the free plan)", days, timeTravelDays), nil
	}
	_, err := t.BookmarkBefore(ctx, moment.Add(time.Second))
	var refused *api.Error
	if errors.As(err, &refused) && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotFound) {
		return fmt.Sprintf("Time Travel does not know that moment any more (it keeps %d days; 7 on the free plan): %v", timeTravelDays, err), nil
	}
	return "", err
}

// BookmarkBefore asks Time Travel, which knows every minute of the last 30 days (7 on the free plan).
func (t *Target) BookmarkBefore(ctx context.Context, moment time.Time) (string, error) {
	var bookmarks []string
	err := t.eachDatabase(ctx, func(database wrangler.D1Database, id, name string) error {
		bookmark, err := t.api.BookmarkAt(ctx, id, moment.Add(-time.Second))
		if err != nil {
			return fmt.Errorf("find the bookmark of database %s before %s: %w", name, moment.UTC().Format(time.RFC3339), err)
		}
		if len(t.Worker.D1Databases) > 1 {
			bookmark = database.Binding + "=" + bookmark
		}
		bookmarks = append(bookmarks, bookmark)
		return nil
	})
	return strings.Join(bookmarks, " "), err
}

// Written counts the rows above the marks; the migrations table, Penstock's own bookkeeping, is left out.
func (t *Target) Written(ctx context.Context, marks []promotion.Mark) ([]promotion.Written, error) {
	var all []promotion.Written
	err := t.eachDatabase(ctx, func(database wrangler.D1Database, id, name string) error {
		tables, err := t.rowTables(ctx, id, name)
		if err != nil {
			return err
		}
		for _, table := range tables {
			if strings.EqualFold(table, migrationsTable(database)) {
				continue
			}
			written := promotion.Written{Database: name, Table: table}
			above, marked := markOf(marks, name, table)
			switch {
			case len(marks) == 0:
				written.Uncounted = "nobody marked its rows then"
			case !marked:
				// It may be new, or hold the old rows of another one.
				written.Uncounted = "there was none of that name then"
			default:
				var rows []struct{ N int64 }
				if err := t.rows(ctx, id, fmt.Sprintf("SELECT count(*) AS n FROM %s WHERE _rowid_ > %d", quoteName(table), above), &rows); err != nil {
					return fmt.Errorf("count the rows of table %s: %w", table, err)
				}
				if len(rows) != 1 {
					return fmt.Errorf("count the rows of table %s: %d answers", table, len(rows))
				}
				written.Rows = rows[0].N
			}
			all = append(all, written)
		}
		return nil
	})
	return all, err
}

func markOf(marks []promotion.Mark, database, table string) (int64, bool) {
	for _, mark := range marks {
		if mark.Database == database && mark.Table == table {
			return mark.Row, true
		}
	}
	return 0, false
}

// RestoreData puts every database back to its bookmark. It is never asked for twice: after a lost reply nobody can tell
// from the database whether it was put back, and a second time would make the first one's result the state to undo to.
func (t *Target) RestoreData(ctx context.Context, _, bookmark string) (string, error) {
	states := map[string]string{} // by the database's id: two bindings may lead to one database
	err := t.eachDatabase(ctx, func(database wrangler.D1Database, id, name string) error {
		own := t.bookmarkOf(bookmark, database)
		if own == "" {
			return fmt.Errorf("the bookmark names no state of database %s, binding %s; nothing was changed", name, database.Binding)
		}
		if other := states[id]; other != "" && other != own {
			return fmt.Errorf("the bookmark names two states of database %s; nothing was changed", name)
		}
		states[id] = own
		return nil
	})
	if err != nil {
		return "", err
	}
	var undo []string
	undone := map[string]string{}
	err = t.eachDatabase(ctx, func(database wrangler.D1Database, id, name string) error {
		if replaced, done := undone[id]; done {
			undo = append(undo, database.Binding+"="+replaced)
			return nil
		}
		own := t.bookmarkOf(bookmark, database)
		replaced, err := t.api.Restore(ctx, id, own)
		if errors.Is(err, promotion.ErrUnreachable) || ctx.Err() != nil {
			return fmt.Errorf("restore database %s: %w (whether it was done is not known: compare `wrangler d1 time-travel info %s` and its data with what you expect)", name, err, name)
		}
		if refused, ok := errors.AsType[*api.Error](err); ok && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotFound) {
			return &AbsentError{
				What: fmt.Sprintf("database %s cannot go back to bookmark %s: %s", name, own, refused.Message()),
				NextStep: "`penstock history` lists the promotions, and `penstock history RUN` the bookmark that one took before its migrations; " +
					"`wrangler d1 time-travel info " + name + " --timestamp=…` names that of a moment",
			}
		}
		if err != nil {
			return fmt.Errorf("restore database %s: %w", name, err)
		}
		undone[id] = replaced
		if len(t.Worker.D1Databases) > 1 {
			replaced = database.Binding + "=" + replaced
		}
		undo = append(undo, replaced)
		return nil
	})
	return strings.Join(undo, " "), err
}
