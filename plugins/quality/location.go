package main

import (
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// relative turns a path from a report into one relative to the app's folder, with forward slashes. Tools write absolute
// paths, relative ones and file: URLs, on Windows with a drive and backslashes.
func relative(root, file string) string {
	if rest, isURL := strings.CutPrefix(file, "file://"); isURL {
		if decoded, err := url.PathUnescape(rest); err == nil {
			rest = decoded
		}
		file = rest
	}
	file, root = strings.ReplaceAll(file, `\`, "/"), strings.TrimSuffix(strings.ReplaceAll(root, `\`, "/"), "/")
	if file == "" {
		return ""
	}
	file = path.Clean(file)
	if root != "" {
		if rest, inside := strings.CutPrefix(file, path.Clean(root)+"/"); inside {
			return rest
		}
		if rest, inside := strings.CutPrefix(strings.TrimPrefix(file, "/"), path.Clean(root)+"/"); inside {
			return rest // file:///C:/…
		}
	}
	return file
}

// frame finds "src/a.test.ts:12:5" in a line of a stack.
var frame = regexp.MustCompile(`(?:^|[\s('"])((?:file:///?(?:[A-Za-z]:)?|node:|[A-Za-z]:)?[^\s()'":]+\.(?:[cm]?[jt]sx?|vue|svelte)):(\d+)(?::(\d+))?`)

// foreign is code that is not the app's.
var foreign = regexp.MustCompile(`(^|[/\\])node_modules[/\\]|^node:|^\.\./|^/|^[A-Za-z]:/`)

// place is where in the app something happened; its zero value is nowhere.
type place struct {
	file         string
	line, column int
}

// placeIn finds the first place in the app that a stack names, in preferred if the stack names that file at all.
func placeIn(root, stack, preferred string) place {
	var first place
	for _, match := range frame.FindAllStringSubmatch(stack, 200) {
		file := relative(root, match[1])
		if foreign.MatchString(file) {
			continue
		}
		found := place{file: file}
		found.line, _ = strconv.Atoi(match[2]) // digits by the pattern; one too long for an int means no line
		found.column, _ = strconv.Atoi(match[3])
		if preferred == "" || file == preferred {
			return found
		}
		if first.file == "" {
			first = found
		}
	}
	return first
}
