package evidence

import "time"

// Smoke is what the promotion under way asked its version, and what it answered: the environment's probes, and the pipeline's
// own smoke stages. A promotion goes on only while they are well; what a gate can add is that they were enough.
type Smoke struct {
	Header
	Probes []Probing    `json:"probes"` // in order
	Stages []SmokeStage `json:"stages"` // in order
}

// Probing is one asking of all of the environment's probes.
type Probing struct {
	At      time.Time `json:"at"`
	Version string    `json:"version"` // that must answer; empty for whichever
	// Override says that it was asked for by name, whatever traffic it takes; else it is what everybody gets.
	Override bool     `json:"override,omitempty"`
	OK       bool     `json:"ok"`
	Proven   bool     `json:"proven,omitempty"` // the answers carried the version's id
	Paths    []string `json:"paths"`            // that were asked
	Summary  string   `json:"summary"`
	Lines    []string `json:"lines,omitempty"`
	Error    string   `json:"error,omitempty"` // why it could not be asked
}

// SmokeStage is one run of the pipeline's smoke stages.
type SmokeStage struct {
	At      time.Time `json:"at"`
	Moment  string    `json:"moment"` // before-traffic or after-switch
	Version string    `json:"version"`
	OK      bool      `json:"ok"`
	Summary string    `json:"summary"`
	Error   string    `json:"error,omitempty"` // why it could not be run
}
