package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// provenanceGate asks whether the bundle that would be promoted is the one that was tested: made by this run's own stages out
// of one source, all of which passed.
type provenanceGate struct{}

type provenanceConfig struct {
	Stage string `json:"stage"`
	Clean bool   `json:"clean"`
}

func (provenanceGate) Describe() gates.Description {
	return gates.Description{
		Name: "provenance", Title: "the bundle is the one that was tested", Phases: asked(),
		Reports: []gates.Report{{Kind: gates.ReportPlan}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"stage": {"type": "string", "minLength": 1, "default": "bundle", "description": "the stage that makes the bundle"},
				"clean": {"type": "boolean", "default": false, "description": "the source must be a commit, without local changes"}
			}
		}`,
	}
}

func (provenanceGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := provenanceConfig{Stage: "bundle"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	plan, refusal, err := planOf(request)
	if refusal != nil || err != nil {
		return refusal, err
	}
	again := "run `penstock deploy` again"
	if plan.SourceDigest == "" || plan.Bundle == "" || len(plan.Stages) == 0 {
		return gates.Undecided(again, "the plan does not say of what its bundle was made"), nil
	}
	var maker *evidence.Stage
	var bad []string
	for i, stage := range plan.Stages {
		if stage.Outcome != "passed" {
			bad = append(bad, stage.Name+" "+stage.Outcome)
		}
		if stage.Name == config.Stage {
			maker = &plan.Stages[i]
		}
	}
	switch {
	case len(bad) > 0:
		return gates.Failed("mend the stages, then deploy again", "not every stage passed: %s", strings.Join(bad, ", ")), nil
	case maker == nil:
		return gates.Undecided("name the stage that makes the bundle in the gate's config: stage", "no stage is called %s", config.Stage), nil
	case maker.Key == "" || maker.OutputDigest == "" || plan.Built == "":
		return gates.Undecided(again, "it is not known what went into stage %s and what came out", config.Stage), nil
	case plan.Built != plan.Bundle:
		return gates.Failed("deploy anew, and have that approved", "the stages make %s, and %s would be promoted", plan.Built, plan.Bundle), nil
	case request.Run.BundleDigest != "" && request.Run.BundleDigest != plan.Bundle:
		return gates.Failed("deploy anew", "%s was judged, and %s would be promoted", request.Run.BundleDigest, plan.Bundle), nil
	}
	verdict := &gates.Verdict{
		Outcome: gates.Pass, Summary: fmt.Sprintf("made by %s of this run out of source %.19s", gates.Counted(len(plan.Stages), "passed stage"), plan.SourceDigest),
		Evidence: []gates.Evidence{{Name: "source", Digest: plan.SourceDigest}, {Name: "bundle", Digest: plan.Bundle}},
	}
	if plan.From != "" {
		verdict.Summary += ", which run " + plan.From + " promoted before"
	}
	if plan.Commit != "" && !plan.Dirty {
		verdict.Summary += fmt.Sprintf(", commit %.12s", plan.Commit)
		return verdict, nil
	}
	said := "the source is no commit: nobody else can make it again"
	if plan.Dirty {
		said = fmt.Sprintf("the source differs from its commit %.12s: nobody else can make it again", plan.Commit)
	}
	verdict.Outcome, verdict.Summary, verdict.NextStep = gates.Warn, verdict.Summary+"; "+said, "commit, then deploy"
	if config.Clean {
		verdict.Outcome, verdict.Summary = gates.Fail, said
	}
	return verdict, nil
}
