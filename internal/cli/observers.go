package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/dagger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/report/terminal"
	"github.com/penstock-ci/penstock/pipelines"
)

// openObservers starts telling. The view has a bus of its own, so that a terminal that is held or breaks can cost neither
// the record its events nor the run its end.
func (r *run) openObservers(executor string, promotes bool, problems pipelines.Problems) {
	r.record = r.ledger.Observer()
	view := newView(r.shared)
	shown := engine.NewBus(r.id, view)
	told := fanOut{r.record, shown, r.openHub()}
	if executor == executorDagger {
		told = append(told, r.openSpans())
	}
	r.bus = engine.NewBus(r.id, hiding{r.hide, told})
	if live, ok := view.(*terminal.Live); ok {
		r.on(r.shared.streams.killed, live.Close)
	}
	r.ending(r.closeObservers(shown))
	r.on(r.shared.streams.stopping, func() {
		r.note("warning", "stopping: processes are ended and traffic is put back where it was; Ctrl-C once more stops now")
	})
	r.bus.Observe(event.Event{Type: event.RunStarted, Time: r.began, RunInfo: r.info(executor, promotes)})
	r.noteHub()
	if r.clockBehind > clockSlack {
		r.note("warning", fmt.Sprintf("this machine's clock is %s behind the newest entry of the ledger: what expires is judged by the ledger's time", r.clockBehind.Round(time.Minute)))
	}
	if link, target := r.source.LeadingOut("."); link != "" {
		r.note("warning", fmt.Sprintf("%q is a link out of the app's folder, to %q: what lies there belongs to no digest, and no gate looks at it", link, target))
	}
	for _, problem := range problems {
		level := "warning"
		if problem.Severity == pipelines.SeverityNote {
			level = "info"
		}
		r.note(level, problem.String())
	}
}

// info is what everybody is told of the run at its beginning.
func (r *run) info(executor string, promotes bool) *event.RunInfo {
	info := &event.RunInfo{
		App: r.pipeline.Name, Folder: r.folder, Place: r.place, Environment: r.environment.Name, Commit: r.source.Commit, Branch: r.source.Branch,
		Dirty: r.source.Dirty, SourceDigest: r.source.Digest, Files: len(r.source.Files), Executor: executor,
		Stages: []event.Stage{}, Gates: []event.Gate{},
	}
	if seed := r.flags.seed; seed != nil {
		info.Seed = &event.Seed{File: seed.File, Again: seed.Again, BesideData: seed.BesideData}
	}
	info.Command, info.Purpose, info.DryRun, info.Rules = r.flags.command, r.flags.purpose, r.flags.dryRun, r.rulesCommit
	info.By, info.BySigned = r.author, r.begun.Signature
	info.Approvers, info.SelfApproval = r.environment.Approvers, r.environment.SelfApproval
	info.Signed = r.environment.Signers != ""
	if r.resumes != nil {
		info.Resumed = !r.resumes.elsewhere
		if r.resumes.elsewhere {
			info.From = r.resumes.run.ID
		}
	}
	for _, stage := range r.pipeline.StagesAt(pipelines.WhenBuild) {
		if !r.flags.asked(r.pipeline, stage.Name) {
			continue
		}
		info.Stages = append(info.Stages, event.Stage{Name: stage.Name, Title: stage.Title, Needs: stage.Needs, Moment: string(pipelines.WhenBuild)})
	}
	for _, ref := range r.askedGates(promotes) {
		info.Gates = append(info.Gates, event.Gate{Name: ref.Gate, Phase: ref.Phase, Enforcement: string(ref.Enforcement), DryRun: ref.DryRun})
	}
	switch {
	case promotes && r.flags.command == commandMigrate:
		info.Steps = promotion.MigrationSteps(*r.environment, r.hasGates(gates.PhasePromote), r.hasGates(gates.PhaseBake), r.flags.seed != nil)
	case promotes:
		info.Steps = promotion.Steps(*r.environment, r.hasGates(gates.PhasePromote), r.hasGates(gates.PhaseBake))
	}
	return info
}

// openSpans tells Dagger's own view, on a bus of its own as the terminal has one.
func (r *run) openSpans() event.Observer {
	spans := dagger.NewRunSpans(context.Background())
	bus := engine.NewBus(r.id, spans)
	r.ending(func(ctx context.Context) error {
		_ = bus.Close(ctx) // spans are for people who watch: a run without them is as good
		spans.Close(ctx)
		return nil
	})
	return bus
}

// closeObservers waits until everything is on record; what could not be shown is only said.
func (r *run) closeObservers(shown *engine.Bus) func(context.Context) error {
	return func(ctx context.Context) error {
		err := errors.Join(r.bus.Close(ctx), r.record.Close(ctx))
		if problem := shown.Close(ctx); problem != nil {
			fmt.Fprintf(r.shared.streams.Err, "penstock: not everything could be shown: %v\n", problem)
		}
		return err
	}
}

// on calls do when the signal, the closing of a channel, comes during this run.
func (r *run) on(signal <-chan struct{}, do func()) {
	if signal == nil {
		return
	}
	over := make(chan struct{})
	go func() {
		select {
		case <-signal:
			do()
		case <-over:
		}
	}()
	r.ending(func(context.Context) error { close(over); return nil })
}

func (r *run) note(level, text string) {
	r.bus.Observe(event.Event{Type: event.Note, Level: level, Text: text})
}
