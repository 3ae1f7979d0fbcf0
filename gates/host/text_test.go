package host

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-ci/penstock/gates"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                            "plain",
		"two\nlines\tand  tabs ":           "two lines and tabs",
		"\x1b[31mred\x1b[0m":               "red",
		"\x1b]0;title\x07after":            "after",
		"\x1b]8;;http://x\x1b\\link":       "link",
		"a\x00b\x07c\u009bd":               "abcd",
		"user\u202egnp.exe":                "usergnp.exe",
		"broken \xff byte":                 "broken byte",
		"::error file=x::forged\r::a":      "::error file=x::forged::a",
		"a very long text that is cut off": "a very long text that is …",
	} {
		if got := line(text, 28); got != want {
			t.Errorf("line(%q) = %q, want %q", text, got, want)
		}
	}
	if got := lines("one\r\ntwo\x1b[2J\n\n", 100); got != "one\ntwo" {
		t.Errorf("lines: %q", got)
	}
}

func FuzzSane(f *testing.F) {
	f.Add("pass", "fine\x1b[2J", "../x", 3)
	f.Fuzz(func(t *testing.T, outcome, text, file string, number int) {
		verdict, err := sane(gates.Verdict{
			Outcome: gates.Outcome(outcome), Summary: text, NextStep: text,
			Findings: []gates.Finding{{Level: gates.Level(text), Message: text, File: file, Line: number, Detail: text}},
		}, func(text string) string { return text })
		if err != nil {
			return
		}
		if !verdict.Outcome.Known() {
			t.Errorf("outcome %q", verdict.Outcome)
		}
		finding := verdict.Findings[0]
		for _, said := range []string{verdict.Summary, verdict.NextStep, finding.Message, finding.File} {
			if strings.ContainsAny(said, "\x1b\n\r\x00") || !utf8.ValidString(said) || len(said) > maxMessage {
				t.Errorf("%q", said)
			}
		}
		if strings.HasPrefix(finding.File, "/") || strings.HasPrefix(finding.File, "..") || finding.Line < 0 {
			t.Errorf("%+v", finding)
		}
	})
}

func TestOutputKeepsBothEnds(t *testing.T) {
	t.Parallel()
	kept := newOutput(10)
	for range 1000 {
		if n, err := kept.Write([]byte("0123456789abc")); n != 13 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := kept.String(); got != "01234\n[…]\n89abc" {
		t.Errorf("%q", got)
	}
	if held := len(kept.start) + len(kept.end); held > 30 {
		t.Errorf("it keeps %d bytes", held)
	}
	short := newOutput(10)
	_, _ = short.Write([]byte("01234567"))
	if got := short.String(); got != "01234567" {
		t.Errorf("%q", got)
	}
}
