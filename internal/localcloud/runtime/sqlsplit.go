package runtime

import "strings"

// SplitSQL cuts a text into its SQL statements, without their closing semicolons and without pieces that hold only space
// and comments. It knows what can hide a semicolon: strings, quoted names, comments, and the body of CREATE TRIGGER,
// which ends, as SQLite's own sqlite3_complete has it, only where END follows a semicolon and is followed by one. An
// unfinished string, comment or trigger takes the rest; SQLite then says what is wrong with it.
func SplitSQL(text string) []string {
	var statements []string
	start, empty := 0, true
	var state triggerState
	for i := 0; i < len(text); {
		end, kind := nextToken(text, i)
		switch kind {
		case sqlSpace:
		case sqlSemicolon:
			if state.semicolon() {
				if !empty {
					statements = append(statements, strings.Trim(text[start:i], sqlBlanks))
				}
				start, empty, state = end, true, triggerState{}
			}
		default:
			empty = false
			state.token(kind, text[i:end])
		}
		i = end
	}
	if !empty {
		statements = append(statements, strings.Trim(text[start:], sqlBlanks))
	}
	return statements
}

// sqlBlanks are the bytes that SQLite takes for space; Go's idea of space is wider.
const sqlBlanks = " \t\n\r\f"

type sqlKind int

const (
	sqlSpace sqlKind = iota // space and comments
	sqlSemicolon
	sqlWord
	sqlOther
)

// nextToken returns where the token at i ends.
func nextToken(text string, i int) (end int, kind sqlKind) {
	rest := text[i:]
	switch c := text[i]; {
	case c == ';':
		return i + 1, sqlSemicolon
	case strings.IndexByte(sqlBlanks, c) >= 0:
		return i + 1, sqlSpace
	case strings.HasPrefix(rest, "\ufeff"): // a byte order mark, which editors put at the start of files
		return i + len("\ufeff"), sqlSpace
	case strings.HasPrefix(rest, "--"):
		return after(text, i+2, "\n"), sqlSpace
	case strings.HasPrefix(rest, "/*"):
		return after(text, i+2, "*/"), sqlSpace
	case c == '\'' || c == '"' || c == '`':
		// A doubled quote stands for one: the string goes on, which reading it as a second string does too.
		return after(text, i+1, string(c)), sqlOther
	case c == '[':
		return after(text, i+1, "]"), sqlOther
	case isWordByte(c):
		end = i + 1
		for end < len(text) && isWordByte(text[end]) {
			end++
		}
		return end, sqlWord
	}
	return i + 1, sqlOther
}

// after returns the index behind the next mark from i on, or the text's end.
func after(text string, i int, mark string) int {
	if j := strings.Index(text[i:], mark); j >= 0 {
		return i + j + len(mark)
	}
	return len(text)
}

// isWordByte follows SQLite: every byte above ASCII may be part of a name.
func isWordByte(c byte) bool { return isAlpha(c) || isDigit(c) || c == '_' || c == '$' || c >= 0x80 }

// triggerState follows one statement to know whether it is a CREATE TRIGGER, and whether its body has ended.
type triggerState struct {
	words     int  // leading words seen, as far as they can begin a CREATE TRIGGER
	other     bool // it is something else
	trigger   bool
	boundary  bool // the last token was a semicolon in the trigger's body
	closed    bool // ... and then came END
	explained bool
}

func (t *triggerState) token(kind sqlKind, text string) {
	if t.trigger {
		t.closed = t.boundary && kind == sqlWord && strings.EqualFold(text, "END")
		t.boundary = false
		return
	}
	if t.other {
		return
	}
	word := ""
	if kind == sqlWord {
		word = strings.ToUpper(text)
	}
	switch {
	case t.words == 0 && !t.explained && word == "EXPLAIN":
		t.explained = true
	case t.words == 0 && t.explained && (word == "QUERY" || word == "PLAN"):
	case t.words == 0 && word == "CREATE":
		t.words = 1
	case t.words == 1 && (word == "TEMP" || word == "TEMPORARY"):
		t.words = 2
	case (t.words == 1 || t.words == 2) && word == "TRIGGER":
		t.trigger = true
	default:
		t.other = true
	}
}

// semicolon tells whether this one ends the statement.
func (t *triggerState) semicolon() bool {
	if !t.trigger || t.closed {
		return true
	}
	t.boundary = true
	return false
}
