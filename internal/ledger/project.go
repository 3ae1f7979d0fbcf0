package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// project applies one record to the tables. It is a function of the record and the tables alone, so that [Ledger.Verify]
// can make the same tables again from the events.
func project(ctx context.Context, tx *sql.Tx, seq int64, r record) error {
	p := projection{ctx: ctx, tx: tx}
	switch {
	case r.Lease != nil && r.Kind == kindLease:
		p.exec(`INSERT INTO leases (app, environment, token, promotion, process, acquired, released, heartbeat) VALUES (?, ?, ?, ?, ?, ?, 0, ?)
			ON CONFLICT DO UPDATE SET token = excluded.token, promotion = excluded.promotion, process = excluded.process,
			acquired = excluded.acquired, released = 0, heartbeat = excluded.heartbeat`,
			r.Lease.App, r.Lease.Environment, r.Lease.Token, r.Lease.Promotion, p.json(r.Process), stamp(r.Time), stamp(r.Time))
	case r.Lease != nil && r.Kind == kindRelease:
		p.exec("UPDATE leases SET released = 1 WHERE app = ? AND environment = ? AND token = ?", r.Lease.App, r.Lease.Environment, r.Lease.Token)
	case r.Checkpoint != nil:
		p.checkpoint(seq, r)
	case r.Event != nil:
		p.event(seq, r)
	case r.Hold != nil:
		p.hold(seq, r.Hold)
	case r.Decision != nil:
		p.exec("INSERT INTO decisions (seq, run, plan, decision) VALUES (?, ?, ?, ?)", seq, r.Decision.Run, r.Decision.Plan, p.json(r.Decision))
		p.settle(r.Decision.Run, r.After, "")
		if r.After == promotion.Rejected {
			p.exec("UPDATE holds SET reason = ? WHERE run = ?", "rejected by "+r.Decision.By.Name+": "+r.Decision.Reason, r.Decision.Run)
		}
	case r.Settle != nil:
		p.settle(r.Settle.Run, r.Settle.State, r.Settle.Reason)
	case r.Waiver != nil:
		p.exec("INSERT INTO waivers (id, app, environment, gate, seq, waiver) VALUES (?, ?, ?, ?, ?, ?)",
			r.Waiver.ID, r.Waiver.App, r.Waiver.Environment, r.Waiver.Gate, seq, p.json(r.Waiver))
	case r.Claim != "":
		p.exec("UPDATE runs SET finished = NULL, result = NULL, process = ? WHERE id = ?", p.json(r.Process), r.Claim)
	}
	return p.err
}

// projection collects the first error of a row of statements.
type projection struct {
	ctx context.Context
	tx  *sql.Tx
	err error
}

func (p *projection) event(seq int64, r record) {
	e := r.Event
	switch {
	case e.Type == event.RunStarted && e.RunInfo != nil:
		p.exec(`INSERT INTO runs (id, app, environment, started_seq, started, info, process) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET finished = NULL, result = NULL, process = excluded.process`, // a run that waited goes on
			e.Run, e.RunInfo.App, e.RunInfo.Environment, seq, stamp(e.Time), p.json(e.RunInfo), p.json(r.Process))
	case e.Type == event.StageFinished && e.Stage != nil:
		p.exec(`INSERT INTO stages (run, moment, name, seq, outcome, stage) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET seq = excluded.seq, outcome = excluded.outcome, stage = excluded.stage`,
			e.Run, e.Stage.Moment, e.Stage.Name, seq, string(e.Stage.Outcome), p.json(e.Stage))
	case e.Type == event.GateFinished && e.Gate != nil:
		outcome := ""
		if e.Gate.Verdict != nil {
			outcome = string(e.Gate.Verdict.Outcome)
		}
		p.exec(`INSERT INTO verdicts (run, phase, gate, seq, outcome, blocks, verdict) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET seq = excluded.seq, outcome = excluded.outcome, blocks = excluded.blocks, verdict = excluded.verdict`,
			e.Run, string(e.Gate.Phase), e.Gate.Name, seq, outcome, e.Gate.Blocks, p.json(e.Gate))
	case (e.Type == event.StepStarted || e.Type == event.StepFinished) && e.Step != nil:
		p.exec(`INSERT INTO steps (run, name, seq, finished, step) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET finished = excluded.finished, step = excluded.step`,
			e.Run, e.Step.Name, seq, e.Type == event.StepFinished, p.json(e.Step))
	case e.Type == event.BundleBuilt && e.Bundle != nil:
		p.exec("UPDATE runs SET bundle = ? WHERE id = ?", e.Bundle.Digest, e.Run)
	case e.Type == event.PlanMade && e.Plan != nil:
		p.exec("UPDATE runs SET plan = ? WHERE id = ?", e.Plan.Digest, e.Run)
	case e.Type == event.RunFinished && e.Result != nil:
		p.exec("UPDATE runs SET finished = ?, result = ? WHERE id = ?", stamp(e.Time), p.json(e.Result), e.Run)
	}
}

func (p *projection) checkpoint(seq int64, r record) {
	c := r.Checkpoint
	p.exec(`INSERT INTO promotions (id, app, environment, run, seq, state, ended, checkpoint) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET seq = excluded.seq, state = excluded.state, ended = excluded.ended, checkpoint = excluded.checkpoint`,
		c.State.Promotion, c.App, c.Environment, c.State.Run, seq, string(c.State.State), c.State.State.Ended(), p.json(c.State))
	switch {
	case c.State.State == promotion.Failed, c.State.State == promotion.Cancelled, c.State.Died:
		// It was not judged, but stopped: what was approved may be tried again.
	default:
		if c.State.State.Ended() {
			p.exec("UPDATE holds SET state = ?, waits = 0, reason = ? WHERE run = ? AND environment = ? AND waits = 1",
				string(c.State.State), c.State.Reason, c.State.Run, c.Environment)
		}
	}
	if c.State.State != promotion.Completed {
		return
	}
	p.overtake(seq, c)
	if c.State.Kind == promotion.KindMigration {
		return // it brought no version
	}
	// A promotion that found its version live already changes nothing about since when it is.
	p.exec(`INSERT INTO environments (app, name, version, bundle, promotion, run, url, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET version = excluded.version, bundle = excluded.bundle, promotion = excluded.promotion,
		run = excluded.run, url = excluded.url, since = excluded.since WHERE version <> excluded.version`,
		c.App, c.Environment, c.State.Version, c.State.Bundle, c.State.Promotion, c.State.Run, c.State.URL, stamp(r.Time))
}

// hold makes a run wait, and its promotion with it.
func (p *projection) hold(seq int64, h *promotion.Hold) {
	state := promotion.Gating
	if h.Plan != "" && h.Policy.Needed > 0 {
		state = promotion.AwaitingApproval
	}
	p.exec(`INSERT INTO holds (run, app, environment, promotion, plan, seq, state, waits, reason, hold) VALUES (?, ?, ?, ?, ?, ?, ?, 1, '', ?)
		ON CONFLICT DO UPDATE SET promotion = excluded.promotion, plan = excluded.plan, seq = excluded.seq, state = excluded.state, waits = 1,
		reason = '', hold = excluded.hold`,
		h.Run, h.App, h.Environment, h.Promotion, h.Plan, seq, string(state), p.json(h))
	c := promotion.Checkpoint{Promotion: h.Promotion, Run: h.Run, State: state, Plan: h.Plan, Bundle: h.Bundle, UpdatedAt: h.Since}
	p.exec(`INSERT INTO promotions (id, app, environment, run, seq, state, ended, checkpoint) VALUES (?, ?, ?, ?, ?, ?, 0, ?)
		ON CONFLICT DO UPDATE SET seq = excluded.seq, state = excluded.state, checkpoint = excluded.checkpoint WHERE ended = 0`,
		h.Promotion, h.App, h.Environment, h.Run, seq, string(state), p.json(c))
}

// settle puts a run that waits, and its promotion, into a state.
func (p *projection) settle(run string, state promotion.Phase, reason string) {
	p.exec(`UPDATE promotions SET state = ?1, ended = ?2, checkpoint = json_set(checkpoint, '$.state', ?1, '$.reason', ?3)
		WHERE id IN (SELECT promotion FROM holds WHERE run = ?4 AND waits = 1) AND state IN (?5, ?6, ?7)`,
		string(state), state.Ended(), reason, run, string(promotion.Gating), string(promotion.AwaitingApproval), string(promotion.Approved))
	p.exec("UPDATE holds SET state = ?, waits = ?, reason = ? WHERE run = ? AND waits = 1", string(state), state.Waits(), reason, run)
}

// overtake ends the waiting of runs that are older than one that was promoted.
func (p *projection) overtake(seq int64, c *placedRecord) {
	if p.err != nil {
		return
	}
	rows, err := p.tx.QueryContext(p.ctx, `SELECT json_quote(h.run) FROM holds h JOIN runs r ON r.id = h.run
		WHERE h.app = ? AND h.environment = ? AND h.waits = 1 AND h.run <> ? AND r.started_seq < COALESCE((SELECT started_seq FROM runs WHERE id = ?), ?)
		ORDER BY h.seq`, c.App, c.Environment, c.State.Run, c.State.Run, seq) //nolint:rowserrcheck // decodeRows asks it
	if err != nil {
		p.err = err
		return
	}
	older, err := decodeRows[string](rows)
	if err != nil {
		p.err = err
		return
	}
	how := "was promoted"
	if c.State.Kind == promotion.KindMigration {
		how = "migrated the data"
	}
	for _, run := range older {
		p.settle(run, promotion.Superseded, "run "+c.State.Run+" is newer and "+how)
	}
}

func (p *projection) exec(query string, args ...any) {
	if p.err == nil {
		_, p.err = p.tx.ExecContext(p.ctx, query, args...)
	}
}

func (p *projection) json(value any) string {
	data, err := json.Marshal(value)
	if err != nil && p.err == nil {
		p.err = err
	}
	return string(data)
}

// stamp is how times are stored: UTC, sortable as text.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
