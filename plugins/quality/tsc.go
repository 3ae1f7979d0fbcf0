package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// The three forms in which tsc, and vue-tsc after it, tells an error once its colours are gone: plain, pretty, and for
// an error that is in no file.
var (
	tscPlain  = regexp.MustCompile(`^(.+?)\((\d+),(\d+)\): (error|warning) (TS\d+): (.*)$`)
	tscPretty = regexp.MustCompile(`^(.+?):(\d+):(\d+) - (error|warning) (TS\d+): (.*)$`)
	tscGlobal = regexp.MustCompile(`^(error|warning) (TS\d+): (.*)$`)
)

// parseTSC finds the errors in a log. Lines that it does not know are passed over: scripts print all sorts of things.
func parseTSC(log []string, root string) []gates.Finding {
	var found []gates.Finding
	open := false // whether the lines that follow may still belong to the last finding
	for _, line := range log {
		line = strings.TrimRight(line, " \t\r")
		match := tscPlain.FindStringSubmatch(line)
		if match == nil {
			match = tscPretty.FindStringSubmatch(line)
		}
		if match != nil {
			finding := gates.Finding{Level: levelOf(match[4]), Rule: match[5], Message: match[6], File: relative(root, match[1])}
			finding.Line, _ = strconv.Atoi(match[2]) // digits by the pattern
			finding.Column, _ = strconv.Atoi(match[3])
			found, open = append(found, finding), true
			continue
		}
		if match := tscGlobal.FindStringSubmatch(line); match != nil {
			found, open = append(found, gates.Finding{Level: levelOf(match[1]), Rule: match[2], Message: match[3]}), true
			continue
		}
		// What an error goes on to say is indented; the first other line, the code frame of the pretty form for one, ends it.
		if !open || !strings.HasPrefix(line, "  ") {
			open = false
			continue
		}
		last := &found[len(found)-1]
		last.Detail = strings.TrimPrefix(last.Detail+"\n"+line, "\n")
	}
	return found
}

func levelOf(word string) gates.Level {
	if word == "warning" {
		return gates.LevelWarning
	}
	return gates.LevelError
}
