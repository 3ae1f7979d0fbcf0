package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// coverageGate asks how much of the code the tests reach.
type coverageGate struct{}

type coverageConfig struct {
	Limit   float64  `json:"limit"`
	Metric  metric   `json:"metric"`
	PerFile *float64 `json:"perFile"`
	// ChangedLines is the limit for lines that are new since Base.
	ChangedLines *float64 `json:"changedLines"`
	Base         string   `json:"base"`
}

const howToCover = "have the test runner write coverage and name the report under reports: of the stage (vitest: --coverage --coverage.reporter=json; " +
	"jest: --coverage; node: --experimental-test-coverage --test-reporter=lcov)"

const howToCompare = "fetch the whole history (actions/checkout: fetch-depth: 0), or name another base"

// coverageReaders are the formats in the order in which they are preferred: those that carry the most come first. Only
// the first kind that a run has is read, because the others say the same about the same tests.
var coverageReaders = []struct {
	kind gates.ReportKind
	add  func(covered *coverage, content []byte, root string) error
}{
	{gates.ReportIstanbul, (*coverage).addIstanbul},
	{gates.ReportLCOV, (*coverage).addLCOV},
	{gates.ReportCobertura, (*coverage).addCobertura},
	{gates.ReportIstanbulSummary, (*coverage).addIstanbulSummary},
}

func (coverageGate) Describe() gates.Description {
	description := gates.Description{
		Name:   "coverage",
		Title:  "the tests reach enough of the code",
		Phases: []gates.Phase{gates.PhaseBuild},
		Needs:  gates.Needs{Source: true, History: true}, // to tell new lines from old ones
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"limit": {"type": "number", "minimum": 0, "maximum": 100, "default": 80, "description": "percent that must be reached at least"},
				"metric": {"enum": ["lines", "statements", "branches", "functions"], "default": "lines"},
				"perFile": {"type": "number", "minimum": 0, "maximum": 100, "description": "percent that each single file must reach; without it only the whole counts"},
				"changedLines": {"type": "number", "minimum": 0, "maximum": 100, "description": "percent of the lines that are new since base that must be reached; without it nobody looks at what is new"},
				"base": {"type": "string", "minLength": 1, "description": "branch, tag or commit that new lines are counted from; without it the default branch"}
			}
		}`,
	}
	for _, reader := range coverageReaders {
		description.Reports = append(description.Reports, gates.Report{Kind: reader.kind})
	}
	return description
}

func (coverageGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := coverageConfig{Limit: 80, Metric: metricLines}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	for _, reader := range coverageReaders {
		reports := request.ReportsOf(reader.kind)
		if len(reports) == 0 {
			continue
		}
		covered := newCoverage()
		for i, report := range reports {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if refusal := unanswered(request, report.Stage, "the tests with coverage"); refusal != nil {
				return refusal, nil
			}
			request.Progress("reading report %d of %d", i+1, len(reports))
			content, err := readFile(report.Path)
			if err == nil {
				err = reader.add(covered, content, report.Root)
			}
			if err != nil {
				return gates.Undecided(howToCover, "%s", problem(report, err)), nil
			}
		}
		verdict := config.judge(covered, reader.kind)
		if config.ChangedLines == nil || verdict.Outcome == gates.Inconclusive {
			return verdict, nil
		}
		request.Progress("looking for what is new")
		found, err := findChanges(ctx, request, config.Base)
		switch {
		case errors.Is(err, errNoBase):
			config.unknown(verdict, howToCompare, err.Error())
		case err != nil:
			return nil, err
		default:
			config.judgeChanged(covered, reader.kind, found, verdict)
		}
		return verdict, nil
	}
	return gates.Undecided(howToCover, "no stage left a coverage report, so nobody knows what the tests reach"), nil
}

// judge compares what is covered with the limits. At least the limit passes, and the share is never rounded up: 79.996 %
// is not 80 %. The guide says "coverage > 80 %", which every coverage tool's own threshold, and so every app, reads as
// at least 80 %.
func (c coverageConfig) judge(covered *coverage, kind gates.ReportKind) *gates.Verdict {
	total := covered.total(c.Metric)
	if total.found == 0 {
		return gates.Undecided("measure another metric, or check which files the coverage tool includes",
			"the %s report knows of no %s, so there is nothing to compare", kind, c.Metric)
	}
	limit := c.Limit
	verdict := &gates.Verdict{
		Outcome: gates.Pass,
		Measurements: []gates.Measurement{
			{Name: string(c.Metric), Value: total.percent(), Unit: "%", Limit: &limit, Better: "higher"},
		},
		Summary: fmt.Sprintf("%s %% of %s covered, limit %s %% (%d of %d in %s)",
			percentText(total.percent()), c.Metric, percentText(limit), total.hit, total.found, gates.Counted(len(covered.files), "file")),
	}

	tooLow := covered.below(c.Metric, c.PerFile)
	if !total.reaches(limit) {
		verdict.Outcome = gates.Fail
		missing := int(math.Ceil(limit*float64(total.found)/100)) - total.hit
		verdict.NextStep = fmt.Sprintf("test %d more of the %s; the files that lack the most are listed first", max(missing, 1), c.Metric)
		verdict.Findings = covered.findings(c.Metric, covered.below(c.Metric, &limit), gates.LevelError, 20)
	} else if len(tooLow) > 0 {
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%s below %s %% of %s each, though the whole has %s %%",
			areBelow(len(tooLow)), percentText(*c.PerFile), c.Metric, percentText(total.percent()))
		verdict.NextStep = "test the files that are listed, or lower perFile"
		verdict.Findings = covered.findings(c.Metric, tooLow, gates.LevelError, 50)
	} else {
		verdict.Findings = covered.findings(c.Metric, covered.below(c.Metric, &limit), gates.LevelNote, 5)
	}
	return verdict
}

func areBelow(n int) string {
	if n == 1 {
		return "1 file is"
	}
	return fmt.Sprintf("%d files are", n)
}

// below returns the files under the limit, the worst first; none without a limit.
func (c *coverage) below(what metric, limit *float64) []string {
	if limit == nil {
		return nil
	}
	var names []string
	for name, file := range c.files {
		if share := file.share(what); share.found > 0 && !share.reaches(*limit) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		first, second := c.files[a].share(what), c.files[b].share(what)
		return cmp.Or(
			cmp.Compare(first.percent(), second.percent()),
			cmp.Compare(second.found-second.hit, first.found-first.hit),
			strings.Compare(a, b),
		)
	})
	return names
}

func (c *coverage) findings(what metric, names []string, level gates.Level, most int) []gates.Finding {
	var findings []gates.Finding
	for i, name := range names {
		if i == most {
			findings = append(findings, gates.Finding{Level: gates.LevelNote, Message: fmt.Sprintf("and %s more", gates.Counted(len(names)-most, "file"))})
			break
		}
		file := c.files[name]
		share := file.share(what)
		finding := gates.Finding{
			Level: level, Rule: "coverage", File: name,
			Message: fmt.Sprintf("%s %% of %s covered (%d of %d)", percentText(share.percent()), what, share.hit, share.found),
		}
		if missed := file.missedLines(); len(missed) > 0 {
			finding.Line = missed[0]
			finding.Message += "; not reached: " + ranges(missed, 8)
		}
		findings = append(findings, finding)
	}
	return findings
}

// percentText shows two digits after the point at most and never rounds up.
func percentText(percent float64) string {
	text := fmt.Sprintf("%.2f", math.Floor(percent*100+1e-9)/100)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// ranges says "line 3, 5-9 and more".
func ranges(lines []int, most int) string {
	var parts []string
	for i := 0; i < len(lines); {
		end := i
		for end+1 < len(lines) && lines[end+1] == lines[end]+1 {
			end++
		}
		if len(parts) == most {
			parts = append(parts, "…")
			break
		}
		if end == i {
			parts = append(parts, fmt.Sprint(lines[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", lines[i], lines[end]))
		}
		i = end + 1
	}
	return "line " + strings.Join(parts, ", ")
}
