package main

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// slowdownGate compares how long the new version takes for the people that it serves with what the one before took.
type slowdownGate struct{}

type slowdownConfig struct {
	MaxIncrease float64 `json:"maxIncrease"`
	Slack       float64 `json:"slack"`
}

func (slowdownGate) Describe() gates.Description {
	return gates.Description{
		Name:    "slowdown",
		Title:   "the version is not slower under real traffic than the one before",
		Phases:  []gates.Phase{gates.PhaseBake},
		Reports: []gates.Report{{Kind: gates.ReportMetrics}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"maxIncrease": {"type": "number", "minimum": 0, "default": 25, "description": "% by which the 95th percentile may be higher"},
				"slack": {"type": "number", "minimum": 0, "default": 5, "description": "ms by which it may be higher whatever the percentage: a tenth of a millisecond is no slowdown"}
			}
		}`,
	}
}

func (slowdownGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := slowdownConfig{MaxIncrease: defaultIncrease, Slack: 5}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportMetrics)
	if len(reports) == 0 {
		return gates.Undecided("report this: penstock gathers the evidence for each gate that names it", "nobody asked how the version fares"), nil
	}
	metrics, err := evidence.ReadMetrics(reports[0].Path)
	if err != nil {
		return nil, err
	}
	return config.compare(metrics, request.Run.VersionID), nil
}

// compare judges by ranges: only when even the best that the new version's percentile may be is worse than the worst that the
// old one's allows, it is slower; only the other way round it is not.
func (c slowdownConfig) compare(metrics evidence.Metrics, version string) *gates.Verdict {
	if metrics.VersionsState != evidence.Present {
		return gates.Undecided("let the deploy token read the account's analytics, or let the gate be advisory",
			"versions cannot be told apart: %s%s", firstOf(metrics.Total.Reason, "the analytics do not say which version was invoked"), gap(metrics))
	}
	wall := func(p evidence.Point) *evidence.Quantiles { return p.Wall }
	fresh, _ := metrics.Of(version)
	mine := mix(after(fresh.Points, metrics.Since[version]), wall)
	var before evidence.Series
	most := 0.0
	for _, series := range metrics.Versions {
		if mixed := mix(series.Points, wall); series.Version != version && mixed.total > most {
			before, most = series, mixed.total
		}
	}
	if most == 0 {
		return gates.Undecided("nothing to do for a first deployment: let the gate be advisory until there is a version to compare with", "no other version was invoked in the last hour, so there is nothing to compare with")
	}
	theirs := mix(before.Points, wall)
	low, high, known := mine.tail()
	lowBefore, highBefore, knownBefore := theirs.tail()
	switch {
	case !known:
		return gates.Undecided("watch the version for longer (stepBake, bake)", "%.0f requests of version %s are too few to know the 95th percentile; %d are wanted", mine.total, short(version), fewest())
	case !knownBefore:
		return gates.Undecided("promote when there is more traffic, or let the gate be advisory", "%.0f requests of version %s are too few to compare with; %d are wanted", theirs.total, short(before.Version), fewest())
	}
	allowed := func(of float64) float64 { return max(of*(1+c.MaxIncrease/100), of+c.Slack) }
	p95, p95Before := mine.quantile(0.95), theirs.quantile(0.95)
	limit := allowed(p95Before)
	verdict := &gates.Verdict{Outcome: gates.Pass, Measurements: []gates.Measurement{
		{Name: "p95", Value: tenth(p95), Unit: "ms", Limit: &limit, Baseline: &p95Before, Better: "lower"},
		{Name: "requests", Value: mine.total, Unit: "count"},
	}}
	verdict.Summary = fmt.Sprintf("p95 is %.1f ms (over %.1f and under %.1f), that of version %s was %.1f ms (%.1f to %.1f)", p95, low, high, short(before.Version), p95Before, lowBefore, highBefore)
	switch {
	case low > allowed(highBefore):
		verdict.Outcome, verdict.NextStep = gates.Fail, "see what the new version does that the old one did not; raise maxIncrease when that is wanted"
		verdict.Findings = []gates.Finding{{Level: gates.LevelError, Rule: "slower", Message: verdict.Summary}}
	case high > allowed(highBefore) && p95 > limit:
		verdict.Outcome, verdict.NextStep = gates.Inconclusive, "watch the version for longer (stepBake, bake): the ranges still overlap"
	}
	return verdict
}

// after leaves out what was invoked before the version took traffic: its smoke, by penstock.
func after(points []evidence.Point, since time.Time) []evidence.Point {
	for i, point := range points {
		if !point.To.Before(since) {
			return points[i:]
		}
	}
	return nil
}
