// Package account is what a run's events come to so far: which stages and gates stand where, what would change, how it
// ended. Reports for people on GitHub are made from it.
package account

import (
	"slices"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// Account is the state of one run. Feed it with [Account.Apply]; it is for one goroutine at a time.
type Account struct {
	Run      string
	Started  time.Time
	Info     event.RunInfo
	Stages   []Stage
	Gates    []Gate
	Steps    []Step
	Bundle   *event.Bundle
	Plan     *event.Plan
	Warnings []string // notes of level warning and error
	Result   *event.Result
}

// Stage is one stage; Ended says that its outcome counts.
type Stage struct {
	event.Stage
	Began, Ended bool
}

// Gate is one gate in one phase; Verdict is nil until it answered.
type Gate struct {
	event.Gate
	Began bool
}

// Step is one step of the promotion.
type Step struct {
	event.Step
	Began, Ended bool
}

// maxWarnings bounds what is kept of notes.
const maxWarnings = 50

// Apply takes in one event.
func (a *Account) Apply(e event.Event) {
	if a.Run == "" {
		a.Run = e.Run
	}
	switch e.Type {
	case event.RunStarted:
		if e.RunInfo == nil {
			return
		}
		a.Started, a.Info = e.Time, *e.RunInfo
		for _, stage := range e.RunInfo.Stages {
			a.Stages = append(a.Stages, Stage{Stage: stage})
		}
		for _, gate := range e.RunInfo.Gates {
			if a.findGate(gate.Name, gate.Phase) == nil { // several references to one gate are judged as one
				a.Gates = append(a.Gates, Gate{Gate: gate})
			}
		}
		for _, step := range e.RunInfo.Steps {
			a.Steps = append(a.Steps, Step{Step: step})
		}
	case event.StageStarted, event.StageFinished:
		if e.Stage == nil {
			return
		}
		stage := a.stage(e.Stage)
		stage.Began = true
		if e.Type == event.StageFinished {
			title, moment := stage.Title, stage.Moment
			stage.Stage, stage.Ended = *e.Stage, true
			stage.Title, stage.Moment = first(stage.Title, title), first(stage.Moment, moment)
		} else {
			stage.Ended = false
		}
	case event.GateStarted, event.GateFinished:
		if e.Gate == nil {
			return
		}
		gate := a.gate(e.Gate)
		gate.Began = true
		if e.Type == event.GateFinished {
			gate.Gate = *e.Gate
		} else {
			gate.Verdict = nil
		}
	case event.StepStarted, event.StepFinished:
		if e.Step == nil {
			return
		}
		step := a.step(e.Step)
		step.Began = true
		if e.Type == event.StepFinished {
			title := step.Title
			step.Step, step.Ended = *e.Step, true
			step.Title = first(step.Title, title)
		} else {
			step.Ended = false
		}
	case event.BundleBuilt:
		a.Bundle = e.Bundle
	case event.PlanMade:
		a.Plan = e.Plan
	case event.Note:
		if e.Level != "info" && e.Level != "" && len(a.Warnings) < maxWarnings {
			a.Warnings = append(a.Warnings, e.Text)
		}
	case event.RunFinished:
		a.Result = e.Result
	case event.StageOutput, event.GateProgress, event.StepProgress:
	}
}

func first(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}

func (a *Account) stage(like *event.Stage) *Stage {
	at := slices.IndexFunc(a.Stages, func(s Stage) bool { return s.Name == like.Name && (like.Moment == "" || s.Moment == like.Moment) })
	if at < 0 {
		a.Stages = append(a.Stages, Stage{Stage: *like})
		at = len(a.Stages) - 1
	}
	return &a.Stages[at]
}

func (a *Account) findGate(name string, phase gates.Phase) *Gate {
	at := slices.IndexFunc(a.Gates, func(g Gate) bool { return g.Name == name && g.Phase == phase })
	if at < 0 {
		return nil
	}
	return &a.Gates[at]
}

func (a *Account) gate(like *event.Gate) *Gate {
	if found := a.findGate(like.Name, like.Phase); found != nil {
		return found
	}
	a.Gates = append(a.Gates, Gate{Gate: *like})
	return &a.Gates[len(a.Gates)-1]
}

func (a *Account) step(like *event.Step) *Step {
	at := slices.IndexFunc(a.Steps, func(s Step) bool { return s.Name == like.Name })
	if at < 0 {
		a.Steps = append(a.Steps, Step{Step: *like})
		at = len(a.Steps) - 1
	}
	return &a.Steps[at]
}

// State is how something stands, in the order of weight: of several, the greatest counts.
type State int

// The states. Only Passed is success: what waits, was not asked or could not be found out is none.
const (
	Passed State = iota
	Running
	Waiting // for people, or for something outside
	Failed  // the answer is no
	Unknown // it could not be found out
)

// StateOf is how a gate stands.
func (g Gate) StateOf() State {
	switch {
	case g.Verdict == nil:
		return Running
	case !g.Blocks:
		return Passed
	case g.Verdict.Outcome == gates.Pending:
		return Waiting
	case g.Verdict.Outcome == gates.Fail:
		return Failed
	default:
		return Unknown
	}
}

// StateOf is how a stage stands.
func (s Stage) StateOf() State {
	switch {
	case !s.Ended:
		return Running
	case s.Outcome == event.Passed:
		return Passed
	case s.Outcome == event.Failed:
		return Failed
	default:
		return Unknown
	}
}

// Ending is how the run as a whole stands: Running until it ended, and Passed only when it is done.
func (a *Account) Ending() State {
	switch {
	case a.Result == nil:
		return Running
	case a.Result.ExitCode == 0 && a.Result.Outcome == "done":
		return Passed
	case a.Result.Outcome == "waiting":
		return Waiting
	case a.Result.Outcome == "blocked", a.Result.Outcome == "failed", a.Result.Outcome == "rolled back":
		return Failed
	default:
		return Unknown
	}
}

// Promotes says that the run means to deploy.
func (a *Account) Promotes() bool { return len(a.Info.Steps) > 0 }
