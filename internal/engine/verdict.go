package engine

import (
	"fmt"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/pipelines"
)

// Blocks is the one place that decides whether a verdict stops a run: whatever does not allow blocks, unless the gate is
// only advisory. An enforcement that does not exist counts as mandatory, an outcome that does not exist as an error.
func Blocks(enforcement pipelines.Enforcement, outcome gates.Outcome) bool {
	return enforcement != pipelines.Advisory && !outcome.Allows()
}

// weight orders enforcements from least to most restrictive; what does not exist is at the top.
func weight(e pipelines.Enforcement) int {
	switch e {
	case pipelines.Advisory:
		return 0
	case pipelines.Overridable:
		return 1
	case pipelines.Mandatory:
		return 2
	default:
		return 3
	}
}

// sound turns a verdict that contradicts the protocol into an error that says so.
func sound(gate string, verdict gates.Verdict) gates.Verdict {
	switch {
	case !verdict.Outcome.Known():
		return couldNotAsk(gate, fmt.Sprintf("answered %q, which is no outcome", verdict.Outcome))
	case verdict.Outcome == gates.Pending && verdict.Pending == nil:
		return couldNotAsk(gate, "is pending without saying who or what can clear it")
	case verdict.Outcome != gates.Pending:
		verdict.Pending = nil
	}
	return verdict
}

func couldNotAsk(gate, what string) gates.Verdict {
	return gates.Verdict{
		Outcome:  gates.Error,
		Summary:  fmt.Sprintf("gate %s %s", gate, what),
		NextStep: fmt.Sprintf("look at `penstock gates info %s`, or report it to the author of the gate", gate),
	}
}
