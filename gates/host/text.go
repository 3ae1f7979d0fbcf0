package host

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// line makes text from a stranger fit for one line of a terminal, a log or a page: no control characters, no direction
// overrides, no more than limit bytes.
func line(text string, limit int) string {
	return strings.TrimSpace(shorten(strings.Join(strings.Fields(strip(text, false)), " "), limit))
}

// lines does the same for text of several lines.
func lines(text string, limit int) string {
	return strings.TrimRight(shorten(strip(strings.ReplaceAll(text, "\r\n", "\n"), true), limit), "\n ")
}

// ansi is one escape sequence, as tools write them to colour their output.
var ansi = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)`)

// invisible is what takes no place of its own: with it in the midst of a word, or of a secret, the word looks as before and is
// another. Among it is what turns the direction of the text around it.
var invisible = []*unicode.RangeTable{unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

// strip removes what could move a terminal's cursor, change its colours or make text read as something else, and what nobody sees.
func strip(text string, keepLines bool) string {
	text = ansi.ReplaceAllString(text, "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			if keepLines {
				return r
			}
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), r == '\u2028', r == '\u2029', unicode.In(r, invisible...):
			return -1
		default:
			return r
		}
	}, text)
}

// shorten cuts text to limit bytes, between characters, and shows that it did.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
