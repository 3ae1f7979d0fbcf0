package assetrules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	placeholder     = regexp.MustCompile(`:([A-Za-z]\w*)`)
	hostPlaceholder = regexp.MustCompile(`:([A-Za-z]\w*)(?:-|\\\.|$)`) // what is before a dot or a hyphen
)

// captures are the parts of an address that a pattern named, in the order in which it names them.
type captures [][2]string

// pattern is a path, or an https URL without a query, with * for any text (named splat) and :name for one segment: up
// to the next slash, and in a host up to the next dot.
type pattern struct {
	withHost bool
	match    *regexp.Regexp
}

// isDynamic tells whether a path has * or :name in it.
func isDynamic(path string) bool { return strings.Contains(path, "*") || placeholder.MatchString(path) }

// compile fails where a name comes twice, * being one called splat. Such a rule never matches at Cloudflare.
func compile(rule string) (pattern, error) {
	host, path, withHost := absolute(rule)
	if !withHost {
		host, path = "", rule
	}
	quote := func(text string) string {
		parts := strings.Split(text, "*")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		return strings.Join(parts, "(?P<splat>.*)")
	}
	host, path = quote(host), quote(path)
	for _, name := range hostPlaceholder.FindAllStringSubmatch(host, -1) {
		host = strings.ReplaceAll(host, ":"+name[1], "(?P<"+name[1]+">[^/.]+)")
	}
	// A name that another one begins with is replaced within it, too: /:id/:idx has id twice, and never matches.
	for _, name := range placeholder.FindAllString(path, -1) {
		path = strings.ReplaceAll(path, name, "(?P<"+name[1:]+">[^/]+)")
	}
	if withHost {
		host = "https://" + host
	}
	match, err := regexp.Compile("^" + host + path + "$")
	if err != nil {
		return pattern{}, err
	}
	for i, name := range match.SubexpNames() { // Go lets a name come twice
		if name != "" && slices.Contains(match.SubexpNames()[:i], name) {
			return pattern{}, fmt.Errorf(":%s comes twice", name)
		}
	}
	return pattern{withHost, match}, nil
}

// find compares with an address. Neither its scheme nor its port counts: a rule for https holds for http too.
func (p pattern) find(at Address) (captures, bool) {
	text := at.parsed.Pathname()
	if p.withHost {
		text = "https://" + at.parsed.Hostname() + text
	}
	found := p.match.FindStringSubmatch(text)
	if found == nil {
		return nil, false
	}
	var out captures
	for i, name := range p.match.SubexpNames() {
		if name != "" {
			out = append(out, [2]string{name, found[i]})
		}
	}
	return out, true
}

// fill puts what was captured where a text names it.
func (c captures) fill(text string) string {
	for _, part := range c {
		text = strings.ReplaceAll(text, ":"+part[0], part[1])
	}
	return text
}
