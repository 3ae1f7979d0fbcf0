package cli

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/replay"
	"github.com/penstock-ci/penstock/internal/snapshot"
)

// openEvidence makes what gates may ask for beside the reports: the snapshot as files, without what git ignores (secrets
// in .dev.vars, packages), and a view of the history. What cannot be had is missing for the gates, which say so.
func (r *run) openEvidence(ctx context.Context) error {
	if len(r.pipeline.Gates) == 0 {
		return nil
	}
	reader, ok := r.session.(engine.SourceReader)
	if !ok {
		return errors.New("this executor cannot hand out the source")
	}
	source, err := reader.SourceDir(ctx)
	if err != nil {
		return err
	}
	r.sourceDir = filepath.Join(source, filepath.FromSlash(r.place))
	r.evidence = &evidenceSource{run: r, dir: filepath.Join(filepath.Dir(source), "evidence")}
	if r.source.Commit == "" {
		return nil
	}
	// Beside the snapshot: that folder goes with the session, also that of a run which died.
	history, err := snapshot.TakeHistory(ctx, r.folder, filepath.Join(filepath.Dir(source), "history"))
	if err != nil {
		r.note("warning", "gates cannot look at the history: "+err.Error())
		return nil
	}
	if history != nil {
		r.history = &gates.History{Dir: history.Dir, Folder: history.Folder, Bases: r.bases(ctx)}
	}
	return nil
}

// keepingAsked is the run's gates, and what they are asked is kept. It is tidied when the run ends.
func (r *run) keepingAsked() engine.Gatekeeper {
	if r.questions == nil {
		r.questions = replay.Open(filepath.Join(r.state, replayDir))
		r.ending(func(context.Context) error { return r.questions.Tidy(time.Now()) })
	}
	return keepingAsked{Gatekeeper: r.gates, store: r.questions, hide: r.hide, complain: func(err error) {
		r.note("info", "what a gate was asked is not kept for backtests: "+err.Error())
	}}
}

// appIn is the app's folder where a stage had its source, "" for a stage that had none: findings are told by the app's own paths.
func (r *run) appIn(source string) string {
	if source == "" {
		return ""
	}
	return filepath.Join(source, filepath.FromSlash(r.place))
}

// judgeOptions are those of every phase; the phase's own address is filled in by whoever asks.
func (r *run) judgeOptions(made built, phase gates.Phase) engine.JudgeOptions {
	stages, reports := engine.Evidence(r.fitted, r.stages.Results)
	for i := range stages {
		stages[i].Root = r.appIn(stages[i].Root)
	}
	for i := range reports {
		reports[i].Root = r.appIn(reports[i].Root)
	}
	request := gates.Request{
		Run: gates.Run{
			ID: r.id, App: r.pipeline.Name, Environment: r.environment.Name, Commit: r.source.Commit, SourceDigest: r.source.Digest,
			Edge: r.edge,
		},
		Stages: stages, Reports: reports, SourceDir: r.sourceDir, History: r.history,
	}
	if made.bundle != nil {
		request.Run.BundleDigest = made.bundle.Digest
	}
	options := engine.JudgeOptions{
		Run: r.id, Gatekeeper: r.keepingAsked(), Gates: r.pipeline.Gates, Phase: phase, Environment: r.environment.Name,
		Request: request, Observer: r.bus,
	}
	if r.evidence != nil { // nil in an interface would not be nil
		options.Evidence = r.evidence
	}
	if made.bundle != nil {
		options.Waiver = r.waiver(made.bundle.Digest)
	}
	return options
}
