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

// ErrNotFound is wrapped when the ledger holds nothing of that name.
var ErrNotFound = errors.New("not in the ledger")

// Filter chooses runs; its zero value chooses all.
type Filter struct {
	App         string // "" for every app
	Environment string // "" for every environment
	Limit       int    // 0 for no limit
}

// The states of a run that has no result on record. One that has is in its result's outcome.
const (
	Running     = "running"
	Interrupted = "interrupted" // its process is gone
	Unknown     = "unknown"     // it runs, or ran, where this process cannot look
)

// RunSummary is one run as a list shows it.
type RunSummary struct {
	ID       string        `json:"id"`
	State    string        `json:"state"` // running, interrupted, unknown, where it waits, or the result's outcome
	Started  time.Time     `json:"started"`
	Finished time.Time     `json:"finished,omitzero"`
	Info     event.RunInfo `json:"info"`
	Process  Process       `json:"process"`
	Bundle   string        `json:"bundle,omitempty"` // digest
	Plan     string        `json:"plan,omitempty"`   // digest
	Result   *event.Result `json:"result,omitempty"`
	// Waited says where a run stands, or how its waiting ended, when it ever waited; "" otherwise.
	Waited promotion.Phase `json:"waited,omitempty"`
}

// Run is everything that the tables hold of one run, in the order in which it happened.
type Run struct {
	RunSummary
	Stages     []event.Stage          `json:"stages"`
	Gates      []event.Gate           `json:"gates"`
	Steps      []event.Step           `json:"steps"`
	Promotions []promotion.Checkpoint `json:"promotions"`
}

// EnvironmentState is what was last made live in an environment, and who works on it.
type EnvironmentState struct {
	App       string    `json:"app"`
	Name      string    `json:"name"`
	Version   string    `json:"version,omitempty"` // "" when no promotion completed yet
	Bundle    string    `json:"bundle,omitempty"`
	Promotion string    `json:"promotion,omitempty"`
	Run       string    `json:"run,omitempty"`
	URL       string    `json:"url,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	// Holder is who is changing the environment now, nil when nobody is.
	Holder *LeaseHolder `json:"holder,omitempty"`
	// Unfinished are promotions that reached no end: the one at work, and those that died.
	Unfinished []promotion.Checkpoint `json:"unfinished,omitempty"`
	// Waiting are the runs that wait for people or a gate, newest first.
	Waiting []promotion.Held `json:"waiting,omitempty"`
	// Waivers are those that have not expired.
	Waivers []promotion.Waiver `json:"waivers,omitempty"`
}

// LeaseHolder is who holds an environment's lease.
type LeaseHolder struct {
	Promotion string    `json:"promotion"`
	Process   Process   `json:"process"`
	Since     time.Time `json:"since"`
}

const summaryColumns = `SELECT id, started, finished, info, process, result, bundle, plan,
	(SELECT state FROM holds WHERE run = id), (SELECT json_extract(hold, '$.expires') FROM holds WHERE run = id) FROM runs`

// Runs returns the chosen runs, newest first.
func (l *Ledger) Runs(ctx context.Context, filter Filter) ([]RunSummary, error) {
	limit := filter.Limit
	if limit <= 0 {
		limit = -1
	}
	rows, err := l.db.QueryContext(ctx, summaryColumns+" WHERE (?1 = '' OR app = ?1) AND (?2 = '' OR environment = ?2) ORDER BY started_seq DESC LIMIT ?3",
		filter.App, filter.Environment, limit)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	defer rows.Close()
	var runs []RunSummary
	for rows.Next() {
		run, err := l.scanRun(rows)
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		runs = append(runs, run)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return runs, nil
}

// Run returns one run with all its parts. [ErrNotFound] when there is none of that id.
func (l *Ledger) Run(ctx context.Context, id string) (Run, error) {
	summary, err := l.scanRun(l.db.QueryRowContext(ctx, summaryColumns+" WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return Run{}, fmt.Errorf("run %s: %w; `penstock history` lists those that are", id, ErrNotFound)
	}
	if err != nil {
		return Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	run := Run{RunSummary: summary}
	read := func(query string, into func(*sql.Rows) error) {
		if err != nil {
			return
		}
		var rows *sql.Rows
		if rows, err = l.db.QueryContext(ctx, query, id); err == nil { //nolint:rowserrcheck // decodeRows asks it
			err = into(rows)
		}
	}
	read("SELECT stage FROM stages WHERE run = ? ORDER BY seq", decodeInto(&run.Stages))
	read("SELECT verdict FROM verdicts WHERE run = ? ORDER BY seq", decodeInto(&run.Gates))
	read("SELECT step FROM steps WHERE run = ? ORDER BY seq", decodeInto(&run.Steps))
	read("SELECT checkpoint FROM promotions WHERE run = ? ORDER BY seq", decodeInto(&run.Promotions))
	if err != nil {
		return Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	return run, nil
}

// Told returns what observers were told of a run, in its order, but for the stages' output, which is in their logs. It is empty for
// a run that is not there.
func (l *Ledger) Told(ctx context.Context, id string) ([]event.Event, error) {
	rows, err := l.db.QueryContext(ctx, "SELECT json_extract(body, '$.event') FROM events WHERE run = ? AND json_extract(body, '$.event') IS NOT NULL ORDER BY seq", id) //nolint:rowserrcheck // decodeRows asks it
	if err != nil {
		return nil, fmt.Errorf("read what was told of run %s: %w", id, err)
	}
	told, err := decodeRows[event.Event](rows)
	if err != nil {
		return nil, fmt.Errorf("read what was told of run %s: %w", id, err)
	}
	return told, nil
}

func decodeInto[T any](into *[]T) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		found, err := decodeRows[T](rows)
		*into = append([]T{}, found...) // none is an empty list for those who read JSON
		return err
	}
}

// Environment returns the state of one environment; an environment of which nothing is known is one without a version.
func (l *Ledger) Environment(ctx context.Context, app, environment string) (EnvironmentState, error) {
	state := EnvironmentState{App: app, Name: environment}
	var since string
	err := l.db.QueryRowContext(ctx, "SELECT version, bundle, promotion, run, url, since FROM environments WHERE app = ? AND name = ?", app, environment).
		Scan(&state.Version, &state.Bundle, &state.Promotion, &state.Run, &state.URL, &since)
	if err == nil {
		state.Since, err = time.Parse(time.RFC3339Nano, since)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return EnvironmentState{}, fmt.Errorf("read environment %s: %w", environment, err)
	}
	held, found, err := readLease(ctx, l.db, app, environment)
	if err != nil {
		return EnvironmentState{}, fmt.Errorf("read the lease of %s: %w", environment, err)
	}
	holds := found && !held.released
	if holds {
		// Where it cannot be found out, it is shown as far as it is known.
		if lives, err := l.holds(ctx, l.db, held); err == nil {
			holds = lives
		} else if ctx.Err() != nil {
			return EnvironmentState{}, ctx.Err()
		}
	}
	if holds {
		state.Holder = &LeaseHolder{Promotion: held.promotion, Process: held.process, Since: held.acquired}
	}
	if state.Unfinished, err = unended(ctx, l.db, app, environment); err != nil {
		return EnvironmentState{}, fmt.Errorf("read the promotions of %s: %w", environment, err)
	}
	if state.Waiting, err = l.Waiting(ctx, app, environment); err != nil {
		return EnvironmentState{}, err
	}
	if state.Waivers, err = l.Waivers(ctx, app, environment, time.Now()); err != nil {
		return EnvironmentState{}, err
	}
	return state, nil
}

// Environments returns every environment that a promotion or a lease names, of one app or (app "") of all, by name.
func (l *Ledger) Environments(ctx context.Context, app string) ([]EnvironmentState, error) {
	names, err := l.environmentNames(ctx, app)
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	states := make([]EnvironmentState, 0, len(names))
	for _, name := range names {
		state, err := l.Environment(ctx, name[0], name[1])
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

func (l *Ledger) environmentNames(ctx context.Context, app string) ([][2]string, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT app, environment FROM leases WHERE ?1 = '' OR app = ?1
		UNION SELECT app, name FROM environments WHERE ?1 = '' OR app = ?1
		UNION SELECT app, environment FROM holds WHERE (?1 = '' OR app = ?1) AND waits = 1 ORDER BY 1, 2`, app)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names [][2]string
	for rows.Next() {
		var name [2]string
		if err := rows.Scan(&name[0], &name[1]); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func (l *Ledger) scanRun(row interface{ Scan(...any) error }) (RunSummary, error) {
	var run RunSummary
	var started, info, process string
	var finished, result, waited, expires sql.NullString
	if err := row.Scan(&run.ID, &started, &finished, &info, &process, &result, &run.Bundle, &run.Plan, &waited, &expires); err != nil {
		return RunSummary{}, err
	}
	var err error
	if run.Started, err = time.Parse(time.RFC3339Nano, started); err != nil {
		return RunSummary{}, err
	}
	if err := errors.Join(json.Unmarshal([]byte(info), &run.Info), json.Unmarshal([]byte(process), &run.Process)); err != nil {
		return RunSummary{}, err
	}
	if run.Waited, err = waitedAs(waited.String, expires.String); err != nil {
		return RunSummary{}, err
	}
	if !finished.Valid {
		run.State = map[life]string{alive: Running, dead: Interrupted, unknown: Unknown}[l.me.lifeOf(run.Process)]
		if run.State != Running && run.Waited.Waits() {
			run.State = string(run.Waited) // whoever went on with it died, and it can still go on
		}
		return run, nil
	}
	if run.Finished, err = time.Parse(time.RFC3339Nano, finished.String); err != nil {
		return RunSummary{}, err
	}
	if err := json.Unmarshal([]byte(result.String), &run.Result); err != nil {
		return RunSummary{}, err
	}
	run.State = run.Result.Outcome
	if run.Result.Outcome == outcomeWaiting && run.Waited != "" {
		run.State = string(run.Waited)
	}
	return run, nil
}

// outcomeWaiting is the outcome of a run that ended in order to wait.
const outcomeWaiting = "waiting"

// waitedAs is the state of a hold now.
func waitedAs(state, expires string) (promotion.Phase, error) {
	if state == "" {
		return "", nil
	}
	end, err := time.Parse(time.RFC3339Nano, expires)
	if err != nil {
		return "", fmt.Errorf("read until when a run waits: %w", err)
	}
	held := promotion.Held{Hold: promotion.Hold{Expires: end}, State: promotion.Phase(state)}
	return held.StateAt(time.Now()), nil
}

// Now is the time by which what expires is judged: the clock's, or that of the newest entry when the clock has been set back.
// Whoever may set a clock could otherwise make a waiver last, or a run wait, for as long as they please.
func (l *Ledger) Now(ctx context.Context) (time.Time, error) { return now(ctx, l.db) }

func now(ctx context.Context, q querier) (time.Time, error) {
	clock := time.Now()
	var newest sql.NullString
	if err := q.QueryRowContext(ctx, "SELECT max(json_extract(body, '$.time')) FROM events").Scan(&newest); err != nil {
		return clock, fmt.Errorf("find the newest entry of the ledger: %w", err)
	}
	if !newest.Valid {
		return clock, nil
	}
	recorded, err := time.Parse(time.RFC3339Nano, newest.String)
	if err != nil {
		return clock, fmt.Errorf("find the newest entry of the ledger: %w", err)
	}
	if recorded.After(clock) {
		return recorded, nil
	}
	return clock, nil
}
