package bundle

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// ignore is an .assetsignore file: the patterns of a .gitignore, of which the last that matches decides. Case does not
// matter, as it does not for wrangler.
// Source: https://developers.cloudflare.com/workers/static-assets/binding/#ignoring-assets
type ignore []ignorePattern

type ignorePattern struct {
	glob    string // doublestar's, over the path within the folder
	folders bool   // matches folders only
	negated bool
}

func parseIgnore(text string) (ignore, error) {
	var patterns ignore
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if trimmed := strings.TrimRight(line, " \t"); !strings.HasSuffix(trimmed, `\`) {
			line = trimmed // a space that a backslash protects is part of the name
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var pattern ignorePattern
		line, pattern.negated = strings.CutPrefix(line, "!")
		line, pattern.folders = strings.CutSuffix(line, "/")
		if line == "" {
			continue
		}
		anchored := strings.Contains(line, "/")
		line = strings.ToLower(strings.TrimPrefix(line, "/"))
		if !anchored {
			line = "**/" + line
		}
		// Braces mean nothing in a .gitignore.
		pattern.glob = strings.NewReplacer("{", `\{`, "}", `\}`).Replace(line)
		if !doublestar.ValidatePattern(pattern.glob) {
			return nil, fmt.Errorf("%s: line %d: %q is no pattern", ignoreFile, i+1-ownPatterns, line)
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// ownPatterns come before the file's own lines.
const ownPatterns = 3

// matches reports whether a file or folder is left out. It is asked for folders before what is in them, and what lies in
// a folder that is left out is not asked for: nothing can take it in again.
func (g ignore) matches(name string, folder bool) bool {
	name = strings.ToLower(name)
	out := false
	for _, pattern := range g {
		if (folder || !pattern.folders) && doublestar.MatchUnvalidated(pattern.glob, name) {
			out = !pattern.negated
		}
	}
	return out
}
