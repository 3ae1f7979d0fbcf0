package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// istanbulFile is one file of coverage-final.json, as Istanbul writes it and vitest, jest, c8 and nyc after it:
// https://github.com/istanbuljs/istanbuljs/blob/main/docs/raw-output.md
type istanbulFile struct {
	Path         string           `json:"path"`
	StatementMap map[string]span  `json:"statementMap"`
	S            map[string]int   `json:"s"`
	F            map[string]int   `json:"f"`
	B            map[string][]int `json:"b"`
	Data         *istanbulFile    `json:"data"` // some versions wrap the file once more
}

type span struct {
	Start struct {
		Line int `json:"line"`
	} `json:"start"`
}

func (c *coverage) addIstanbul(content []byte, root string) error {
	var files map[string]istanbulFile
	if err := json.Unmarshal(content, &files); err != nil {
		return fmt.Errorf("it is not Istanbul's coverage-final.json: %w", err)
	}
	for name, one := range files {
		if one.Data != nil {
			one = *one.Data
		}
		if one.Path != "" {
			name = one.Path
		}
		if one.S == nil || one.StatementMap == nil {
			return fmt.Errorf("it is not Istanbul's coverage-final.json: %s has no statements", name)
		}
		c.file(relative(root, name)).addIstanbul(one)
	}
	return nil
}

func (f *fileCoverage) addIstanbul(one istanbulFile) {
	// A line is reached as often as the statement on it that is reached most often: Istanbul's own rule. Reports add up
	// after that, not before.
	lines := map[int]int{}
	for id, hits := range one.S {
		f.statements[id] += hits
		if start, known := one.StatementMap[id]; known {
			lines[start.Start.Line] = max(lines[start.Start.Line], hits)
		}
	}
	for line, hits := range lines {
		f.lines[line] += hits
	}
	for id, hits := range one.F {
		f.functions[id] += hits
	}
	for id, ways := range one.B {
		for i, hits := range ways {
			f.branches[id+"."+strconv.Itoa(i)] += hits
		}
	}
}

func (c *coverage) addIstanbulSummary(content []byte, root string) error {
	var entries map[string]map[string]json.RawMessage
	if err := json.Unmarshal(content, &entries); err != nil {
		return fmt.Errorf("it is not Istanbul's coverage-summary.json: %w", err)
	}
	whole, hasTotal := entries["total"]
	if !hasTotal {
		return errors.New("it is not Istanbul's coverage-summary.json: it has no total")
	}
	if len(entries) == 1 {
		// Only sums: then the whole counts as one file without a name.
		entries = map[string]map[string]json.RawMessage{"": whole}
	}
	delete(entries, "total")
	for name, entry := range entries {
		file := c.file(relative(root, name))
		for _, what := range []metric{metricLines, metricStatements, metricBranches, metricFunctions} {
			var sum struct{ Total, Covered *int }
			if err := json.Unmarshal(entry[string(what)], &sum); err != nil || sum.Total == nil || sum.Covered == nil || *sum.Covered > *sum.Total {
				return fmt.Errorf("it is not Istanbul's coverage-summary.json: %s has no count of %s that makes sense", name, what)
			}
			found := share{hit: *sum.Covered, found: *sum.Total}
			// Sums of two runs over one file cannot be added up; the lower one is certain.
			if earlier, twice := file.sums[what]; twice && earlier.percent() < found.percent() {
				found = earlier
			}
			file.sums[what] = found
		}
	}
	return nil
}
