package main

import (
	"regexp"
	"strings"
)

// allowComment is a comment that lets one finding of a gate pass: // penstock-allow sql: reason.
var allowComment = regexp.MustCompile(`(?://|/\*).*?\bpenstock-allow\s+([a-z]+)\s*(?::\s*(.*?))?\s*(?:\*/.*)?$`)

// allowedLines are the comments of one gate in one file, by line.
type allowedLines map[int]allowedLine

type allowedLine struct {
	reason string
	alone  bool // nothing but the comment is on the line
}

// allowedLines reads a file's allow comments for one gate.
func (m *module) allowedLines(gate string) allowedLines {
	if !strings.Contains(m.original, "penstock-allow") {
		return nil
	}
	found := allowedLines{}
	for i, line := range strings.Split(m.original, "\n") {
		match := allowComment.FindStringSubmatch(line)
		if match == nil || match[1] != gate {
			continue
		}
		start := strings.TrimSpace(line)
		found[i+1] = allowedLine{
			reason: match[2],
			alone:  strings.HasPrefix(start, "//") || (strings.HasPrefix(start, "/*") && strings.HasSuffix(start, "*/")) || strings.HasPrefix(start, "{/*"),
		}
	}
	return found
}

// at returns the comment that speaks of a line: one on it, or one that has the line above to itself.
func (a allowedLines) at(line int) (allowedLine, bool) {
	if found, ok := a[line]; ok {
		return found, true
	}
	found, ok := a[line-1]
	return found, ok && found.alone
}
