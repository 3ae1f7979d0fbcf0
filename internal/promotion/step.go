package promotion

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// journalPatience bounds one write to the journal after the run was cancelled; the journal is on this machine.
const journalPatience = 15 * time.Second

// lastLook bounds the look at what is live after it could not be put back.
const lastLook = 10 * time.Second

// done is what a step did.
type done struct {
	detail  string
	skipped bool
}

// step takes one step: on record before it begins and after it ends, told to the observer both times.
func (a *attempt) step(ctx context.Context, name string, phase Phase, do func(context.Context) (done, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	step := a.describe(name)
	a.state.Step, a.state.Done = name, false
	if routes(name) {
		a.state.Touched = true
	}
	started := a.event(event.StepStarted, step)
	if err := a.checkpoint(ctx, started); err != nil {
		return err
	}
	a.Observer.Observe(started)

	did, err := do(ctx)
	step.Detail, step.Skipped, step.Duration = did.detail, did.skipped, time.Since(began)
	if err != nil {
		step.Error = err.Error()
	} else {
		a.state.Done, a.state.State = true, phase
	}
	finished := a.event(event.StepFinished, step)
	a.Observer.Observe(finished)
	return errors.Join(err, a.checkpoint(ctx, finished))
}

// checkpoint writes the state with the events that explain it. It goes on when ctx has ended: what was done before a
// cancel must be on record like everything else.
func (a *attempt) checkpoint(ctx context.Context, told ...event.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalPatience)
	defer cancel()
	a.state.UpdatedAt = time.Now().UTC()
	if err := a.Journal.Checkpoint(ctx, a.lease, a.state, told...); err != nil {
		return fmt.Errorf("record step %s of promotion %s: %w", a.state.Step, a.Promotion, err)
	}
	return nil
}

// ask calls the target again while it cannot be reached: every call may be repeated under the promotion's id, because the
// target looks at what is there before it does anything. Any other error is an answer.
func (a *attempt) ask(ctx context.Context, step string, call func(context.Context) error) error {
	for _, wait := range a.Waits {
		err := call(ctx)
		if err == nil || !errors.Is(err, ErrUnreachable) {
			return err
		}
		a.progress(step, fmt.Sprintf("no answer; asking again in %s: %v", wait, err))
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(wait):
		}
	}
	return call(ctx)
}

// smoke probes a version and runs the pipeline's smoke stages against it. override is the version to ask for, "" for what
// everybody gets; either way it is version that must answer.
func (a *attempt) smoke(ctx context.Context, step, moment, override, version string) (done, error) {
	report, err := a.probe(ctx, step, moment, override, version)
	if err != nil {
		return done{detail: report.Summary}, err
	}
	if a.SmokeStages == nil {
		return done{detail: report.Summary}, nil
	}
	address, err := a.address(ctx, step, override)
	if err != nil {
		return done{}, err
	}
	summary, err := question{a.Options, moment, address, version}.stages(ctx)
	return done{detail: joined(report.Summary, summary)}, err
}

// probe asks the address of override ("" for what everybody gets) and wants version to answer.
func (a *attempt) probe(ctx context.Context, step, moment, override, version string) (Report, error) {
	address, err := a.address(ctx, step, override)
	if err != nil {
		return Report{}, err
	}
	return question{a.Options, moment, address, version}.probe(ctx, a.environment().Smoke, func(line string) { a.progress(step, line) })
}

func (a *attempt) address(ctx context.Context, step, version string) (Address, error) {
	var address Address
	err := a.ask(ctx, step, func(ctx context.Context) (err error) {
		address, err = a.Target.Address(ctx, version)
		return err
	})
	if err != nil {
		return Address{}, fmt.Errorf("find the address of version %s: %w", short(a.state.Version), err)
	}
	if version == "" && address.URL != "" {
		a.state.URL = address.URL
	}
	return address, nil
}

// judge asks the gates of a phase about the version of this promotion; about none where it brings none.
func (a *attempt) judge(ctx context.Context, step string, phase gates.Phase, override string) (done, error) {
	address, err := a.address(ctx, step, override)
	if err != nil {
		return done{}, err
	}
	ruling, err := a.Judge.Judge(ctx, phase, address, a.state.Version)
	if err != nil {
		return done{}, fmt.Errorf("ask the %s gates: %w", phase, err)
	}
	if !ruling.Allowed {
		return done{detail: ruling.Summary}, &BlockedError{Phase: string(phase), Blocking: ruling.Blocking, Summary: ruling.Summary, undecided: ruling.Undecided}
	}
	return done{detail: ruling.Summary}, nil
}

// describe finds the step's title.
func (a *attempt) describe(name string) event.Step {
	steps := append(Steps(a.environment(), true, true), RollbackSteps(DataRestored)...)
	if a.state.Kind == KindMigration {
		steps = MigrationSteps(a.environment(), true, true, true)
	}
	for _, step := range steps {
		if step.Name == name {
			return step
		}
	}
	switch name {
	case StepRecover:
		return event.Step{Name: name, Title: "put back what an unfinished promotion left"}
	case StepPutBack:
		return event.Step{Name: name, Title: "put traffic back"}
	default:
		return event.Step{Name: name, Title: name}
	}
}

func (a *attempt) event(kind event.Type, step event.Step) event.Event {
	return event.Event{Type: kind, Time: time.Now().UTC(), Run: a.Run, Step: &step}
}

func (a *attempt) progress(name, text string) {
	told := a.event(event.StepProgress, event.Step{Name: name, Title: a.describe(name).Title})
	told.Text = text
	a.Observer.Observe(told)
}

func joined(sentences ...string) string {
	var said []string
	for _, sentence := range sentences {
		if sentence != "" {
			said = append(said, sentence)
		}
	}
	return strings.Join(said, "; ")
}
