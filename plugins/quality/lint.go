package main

import (
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/gates"
)

// lintGate asks whether the linter found errors, or more warnings than are allowed, from its report and its stage.
type lintGate struct{}

type lintConfig struct {
	Stage       string `json:"stage"`
	MaxWarnings *int   `json:"maxWarnings"`
}

const howToLint = "have the linter write a report and name it under reports: of the stage (eslint: --format json --output-file …, or a SARIF formatter)"

func (lintGate) Describe() gates.Description {
	return gates.Description{
		Name:    "lint",
		Title:   "the linter finds no errors",
		Phases:  []gates.Phase{gates.PhaseBuild},
		Reports: []gates.Report{{Kind: gates.ReportESLint}, {Kind: gates.ReportSARIF}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"stage": {"type": "string", "minLength": 1, "default": "lint", "description": "the stage that runs the linter"},
				"maxWarnings": {"type": "integer", "minimum": 0, "description": "more warnings than this are a failure; without it they are only counted"}
			}
		}`,
	}
}

func (lintGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := lintConfig{Stage: "lint"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if refusal := unanswered(request, config.Stage, "the linter"); refusal != nil {
		return refusal, nil
	}
	stage := request.Stage(config.Stage)

	var found []gates.Finding
	reports := 0
	for _, report := range request.ReportsOf(gates.ReportESLint, gates.ReportSARIF) {
		if report.Stage != config.Stage {
			continue // SARIF comes from many tools; another stage's is another gate's matter
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		reports++
		content, err := readFile(report.Path)
		if err == nil {
			var more []gates.Finding
			if report.Kind == gates.ReportESLint {
				more, err = parseESLint(content, report.Root)
			} else {
				more, err = parseSARIF(content, report.Root)
			}
			found = append(found, more...)
		}
		if err != nil && stage.Outcome == "failed" {
			// A linter that stops with an error of its own leaves no report worth the name; its exit code has answered.
			verdict := gates.Failed("see the last lines of its log", "%s and left no report that can be read", ended(stage))
			verdict.Findings = unexplained(stage)
			return verdict, nil
		}
		if err != nil {
			return gates.Undecided(howToLint, "%s", problem(report, err)), nil
		}
	}
	return config.judge(stage, found, reports), nil
}

func (c lintConfig) judge(stage *gates.Stage, found []gates.Finding, reports int) *gates.Verdict {
	errors, warnings := 0, 0
	for _, finding := range found {
		switch finding.Level {
		case gates.LevelError:
			errors++
		case gates.LevelWarning:
			warnings++
		case gates.LevelNote: // shown, and of no weight
		}
	}
	var limit *float64
	if c.MaxWarnings != nil {
		limit = gates.AtMost(*c.MaxWarnings)
	}
	verdict := &gates.Verdict{Findings: bySeverity(found)}
	if reports > 0 {
		verdict.Measurements = []gates.Measurement{gates.Count("errors", errors, gates.AtMost(0)), gates.Count("warnings", warnings, limit)}
	}

	switch {
	case errors > 0:
		verdict.Outcome, verdict.NextStep = gates.Fail, "mend what the linter found; each finding names its line"
		verdict.Summary = fmt.Sprintf("%s and %s", gates.Counted(errors, "lint error"), gates.Counted(warnings, "warning"))
	case c.MaxWarnings != nil && reports > 0 && warnings > *c.MaxWarnings:
		verdict.Outcome, verdict.NextStep = gates.Fail, "mend the warnings, or raise maxWarnings"
		verdict.Summary = fmt.Sprintf("%s, and at most %d are allowed", gates.Counted(warnings, "lint warning"), *c.MaxWarnings)
	case stage.Outcome == "failed":
		verdict.Outcome, verdict.NextStep = gates.Fail, "see the last lines of its log"
		verdict.Summary = fmt.Sprintf("%s and named no lint error", ended(stage))
		verdict.Findings = append(verdict.Findings, unexplained(stage)...)
	case reports == 0 && c.MaxWarnings != nil:
		return gates.Undecided(howToLint, "the linter left no report, so its warnings cannot be counted")
	case reports == 0:
		// The exit code of a linter is a real answer, but nobody can see from here what it looked at.
		verdict.Outcome, verdict.NextStep = gates.Warn, howToLint
		verdict.Summary = fmt.Sprintf("no lint errors, by the exit code only (%s)", stage.Command)
	case warnings > 0:
		verdict.Outcome, verdict.NextStep = gates.Warn, "mend the warnings, or set maxWarnings to keep them from growing"
		verdict.Summary = "no lint errors, " + gates.Counted(warnings, "warning")
	default:
		verdict.Outcome, verdict.Summary = gates.Pass, "no lint errors, no warnings"
	}
	return verdict
}

// bySeverity puts errors first and keeps the linter's order otherwise.
func bySeverity(found []gates.Finding) []gates.Finding {
	var sorted []gates.Finding
	for _, level := range []gates.Level{gates.LevelError, gates.LevelWarning, gates.LevelNote} {
		for _, finding := range found {
			if finding.Level == level {
				sorted = append(sorted, finding)
			}
		}
	}
	return sorted
}
