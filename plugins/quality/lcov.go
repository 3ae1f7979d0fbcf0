package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// addLCOV reads the tracefile format of geninfo(1). Where a record has only sums (LF/LH and so on), they count; where it
// has single lines, those do, because they can be added up over several runs.
func (c *coverage) addLCOV(content []byte, root string) error {
	scanner := bufio.NewScanner(bytes.NewReader(content))
	scanner.Buffer(nil, 1<<20)
	var file *fileCoverage
	var sums map[string]int
	records := 0
	for number := 1; scanner.Scan(); number++ {
		key, value, _ := strings.Cut(strings.TrimSpace(scanner.Text()), ":")
		if file == nil && key != "SF" {
			if key == "TN" || key == "" || strings.HasPrefix(key, "#") {
				continue
			}
			return fmt.Errorf("it is not an LCOV tracefile: line %d is outside of any file", number)
		}
		var err error
		switch key {
		case "SF":
			if file != nil {
				return fmt.Errorf("it is not an LCOV tracefile: line %d begins a file within a file", number)
			}
			file, sums = c.file(relative(root, value)), map[string]int{}
		case "DA": // line,hits[,checksum]
			err = addHits(file.lines, strings.Split(value, ","), func(fields []string) (int, error) { return strconv.Atoi(fields[0]) })
		case "FNDA": // hits,name
			hits, name, _ := strings.Cut(value, ",")
			err = addHits(file.functions, []string{name, hits}, named)
		case "FN": // line,name or line,last line,name
			fields := strings.Split(value, ",")
			file.functions[fields[len(fields)-1]] += 0
		case "BRDA": // line,block,branch,hits
			if fields := strings.Split(value, ","); len(fields) == 4 {
				hits := strings.ReplaceAll(fields[3], "-", "0") // "-": the block was never reached
				err = addHits(file.branches, []string{strings.Join(fields[:3], ","), hits}, named)
			} else {
				err = errors.New("a branch has four fields")
			}
		case "LF", "LH", "BRF", "BRH", "FNF", "FNH":
			sums[key], err = strconv.Atoi(value)
		case "end_of_record":
			file.addSums(sums)
			file = nil
			records++
		}
		if err != nil {
			return fmt.Errorf("it is not an LCOV tracefile: line %d: %w", number, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("it is not an LCOV tracefile: %w", err)
	}
	if file != nil {
		return errors.New("it is cut off within a file")
	}
	if records == 0 {
		return errors.New("it is empty")
	}
	return nil
}

func named(fields []string) (string, error) { return fields[0], nil }

// addHits adds the hits in the second field to what the first one names.
func addHits[K comparable](counts map[K]int, fields []string, key func([]string) (K, error)) error {
	if len(fields) < 2 {
		return errors.New("it has no count")
	}
	name, err := key(fields)
	if err != nil {
		return err
	}
	hits, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	counts[name] += max(hits, 0)
	return nil
}

// addSums takes the sums of a record that does not list what it counted.
func (f *fileCoverage) addSums(sums map[string]int) {
	for what, sum := range map[metric]struct {
		listed int
		share  share
	}{
		metricLines:     {len(f.lines), share{sums["LH"], sums["LF"]}},
		metricBranches:  {len(f.branches), share{sums["BRH"], sums["BRF"]}},
		metricFunctions: {len(f.functions), share{sums["FNH"], sums["FNF"]}},
	} {
		if sum.listed == 0 && sum.share.found > 0 {
			f.sums[what] = sum.share
		}
	}
}
