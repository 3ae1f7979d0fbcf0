package assetrules

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// maxHeaderRules bounds a _headers file. Source: https://developers.cloudflare.com/workers/static-assets/headers/#limits
const maxHeaderRules = 100

var (
	beginsRule = regexp.MustCompile(`^(\S+://|/)`)
	headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // a token of RFC 9110
)

// Headers are the rules of a _headers file. The zero value has none.
type Headers struct{ rules []headerRule }

type headerRule struct {
	path   string
	at     pattern
	detach []string
	set    [][2]string // name and value, each name once
}

// ParseHeaders reads a file. Lines that are no rule are left out, and so are the headers below an address that is none.
func ParseHeaders(text string) (Headers, []Invalid) {
	var (
		out     Headers
		invalid []Invalid
		rule    *headerRule
		begun   int  // the line of rule
		skip    bool // until the next address
		count   int
	)
	end := func() {
		switch {
		case rule == nil:
		case len(rule.set) == 0 && len(rule.detach) == 0:
			invalid = append(invalid, Invalid{begun, fmt.Sprintf("%s has no headers", rule.path)})
		default:
			count++
			out.put(*rule)
		}
		rule = nil
	}
	lines(text, func(number int, line string) bool {
		refuse := func(message string, args ...any) bool {
			invalid = append(invalid, Invalid{number, fmt.Sprintf(message, args...)})
			return true
		}
		if tooLong(line) {
			return refuse("longer than %d characters", maxLine)
		}
		if beginsRule.MatchString(line) {
			end()
			if count == maxHeaderRules {
				refuse("more than %d rules", maxHeaderRules)
				skip = true
				return false
			}
			next, err := newHeaderRule(line)
			if skip = err != nil; skip {
				return refuse("%v", err)
			}
			rule, begun = &next, number
			return true
		}
		if skip {
			return true
		}
		if rule == nil {
			return refuse("Expected a path before headers")
		}
		if err := rule.add(line); err != nil {
			return refuse("%v", err)
		}
		return true
	})
	end()
	return out, invalid
}

// put adds a rule. A second one for the same address takes the place of the first.
func (h *Headers) put(rule headerRule) {
	if i := slices.IndexFunc(h.rules, func(other headerRule) bool { return other.path == rule.path }); i >= 0 {
		h.rules[i] = rule
		return
	}
	h.rules = append(h.rules, rule)
}

// newHeaderRule reads a path or an https URL; a query or fragment does not count.
func newHeaderRule(text string) (headerRule, error) {
	host, path, withHost := absolute(text)
	switch {
	case withHost && regexp.MustCompile(`:\d+$`).MatchString(host):
		return headerRule{}, fmt.Errorf("%s has a port, and rules hold for every port", text)
	case !withHost && !strings.HasPrefix(text, "/"):
		return headerRule{}, fmt.Errorf("headers are for a path, which begins with /, or for an https:// address, not for %s", text)
	case !withHost:
		path = text
	}
	parsed, err := canonicalPath(path)
	if err != nil {
		return headerRule{}, fmt.Errorf("%s is no address: %w", text, err)
	}
	rule := headerRule{path: parsed.Pathname()}
	if withHost {
		rule.path = "https://" + host + rule.path
	}
	if rule.at, err = compile(rule.path); err != nil {
		return headerRule{}, fmt.Errorf("%s has two parts of one name, * being :splat", text)
	}
	return rule, nil
}

// add takes a line of a rule: "Name: value", or "! Name", which takes away what Cloudflare or a rule above has set.
func (h *headerRule) add(line string) error {
	name, value, pair := strings.Cut(line, ":")
	if !pair {
		detached, is := strings.CutPrefix(line, "! ")
		if !is {
			return fmt.Errorf("expected Name: value, or ! Name, not %s", line)
		}
		h.detach = append(h.detach, strings.TrimFunc(detached, isSpace))
		return nil
	}
	name, value = strings.TrimFunc(name, isSpace), strings.TrimFunc(value, isSpace)
	if !headerName.MatchString(name) {
		return fmt.Errorf("%q is no name of a header", name)
	}
	if value == "" {
		return fmt.Errorf("header %s has no value", name)
	}
	name = http.CanonicalHeaderKey(name)
	if i := slices.IndexFunc(h.set, func(other [2]string) bool { return other[0] == name }); i >= 0 {
		h.set[i][1] += ", " + value
		return nil
	}
	h.set = append(h.set, [2]string{name, value})
	return nil
}

// Apply changes an answer's headers as every rule for the address says, in the order of the file. The first value that a
// rule sets replaces what was there; those of later rules are added to it.
func (h Headers) Apply(at Address, header http.Header) {
	replaced := map[string]bool{}
	for _, rule := range h.rules {
		parts, matches := rule.at.find(at)
		if !matches {
			continue
		}
		for _, name := range rule.detach {
			header.Del(name)
		}
		for _, pair := range rule.set {
			name, value := pair[0], parts.fill(pair[1])
			if replaced[name] {
				header.Add(name, value)
				continue
			}
			header.Set(name, value)
			replaced[name] = true
		}
	}
}
