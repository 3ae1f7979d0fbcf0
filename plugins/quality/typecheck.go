package main

import (
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/gates"
)

// typecheckGate asks whether the type checker found errors, from its stage and that stage's log: tsc has no report format.
type typecheckGate struct{}

type typecheckConfig struct {
	Stage string `json:"stage"`
}

func (typecheckGate) Describe() gates.Description {
	return gates.Description{
		Name:   "typecheck",
		Title:  "the type checker finds no errors",
		Phases: []gates.Phase{gates.PhaseBuild},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {"stage": {"type": "string", "minLength": 1, "default": "typecheck", "description": "the stage that runs tsc"}}
		}`,
	}
}

func (typecheckGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := typecheckConfig{Stage: "typecheck"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if refusal := unanswered(request, config.Stage, "tsc --noEmit"); refusal != nil {
		return refusal, nil
	}
	stage := request.Stage(config.Stage)
	log, err := readLog(stage)
	if err != nil {
		return gates.Undecided("run the stage again", "%s ran, but its log cannot be read: %v", config.Stage, cause(err)), nil
	}
	found := parseTSC(log, stage.Root)
	measurements := []gates.Measurement{gates.Count("errors", len(found), gates.AtMost(0))}

	switch {
	case len(found) > 0:
		verdict := gates.Failed("mend the types; each finding names its line", "%s in %s", gates.Counted(len(found), "type error"), gates.Counted(filesOf(found), "file"))
		if stage.Outcome == "passed" {
			verdict.Summary += ", though the stage exited 0"
			verdict.NextStep = "mend the types, and let the script fail when tsc does"
		}
		verdict.Findings, verdict.Measurements = found, measurements
		return verdict, nil
	case stage.Outcome == "failed":
		verdict := gates.Failed("see the last lines of its log", "%s and named no type error", ended(stage))
		verdict.Findings = unexplained(stage)
		return verdict, nil
	default:
		return &gates.Verdict{
			Outcome: gates.Pass, Summary: fmt.Sprintf("no type errors (%s)", stage.Command), Measurements: measurements,
		}, nil
	}
}

func filesOf(findings []gates.Finding) int {
	files := map[string]bool{}
	for _, finding := range findings {
		files[finding.File] = true
	}
	return len(files)
}
