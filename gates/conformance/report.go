package conformance

import (
	"time"

	"github.com/penstock-ci/penstock/gates/host"
)

// State says how a check went.
type State string

// The states. What does not apply to a gate is told, and is neither passed nor failed.
const (
	Passed        State = "pass"
	Failed        State = "fail"
	NotApplicable State = "not applicable"
)

// Result is one check of the set, or of one of its gates.
type Result struct {
	Check    string `json:"check"`
	Gate     string `json:"gate,omitempty"` // empty for a check of the whole set
	State    State  `json:"state"`
	Detail   string `json:"detail"`             // one line: what was seen
	NextStep string `json:"nextStep,omitempty"` // what the author can do, when it failed
	Output   string `json:"output,omitempty"`   // what the set printed last, when that may help
}

// Report is what came of all checks.
type Report struct {
	Set     string             `json:"set"`
	Version string             `json:"version,omitempty"` // empty when the set could not be started
	SDK     string             `json:"sdk,omitempty"`
	Digest  string             `json:"digest"` // "sha256:…" of the binary
	Started time.Duration      `json:"startedNanoseconds,omitempty"`
	Sandbox host.SandboxReport `json:"sandbox"`
	Results []Result           `json:"results"`
}

// Passed reports whether the set conforms: no check failed, and at least one gate was asked.
func (r Report) Passed() bool {
	return r.Count(Failed) == 0 && r.Version != "" && r.Count(Passed) > 0
}

// Count returns how many checks have that state.
func (r Report) Count(state State) int {
	n := 0
	for _, result := range r.Results {
		if result.State == state {
			n++
		}
	}
	return n
}
