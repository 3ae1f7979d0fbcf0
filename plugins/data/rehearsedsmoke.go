package main

import (
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// smokeRequired is the config's word for: what could not be asked does not pass.
const smokeRequired = "required"

// smokeJudged is what the smoke tests on copies say.
type smokeJudged struct {
	wrong, unknown []string
	passed         bool // both versions were asked and passed
	findings       []gates.Finding
}

// judgeSmoke judges by the control: what the live version fails on the data as it is says nothing of the migrations.
func (c rehearsalConfig) judgeSmoke(told evidence.RehearsedSmoke) smokeJudged {
	judged := smokeJudged{}
	switch told.State {
	case evidence.Missing:
		return judged
	case evidence.Present:
	default:
		reason := told.Reason
		if reason == "" {
			reason = "nothing was told of it"
		}
		judged.leave(c, "the smoke tests could not be run on a copy: "+reason)
		return judged
	}
	judged.passed = told.Live.OK && told.Next.OK
	if judged.passed {
		return judged
	}
	if told.Control == nil || !told.Control.OK {
		said := "nobody asked it"
		if told.Control != nil {
			said = told.Control.Summary
		}
		judged.leave(c, "the smoke tests say nothing of the migrations: the live version does not pass them on a copy of the data as it is either: "+said)
		return judged
	}
	if !told.Live.OK {
		judged.fail("the live version does not pass the smoke tests after the migrations, and does before: ", told.Live)
	}
	if !told.Next.OK {
		if own := foreign(told.Next.StandIns, told.Control.StandIns); len(own) > 0 {
			judged.leave(c, "the new version does not pass the smoke tests on the migrated copy, maybe for want of the true "+strings.Join(own, ", ")+": "+told.Next.Summary)
		} else {
			judged.fail("the new version does not pass the smoke tests on the migrated copy: ", told.Next)
		}
	}
	return judged
}

// fail notes what is wrong, with what the version answered.
func (j *smokeJudged) fail(what string, trial evidence.SmokeTrial) {
	j.wrong = append(j.wrong, what+trial.Summary)
	j.findings = append(j.findings, gates.Finding{Level: gates.LevelError, Rule: "smoke", Message: what + trial.Summary, Detail: strings.Join(trial.Lines, "\n")})
}

// leave notes what nobody knows; the config says how much that matters.
func (j *smokeJudged) leave(c rehearsalConfig, what string) {
	j.findings = append(j.findings, gates.Finding{Level: gates.LevelNote, Rule: "smoke", Message: what})
	if c.Smoke == smokeRequired {
		j.unknown = append(j.unknown, what)
	}
}

// foreign are those of names that are not among known.
func foreign(names, known []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(known, name) })
}
