package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// testsGate asks whether tests ran and passed, from JUnit reports and from how their stages ended.
type testsGate struct{}

type testsConfig struct {
	Stage      string `json:"stage"`
	MinTests   int    `json:"minTests"`
	MaxSkipped *int   `json:"maxSkipped"`
	MaxFlaky   *int   `json:"maxFlaky"`
}

const howToReport = "have the test runner write a JUnit report and name it under reports: of the stage (vitest: --reporter=junit --outputFile=…; " +
	"jest: jest-junit; node: --test-reporter=junit)"

func (testsGate) Describe() gates.Description {
	return gates.Description{
		Name:    "tests",
		Title:   "all tests pass, and there are some",
		Phases:  []gates.Phase{gates.PhaseBuild},
		Reports: []gates.Report{{Kind: gates.ReportJUnit}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"stage": {"type": "string", "minLength": 1, "default": "test", "description": "the stage that must have run tests"},
				"minTests": {"type": "integer", "minimum": 1, "default": 1, "description": "fewer tests than this show nothing"},
				"maxSkipped": {"type": "integer", "minimum": 0, "description": "more skipped tests than this are a failure; without it they are only counted"},
				"maxFlaky": {"type": "integer", "minimum": 0, "description": "more tests than this that passed only when tried again are a failure; without it they are a warning"}
			}
		}`,
	}
}

func (testsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := testsConfig{Stage: "test", MinTests: 1}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportJUnit)
	stages := []string{config.Stage}
	for _, report := range reports {
		if !slices.Contains(stages, report.Stage) {
			stages = append(stages, report.Stage)
		}
	}

	var all testRun
	var unreadable []string
	for i, report := range reports {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		request.Progress("reading report %d of %d", i+1, len(reports))
		content, err := readFile(report.Path)
		if err == nil {
			stage := request.Stage(report.Stage)
			err = all.addJUnit(content, report.Root, stage != nil && stage.Outcome == "passed")
		}
		if err != nil {
			unreadable = append(unreadable, problem(report, err))
		}
	}

	for _, name := range stages {
		if stage := request.Stage(name); stage != nil {
			lines, err := readLog(stage)
			if err != nil {
				return nil, err
			}
			all.addRetried(lines)
		}
	}

	// What was found to be wrong comes before what could not be found out.
	verdict := &gates.Verdict{Outcome: gates.Pass, Measurements: all.measurements(config)}
	verdict.Findings = append(all.failed, all.flaky...)
	if len(all.failed) > 0 || all.declaredFailures > 0 {
		verdict.Outcome, verdict.NextStep = gates.Fail, "make the tests pass; each finding names its test"
		verdict.Summary = fmt.Sprintf("%s of %d failed", gates.Counted(max(len(all.failed), all.declaredFailures), "test"), max(all.total, all.declaredFailures))
		if len(all.failed) == 0 {
			verdict.NextStep = "see the log of the stage: the report counts failures and does not name them"
		}
		return verdict, nil
	}
	for _, name := range stages {
		if refusal := unanswered(request, name, "the tests"); refusal != nil {
			return refusal, nil
		}
		if stage := request.Stage(name); stage.Outcome == "failed" {
			verdict := gates.Failed("see the log of the stage: something outside of the tests failed, such as a coverage limit, a hook or the runner itself",
				"%s but no test failed: %s", ended(stage), all.sentence())
			verdict.Findings, verdict.Measurements = unexplained(stage), all.measurements(config)
			return verdict, nil
		}
	}

	switch {
	case len(unreadable) > 0:
		return gates.Undecided(howToReport, "%s", strings.Join(unreadable, "; ")), nil
	case len(reports) == 0:
		return gates.Undecided(howToReport, "stage %s left no JUnit report, so nobody knows what was tested", config.Stage), nil
	case all.total-all.skipped == 0:
		return gates.Undecided("write tests, or check which files the test runner looks for", "no test ran: %s", all.sentence()), nil
	case all.total-all.skipped < config.MinTests:
		return gates.Undecided("check which files the test runner looks for, or lower minTests",
			"%s, and at least %d are wanted", all.sentence(), config.MinTests), nil
	case config.MaxSkipped != nil && all.skipped > *config.MaxSkipped:
		verdict.Outcome, verdict.NextStep = gates.Fail, "let the skipped tests run again, or raise maxSkipped"
		verdict.Summary = fmt.Sprintf("%s, and at most %d may be skipped", all.sentence(), *config.MaxSkipped)
		return verdict, nil
	}
	verdict.Summary = all.sentence()
	if config.MaxFlaky != nil && len(all.flaky) > *config.MaxFlaky {
		verdict.Outcome, verdict.NextStep = gates.Fail, "mend the tests that pass only when they are tried again, or raise maxFlaky"
		verdict.Summary += fmt.Sprintf(", and at most %d may be", *config.MaxFlaky)
		return verdict, nil
	}
	if len(all.flaky) > 0 {
		verdict.Outcome, verdict.NextStep = gates.Warn, "mend the tests that pass only when they are tried again"
	}
	return verdict, nil
}
