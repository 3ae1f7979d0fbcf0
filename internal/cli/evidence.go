package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// evidenceSource gathers for gates what only the run's owner may look at: the target with its token, and the ledger. It
// implements [engine.EvidenceSource].
type evidenceSource struct {
	run *run
	dir string // where the files go; it is removed with the run's session

	// planned is nil until there is a plan.
	planned atomic.Pointer[planned]
	// asking keeps to one call of the target at a time.
	asking sync.Mutex
	files  atomic.Int64

	smoke smokeRecord
}

// planned is what a promotion would do, and where. The plan is zero where nothing is promoted, or nothing can be.
type planned struct {
	target *cloudflare.Target
	plan   promotion.Plan
}

var _ engine.EvidenceSource = (*evidenceSource)(nil)

// errNoPlan: build gates judge what was built, for whatever environment.
var errNoPlan = errors.New("it is known once there is a plan: give the gate the phase plan, promote or bake")

// Gather implements engine.EvidenceSource.
func (s *evidenceSource) Gather(ctx context.Context, _ gates.Phase, kind gates.ReportKind) (string, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of the evidence: %w", err)
	}
	// A new name each time: what a gate was given once must not change under it.
	path := filepath.Join(s.dir, fmt.Sprintf("%d-%s.json", s.files.Add(1), kind))
	switch kind {
	case gates.ReportEnvironment:
		return path, s.environment(ctx, path)
	case gates.ReportMetrics:
		return path, s.metrics(ctx, path)
	case gates.ReportPlan:
		return path, s.plan(ctx, path)
	case gates.ReportPromotions:
		return path, s.promotions(ctx, path)
	case gates.ReportSmoke:
		return path, s.smoke.write(path)
	case gates.ReportBackups:
		return path, s.backups(ctx, path)
	case gates.ReportRehearsal:
		return path, s.rehearsal(ctx, path)
	default:
		return "", fmt.Errorf("this penstock cannot gather evidence of the kind %q", kind)
	}
}

func (s *evidenceSource) environment(ctx context.Context, path string) error {
	planned := s.planned.Load()
	if planned == nil {
		return errNoPlan
	}
	known, err := s.known(ctx)
	if err != nil {
		return err
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	found, err := planned.target.Survey(ctx, known)
	if err != nil {
		return err
	}
	found.App = s.run.pipeline.Name
	return evidence.Write(path, found)
}

func (s *evidenceSource) metrics(ctx context.Context, path string) error {
	planned := s.planned.Load()
	if planned == nil {
		return errNoPlan
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	found, err := planned.target.Metrics(ctx)
	if err != nil {
		return err
	}
	return evidence.Write(path, found)
}

// known is what the ledger has of promotions to the environment.
func (s *evidenceSource) known(ctx context.Context) (cloudflare.Known, error) {
	app, environment := s.run.pipeline.Name, s.run.environment.Name
	last, err := s.lastPromoted(ctx)
	if err != nil {
		return cloudflare.Known{}, err
	}
	known := cloudflare.Known{Last: last}
	recorded, _, err := s.run.ledger.Promotions(ctx, app, maxPromotions)
	if err != nil {
		return cloudflare.Known{}, err
	}
	for _, one := range recorded {
		if one.Environment != environment {
			continue
		}
		known.Promotions = append(known.Promotions, one.Checkpoint.Promotion)
		if !one.Checkpoint.State.Ended() {
			known.Unfinished = append(known.Unfinished, one.Checkpoint.Promotion)
		}
	}
	runs, err := s.run.ledger.Runs(ctx, ledger.Filter{App: app, Environment: environment, Limit: maxOperations})
	if err != nil {
		return cloudflare.Known{}, err
	}
	known.Edited = map[string]string{}
	for _, run := range runs {
		if run.Info.Command == secretsCommand && run.Result != nil && run.Result.Previous != "" {
			known.Edited[run.Result.Version] = run.Result.Previous
		}
	}
	return known, nil
}

// lastPromoted is the promotion that made the environment what it should be; nil when there was none.
func (s *evidenceSource) lastPromoted(ctx context.Context) (*evidence.Promoted, error) {
	state, err := s.run.ledger.Environment(ctx, s.run.pipeline.Name, s.run.environment.Name)
	if err != nil || state.Version == "" {
		return nil, err
	}
	return &evidence.Promoted{Promotion: state.Promotion, Run: state.Run, Version: state.Version, Bundle: state.Bundle, At: state.Since}, nil
}

func (s *evidenceSource) plan(ctx context.Context, path string) error {
	planned := s.planned.Load()
	if planned == nil || planned.plan.Digest == "" {
		return errNoPlan
	}
	r, plan := s.run, planned.plan
	told := evidence.Plan{
		Header: evidence.Header{TakenAt: time.Now().UTC()},
		Digest: plan.Digest, App: r.pipeline.Name, Environment: r.environment.Name, Bundle: plan.Basis.Bundle.Digest,
		SourceDigest: r.source.Digest, Commit: r.source.Commit, Dirty: r.source.Dirty,
		Built: r.builtDigest, People: r.people(plan.Digest), From: r.comesFrom(), UpToDate: plan.Diff.UpToDate, FirstTime: plan.Live.Live() == "",
		Changes: []evidence.Change{}, Stages: []evidence.Stage{}, Gates: []evidence.GatePlan{},
	}
	for _, change := range plan.Diff.Changes {
		told.Changes = append(told.Changes, evidence.Change{Action: change.Action, Kind: change.Kind, Name: change.Name, From: change.From, To: change.To})
	}
	for _, result := range r.stages.Results {
		told.Stages = append(told.Stages, evidence.Stage{
			Name: result.Stage, Outcome: string(result.Outcome), Key: result.Key, OutputDigest: result.OutputDigest, Cached: result.Cached,
		})
	}
	for _, fact := range plan.Basis.Gates {
		told.Gates = append(told.Gates, evidence.GatePlan{
			Gate: fact.Gate, Phase: string(fact.Phase), Enforcement: string(fact.Enforcement), Outcome: string(fact.Outcome), SetDigest: fact.SetDigest,
		})
	}
	s.asking.Lock()
	told.Databases, told.Gaps = planned.target.MigrationPlans(ctx)
	s.asking.Unlock()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := s.recordedDigests(ctx, told.Databases); err != nil {
		told.Gaps = append(told.Gaps, evidence.Gap{What: "the digests of the applied migrations", Reason: err.Error()})
	}
	told.Source = s.sourceChange(ctx)
	return evidence.Write(path, told)
}

// recordedDigests adds to the applied migrations what the ledger knows of them.
func (s *evidenceSource) recordedDigests(ctx context.Context, databases []evidence.DatabasePlan) error {
	recorded, err := s.run.ledger.MigrationDigests(ctx, s.run.pipeline.Name, s.run.environment.Name)
	if err != nil {
		return err
	}
	for _, database := range databases {
		for i := range database.Applied {
			applied := &database.Applied[i]
			applied.Recorded = recorded[ledger.Migration{Database: database.Name, Name: applied.Name}]
		}
	}
	return nil
}

// sourceChange compares the source with the commit of the run that is live.
func (s *evidenceSource) sourceChange(ctx context.Context) evidence.SourceChange {
	change := evidence.SourceChange{State: evidence.Missing, To: s.run.source.Commit, Files: []evidence.File{}}
	unknown := func(reason string) evidence.SourceChange {
		change.State, change.Reason = evidence.Unknown, reason
		return change
	}
	last, err := s.lastPromoted(ctx)
	if err != nil {
		return unknown(err.Error())
	}
	if last == nil {
		return change
	}
	live, err := s.run.ledger.Run(ctx, last.Run)
	if err != nil {
		return unknown(err.Error())
	}
	if live.Info.SourceDigest == s.run.source.Digest {
		change.State, change.From = evidence.Present, live.Info.Commit
		return change
	}
	switch {
	case live.Info.Commit == "":
		return unknown("what is live was not made from a commit")
	case live.Info.Dirty:
		return unknown("what is live was made from a source that differed from its commit " + live.Info.Commit)
	}
	change.From = live.Info.Commit
	files, err := snapshot.Compare(ctx, s.run.folder, live.Info.Commit)
	if err != nil {
		return unknown(err.Error())
	}
	change.State = evidence.Present
	for _, file := range files {
		change.Files = append(change.Files, evidence.File{Path: file.Path, Added: file.Added, Deleted: file.Deleted, Binary: file.Binary})
	}
	return change
}

// maxPromotions bounds the history that a gate is given.
const maxPromotions = 500

func (s *evidenceSource) promotions(ctx context.Context, path string) error {
	recorded, complete, err := s.run.ledger.Promotions(ctx, s.run.pipeline.Name, maxPromotions)
	if err != nil {
		return err
	}
	now, err := s.run.ledger.Now(ctx)
	if err != nil {
		return err
	}
	told := evidence.Promotions{
		Header: evidence.Header{TakenAt: now.UTC()}, App: s.run.pipeline.Name, Complete: complete, Promotions: []evidence.Promotion{},
	}
	for _, one := range recorded {
		if one.Checkpoint.Run == s.run.id || one.Checkpoint.Kind == promotion.KindMigration { // which brought no version
			continue
		}
		approvals, err := s.decisions(ctx, one.Checkpoint)
		if err != nil {
			return err
		}
		promoted := evidence.Promotion{
			ID: one.Checkpoint.Promotion, Run: one.Checkpoint.Run, Environment: one.Environment, State: string(one.Checkpoint.State),
			Plan: one.Checkpoint.Plan, Bundle: one.Checkpoint.Bundle, Version: one.Checkpoint.Version, Reason: one.Checkpoint.Reason,
			Source: one.Info.SourceDigest, Commit: one.Info.Commit, Started: one.Started, Approvals: approvals,
		}
		if one.Checkpoint.State.Ended() {
			promoted.Ended = one.Checkpoint.UpdatedAt
		}
		told.Promotions = append(told.Promotions, promoted)
	}
	return evidence.Write(path, told)
}

// decisions are those about the plan of an earlier promotion.
func (s *evidenceSource) decisions(ctx context.Context, checkpoint promotion.Checkpoint) ([]evidence.Approval, error) {
	held, err := s.run.ledger.Held(ctx, checkpoint.Run)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var told []evidence.Approval
	for _, decision := range held.Decisions {
		if decision.Plan == checkpoint.Plan {
			told = append(told, approvalOf(decision))
		}
	}
	return told, nil
}

func approvalOf(decision promotion.Decision) evidence.Approval {
	word := "rejected"
	if decision.Approve {
		word = "approved"
	}
	return evidence.Approval{By: decision.By.Name, Decision: word, Reason: decision.Reason, At: decision.Time, Plan: decision.Plan}
}

// people is what the environment asks of people, and what they decided about this plan of this run.
func (r *run) people(plan string) evidence.People {
	told := evidence.People{Approvers: r.asked.Approvers, Needed: r.asked.Needed, SelfApproval: r.asked.SelfApproval}
	if r.author != nil {
		told.Author = r.author.Name
	}
	standing := r.standing(r.asked, plan)
	told.Needed = standing.Needed
	for _, given := range standing.Given {
		told.Decisions = append(told.Decisions, approvalOf(given))
	}
	if standing.Rejected != nil {
		told.Decisions = append(told.Decisions, approvalOf(*standing.Rejected))
	}
	return told
}

// comesFrom is the run that took the same source to another environment; "" when none did.
func (r *run) comesFrom() string {
	if r.resumes != nil && r.resumes.elsewhere {
		return r.resumes.run.ID
	}
	return ""
}
