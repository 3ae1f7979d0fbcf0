package main

import (
	"fmt"

	"github.com/penstock-ci/penstock/gates"
)

// unanswered returns the verdict for a stage that did not run to its own end, or nil for one that passed or failed by
// itself. A stage that was skipped has shown nothing, and that is never taken for success.
func unanswered(request *gates.Request, name, what string) *gates.Verdict {
	stage := request.Stage(name)
	if stage == nil {
		return gates.Undecided(
			fmt.Sprintf("add a stage %q that runs %s, or set the gate's stage to the one that does", name, what),
			"the run has no stage %q, so nobody knows", name)
	}
	switch {
	case stage.Outcome == "skipped", stage.Outcome == "cancelled":
		return gates.Undecided("run the stage and ask again", "stage %s was %s, so nobody knows", name, stage.Outcome)
	case stage.Outcome == "error":
		return gates.CouldNotAsk("see why the stage could not run", "stage %s could not be run", name)
	case stage.Outcome == "passed" && stage.ExitCode == 0, stage.Outcome == "failed":
		return nil
	default:
		return gates.CouldNotAsk("report this: penstock told the gate something that it does not understand",
			"stage %s %s with exit code %d, which makes no sense", name, stage.Outcome, stage.ExitCode)
	}
}

// spoilt returns the verdict for a stage that failed while it measured, or nil: what it has left is not the whole.
func spoilt(stage *gates.Stage) *gates.Verdict {
	if stage.Outcome != "failed" {
		return nil
	}
	verdict := gates.Failed("see the last lines of its log", "%s, so what it measured does not count", ended(stage))
	verdict.Findings = unexplained(stage)
	return verdict
}

// ended says in words how a failed stage ended.
func ended(stage *gates.Stage) string {
	if stage.ExitCode < 0 {
		return fmt.Sprintf("stage %s was ended before it was done", stage.Name)
	}
	return fmt.Sprintf("stage %s exited %d", stage.Name, stage.ExitCode)
}
