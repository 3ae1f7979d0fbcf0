package main

import "slices"

// metric is what is counted.
type metric string

const (
	metricLines      metric = "lines"
	metricStatements metric = "statements"
	metricBranches   metric = "branches"
	metricFunctions  metric = "functions"
)

// share is how many of the things that were found were reached.
type share struct{ hit, found int }

// percent is the share in percent, 100 for nothing at all; ask found first.
func (s share) percent() float64 {
	if s.found == 0 {
		return 100
	}
	return 100 * float64(s.hit) / float64(s.found)
}

// reaches compares without dividing, so that no rounding can lift a share over a limit.
func (s share) reaches(limit float64) bool { return float64(s.hit)*100 >= limit*float64(s.found) }

// coverage is what all reports of one kind say together, by file.
type coverage struct {
	files map[string]*fileCoverage
}

func newCoverage() *coverage { return &coverage{files: map[string]*fileCoverage{}} }

// fileCoverage counts how often each thing in one file was reached. Reports of several runs over the same file add up.
// A summary has only sums, and no way to add them up.
type fileCoverage struct {
	lines                           map[int]int    // by number
	statements, branches, functions map[string]int // by an id that is stable between reports
	sums                            map[metric]share
}

func (c *coverage) file(name string) *fileCoverage {
	file := c.files[name]
	if file == nil {
		file = &fileCoverage{
			lines: map[int]int{}, statements: map[string]int{}, branches: map[string]int{}, functions: map[string]int{},
			sums: map[metric]share{},
		}
		c.files[name] = file
	}
	return file
}

func (f *fileCoverage) share(what metric) share {
	if sum, known := f.sums[what]; known {
		return sum
	}
	switch what {
	case metricLines:
		return shareOf(f.lines)
	case metricStatements:
		return shareOf(f.statements)
	case metricBranches:
		return shareOf(f.branches)
	case metricFunctions:
		return shareOf(f.functions)
	default:
		return share{}
	}
}

func shareOf[K comparable](counts map[K]int) share {
	var counted share
	for _, hits := range counts {
		counted.found++
		if hits > 0 {
			counted.hit++
		}
	}
	return counted
}

func (c *coverage) total(what metric) share {
	var total share
	for _, file := range c.files {
		one := file.share(what)
		total.hit += one.hit
		total.found += one.found
	}
	return total
}

// missedLines returns the lines that were not reached, sorted.
func (f *fileCoverage) missedLines() []int {
	var missed []int
	for line, hits := range f.lines {
		if hits == 0 {
			missed = append(missed, line)
		}
	}
	slices.Sort(missed)
	return missed
}
