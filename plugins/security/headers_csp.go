package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// contentPolicy is one Content-Security-Policy: its directives by name, each with what it allows.
type contentPolicy map[string][]string

// parseContentPolicies reads header values. Commas separate policies, and every one of them holds (CSP Level 3, 2.2).
func parseContentPolicies(values []string) []contentPolicy {
	var policies []contentPolicy
	for _, text := range strings.Split(strings.Join(values, ","), ",") {
		policy := contentPolicy{}
		for _, directive := range strings.Split(text, ";") {
			words := strings.Fields(directive)
			if len(words) == 0 {
				continue
			}
			name := strings.ToLower(words[0])
			if _, said := policy[name]; !said { // of a directive that is said twice the first counts
				policy[name] = words[1:]
			}
		}
		if len(policy) > 0 {
			policies = append(policies, policy)
		}
	}
	return policies
}

// fallbacks are the directives that speak where one is not there, the nearest first (CSP Level 3, 6.8.3).
var fallbacks = map[string][]string{
	"default-src":     {},
	"child-src":       {"default-src"},
	"connect-src":     {"default-src"},
	"font-src":        {"default-src"},
	"frame-src":       {"child-src", "default-src"},
	"img-src":         {"default-src"},
	"manifest-src":    {"default-src"},
	"media-src":       {"default-src"},
	"object-src":      {"default-src"},
	"script-src":      {"default-src"},
	"script-src-attr": {"script-src", "default-src"},
	"script-src-elem": {"script-src", "default-src"},
	"style-src":       {"default-src"},
	"style-src-attr":  {"style-src", "default-src"},
	"style-src-elem":  {"style-src", "default-src"},
	"worker-src":      {"child-src", "script-src", "default-src"},
	"base-uri":        {},
	"form-action":     {},
	"frame-ancestors": {},
}

// sources returns what a policy allows for a directive, and false when it does not limit it.
func (p contentPolicy) sources(directive string) ([]string, bool) {
	for _, name := range append([]string{directive}, fallbacks[directive]...) {
		if sources, said := p[name]; said {
			return sources, true
		}
	}
	return nil, false
}

// weakerContentPolicy says where an answer's policies allow more than the one that is wanted. The order of directives and
// of sources does not matter, and a stricter policy is fine.
func weakerContentPolicy(want string, values []string) []string {
	got := parseContentPolicies(values)
	if len(got) == 0 {
		return []string{"Content-Security-Policy has no directive"}
	}
	var problems []string
	for _, wanted := range parseContentPolicies([]string{want}) {
		names := maps.Clone(wanted)
		for _, policy := range got {
			maps.Copy(names, policy)
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			var weaker string
			for _, policy := range got {
				// One policy that is strict enough will do, because all of them hold.
				if weaker = policy.weakerThan(wanted, name); weaker == "" {
					break
				}
			}
			if weaker != "" {
				problems = append(problems, "Content-Security-Policy "+weaker)
			}
		}
	}
	return problems
}

// weakerThan says what p allows for one directive that wanted does not; nothing when it is at least as strict.
func (p contentPolicy) weakerThan(wanted contentPolicy, directive string) string {
	if _, listsSources := fallbacks[directive]; !listsSources {
		// What is left are switches, such as upgrade-insecure-requests and sandbox: there or not there.
		_, isWanted := wanted[directive]
		given, isGiven := p[directive]
		switch {
		case isWanted && !isGiven:
			return "lacks " + directive
		case isWanted && directive == "sandbox":
			for _, permission := range given {
				if !slices.Contains(wanted[directive], permission) {
					return "has a sandbox that permits " + permission
				}
			}
		}
		return ""
	}
	limit, limited := wanted.sources(directive)
	if !limited {
		return ""
	}
	given, isGiven := p.sources(directive)
	if !isGiven && slices.Contains(limit, "*") && !strings.HasSuffix(directive, "-src") {
		return "" // everybody may, whether it is said or not
	}
	if !isGiven {
		return fmt.Sprintf("lacks %s; wanted: %s %s", directive, directive, strings.Join(limit, " "))
	}
	var more []string
	for _, source := range effectiveSources(given) {
		if !slices.ContainsFunc(limit, func(allowed string) bool { return coversSource(allowed, source) }) {
			more = append(more, source)
		}
	}
	if len(more) == 0 {
		return ""
	}
	return fmt.Sprintf("allows %s for %s; wanted: %s %s", strings.Join(more, " "), directive, directive, strings.Join(limit, " "))
}

// effectiveSources leaves out the sources that allow nothing more. A nonce and a hash name a script of the app's own, and beside
// them browsers do not regard 'unsafe-inline'.
func effectiveSources(sources []string) []string {
	var left []string
	named := false
	for _, source := range sources {
		lower := strings.ToLower(source)
		switch {
		case strings.HasPrefix(lower, "'nonce-"), strings.HasPrefix(lower, "'sha256-"), strings.HasPrefix(lower, "'sha384-"), strings.HasPrefix(lower, "'sha512-"):
			named = true
		case lower == "'none'", lower == "'report-sample'", lower == "'strict-dynamic'":
		default:
			left = append(left, source)
		}
	}
	if named {
		left = slices.DeleteFunc(left, func(source string) bool { return strings.EqualFold(source, "'unsafe-inline'") })
	}
	return left
}

// safer are the schemes that a scheme stands for besides itself (CSP Level 3, 6.7.2.9).
var safer = map[string][]string{"http": {"https"}, "ws": {"wss", "http", "https"}, "wss": {"https"}}

func coversScheme(allowed, scheme string) bool {
	return allowed == scheme || slices.Contains(safer[allowed], scheme)
}

// broaderKeywords are the words that allow another one too.
var broaderKeywords = map[string][]string{
	"'unsafe-inline'": {"'unsafe-hashes'"},
	"'unsafe-eval'":   {"'wasm-unsafe-eval'"},
}

// coversSource reports whether everything that source allows is allowed already.
func coversSource(allowed, source string) bool {
	allowed, source = strings.ToLower(allowed), strings.ToLower(source)
	if allowed == source || slices.Contains(broaderKeywords[allowed], source) {
		return true
	}
	if strings.HasPrefix(source, "'") {
		// The app itself is a host like others; the other words in quotes are none.
		return source == "'self'" && (allowed == "*" || allowed == "https:" || allowed == "http:")
	}
	scheme, host, port, path := splitSource(source)
	allowedScheme, allowedHost, allowedPort, allowedPath := splitSource(allowed)
	switch {
	case source == "*" || strings.HasPrefix(allowed, "'"):
		return false
	case allowed == "*":
		return scheme == "" || slices.Contains([]string{"http", "https", "ws", "wss"}, scheme)
	case allowedHost == "":
		// A host without a scheme is one of the page's scheme, and the page is served over HTTPS.
		return coversScheme(allowedScheme, scheme) || scheme == "" && host != "" && coversScheme(allowedScheme, "https")
	case host == "":
		return false
	}
	suffix, anySub := strings.CutPrefix(allowedHost, "*")
	sameHost := allowedHost == host || anySub && strings.HasSuffix(host, suffix)
	sameScheme := allowedScheme == "" && (scheme == "" || scheme == "https" || scheme == "wss") || allowedScheme != "" && coversScheme(allowedScheme, scheme)
	samePath := allowedPath == "" || allowedPath == path || strings.HasSuffix(allowedPath, "/") && strings.HasPrefix(path, allowedPath)
	return sameHost && sameScheme && samePath && (allowedPort == port || allowedPort == "*")
}

// splitSource takes a host or scheme source apart. A scheme alone has no host.
func splitSource(source string) (scheme, host, port, path string) {
	if name, isScheme := strings.CutSuffix(source, ":"); isScheme {
		return name, "", "", ""
	}
	scheme, rest, found := strings.Cut(source, "://")
	if !found {
		scheme, rest = "", source
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	if hasPath {
		path = "/" + path
	}
	host, port, _ = strings.Cut(authority, ":")
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	return scheme, host, port, path
}
