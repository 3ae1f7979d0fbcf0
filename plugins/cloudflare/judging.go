package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// environmentGate judges one side of the evidence "environment".
type environmentGate struct {
	name, title string
	phases      []gates.Phase
	config      string // JSON Schema; "" allows none
	judge       func(request *gates.Request, seen *sight) error
}

var _ gates.Gate = environmentGate{}

// live are the phases in which resources exist: a first deployment makes them just before. The gates of what can be judged
// before anything is changed name the phase plan too.
var (
	live    = []gates.Phase{gates.PhasePromote, gates.PhaseBake}
	planned = []gates.Phase{gates.PhasePlan, gates.PhasePromote, gates.PhaseBake}
)

// Describe implements gates.Gate.
func (g environmentGate) Describe() gates.Description {
	return gates.Description{
		Name: g.name, Title: g.title, Phases: g.phases, Config: g.config,
		Reports: []gates.Report{{Kind: gates.ReportEnvironment}},
	}
}

// Evaluate implements gates.Gate.
func (g environmentGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportEnvironment)
	if len(reports) == 0 {
		return gates.Undecided("report this: penstock gathers the evidence for each gate that names it", "nobody looked at the environment"), nil
	}
	found, err := evidence.ReadEnvironment(reports[0].Path)
	if err != nil {
		return nil, err
	}
	seen := &sight{Environment: found, run: request.Run}
	if err := g.judge(request, seen); err != nil {
		return nil, err
	}
	return seen.verdict(), nil
}

// sight is an environment, and what a gate came to think of it.
type sight struct {
	evidence.Environment
	run gates.Run

	subject      string // what is judged, for the summary: "KV namespace"
	good         []string
	findings     []gates.Finding
	nextStep     string // of the gravest finding
	gravest      gates.Outcome
	measurements []gates.Measurement
}

// found notes one thing that is as it should be.
func (s *sight) found(format string, args ...any) {
	s.good = append(s.good, fmt.Sprintf(format, args...))
}

// wrong notes one thing that is not as it should be.
func (s *sight) wrong(rule, nextStep, format string, args ...any) {
	s.note(gates.Fail, gates.LevelError, rule, nextStep, format, args...)
}

// unknown notes one thing that could not be found out.
func (s *sight) unknown(reason, format string, args ...any) {
	if reason == "" {
		reason = "the evidence does not say"
	}
	nextStep := "mend what kept it from being asked, then run the same command again: " + reason
	s.note(gates.Inconclusive, gates.LevelError, "unknown", nextStep, "%s: %s", fmt.Sprintf(format, args...), reason)
}

// doubtful notes one thing that somebody should look at.
func (s *sight) doubtful(rule, nextStep, format string, args ...any) {
	s.note(gates.Warn, gates.LevelWarning, rule, nextStep, format, args...)
}

// later notes one thing that this very promotion sets up.
func (s *sight) later(format string, args ...any) {
	s.note(gates.Pass, gates.LevelNote, "later", "", format, args...)
}

// weight orders outcomes: what is known to be wrong counts more than what is not known.
func weight(outcome gates.Outcome) int {
	switch outcome {
	case gates.Fail:
		return 4
	case gates.Inconclusive:
		return 3
	case gates.Warn:
		return 2
	case gates.Pass:
		return 1
	default:
		return 0
	}
}

func (s *sight) note(outcome gates.Outcome, level gates.Level, rule, nextStep, format string, args ...any) {
	s.findings = append(s.findings, gates.Finding{Level: level, Rule: rule, Message: fmt.Sprintf(format, args...)})
	if weight(outcome) > weight(s.gravest) {
		s.gravest, s.nextStep = outcome, nextStep
	}
}

// verdict sums up. Nothing seen is no pass.
func (s *sight) verdict() *gates.Verdict {
	verdict := &gates.Verdict{Outcome: s.gravest, Findings: s.findings, NextStep: s.nextStep, Measurements: s.measurements}
	switch {
	case s.gravest == "" && len(s.good) == 0:
		return gates.Undecided("take the gate out of penstock.yaml, or see that the wrangler config names what it judges", "the config of %s has no %s, so there is nothing to judge", s.Name, s.subject)
	case s.gravest == "":
		verdict.Outcome = gates.Pass
	}
	if verdict.Outcome == gates.Pass {
		verdict.NextStep = ""
	}
	verdict.Summary = s.summary(verdict.Outcome)
	return verdict
}

func (s *sight) summary(outcome gates.Outcome) string {
	if outcome == gates.Pass {
		parts := s.good
		for _, finding := range s.findings {
			parts = append(parts, finding.Message)
		}
		return limited(parts)
	}
	var parts []string
	for _, finding := range s.findings {
		counts := finding.Level == gates.LevelError
		if outcome == gates.Warn {
			counts = finding.Level == gates.LevelWarning
		}
		if outcome == gates.Fail && finding.Rule == "unknown" {
			counts = false // told, but it is not why the answer is no
		}
		if counts {
			parts = append(parts, finding.Message)
		}
	}
	return limited(parts)
}

// limited joins the first few of many.
func limited(parts []string) string {
	const most = 4
	if len(parts) > most {
		return fmt.Sprintf("%s; and %d more", strings.Join(parts[:most], "; "), len(parts)-most)
	}
	return strings.Join(parts, "; ")
}

// settled reports whether the version that is judged takes all of the traffic: only then does penstock set up what calls it
// besides HTTP, and its routes. Where no version is judged, what is live is.
func (s *sight) settled(phase gates.Phase) bool {
	return phase == gates.PhaseBake && s.run.VersionID != "" && s.Worker.ShareOf(s.run.VersionID) >= 100
}

// penstock is a command about this environment, as people type it.
func (s *sight) penstock(verb string, args ...string) string {
	return "`" + strings.Join(slices.Concat([]string{"penstock", verb}, args, []string{"--env", s.Name}), " ") + "`"
}

// version returns the version that is judged; nil when the environment does not have it.
func (s *sight) version() *evidence.Version {
	for i := range s.Worker.Versions {
		if s.Worker.Versions[i].ID == s.run.VersionID {
			return &s.Worker.Versions[i]
		}
	}
	return nil
}
