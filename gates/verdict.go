package gates

import "time"

// Outcome is a gate's answer. The zero value is not an answer and blocks like [Error].
type Outcome string

// The outcomes. Only Pass and Warn let anything through.
const (
	Pass         Outcome = "pass"
	Warn         Outcome = "warn"         // passes, and says so
	Fail         Outcome = "fail"         // the answer is no
	Inconclusive Outcome = "inconclusive" // asked, and the data does not say
	Error        Outcome = "error"        // could not ask
	Pending      Outcome = "pending"      // not yet: somebody or something must clear it
)

// Allows reports whether the outcome lets a plan through. Anything unknown does not.
func (o Outcome) Allows() bool { return o == Pass || o == Warn }

// Known reports whether o is one of the outcomes of this protocol.
func (o Outcome) Known() bool {
	switch o {
	case Pass, Warn, Fail, Inconclusive, Error, Pending:
		return true
	default:
		return false
	}
}

// Verdict is a gate's whole answer.
type Verdict struct {
	Outcome      Outcome       `json:"outcome"`
	Summary      string        `json:"summary"`            // one line: what was measured against what
	NextStep     string        `json:"nextStep,omitempty"` // what a person can do when it does not pass
	Findings     []Finding     `json:"findings,omitempty"`
	Measurements []Measurement `json:"measurements,omitempty"`
	Evidence     []Evidence    `json:"evidence,omitempty"`
	Pending      *Clearance    `json:"pending,omitempty"` // only with Pending, and then always
}

// Finding is one thing that a person may want to look at.
type Finding struct {
	Level   Level  `json:"level"`
	Rule    string `json:"rule,omitempty"` // TS2322, no-unused-vars, …
	Message string `json:"message"`
	File    string `json:"file,omitempty"`   // relative to the app's folder, with forward slashes
	Line    int    `json:"line,omitempty"`   // from 1; 0 unknown
	Column  int    `json:"column,omitempty"` // from 1; 0 unknown
	Detail  string `json:"detail,omitempty"` // a few lines: a diff, the top of a stack
}

// Level is a finding's weight, in SARIF's words.
type Level string

// The levels.
const (
	LevelError   Level = "error"
	LevelWarning Level = "warning"
	LevelNote    Level = "note"
)

// Measurement is one number that the gate looked at.
type Measurement struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit,omitempty"` // %, ms, count, …
	Limit    *float64 `json:"limit,omitempty"`
	Baseline *float64 `json:"baseline,omitempty"`
	// Better says in which direction the value improves: "higher", "lower", or "" when it is only told.
	Better string `json:"better,omitempty"`
}

// Evidence names a file that the verdict rests on, by digest.
type Evidence struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // "sha256:…"
}

// Clearance says who or what can clear a pending verdict, and when to ask again.
type Clearance struct {
	By       string        `json:"by"`
	AskAgain time.Duration `json:"askAgain"`
}
