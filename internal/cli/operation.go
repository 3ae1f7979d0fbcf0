package cli

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/internal/report/terminal"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// operate fits the pipeline and opens the ledger and the target for a command that works on an environment without building
// anything: no snapshot, no stages, no gates. Nobody is told of it before announce.
func operate(ctx context.Context, shared *common, environment string) (*run, *cloudflare.Target, error) {
	r, err := fitOperation(ctx, shared, environment)
	if err != nil {
		return nil, nil, err
	}
	if err := r.openRecord(ctx); err != nil {
		return nil, nil, errors.Join(err, r.end(ctx))
	}
	target, err := r.openTarget(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, r.end(ctx))
	}
	return r, target, nil
}

// fitOperation is operate before anything is opened.
func fitOperation(ctx context.Context, shared *common, environment string) (*run, error) {
	folder, err := shared.appFolder()
	if err != nil {
		return nil, err
	}
	r := &run{shared: shared, flags: runFlags{environment: environment}, id: ulid.Make().String(), began: time.Now(), folder: folder, root: folder}
	state, err := shared.streams.stateDir()
	if err != nil {
		return nil, err
	}
	if err := r.findHub(ctx); err != nil {
		return nil, err
	}
	fitted, problems, err := appfacts.Fit(folder)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return nil, unfit(folder, err)
	}
	if r.pipeline, err = fitted.For(environment); err != nil {
		return nil, fail(ExitUsage, "choose one with --env, or add it to penstock.yaml (`penstock init` writes one)", err)
	}
	r.environment = r.pipeline.Environment(environment)
	if r.secrets, err = shared.streams.secrets(folder, r.pipeline, r.environment); err != nil {
		return nil, err
	}
	r.hides.Store(redact.New(r.hidden()))
	r.state = state
	return r, nil
}

// announce begins to tell of an operation, to people and to the ledger.
func (r *run) announce(command string, steps []event.Step) {
	r.record = r.ledger.Observer()
	view := newView(r.shared)
	shown := engine.NewBus(r.id, view)
	r.bus = engine.NewBus(r.id, hiding{r.hide, fanOut{r.record, shown, r.openHub()}})
	if live, ok := view.(*terminal.Live); ok {
		r.on(r.shared.streams.killed, live.Close)
	}
	r.ending(r.closeObservers(shown))
	r.on(r.shared.streams.stopping, func() {
		r.note("warning", "stopping as soon as the step under way is over; Ctrl-C once more stops now")
	})
	r.bus.Observe(event.Event{Type: event.RunStarted, Time: r.began, RunInfo: &event.RunInfo{
		App: r.pipeline.Name, Folder: r.folder, Environment: r.environment.Name, Command: command, Stages: []event.Stage{}, Gates: []event.Gate{}, Steps: steps,
	}})
}

// noteWhenTold is a note once somebody is told of the run; before that there is nobody to hear it.
func (r *run) noteWhenTold(text string) {
	if r.bus != nil {
		r.note("info", text)
	}
}

// backupDir is where exports of an environment's databases are kept.
func (r *run) backupDir() (string, error) {
	state, err := r.shared.streams.stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "backups", fileName(r.pipeline.Name), fileName(r.environment.Name)), nil
}

// fileName makes a file's name of any text; npm scopes have a slash in theirs.
func fileName(text string) string {
	name := []rune(text)
	for i, c := range name {
		if c == '/' || c == '\\' || c == ':' || (i == 0 && c == '.') {
			name[i] = '_'
		}
	}
	return string(name)
}
