package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// benchmarkGate asks whether the app is as fast as it was, and as fast as it has to be.
type benchmarkGate struct{}

type benchmarkConfig struct {
	Stage      string             `json:"stage"`
	Compare    bool               `json:"compare"`
	Baseline   string             `json:"baseline"`
	AnyMachine bool               `json:"anyMachine"`
	Tolerance  float64            `json:"tolerance"`
	Alpha      float64            `json:"alpha"`
	MinSamples int                `json:"minSamples"`
	Limit      *float64           `json:"limit"`
	Limits     map[string]float64 `json:"limits"`
}

const howToBenchmark = "let the bench script write $PENSTOCK_REPORTS/benchmark.json (docs/gates/quality-benchmark.md has its form), " +
	"or name the report under reports: of its stage"

func (benchmarkGate) Describe() gates.Description {
	return gates.Description{
		Name:    "benchmark",
		Title:   "the app is as fast as it was",
		Phases:  []gates.Phase{gates.PhaseBuild},
		Reports: []gates.Report{{Kind: gates.ReportBenchmark}},
		Needs:   gates.Needs{Source: true}, // the baseline lies in it
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"stage": {"type": "string", "minLength": 1, "default": "bench", "description": "the stage that must have measured"},
				"compare": {"type": "boolean", "default": true, "description": "compare with the baseline; false leaves only the limits"},
				"baseline": {"type": "string", "minLength": 1, "pattern": "^[^/.]|^\\.[^./]", "default": ".penstock/baseline", "description": "folder of the app with the reports that are compared with"},
				"anyMachine": {"type": "boolean", "default": false, "description": "compare what different machines measured"},
				"tolerance": {"type": "number", "minimum": 0, "maximum": 1000, "default": 10, "description": "percent by which a median may be worse"},
				"alpha": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.2, "default": 0.05, "description": "how often a difference may be found where there is none, over all benchmarks together"},
				"minSamples": {"type": "integer", "minimum": 5, "default": 8, "description": "fewer samples than this show nothing"},
				"limit": {"type": "number", "minimum": 0, "description": "what no median may exceed, in the report's own unit; for benchmarks whose lower values are better"},
				"limits": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}, "description": "limits of single benchmarks by name"}
			}
		}`,
	}
}

func (benchmarkGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := benchmarkConfig{Stage: "bench", Compare: true, Baseline: ".penstock/baseline", Tolerance: 10, Alpha: 0.05, MinSamples: 8}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if refusal := unanswered(request, config.Stage, "the benchmarks"); refusal != nil {
		return refusal, nil
	}
	if verdict := spoilt(request.Stage(config.Stage)); verdict != nil {
		return verdict, nil
	}
	reports := request.ReportsOf(gates.ReportBenchmark)
	if len(reports) == 0 {
		return gates.Undecided(howToBenchmark, "stage %s left no benchmark report, so nobody knows how fast the app is", config.Stage), nil
	}
	var now *benchmarks
	for _, report := range reports {
		if refusal := unanswered(request, report.Stage, "the benchmarks"); refusal != nil {
			return refusal, nil
		}
		if verdict := spoilt(request.Stage(report.Stage)); verdict != nil {
			return verdict, nil
		}
		content, err := readFile(report.Path)
		var read *benchmarks
		if err == nil {
			read, err = readBenchmarks(content)
		}
		if err == nil && now != nil && now.machine != read.machine {
			err = fmt.Errorf("it was measured on %q and another one on %q", read.machine, now.machine)
		}
		if err == nil && now != nil {
			err = now.merge(read)
		}
		if err != nil {
			return gates.Undecided(howToBenchmark, "%s", problem(report, err)), nil
		}
		if now == nil {
			now = read
		}
	}
	return config.judge(ctx, request, now)
}

// judge says no to what broke a limit or is surely worse than the baseline; what only may be worse is not known.
func (c benchmarkConfig) judge(ctx context.Context, request *gates.Request, now *benchmarks) (*gates.Verdict, error) {
	verdict := &gates.Verdict{Outcome: gates.Pass}
	for _, name := range slices.Sorted(maps.Keys(c.Limits)) {
		if now.series[name] == nil {
			return gates.Undecided("measure it, or take its limit away", "benchmark %q has a limit and was not measured", name), nil
		}
	}
	for _, name := range now.names() {
		one := now.series[name]
		if one.errors > 0 {
			return gates.Failed("see the log of the stage", "%s while measuring %q: how fast errors are does not count", gates.Counted(one.errors, "error"), name), nil
		}
		if len(one.samples) < c.MinSamples {
			return gates.Undecided("measure more often", "benchmark %q has %s, and fewer than %d show nothing", name, gates.Counted(len(one.samples), "sample"), c.MinSamples), nil
		}
	}
	limited := c.applyLimits(now, verdict)
	if !c.Compare {
		if limited == 0 {
			return gates.Undecided("set limit or limits, or compare with a baseline", "there is no limit and nothing to compare with"), nil
		}
		c.finish(verdict, fmt.Sprintf("%s within %s", gates.Counted(limited, "benchmark"), theirLimit(limited)))
		return verdict, nil
	}

	request.Progress("comparing with the baseline")
	before, elsewhere, err := c.readBaseline(ctx, request.SourceDir, now.machine)
	if err != nil {
		return c.undecided(verdict, "correct the file, or record it anew", err.Error()), nil
	}
	if len(before.series) == 0 {
		return c.noBaseline(verdict, now, elsewhere), nil
	}
	return c.compareAll(verdict, now, before), nil
}

// applyLimits finds the medians that are beyond what they may be, and returns how many had a limit.
func (c benchmarkConfig) applyLimits(now *benchmarks, verdict *gates.Verdict) int {
	limited := 0
	for _, name := range now.names() {
		one := now.series[name]
		limit, has := c.Limits[name]
		if !has && c.Limit != nil && !one.higher {
			limit, has = *c.Limit, true
		}
		if !has {
			continue
		}
		limited++
		middle := median(one.samples)
		verdict.Measurements = append(verdict.Measurements, one.measurement(name+" (median)", middle, &limit))
		if one.higher && middle < limit || !one.higher && middle > limit {
			verdict.Outcome = gates.Fail
			verdict.Findings = append(verdict.Findings, gates.Finding{
				Level: gates.LevelError, Rule: "limit", Message: fmt.Sprintf("%s: %s, limit %s", name, one.value(middle), one.value(limit)),
			})
		}
	}
	return limited
}

func (s *series) measurement(name string, value float64, limit *float64) gates.Measurement {
	better := "lower"
	if s.higher {
		better = "higher"
	}
	return gates.Measurement{Name: name, Value: value, Unit: s.unit, Limit: limit, Better: better}
}

func (s *series) value(value float64) string { return fmt.Sprintf("%.4g %s", value, s.unit) }

func theirLimit(n int) string {
	if n == 1 {
		return "its limit"
	}
	return "their limits"
}

// readBaseline takes all recorded reports of the machine together: several recordings hold the difference between runs, which
// one alone does not show. elsewhere are the other machines that were recorded.
func (c benchmarkConfig) readBaseline(ctx context.Context, source, machine string) (before *benchmarks, elsewhere []string, err error) {
	before = newBenchmarks(machine)
	folder := path.Clean(c.Baseline)
	entries, err := os.ReadDir(filepath.Join(source, filepath.FromSlash(folder)))
	if source == "" || errors.Is(err, fs.ErrNotExist) {
		return before, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the folder %s cannot be read: %w", folder, cause(err))
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if path.Ext(entry.Name()) != ".json" {
			continue
		}
		content, err := readFile(filepath.Join(source, filepath.FromSlash(folder), entry.Name()))
		var read *benchmarks
		if err == nil {
			read, err = readBenchmarks(content)
		}
		if err == nil {
			if !c.AnyMachine && (read.machine == "" || read.machine != machine) {
				elsewhere = append(elsewhere, read.machine)
				continue
			}
			err = before.merge(read)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the baseline %s/%s cannot be read: %w", folder, entry.Name(), cause(err))
		}
	}
	return before, elsewhere, nil
}

func (c benchmarkConfig) noBaseline(verdict *gates.Verdict, now *benchmarks, elsewhere []string) *gates.Verdict {
	record := fmt.Sprintf("keep this run's report as %s/NAME.json in the app when it is as fast as it should be", path.Clean(c.Baseline))
	switch {
	case now.machine == "" && len(elsewhere) > 0:
		return c.undecided(verdict, "let the report name its machine, or set anyMachine", "the report does not say which machine measured, so nobody knows whether the baseline's is comparable")
	case len(elsewhere) > 0:
		return c.undecided(verdict, record+", or set anyMachine",
			fmt.Sprintf("measured on %q, and the baseline only on %q", now.machine, strings.Join(slices.Compact(slices.Sorted(slices.Values(elsewhere))), `", "`)))
	default:
		return c.undecided(verdict, record, fmt.Sprintf("%s measured, and no baseline to compare with in %s", gates.Counted(len(now.series), "benchmark"), path.Clean(c.Baseline)))
	}
}

func (c benchmarkConfig) compareAll(verdict *gates.Verdict, now, before *benchmarks) *gates.Verdict {
	var all []comparison
	var fresh, gone []string
	for _, name := range before.names() {
		if now.series[name] == nil {
			gone = append(gone, name)
		}
	}
	for _, name := range now.names() {
		one, base := now.series[name], before.series[name]
		switch {
		case base == nil:
			fresh = append(fresh, name)
			continue
		case base.unit != one.unit || base.higher != one.higher:
			return c.undecided(verdict, "record the baseline anew", fmt.Sprintf("benchmark %q is measured in %s, and its baseline in %s", name, one.meaning(), base.meaning()))
		case len(base.samples) < c.MinSamples:
			return c.undecided(verdict, "record the baseline anew, with more samples",
				fmt.Sprintf("the baseline of %q has %s, and fewer than %d show nothing", name, gates.Counted(len(base.samples), "sample"), c.MinSamples))
		}
		if one.higher && c.Tolerance >= 100 {
			return c.undecided(verdict, "lower tolerance: it is the part of it that may be lost",
				fmt.Sprintf("of benchmark %q, where higher is better, a tolerance of %g %% lets everything be lost", name, c.Tolerance))
		}
		compared, err := compare(name, one, base, c.Tolerance/100)
		if err != nil {
			return c.undecided(verdict, "record the baseline anew", err.Error())
		}
		all = append(all, compared)
	}
	decide(all, c.Alpha)

	var worse, unsure []string
	for _, one := range all {
		measured := one.now.measurement(one.name, median(one.now.samples), nil)
		baseline := median(one.before.samples)
		measured.Baseline = &baseline
		verdict.Measurements = append(verdict.Measurements, measured)
		switch text := one.String(); {
		case one.significant:
			worse = append(worse, text)
			verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelError, Rule: "worse than the baseline", Message: text})
		case one.change > c.Tolerance/100:
			unsure = append(unsure, text)
			verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelWarning, Rule: "may be worse", Message: text})
		case one.improvedSure:
			verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelNote, Rule: "better than the baseline", Message: text + ": record a new baseline"})
		}
	}
	for _, name := range fresh {
		verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelWarning, Rule: "no baseline", Message: name + " is new: there is nothing to compare it with"})
	}
	switch {
	case len(worse) > 0:
		verdict.Outcome = gates.Fail
		c.finish(verdict, worse[0]+more(len(worse)-1))
		verdict.NextStep = "make it as fast as it was; if it has to be slower, record a new baseline in the same change and say why"
	case len(gone) > 0:
		return c.undecided(verdict, "measure it, or take it out of the baseline", fmt.Sprintf("benchmark %q is in the baseline and was not measured", gone[0]))
	case len(unsure) > 0:
		return c.undecided(verdict, "measure more often, on a machine that does nothing else: these samples do not tell it from chance", unsure[0]+more(len(unsure)-1))
	case len(all) == 0:
		return c.undecided(verdict, "record the baseline anew", "none of what was measured is in the baseline")
	default:
		if len(fresh) > 0 && verdict.Outcome == gates.Pass {
			verdict.Outcome, verdict.NextStep = gates.Warn, "record the baseline anew: some benchmarks are not in it"
		}
		c.finish(verdict, fmt.Sprintf("%s not worse than the baseline by more than %g %%", areNot(len(all)), c.Tolerance))
	}
	return verdict
}

func areNot(n int) string {
	if n == 1 {
		return "1 benchmark is"
	}
	return fmt.Sprintf("%d benchmarks are", n)
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more", n)
}

// finish puts the summary of a verdict, broken limits first.
func (c benchmarkConfig) finish(verdict *gates.Verdict, summary string) {
	verdict.Summary = summary
	if len(verdict.Findings) > 0 && verdict.Findings[0].Rule == "limit" {
		verdict.Summary = verdict.Findings[0].Message
		verdict.NextStep = "make it faster, or change the limit"
	}
}

// undecided says what is not known, unless a limit is broken: then the answer is no, whatever else is not known.
func (c benchmarkConfig) undecided(verdict *gates.Verdict, nextStep, summary string) *gates.Verdict {
	if verdict.Outcome == gates.Fail {
		c.finish(verdict, summary)
		return verdict
	}
	verdict.Outcome, verdict.Summary, verdict.NextStep = gates.Inconclusive, summary, nextStep
	return verdict
}

// String says what was measured against what, how large the difference is, and how sure.
func (c comparison) String() string {
	direction, percent := "worse", c.change*100
	if percent < 0 {
		direction, percent = "better", -percent
	}
	p := c.slower
	if direction == "better" {
		p = c.faster
	}
	return fmt.Sprintf("%s: %s, baseline %s, %.0f %% %s (p %s, worse in %.0f %% of pairs, %d against %d samples)", c.name,
		c.now.value(median(c.now.samples)), c.before.value(median(c.before.samples)), percent, direction, probability(p), c.worse*100,
		len(c.now.samples), len(c.before.samples))
}

func probability(p float64) string {
	if p < 0.001 {
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", p)
}
