package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// coberturaReport is the part of coverage-04.dtd that says what was reached. Lines are listed under methods too, and
// there a second time, so only those of the class count.
type coberturaReport struct {
	XMLName xml.Name `xml:"coverage"`
	Sources []string `xml:"sources>source"`
	Classes []struct {
		File  string `xml:"filename,attr"`
		Lines []struct {
			Number    int    `xml:"number,attr"`
			Hits      int    `xml:"hits,attr"`
			Condition string `xml:"condition-coverage,attr"`
		} `xml:"lines>line"`
		Methods []struct {
			Name  string `xml:"name,attr"`
			Lines []struct {
				Hits int `xml:"hits,attr"`
			} `xml:"lines>line"`
		} `xml:"methods>method"`
	} `xml:"packages>package>classes>class"`
}

// condition is "50% (1/2)".
var condition = regexp.MustCompile(`\((\d+)/(\d+)\)`)

func (c *coverage) addCobertura(content []byte, root string) error {
	var report coberturaReport
	if err := xml.Unmarshal(content, &report); err != nil {
		return fmt.Errorf("it is not a Cobertura report: %w", err)
	}
	if len(report.Classes) == 0 {
		return errors.New("it names no files")
	}
	for _, class := range report.Classes {
		name := class.File
		if len(report.Sources) > 0 && !path.IsAbs(strings.ReplaceAll(name, `\`, "/")) {
			name = path.Join(strings.TrimSpace(report.Sources[0]), name)
		}
		file := c.file(relative(root, name))
		for _, line := range class.Lines {
			file.lines[line.Number] += max(line.Hits, 0)
			if match := condition.FindStringSubmatch(line.Condition); match != nil {
				file.addBranches(line.Number, number(match[1]), number(match[2]))
			}
		}
		for _, method := range class.Methods {
			hits := 0
			for _, line := range method.Lines {
				hits = max(hits, line.Hits)
			}
			file.functions[method.Name] += hits
		}
	}
	return nil
}

// addBranches notes that so many of the branches of a line were taken. Which ones they were is not said, so of two runs
// over one file the better one counts for each line.
func (f *fileCoverage) addBranches(line, taken, found int) {
	for i := range min(found, 10_000) {
		id := strconv.Itoa(line) + "." + strconv.Itoa(i)
		f.branches[id] += 0
		if i < taken {
			f.branches[id]++
		}
	}
}
