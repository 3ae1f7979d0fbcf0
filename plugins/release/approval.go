package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// approvalGate asks whether enough people approved this very plan. What the environment itself asks is enforced without any
// gate; this one can ask more: a number, and people of whom one must be among them.
type approvalGate struct{}

type approvalConfig struct {
	Count int      `json:"count"`
	With  []string `json:"with"`
}

func (approvalGate) Describe() gates.Description {
	return gates.Description{
		Name: "approval", Title: "enough people approved this plan", Phases: asked(),
		Reports: []gates.Report{{Kind: gates.ReportPlan}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"count": {"type": "integer", "minimum": 0, "default": 0, "description": "how many of the approvers must approve, when it is more than the environment asks"},
				"with": {"type": "array", "items": {"type": "string", "minLength": 1}, "default": [], "description": "approvers of whom at least one must be among them"}
			}
		}`,
	}
}

func (approvalGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	var config approvalConfig
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	plan, refusal, err := planOf(request)
	if refusal != nil || err != nil {
		return refusal, err
	}
	people := plan.People
	needed := max(people.Needed, config.Count)
	if len(config.With) > 0 {
		needed = max(needed, 1)
	}
	var given []string
	for _, decision := range people.Decisions {
		switch {
		case decision.Plan != plan.Digest: // about something else
		case decision.Decision == "rejected":
			return gates.Failed("deploy anew once it is settled", "rejected by %s: %s", decision.By, decision.Reason), nil
		case decision.Decision == "approved" && !has(given, decision.By):
			given = append(given, decision.By)
		}
	}
	measured := gates.Measurement{Name: "approvals", Value: float64(len(given)), Unit: "count", Limit: gates.AtMost(needed), Better: "higher"}
	if possible := whoElse(people, nil); needed > len(possible) && needed > len(given) {
		verdict := gates.Failed("name more approvers in the environment, or ask for fewer", "%d approvals are asked for, and %s could ever approve this run", needed, counted(possible))
		verdict.Measurements = []gates.Measurement{measured}
		return verdict, nil
	}
	missing := needed - len(given)
	lacking := len(config.With) > 0 && !slices.ContainsFunc(config.With, func(name string) bool { return has(given, name) })
	if missing <= 0 && !lacking {
		summary := "nobody is asked"
		if needed > 0 {
			summary = fmt.Sprintf("approved by %s", strings.Join(given, ", "))
		}
		return &gates.Verdict{Outcome: gates.Pass, Summary: summary, Measurements: []gates.Measurement{measured}}, nil
	}
	who := whoElse(people, given)
	summary := fmt.Sprintf("%d of %d approvals of plan %.19s", len(given), needed, plan.Digest)
	if lacking {
		summary += ", and one must be of " + strings.Join(config.With, " or ")
		if missing <= 1 {
			who = config.With
		}
	}
	return &gates.Verdict{
		Outcome: gates.Pending, Summary: summary, NextStep: "`penstock approve " + request.Run.ID + " --reason …`",
		Measurements: []gates.Measurement{measured}, Pending: &gates.Clearance{By: strings.Join(who, ", "), AskAgain: time.Minute},
	}, nil
}

func has(names []string, name string) bool {
	return slices.ContainsFunc(names, func(known string) bool { return strings.EqualFold(strings.TrimSpace(known), strings.TrimSpace(name)) })
}

// whoElse are the approvers who may still approve.
func whoElse(people evidence.People, given []string) []string {
	return slices.DeleteFunc(slices.Clone(people.Approvers), func(name string) bool {
		return has(given, name) || (!people.SelfApproval && people.Author != "" && strings.EqualFold(name, people.Author))
	})
}

func counted(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return "only " + strings.Join(names, ", ")
}
