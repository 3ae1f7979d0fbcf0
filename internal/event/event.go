// Package event is the vocabulary in which a run tells what happens: to observers (terminal, JSON lines, GitHub) and to
// the ledger. Events are plain data; nothing here acts.
package event

import (
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// Type names what happened.
type Type string

// The event types, in the order in which a run meets them.
const (
	RunStarted    Type = "run.started"
	StageStarted  Type = "stage.started"
	StageOutput   Type = "stage.output"
	StageFinished Type = "stage.finished"
	GateStarted   Type = "gate.started"
	GateProgress  Type = "gate.progress"
	GateFinished  Type = "gate.finished"
	BundleBuilt   Type = "bundle.built"
	PlanMade      Type = "plan.made"
	StepStarted   Type = "step.started" // one step of a promotion
	StepProgress  Type = "step.progress"
	StepFinished  Type = "step.finished"
	Note          Type = "note" // a sentence for people
	RunFinished   Type = "run.finished"
)

// Event is one thing that happened. Which fields count follows from Type; the rest are zero.
type Event struct {
	Type Type      `json:"type"`
	Time time.Time `json:"time"`
	Run  string    `json:"run"`

	RunInfo *RunInfo `json:"runInfo,omitempty"` // run.started
	Stage   *Stage   `json:"stage,omitempty"`   // stage.*
	Gate    *Gate    `json:"gate,omitempty"`    // gate.*
	Step    *Step    `json:"step,omitempty"`    // step.*
	Bundle  *Bundle  `json:"bundle,omitempty"`  // bundle.built
	Plan    *Plan    `json:"plan,omitempty"`    // plan.made
	Result  *Result  `json:"result,omitempty"`  // run.finished
	Level   string   `json:"level,omitempty"`   // note: info, warning, error
	Text    string   `json:"text,omitempty"`    // stage.output (one line without its end), *.progress, note
}

// RunInfo says what is run.
type RunInfo struct {
	App    string `json:"app"`
	Folder string `json:"folder"`
	// Place is where in the source the app lies, with slashes; "" when it is all of it.
	Place        string `json:"place,omitempty"`
	Environment  string `json:"environment,omitempty"`
	Command      string `json:"command,omitempty"` // rollback, …; "" for a run of the pipeline
	Purpose      string `json:"purpose,omitempty"` // of a run of the pipeline that deploys nothing: check, plan, doctor or run; "" otherwise
	Commit       string `json:"commit,omitempty"`
	Branch       string `json:"branch,omitempty"`
	Dirty        bool   `json:"dirty,omitempty"`
	SourceDigest string `json:"sourceDigest"`
	Files        int    `json:"files"`
	Executor     string `json:"executor"`
	// Seed is what a migration by itself executes behind the migrations; nil for nothing.
	Seed *Seed `json:"seed,omitempty"`
	// DryRun says that the run was to change nothing. It is never gone on with.
	DryRun bool `json:"dryRun,omitempty"`
	// By began the run; nil when that is not known.
	By *Identity `json:"by,omitempty"`
	// BySigned proves it: an armored SSH signature over promotion.Beginning. "" when they did not sign.
	BySigned string `json:"bySigned,omitempty"`
	// Approvers of the environment, and whether they may approve their own runs, as they were when it began.
	Approvers    []string `json:"approvers,omitempty"`
	SelfApproval bool     `json:"selfApproval,omitempty"`
	// Signed says that only what they sign counts there.
	Signed bool `json:"signed,omitempty"`
	// Rules is the commit whose pipeline judges the run: a pull request's base. "" is the run's own source.
	Rules string `json:"rules,omitempty"`
	// From is the run whose source and bundle this one takes to another environment.
	From string `json:"from,omitempty"`
	// Resumed says that the run was there already and goes on.
	Resumed bool    `json:"resumed,omitempty"`
	Stages  []Stage `json:"stages"` // names and needs, so that a tree can be drawn at once
	Gates   []Gate  `json:"gates"`
	Steps   []Step  `json:"steps,omitempty"` // of the promotion that will follow
}

// Seed is a SQL file with first rows for a database.
type Seed struct {
	File       string `json:"file"`
	Again      bool   `json:"again,omitempty"`
	BesideData bool   `json:"besideData,omitempty"`
}

// Outcome is how a stage ended.
type Outcome string

// The outcomes of a stage.
const (
	Passed    Outcome = "passed"
	Failed    Outcome = "failed"    // a command said no: exit code not 0, or the stage's own timeout
	Skipped   Outcome = "skipped"   // a stage that it needs did not pass
	Cancelled Outcome = "cancelled" // the run was stopped
	Errored   Outcome = "error"     // the executor could not run it
)

// Stage is one stage's part of an event.
type Stage struct {
	Name     string        `json:"name"`
	Title    string        `json:"title,omitempty"`
	Needs    []string      `json:"needs,omitempty"`
	Moment   string        `json:"moment,omitempty"` // build or smoke
	Attempt  int           `json:"attempt,omitempty"`
	Outcome  Outcome       `json:"outcome,omitempty"`
	ExitCode int           `json:"exitCode,omitempty"`
	Duration time.Duration `json:"duration,omitempty"` // nanoseconds
	Cached   bool          `json:"cached,omitempty"`
	// Why explains: what made a cached result valid, what changed when it was not, why it was skipped, what went wrong.
	Why    string `json:"why,omitempty"`
	Log    string `json:"log,omitempty"` // path of the whole output
	Stderr bool   `json:"stderr,omitempty"`
	// TimedOut says that the stage's own timeout ended it.
	TimedOut bool `json:"timedOut,omitempty"`
}

// Gate is one gate's part of an event.
type Gate struct {
	Name        string         `json:"name"` // set/gate
	Title       string         `json:"title,omitempty"`
	Phase       gates.Phase    `json:"phase"`
	Enforcement string         `json:"enforcement"`
	Verdict     *gates.Verdict `json:"verdict,omitempty"`
	Blocks      bool           `json:"blocks,omitempty"`
	DryRun      bool           `json:"dryRun,omitempty"` // asked to try it: it never blocks
	Duration    time.Duration  `json:"duration,omitempty"`
	SetVersion  string         `json:"setVersion,omitempty"`
	// Waived says that the gate blocked and a waiver let it pass; it is the waiver in one line.
	Waived    string `json:"waived,omitempty"`
	SetDigest string `json:"setDigest,omitempty"` // of the plugin binary
}

// Weight is how much the gate's answer counts, for people.
func (g Gate) Weight() string {
	if g.DryRun {
		return "dry run of " + g.Enforcement
	}
	return g.Enforcement
}

// Step is one step of a promotion.
type Step struct {
	Name     string        `json:"name"` // migrate, upload, …
	Title    string        `json:"title"`
	Detail   string        `json:"detail,omitempty"` // what it did, for people
	Duration time.Duration `json:"duration,omitempty"`
	Error    string        `json:"error,omitempty"`
	Skipped  bool          `json:"skipped,omitempty"` // nothing to do, or already done
}

// Bundle names what the build made.
type Bundle struct {
	Digest  string `json:"digest"`
	Code    string `json:"code,omitempty"` // digest of the modules alone, without what is of one environment
	Size    int64  `json:"size"`
	Modules int    `json:"modules"`
}

// Plan is what a promotion would do.
type Plan struct {
	Digest  string   `json:"digest"`
	Changes []Change `json:"changes"`
	// UpToDate says that what is live is already what the plan asks for.
	UpToDate bool `json:"upToDate,omitempty"`
	// Scripts are the SQL texts that would be executed, in order: pending migrations and the seed.
	Scripts []Script `json:"scripts,omitempty"`
}

// Script is SQL that would be executed on a database.
type Script struct {
	Database string `json:"database"`
	File     string `json:"file"` // in the app's folder
	Digest   string `json:"digest"`
	SQL      string `json:"sql"`
}

// Change is one line of a plan.
type Change struct {
	Action string `json:"action"` // create, update, remove, keep
	Kind   string `json:"kind"`   // version, binding, var, secret, route, migration, database, …
	Name   string `json:"name"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
}

// Result is how a run ended.
type Result struct {
	Outcome  string        `json:"outcome"`  // one word: done, failed, blocked, rolled-back, cancelled, busy, unreachable, error
	ExitCode int           `json:"exitCode"` // of the process, DESIGN section 7
	Duration time.Duration `json:"duration"`
	Version  string        `json:"version,omitempty"`  // id of the version that is live
	Previous string        `json:"previous,omitempty"` // the one before
	URL      string        `json:"url,omitempty"`
	Reason   string        `json:"reason,omitempty"`   // what stopped it, one line
	NextStep string        `json:"nextStep,omitempty"` // what a person can do now
}

// Observer is told of every event, in order, from one goroutine at a time. It must return quickly; it cannot fail a run.
type Observer interface {
	Observe(Event)
}

// ObserverFunc makes a function an [Observer].
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }
