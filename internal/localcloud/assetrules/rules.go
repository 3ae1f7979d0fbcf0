// Package assetrules reads the files _redirects and _headers of static assets and applies them as Cloudflare does.
//
// Sources: https://developers.cloudflare.com/workers/static-assets/redirects/ and …/headers/ for what the files say. What these
// pages leave open (which of two rules wins, how parts of a path are taken over, what an address is compared with) was
// seen with wrangler 4.86, whose `dev` serves files with the program that Cloudflare serves them with; a test asks it again.
package assetrules

import (
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/nlnwa/whatwg-url/url"
)

// maxLine is the longest line of a rule, in UTF-16 units as Cloudflare counts them.
const maxLine = 2000

// Invalid is a line that is no rule.
type Invalid struct {
	Line    int // from 1
	Message string
}

// Address is what rules are compared with: where a request went.
type Address struct{ parsed *url.Url }

// ParseAddress reads the whole URL of a request, https://app.example.com/a%20page?q=1, as browsers understand it: dots in
// paths are resolved, and what needs an escape has one.
func ParseAddress(text string) (Address, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return Address{}, err
	}
	return Address{parsed}, nil
}

// lines calls each with every line that is not empty and no comment, without the space around it, until it answers false.
func lines(text string, each func(number int, line string) bool) {
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimFunc(line, isSpace)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !each(number, line) {
			return
		}
	}
}

func tooLong(line string) bool { return len(utf16.Encode([]rune(line))) > maxLine }

// isSpace counts the mark that some editors begin a file with as space, as JavaScript does.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }

// absolute takes an https URL apart; ok is false when the text is none. Other schemes are not known to rules.
func absolute(text string) (host, path string, ok bool) {
	rest, isHTTPS := strings.CutPrefix(text, "https://")
	host, path, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
	return host, "/" + path, isHTTPS && host != ""
}

// canonicalPath brings a path of a rule into the form that the paths of requests have. The scheme is one of no meaning: with
// https, a backslash would become a slash.
func canonicalPath(path string) (*url.Url, error) { return url.ParseRef("relative://", "//"+path) }
