package assetrules

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nlnwa/whatwg-url/url"
)

// Limits of a _redirects file. Source: https://developers.cloudflare.com/workers/static-assets/redirects/#per-file
const (
	maxStatic  = 2000
	maxDynamic = 100
)

var (
	permitted  = []int{http.StatusOK, 301, 302, 303, 307, 308}
	trailing   = regexp.MustCompile(`\s+#.*$`) // a comment behind a rule; a # in a word begins a fragment
	indexPage  = regexp.MustCompile(`/index(.html)?$`)
	manySlants = regexp.MustCompile(`/+`)
)

// Redirects are the rules of a _redirects file. The zero value has none.
type Redirects struct {
	static  map[string]target // by path
	dynamic []dynamicRedirect
}

type target struct {
	status int
	to     string
}

type dynamicRedirect struct {
	from pattern
	target
}

// Redirect is where a request is to go.
type Redirect struct {
	Status   int
	Location string // for the client; empty when Status is 200
	Path     string // with status 200: the path, escaped, whose file is the answer; the client does not see it
}

// ParseRedirects reads a file. htmlHandling is that of the assets: with none, / may lead to /index.html. Lines that are no
// rule are left out of the rules.
func ParseRedirects(text, htmlHandling string) (Redirects, []Invalid) {
	out := Redirects{static: map[string]target{}}
	var invalid []Invalid
	seen := map[string]bool{}
	statics, dynamics := 0, 0
	lines(text, func(number int, line string) bool {
		refuse := func(message string, args ...any) bool {
			invalid = append(invalid, Invalid{number, fmt.Sprintf(message, args...)})
			return true
		}
		if tooLong(line) {
			return refuse("longer than %d characters", maxLine)
		}
		words := strings.FieldsFunc(trailing.ReplaceAllString(line, ""), isSpace)
		if len(words) < 2 || len(words) > 3 {
			return refuse("a redirect is written as 2 or 3 words (from, to, status), not %d", len(words))
		}
		from, err := redirectSource(words[0])
		if err != nil {
			return refuse("%v", err)
		}
		// Static rules below a dynamic one keep their place among the dynamic ones, and count as such.
		static := dynamics == 0 && !isDynamic(from)
		if static {
			if statics++; statics > maxStatic {
				return refuse("more than %d static redirects", maxStatic)
			}
		} else if dynamics++; dynamics > maxDynamic {
			refuse("more than %d redirects from the first one with * or :name on", maxDynamic)
			return false
		}
		to, external, err := redirectTarget(words[1])
		if err != nil {
			return refuse("%v", err)
		}
		status := http.StatusFound
		if len(words) == 3 {
			if status, err = strconv.Atoi(words[2]); err != nil || !slices.Contains(permitted, status) {
				return refuse("status %s is none of 200, 301, 302 (when none is given), 303, 307 and 308", words[2])
			}
		}
		switch loops := !external && indexPage.MatchString(to); {
		case loops && (strings.HasSuffix(from, "/*") || strings.HasSuffix(from, "/") && htmlHandling != "none"):
			return refuse("Infinite loop detected in this rule. This would cause a redirect to strip `.html` or `/index` and end up triggering this rule again.")
		case seen[from]:
			return refuse("a line above redirects %s already", from)
		case status == http.StatusOK && external:
			return refuse("status 200 answers with another file of the site, and %s is elsewhere", to)
		}
		seen[from] = true
		if static {
			out.static[from] = target{status, to}
			return true
		}
		if compiled, err := compile(from); err == nil { // Cloudflare accepts one that names a part twice, and it never matches
			out.dynamic = append(out.dynamic, dynamicRedirect{compiled, target{status, to}})
		}
		return true
	})
	return out, invalid
}

// redirectSource is a path; its query and fragment do not count.
func redirectSource(text string) (string, error) {
	if _, _, is := absolute(text); is {
		return "", fmt.Errorf("a redirect begins with a path of the site, not with %s", text)
	}
	if !strings.HasPrefix(text, "/") {
		text = "/" + text
	}
	parsed, err := canonicalPath(text)
	if err != nil {
		return "", fmt.Errorf("%s is no path: %w", text, err)
	}
	return parsed.Pathname(), nil
}

// redirectTarget is a path with its query and fragment, or an https URL; then external is true.
func redirectTarget(text string) (to string, external bool, err error) {
	host, path, external := absolute(text)
	if !external {
		if path = text; !strings.HasPrefix(path, "/") {
			return "", false, fmt.Errorf("a redirect leads to a path, which begins with /, or to an https:// address, not to %s", text)
		}
	}
	parsed, err := canonicalPath(path)
	if err != nil {
		return "", false, fmt.Errorf("%s is no address: %w", text, err)
	}
	to = parsed.Pathname() + parsed.Search() + parsed.Hash()
	if external {
		to = "https://" + host + to
	}
	return to, external, nil
}

// Match finds the rule for an address: a static one, or else the first dynamic one. Methods do not count.
func (r Redirects) Match(at Address) (Redirect, bool) {
	found, there := r.static[at.parsed.Pathname()]
	for i := 0; !there && i < len(r.dynamic); i++ {
		parts, matches := r.dynamic[i].from.find(at)
		if !matches {
			continue
		}
		found, there = r.dynamic[i].target, true
		found.to = strings.TrimFunc(parts.fill(found.to), isSpace)
		if _, _, external := absolute(found.to); !external {
			found.to = manySlants.ReplaceAllString(found.to, "/") // two in front would lead to another host
		}
	}
	if !there {
		return Redirect{}, false
	}
	to, err := url.ParseRef(at.parsed.Href(false), found.to)
	if err != nil {
		return Redirect{}, false // what was filled in made it no address
	}
	if found.status == http.StatusOK {
		return Redirect{Status: found.status, Path: to.Pathname()}, true
	}
	// The query that the client sent goes along, unless the rule has one.
	location := to.Pathname()
	if to.Protocol() != at.parsed.Protocol() || to.Host() != at.parsed.Host() {
		location = strings.TrimSuffix(to.Href(true), to.Search())
	}
	search := to.Search()
	if search == "" {
		search = at.parsed.Search()
	}
	return Redirect{Status: found.status, Location: location + search + to.Hash()}, true
}
