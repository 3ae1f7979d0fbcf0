package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// webVitalsGate asks whether pages keep to their budgets.
type webVitalsGate struct{}

type webVitalsConfig struct {
	Budgets    map[string]float64 `json:"budgets"`
	Require    []string           `json:"require"`
	MinSamples int                `json:"minSamples"`
}

const howToMeasureVitals = "add a stage that measures (Lighthouse: --output=json, kind lighthouse; the web-vitals library's metrics: kind web-vitals) " +
	"and name the report under its reports:"

func (webVitalsGate) Describe() gates.Description {
	return gates.Description{
		Name:    "web-vitals",
		Title:   "pages keep to their budgets",
		Phases:  []gates.Phase{gates.PhaseBuild},
		Reports: []gates.Report{{Kind: gates.ReportLighthouse}, {Kind: gates.ReportWebVitals}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"budgets": {
					"type": "object", "additionalProperties": false,
					"description": "what each may be at most; what is not named keeps the upper end of what Google calls good",
					"properties": {
						"LCP": {"type": "number", "minimum": 0, "default": 2500, "description": "ms"},
						"CLS": {"type": "number", "minimum": 0, "default": 0.1},
						"INP": {"type": "number", "minimum": 0, "default": 200, "description": "ms"},
						"FID": {"type": "number", "minimum": 0, "default": 100, "description": "ms"},
						"FCP": {"type": "number", "minimum": 0, "default": 1800, "description": "ms"},
						"TTFB": {"type": "number", "minimum": 0, "default": 800, "description": "ms"}
					}
				},
				"require": {"type": "array", "uniqueItems": true, "items": {"enum": ["LCP", "CLS", "INP", "FID", "FCP", "TTFB"]}, "default": ["LCP", "CLS"], "description": "what must have been measured of each page"},
				"minSamples": {"type": "integer", "minimum": 1, "default": 1, "description": "fewer values of a page than this show nothing; for values of real visits ask for many"}
			}
		}`,
	}
}

func (webVitalsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := webVitalsConfig{Require: []string{"LCP", "CLS"}, MinSamples: 1}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportLighthouse, gates.ReportWebVitals)
	if len(reports) == 0 {
		return gates.Undecided(howToMeasureVitals, "no stage left a Lighthouse or web-vitals report, so nobody knows how the pages feel"), nil
	}
	values := vitalValues{}
	for i, report := range reports {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if refusal := unanswered(request, report.Stage, "the measuring of pages"); refusal != nil {
			return refusal, nil
		}
		if verdict := spoilt(request.Stage(report.Stage)); verdict != nil {
			return verdict, nil
		}
		request.Progress("reading report %d of %d", i+1, len(reports))
		content, err := readFile(report.Path)
		if err == nil && report.Kind == gates.ReportLighthouse {
			err = values.addLighthouse(content)
		} else if err == nil {
			err = values.addWebVitals(content)
		}
		if err != nil {
			return gates.Undecided("see why it could not be measured, and run the stage again", "%s", problem(report, err)), nil
		}
	}
	return config.judge(values), nil
}

// judge compares the 75th percentile of each page's values with its budget; at the budget is within it. Lighthouse measures
// once a run, so that there it is the value itself, or the third of four.
func (c webVitalsConfig) judge(values vitalValues) *gates.Verdict {
	verdict := &gates.Verdict{Outcome: gates.Pass}
	var missing, few []string
	for _, vital := range vitals {
		_, wanted := c.Budgets[vital.name]
		if wanted && !slices.ContainsFunc(slices.Collect(maps.Values(values)), func(of map[string][]float64) bool { return len(of[vital.name]) > 0 }) {
			missing = append(missing, vital.name+" (it has a budget)")
		}
	}
	judged := 0
	for _, page := range slices.Sorted(maps.Keys(values)) {
		for _, vital := range vitals {
			samples := values[page][vital.name]
			switch {
			case len(samples) == 0 && slices.Contains(c.Require, vital.name):
				missing = append(missing, vital.name+of(page))
				continue
			case len(samples) == 0:
				continue
			case len(samples) < c.MinSamples:
				few = append(few, fmt.Sprintf("%s%s has %s, and at least %d are wanted", vital.name, of(page), gates.Counted(len(samples), "value"), c.MinSamples))
				continue
			}
			budget, set := c.Budgets[vital.name]
			if !set {
				budget = vital.budget
			}
			judged++
			value := percentile75(samples)
			verdict.Measurements = append(verdict.Measurements, gates.Measurement{Name: vital.name + of(page), Value: value, Unit: vital.unit, Limit: &budget, Better: "lower"})
			if value > budget {
				verdict.Findings = append(verdict.Findings, gates.Finding{
					Level: gates.LevelError, Rule: vital.name,
					Message: fmt.Sprintf("%s%s is %s, budget %s", vital.title, of(page), vital.value(value), vital.value(budget)),
				})
			}
		}
	}
	switch {
	case len(verdict.Findings) > 0:
		verdict.Outcome, verdict.NextStep = gates.Fail, "make the page lighter; Lighthouse's own report says by what, or change the budget"
		verdict.Summary = verdict.Findings[0].Message + more(len(verdict.Findings)-1)
	case len(missing) > 0:
		return gates.Undecided("measure it, or take it out of require and budgets", "not measured: %s", strings.Join(missing, ", "))
	case len(few) > 0:
		return gates.Undecided("measure more, or lower minSamples", "%s", few[0]+more(len(few)-1))
	case judged == 0:
		return gates.Undecided(howToMeasureVitals, "the reports name none of the Web Vitals")
	default:
		verdict.Summary = fmt.Sprintf("%s of %s within budget", gates.Counted(judged, "value"), gates.Counted(len(values), "page"))
	}
	return verdict
}

func of(page string) string {
	if page == "" {
		return ""
	}
	return " of " + page
}

func (v vital) value(value float64) string {
	if v.unit == "" {
		return fmt.Sprintf("%.3g", value)
	}
	return fmt.Sprintf("%.0f %s", value, v.unit)
}
