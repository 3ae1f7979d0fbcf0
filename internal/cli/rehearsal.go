package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// rehearsal tries the pending migrations on copies, and then the smoke tests. Later than in the phase plan there are none left
// to try.
func (s *evidenceSource) rehearsal(ctx context.Context, path string) error {
	planned := s.planned.Load()
	if planned == nil || planned.plan.Digest == "" {
		return errNoPlan
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	dir, err := os.MkdirTemp("", "penstock-rehearsal-*")
	if err != nil {
		return fmt.Errorf("make a folder for the copies: %w", err)
	}
	defer os.RemoveAll(dir)
	trial := planned.target.NewTrial(filepath.Join(dir, "exports"))
	told, err := trial.Rehearse(ctx, planned.plan.Basis.Bundle, planned.plan.Basis.Seed)
	if err != nil {
		return err
	}
	told.App = s.run.pipeline.Name
	smoke := smokeTrials{run: s.run, trial: trial, dir: dir}
	if told.Smoke, err = smoke.all(ctx, planned, told); err != nil {
		return err
	}
	return evidence.Write(path, told)
}

// smokeTrialTime bounds all trials of one rehearsal. What takes longer is told as unknown.
const smokeTrialTime = 5 * time.Minute

// smokeTrials ask versions on copies of the data.
type smokeTrials struct {
	run   *run
	trial *cloudflare.Trial
	dir   string // of the rehearsal; each trial has a folder of its own in it
}

// all asks the live and the next version on migrated copies. The error is only that ctx ended.
func (t *smokeTrials) all(ctx context.Context, planned *planned, told evidence.Rehearsal) (evidence.RehearsedSmoke, error) {
	smoke := evidence.RehearsedSmoke{Live: noTrial(), Next: noTrial()}
	if smoke.State, smoke.Reason = t.worthwhile(told); smoke.State != evidence.Present {
		return smoke, nil
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, smokeTrialTime)
	defer cancel()
	err := t.askAll(bounded, planned, &smoke)
	smoke.Millis = time.Since(began).Milliseconds()
	switch {
	case ctx.Err() != nil:
		return smoke, context.Cause(ctx)
	case errors.Is(err, cloudflare.ErrNothingLive):
		smoke.State, smoke.Reason = evidence.Missing, err.Error()
	case err != nil:
		smoke.State, smoke.Reason = evidence.Unknown, t.run.hide(err.Error())
	}
	return smoke, nil
}

func noTrial() evidence.SmokeTrial {
	return evidence.SmokeTrial{Lines: []string{}, StandIns: []string{}}
}

// worthwhile says whether there is something to ask, and copies that were migrated well.
func (t *smokeTrials) worthwhile(told evidence.Rehearsal) (state evidence.State, reason string) {
	if len(t.run.environment.Smoke.Probes) == 0 && len(t.run.pipeline.StagesAt(pipelines.WhenSmoke)) == 0 {
		return evidence.Missing, "environment " + t.run.environment.Name + " has no probes, and the pipeline no smoke stages"
	}
	migrated := false
	for _, database := range told.Databases {
		switch {
		case database.State == evidence.Missing:
		case database.State != evidence.Present:
			return evidence.Unknown, "the migrations of " + database.Name + " could not be tried"
		case database.Failed != nil:
			return evidence.Unknown, database.Name + " refuses " + database.Failed.Migration
		default:
			migrated = migrated || database.Copied
		}
	}
	if !migrated {
		return evidence.Missing, "no migration is pending for data that is there"
	}
	return evidence.Present, ""
}

func (t *smokeTrials) askAll(ctx context.Context, planned *planned, smoke *evidence.RehearsedSmoke) error {
	live, err := t.trial.Live(ctx)
	if err != nil {
		return fmt.Errorf("the live version: %w", err)
	}
	next, err := t.trial.Next(ctx, planned.plan.Basis.Bundle)
	if err != nil {
		return fmt.Errorf("the new version: %w", err)
	}
	workerd, err := t.run.shared.streams.workerd(t.run.packageFolders(ctx))
	if err != nil {
		return err
	}
	var both sync.WaitGroup
	var liveErr, nextErr error
	both.Go(func() { smoke.Live, liveErr = t.ask(ctx, workerd, "live", live, true) })
	both.Go(func() { smoke.Next, nextErr = t.ask(ctx, workerd, "next", next, true) })
	both.Wait()
	if liveErr != nil {
		return fmt.Errorf("the live version: %w", liveErr)
	}
	if nextErr != nil {
		return fmt.Errorf("the new version: %w", nextErr)
	}
	if smoke.Next.OK && smoke.Live.OK {
		return nil
	}
	control, err := t.ask(ctx, workerd, "control", live, false)
	if err != nil {
		return fmt.Errorf("the live version before the migrations: %w", err)
	}
	smoke.Control = &control
	return nil
}

// ask puts the version on a Cloudflare of its own, which ends with the call, and asks it what the environment asks.
// An error says that it could not be asked.
func (t *smokeTrials) ask(ctx context.Context, workerd, folder string, version cloudflare.TrialVersion, migrated bool) (told evidence.SmokeTrial, err error) {
	told = noTrial()
	cloud, err := localcloud.Start(ctx, localcloud.Options{Dir: filepath.Join(t.dir, folder), Workerd: workerd})
	if err != nil {
		return told, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		err = errors.Join(err, cloud.Close(closing))
	}()
	info := cloud.Info()
	up, err := t.trial.Put(ctx, cloudflare.Options{BaseURL: info.APIURL, Token: info.Token, AccountID: info.AccountID, PublicURL: cloud.URL}, version, migrated)
	if err != nil {
		return told, fmt.Errorf("put it on a Cloudflare of its own: %w", err)
	}
	told.StandIns = append(told.StandIns, up.StandIns...)
	told.OK = true
	smoke := t.run.environment.Smoke
	if len(smoke.Probes) > 0 {
		report, err := watcher.Probe(ctx, up.Address, up.Version, smoke)
		if err != nil {
			return told, err
		}
		told.OK, told.Summary, told.Lines = report.OK, t.run.hide(report.Summary), append(told.Lines, report.Lines...)
	}
	if told.OK && len(t.run.pipeline.StagesAt(pipelines.WhenSmoke)) > 0 {
		said := &lastWords{}
		ok, summary, err := t.stages().RunSmoke(ctx, momentRehearsal, up.Address, up.Version, said)
		if err != nil {
			return told, err
		}
		told.OK, told.Summary = ok, t.run.hide(strings.TrimPrefix(told.Summary+"; "+summary, "; "))
		told.Lines = append(told.Lines, said.lines()...)
	}
	for i, line := range told.Lines {
		told.Lines[i] = t.run.hide(line)
	}
	return told, nil
}

// momentRehearsal is what smoke stages are told of when they are run.
const momentRehearsal = "rehearsal"

// stages are the pipeline's smoke stages. Nobody observes them: a version that is live and fails on a copy is a finding of a
// gate, and no stage of the run.
func (t *smokeTrials) stages() proxiedSmoke {
	r := t.run
	return proxiedSmoke{proof: r.environment.Smoke.Version, stages: engine.Smoke{
		Environment: r.environment.Name, Options: engine.Options{
			Run: r.id, Pipeline: r.pipeline, Session: r.session, Secrets: r.secrets.stages, Earlier: r.stages.Results, KeepGoing: true,
		},
	}}
}

// maxWords is how many lines of the stages' output are kept: the end, where tools say what is wrong.
const maxWords = 20

// lastWords keeps the last lines that are written to it. Safe for concurrent use.
type lastWords struct {
	mu   sync.Mutex
	kept []string
}

func (w *lastWords) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, strings.Split(strings.TrimRight(string(text), "\n"), "\n")...)
	w.kept = w.kept[max(0, len(w.kept)-maxWords):]
	return len(text), nil
}

func (w *lastWords) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kept)
}
