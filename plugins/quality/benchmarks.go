package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// benchmarks is what one report, or several of one machine, measured.
type benchmarks struct {
	machine string // "" when the report does not say
	series  map[string]*series
}

// series is one benchmark: the same thing measured again and again.
type series struct {
	unit    string
	higher  bool // more is better
	samples []float64
	errors  int // that happened while measuring
}

func newBenchmarks(machine string) *benchmarks {
	return &benchmarks{machine: machine, series: map[string]*series{}}
}

func (b *benchmarks) names() []string {
	names := make([]string, 0, len(b.series))
	for name := range b.series {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// merge adds the samples of other. What is measured in two units cannot be one series.
func (b *benchmarks) merge(other *benchmarks) error {
	for name, theirs := range other.series {
		ours := b.series[name]
		if ours == nil {
			copied := *theirs
			copied.samples = slices.Clone(theirs.samples)
			b.series[name] = &copied
			continue
		}
		if ours.unit != theirs.unit || ours.higher != theirs.higher {
			return fmt.Errorf("benchmark %q is measured in %s once and in %s another time", name, ours.meaning(), theirs.meaning())
		}
		ours.samples = append(ours.samples, theirs.samples...)
		ours.errors += theirs.errors
	}
	return nil
}

func (s *series) meaning() string {
	if s.higher {
		return s.unit + " (higher is better)"
	}
	return s.unit + " (lower is better)"
}

// readBenchmarks reads a report in one of the known forms: Penstock's own (docs/gates/quality-benchmark.md), hyperfine's
// --export-json, vitest's --outputJson.
func readBenchmarks(content []byte) (*benchmarks, error) {
	var report struct {
		Machine    string `json:"machine"`
		Benchmarks []struct {
			Name    string    `json:"name"`
			Unit    string    `json:"unit"`
			Better  string    `json:"better"`
			Samples []float64 `json:"samples"`
			Errors  int       `json:"errors"`
		} `json:"benchmarks"`
		Results []struct { // hyperfine
			Command string    `json:"command"`
			Times   []float64 `json:"times"`
			Codes   []int     `json:"exit_codes"` // with --ignore-failure others than 0
		} `json:"results"`
		Files []struct { // vitest
			Groups []struct {
				FullName   string `json:"fullName"`
				Benchmarks []struct {
					Name    string    `json:"name"`
					Samples []float64 `json:"samples"`
				} `json:"benchmarks"`
			} `json:"groups"`
		} `json:"files"`
	}
	if err := json.Unmarshal(content, &report); err != nil {
		return nil, fmt.Errorf("it is no benchmark report: %w", err)
	}
	read := newBenchmarks(report.Machine)
	for _, one := range report.Benchmarks {
		if one.Unit == "" || one.Better != "lower" && one.Better != "higher" {
			return nil, fmt.Errorf("benchmark %q needs a unit, and better: lower or higher", one.Name)
		}
		if err := read.add(one.Name, series{unit: one.Unit, higher: one.Better == "higher", samples: one.Samples, errors: one.Errors}); err != nil {
			return nil, err
		}
	}
	for _, one := range report.Results {
		failed := len(one.Codes) - len(slices.DeleteFunc(one.Codes, func(code int) bool { return code != 0 }))
		if err := read.add(one.Command, series{unit: "s", samples: one.Times, errors: failed}); err != nil {
			return nil, err
		}
	}
	for _, file := range report.Files {
		for _, group := range file.Groups {
			for _, one := range group.Benchmarks {
				if err := read.add(group.FullName+" > "+one.Name, series{unit: "ms", samples: one.Samples}); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(read.series) == 0 {
		return nil, errors.New("it names no benchmark in any form that is known (benchmarks, hyperfine's results, vitest's files)")
	}
	return read, nil
}

func (b *benchmarks) add(name string, one series) error {
	switch {
	case name == "":
		return errors.New("one of its benchmarks has no name")
	case b.series[name] != nil:
		return fmt.Errorf("it names the benchmark %q twice", name)
	case slices.ContainsFunc(one.samples, func(sample float64) bool { return math.IsNaN(sample) || math.IsInf(sample, 0) || sample < 0 }):
		return fmt.Errorf("a sample of benchmark %q is no measured value", name)
	}
	b.series[name] = &one
	return nil
}

func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
