package main

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// soakGate asks whether the same source has been live in an earlier environment for long enough, and still is.
type soakGate struct{ clock func() time.Time }

type soakConfig struct {
	Environment string `json:"environment"`
	For         string `json:"for"`
}

func (soakGate) Describe() gates.Description {
	return gates.Description{
		Name: "soak", Title: "it was in the environment before for long enough", Phases: asked(),
		Reports: []gates.Report{{Kind: gates.ReportPlan}, {Kind: gates.ReportPromotions}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false, "required": ["environment"],
			"properties": {
				"environment": {"type": "string", "minLength": 1, "description": "where it must have been live"},
				"for": {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(s|m|h))+$", "default": "24h", "description": "for how long"}
			}
		}`,
	}
}

func (g soakGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := soakConfig{For: "24h"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	wanted, err := time.ParseDuration(config.For)
	if err != nil {
		return nil, fmt.Errorf("read how long it must soak: %w", err)
	}
	if config.Environment == "" {
		return gates.Undecided("name it in the gate's config: environment: staging", "it is not said in which environment it must soak"), nil
	}
	plan, refusal, err := planOf(request)
	if refusal != nil || err != nil {
		return refusal, err
	}
	promotions, refusal, err := promotionsOf(request)
	if refusal != nil || err != nil {
		return refusal, err
	}
	if plan.SourceDigest == "" {
		return gates.Undecided("run it again", "the plan does not say of which source it is"), nil
	}
	live := lastTo(promotions, config.Environment)
	next := fmt.Sprintf("`penstock deploy --env %s`, then wait %s", config.Environment, config.For)
	switch {
	case live == nil && !promotions.Complete:
		return gates.Undecided("deploy it there again", "the history that is known does not go back to a promotion to %s", config.Environment), nil
	case live == nil:
		return gates.Failed(next, "nothing was ever promoted to %s", config.Environment), nil
	case live.Source == "":
		return gates.Undecided(next, "it is not known of which source that is what is live in %s", config.Environment), nil
	case live.Source != plan.SourceDigest:
		return gates.Failed(next, "what is live in %s is of another source, since run %s", config.Environment, live.Run), nil
	}
	since, sure := soaking(promotions, config.Environment, plan.SourceDigest)
	if !sure {
		return gates.Undecided("deploy it there again", "it is not known since when this source is live in %s", config.Environment), nil
	}
	soaked := present(g.clock(), promotions).Sub(since)
	measured := gates.Measurement{Name: "soaked", Value: soaked.Minutes(), Unit: "min", Limit: new(wanted.Minutes()), Better: "higher"}
	if soaked < wanted {
		left := (wanted - soaked).Round(time.Second)
		return &gates.Verdict{
			Outcome: gates.Pending, Summary: fmt.Sprintf("live in %s for %s of %s, until %s", config.Environment, gates.Span(soaked.Round(time.Second)), gates.Span(wanted), since.Add(wanted).UTC().Format("2006-01-02 15:04 MST")),
			NextStep: "wait until then", Measurements: []gates.Measurement{measured}, Pending: &gates.Clearance{By: "time", AskAgain: max(left, time.Second)},
		}, nil
	}
	return &gates.Verdict{
		Outcome: gates.Pass, Summary: fmt.Sprintf("live in %s for %s, of %s", config.Environment, gates.Span(soaked.Round(time.Second)), gates.Span(wanted)), Measurements: []gates.Measurement{measured},
	}, nil
}

// lastTo is what was promoted last to the environment; nil when nothing was.
func lastTo(promotions evidence.Promotions, environment string) *evidence.Promotion {
	for i := range promotions.Promotions {
		if one := &promotions.Promotions[i]; one.Environment == environment && one.State == "completed" {
			return one
		}
	}
	return nil
}

// soaking is since when the source is live there without a break: the first of its newest promotions in a row.
func soaking(promotions evidence.Promotions, environment, source string) (since time.Time, sure bool) {
	for _, one := range promotions.Promotions { // newest first
		if one.Environment != environment || one.State != "completed" {
			continue
		}
		if one.Source != source || one.Ended.IsZero() {
			break
		}
		since, sure = one.Ended, true
	}
	return since, sure
}
