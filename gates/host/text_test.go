package host

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                                   "plain",
		"two\nlines\tand  tabs ":                  "two lines and tabs",
		"\x1b[31mred\x1b[0m":                      "red",
		"\x1b]0;title\x07after":                   "after",
		"\x1b]8;;http://x\x1b\\link":              "link",
		"a\x00b\x07c\u009bd":                      "abcd",
		"user\u202egnp.exe":                       "usergnp.exe",
		"do-not\u200b\u00ad-tell\ufe0f\U000e0041": "do-not-tell",
		"\x1bP1$rx\x1b\\":                         "P1$rx\\",
		"broken \xff byte":                        "broken byte",
		"::error file=x::forged\r::a":             "::error file=x::forged::a",
		"a very long text that is cut off":        "a very long text that is …",
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

// TestADescriptionMovesNoCursor: what a set says of itself is shown too, before anybody has asked it anything.
func TestADescriptionMovesNoCursor(t *testing.T) {
	t.Parallel()
	const bad = "a\x1b[2Jb\r\x1b]8;;http://x\x07c\u202e"
	description := descriptionFromWire(&wire.Description{
		Name: "gate", Title: bad, ConfigSchema: `{"title":"` + bad + `"}`, NeedsHosts: []string{bad}, NeedsSecrets: []string{bad}, ReportKinds: []string{bad},
	})
	shown := fmt.Sprintf("%+v", description)
	if strings.ContainsAny(shown, "\x1b\r\x07\u202e") || strings.Count(shown, "abc") != 5 {
		t.Errorf("%q", shown)
	}
}

// TestSecretsInOtherForms: the values that a gate was given, as programs repeat them.
func TestSecretsInOtherForms(t *testing.T) {
	t.Parallel()
	const secret = `pa"ss/wör+d&t0k3n`
	redact := New(Options{}).redactor(map[string]string{"TOKEN": secret})
	for name, text := range map[string]string{
		"as it is":              secret,
		"in JSON":               strconv.Quote(secret),
		"in JSON for a page":    `pa\"ss/wör+d\u0026t0k3n`,
		"in a query":            url.QueryEscape(secret),
		"in a path":             url.PathEscape(secret),
		"in base64":             base64.StdEncoding.EncodeToString([]byte(secret)),
		"in a header":           base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"in base64 for URLs":    base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"in hex":                hex.EncodeToString([]byte(secret)),
		"in HEX":                strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"with a zero":           secret[:5] + "\x00" + secret[5:],
		"with a zero-width gap": secret[:5] + "\u200b" + secret[5:],
		"with a soft hyphen":    secret[:5] + "\u00ad" + secret[5:],
		"with colours":          secret[:5] + "\x1b[31m" + secret[5:],
	} {
		if got := redact("<" + text + ">"); !strings.Contains(got, "***") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
