package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// smokeGate judges whether what the promotion asked its version was enough, and whether all of it went well.
type smokeGate struct{}

type smokeConfig struct {
	Paths  []string `json:"paths"`
	Proof  bool     `json:"proof"`
	Stages bool     `json:"stages"`
}

func (smokeGate) Describe() gates.Description {
	return gates.Description{
		Name:    "smoke",
		Title:   "the version was smoked, by enough, and all of it went well",
		Phases:  []gates.Phase{gates.PhasePromote, gates.PhaseBake},
		Reports: []gates.Report{{Kind: gates.ReportSmoke}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"paths": {"type": "array", "items": {"type": "string", "pattern": "^/"}, "default": [], "description": "paths that must be among the environment's probes"},
				"proof": {"type": "boolean", "default": false, "description": "whether answers must have carried the version's id"},
				"stages": {"type": "boolean", "default": false, "description": "whether the app's own smoke stages must have run"}
			}
		}`,
	}
}

func (smokeGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	var config smokeConfig
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportSmoke)
	if len(reports) == 0 {
		return gates.Undecided("report this: penstock gathers the evidence for each gate that names it", "nobody says what the version was asked"), nil
	}
	smoke, err := evidence.ReadSmoke(reports[0].Path)
	if err != nil {
		return nil, err
	}
	return config.judge(smoke, request.Run.VersionID), nil
}

func (c smokeConfig) judge(smoke evidence.Smoke, version string) *gates.Verdict {
	var findings []gates.Finding
	wrong := func(rule, what string, args ...any) {
		findings = append(findings, gates.Finding{Level: gates.LevelError, Rule: rule, Message: fmt.Sprintf(what, args...)})
	}
	probes, proven, paths := 0, 0, []string{}
	for _, probing := range smoke.Probes {
		if probing.Version != version {
			continue
		}
		probes++
		paths = append(paths, probing.Paths...)
		switch {
		case probing.Error != "":
			wrong("not asked", "it could not be probed: %s", probing.Error)
		case !probing.OK:
			wrong("failed", "%s", probing.Summary)
			findings[len(findings)-1].Detail = strings.Join(probing.Lines, "\n")
		case probing.Proven:
			proven++
		}
	}
	stages := 0
	for _, stage := range smoke.Stages {
		if stage.Version != version {
			continue
		}
		stages++
		if stage.Error != "" || !stage.OK {
			wrong("stage", "%s: %s", stage.Moment, firstOf(stage.Error, stage.Summary, "it failed"))
		}
	}
	verdict := &gates.Verdict{Findings: findings, Measurements: []gates.Measurement{gates.Count("probes", probes, nil), gates.Count("smoke stages", stages, nil)}}
	answer := func(outcome gates.Outcome, nextStep, summary string, args ...any) *gates.Verdict {
		verdict.Outcome, verdict.NextStep, verdict.Summary = outcome, nextStep, fmt.Sprintf(summary, args...)
		return verdict
	}
	for _, wanted := range c.Paths {
		if !slices.Contains(paths, wanted) {
			return answer(gates.Fail, "name it under smoke.probes of the environment", "version %s was not asked for %s", short(version), wanted)
		}
	}
	switch {
	case len(findings) > 0:
		return answer(gates.Fail, "see what each finding says; the promotion's steps have the whole", "%s of version %s went wrong: %s", gates.Counted(len(findings), "question"), short(version), findings[0].Message)
	case probes == 0 && stages == 0:
		return answer(gates.Inconclusive, "name probes under smoke.probes of the environment", "version %s was asked nothing", short(version))
	case c.Stages && stages == 0:
		return answer(gates.Fail, `give the app a script "test:smoke", or describe a stage with when: smoke`, "no smoke stage ran against version %s", short(version))
	case c.Proof && proven == 0:
		return answer(gates.Fail, "bind version_metadata and answer with its id on a probed path", "version %s answered %s, and none showed its id", short(version), gates.Counted(probes, "probe"))
	}
	return answer(gates.Pass, "", "version %s %s", short(version), wentWell(probes, proven, stages))
}

// wentWell says what was asked of a version that answered all of it.
func wentWell(probes, proven, stages int) string {
	var said []string
	if probes > 0 {
		text := "answered " + gates.Counted(probes, "probe") + " as expected"
		switch proven {
		case 0:
			text += " without its id"
		case probes:
			text += " with its id"
		default:
			text += fmt.Sprintf(", %d of them with its id", proven)
		}
		said = append(said, text)
	}
	if stages > 0 {
		said = append(said, "passed "+gates.Counted(stages, "smoke stage"))
	}
	return strings.Join(said, " and ")
}
