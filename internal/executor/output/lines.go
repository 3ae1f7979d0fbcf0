// Package output is what becomes of what a stage's programs say: lines for people, and a log of all of it.
package output

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line that is streamed, in bytes. The log has all of it.
const maxLine = 16 << 10

// Lines cuts output into lines for people: of a progress bar, which returns to the line's beginning to write it again,
// the last state; without control sequences; valid UTF-8; bounded.
type Lines struct {
	Emit func(line string)
	line []byte
	lost int  // bytes beyond maxLine
	cr   bool // a carriage return was the last byte
}

func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if l.cr {
			// "\r\n" ends a line as "\n" does; a "\r" before anything else begins it again.
			l.cr = false
			if p[0] != '\n' && p[0] != '\r' {
				l.line, l.lost = l.line[:0], 0
			}
		}
		at := bytes.IndexAny(p, "\r\n")
		if at < 0 {
			l.take(p)
			break
		}
		l.take(p[:at])
		if p[at] == '\n' {
			l.end()
		} else {
			l.cr = true
		}
		p = p[at+1:]
	}
	return n, nil
}

func (l *Lines) take(p []byte) {
	room := maxLine - len(l.line)
	if len(p) > room {
		l.lost += len(p) - room
		p = p[:room]
	}
	l.line = append(l.line, p...)
}

func (l *Lines) end() {
	text := readable(l.line)
	if l.lost > 0 {
		text += fmt.Sprintf(" … (%d bytes more in the log)", l.lost)
	}
	l.line, l.lost = l.line[:0], 0
	l.Emit(text)
}

// Close ends a last line that has no end.
func (l *Lines) Close() error {
	if len(l.line) > 0 {
		l.end()
	}
	return nil
}

// controlSequence matches the terminal's control sequences: CSI, OSC and the short ones (ECMA-48).
var controlSequence = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[PX^_][^\x1b]*\x1b\\\\|[ -/]*[0-~])")

// readable makes a line that cannot move a cursor, change a title or break a file format.
func readable(line []byte) string {
	text := string(line)
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	text = controlSequence.ReplaceAllString(text, "")
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, text)
}

func isControl(r rune) bool { return (r < ' ' && r != '\t') || (r >= 0x7f && r < 0xa0) }
