package main

import (
	"html"
	"regexp"
	"strings"
)

// shown is something of the inside of an app that stands in an answer.
type shown struct{ rule, what, excerpt string }

// insides are what the inside of an app looks like from outside. Each is narrow enough not to be met in a page that was
// written for people; only answers of 4xx and 5xx are searched.
var insides = []struct {
	rule, what string
	pattern    *regexp.Regexp
}{
	{"stack-trace", stackTrace, regexp.MustCompile(`\bat [^\n]{0,200}?(?:\.[A-Za-z]{1,4}|<anonymous>|\bnative):\d+(?::\d+)?`)},
	{"stack-trace", stackTrace, regexp.MustCompile(`Traceback \(most recent call last\)|panicked at |goroutine \d+ \[`)},
	{"stack-trace", stackTrace, regexp.MustCompile(`"stack"\s*:\s*"`)},
	{"file-path", "a file's path", regexp.MustCompile(`(?:/home/|/Users/|/root/|/var/task/)[\w.+@/-]*/[\w.+@-]+\.[a-z]{1,4}\b|file:///[^\s"\'<>]+|[A-Za-z]:\\(?:Users|src|app)\\[^\s"\'<>]*|\bnode_modules/[^\s"\'<>]*|webpack://[^\s"\'<>]*`)},
	{"file-path", placeInSource, regexp.MustCompile(`\b[\w./-]+\.(?:ts|tsx|js|mjs|cjs|jsx|py|rs):\d+(?::\d+)?`)},
	{"sql", "a database's error", regexp.MustCompile(`D1_(?:ERROR|EXEC_ERROR|TYPE_ERROR|COLUMN_NOTFOUND)|SQLITE_[A-Z]+|no such (?:table|column): ?\S+|near "[^"]*": syntax error|(?:UNIQUE|FOREIGN KEY|NOT NULL|CHECK) constraint failed`)},
	{"sql", "SQL", regexp.MustCompile(`\b(?:SELECT\s[^<]{1,300}\sFROM|INSERT\s+(?:OR\s+\w+\s+)?INTO|DELETE\s+FROM|CREATE\s+TABLE|ALTER\s+TABLE)\s+["'\x60\[]?\w+|\bUPDATE\s+\w+\s+SET\s+\w+\s*=`)},
	{"internals", "an error of the language", regexp.MustCompile(`\b(?:TypeError|ReferenceError|RangeError|SyntaxError|URIError|ZodError|AggregateError): |Cannot read propert(?:y|ies) of |is not a function\b`)},
	{"internals", "the JSON parser's own words", regexp.MustCompile(`Unexpected (?:end of JSON input|token .{1,20} in JSON|token .{1,60} is not valid JSON)|in JSON at position \d+|Expected .{1,60} in JSON`)},
	{"uncaught", "that the Worker threw and nothing caught it", regexp.MustCompile(`Worker threw exception|[Ee]rror code: 1101\b|Error 1101\b`)},
}

// A stack trace is full of places in the source, which need not be told again.
const stackTrace, placeInSource = "a stack trace", "a place in the source"

// leaksOf returns what a body shows of the inside, once for each kind.
func leaksOf(body string) []shown {
	// Escaping for HTML and JSON would hide quotes and line ends from the patterns, and hides nothing from people.
	text := html.UnescapeString(body)
	text = strings.NewReplacer(`\n`, "\n", `\"`, `"`, `\\`, `\`).Replace(text)
	var found []shown
	said := map[string]bool{}
	for _, inside := range insides {
		for _, candidate := range []string{body, text} {
			at := inside.pattern.FindStringIndex(candidate)
			if at == nil || said[inside.what] || inside.what == placeInSource && said[stackTrace] {
				continue
			}
			said[inside.what] = true
			found = append(found, shown{rule: inside.rule, what: inside.what, excerpt: excerpt(candidate, at[0], at[1])})
		}
	}
	return found
}

// excerpt is a place in an answer, with a little around it.
func excerpt(text string, from, to int) string {
	const around, most = 40, 300
	from, to = max(from-around, 0), min(to+around, len(text))
	return strings.ToValidUTF8(text[from:min(to, from+most)], "")
}
