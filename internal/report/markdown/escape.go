// Package markdown writes the account of a run as GitHub shows it: in a check run, a comment, a job's summary, a release.
// Everything that an app, a gate or a person chose (names, branches, findings) is data here and never markup: it cannot make
// a link, an image, a mention, HTML, or a row of the table that it stands in.
package markdown

import (
	"fmt"
	"strings"
	"unicode"
)

// markup are the characters that mean something to GitHub Flavored Markdown or to what GitHub makes of text afterwards
// (mentions, references, emoji, mathematics). Written as numeric entities they stand for themselves (GFM 6.2).
const markup = "\\`*_{}[]()#<>|~!&\"'$:@^="

// wordJoiner shows nothing and keeps GitHub, which looks at the finished text, from seeing a mention or a reference.
const wordJoiner = "\u2060"

// Text makes s safe on one line of text or in a cell of a table.
func Text(s string) string {
	var out strings.Builder
	for _, r := range Plain(s) {
		switch {
		case r == '\n':
			out.WriteByte(' ')
		case strings.ContainsRune(markup, r):
			fmt.Fprintf(&out, "&#%d;", r)
			if r == '@' || r == '#' {
				out.WriteString(wordJoiner)
			}
		default:
			out.WriteRune(r)
		}
	}
	return strings.ReplaceAll(out.String(), "www.", "www&#46;") // the one link that GFM makes without a colon
}

// Block makes s, of several lines, a block of code that s cannot end.
func Block(s string) string {
	s = Plain(s)
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", max(3, longest+1))
	return fence + "text\n" + s + "\n" + fence + "\n"
}

// Plain takes out of s what is not text: control characters, terminal sequences and marks that turn the direction of
// reading, which can make a line look like another. Line ends stay, as one \n each.
func Plain(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n").Replace(strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r):
			return -1
		case unicode.Is(unicode.Bidi_Control, r), r == '\uFEFF':
			return '\uFFFD'
		default:
			return r
		}
	}, s)
}

// Cut shortens s to that many characters and says so with an ellipsis. It is for plain text: it may cut an entity in two.
func Cut(s string, characters int) string {
	runes := []rune(s)
	if len(runes) <= characters {
		return s
	}
	return string(runes[:characters-1]) + "…"
}

// Line is s on one line, at most that many characters long, for fields that GitHub shows as plain text.
func Line(s string, characters int) string {
	return Cut(strings.Join(strings.Fields(Plain(s)), " "), characters)
}
