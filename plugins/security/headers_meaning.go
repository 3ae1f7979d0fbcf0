package main

import (
	"fmt"
	"strconv"
	"strings"
)

// headerMeaning compares, for headers whose meaning is known, what an answer has with what is wanted: stricter is fine,
// and spelling does not matter. Each returns what is wrong.
var headerMeaning = map[string]func(want string, values []string) []string{
	"Strict-Transport-Security": weakerTransportSecurity,
	"X-Content-Type-Options":    otherFirstWord("X-Content-Type-Options"),
	"X-Frame-Options":           weakerFrameOptions,
	"X-Xss-Protection":          otherFilter,
	"Referrer-Policy":           weakerReferrerPolicy,
	"Content-Security-Policy":   weakerContentPolicy,
}

// weakerTransportSecurity reads the first header alone, as browsers do (RFC 6797, 8.1).
func weakerTransportSecurity(want string, values []string) []string {
	wanted, got := transportDirectives(want), transportDirectives(values[0])
	var problems []string
	for _, name := range []string{"max-age", "includesubdomains", "preload"} {
		least, isWanted := wanted[name]
		value, given := got[name]
		switch {
		case !isWanted:
		case !given:
			problems = append(problems, fmt.Sprintf("Strict-Transport-Security lacks %s: %q", name, values[0]))
		case name == "max-age":
			age, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				problems = append(problems, fmt.Sprintf("Strict-Transport-Security has a max-age that is no number: %q", value))
			} else if limit, err := strconv.ParseUint(least, 10, 63); err == nil && age < limit {
				problems = append(problems, fmt.Sprintf("Strict-Transport-Security is too short: max-age is %d, at least %d is wanted", age, limit))
			}
		}
	}
	return problems
}

// transportDirectives are the directives by name; of one that is said twice the first counts.
func transportDirectives(value string) map[string]string {
	directives := map[string]string{}
	for _, part := range strings.Split(value, ";") {
		name, value, _ := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, known := directives[name]; !known && name != "" {
			directives[name] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return directives
}

func otherFirstWord(name string) func(string, []string) []string {
	return func(want string, values []string) []string {
		first, _, _ := strings.Cut(values[0], ",")
		if !strings.EqualFold(strings.TrimSpace(first), want) {
			return []string{fmt.Sprintf("%s is %q, and %q is wanted", name, values[0], want)}
		}
		return nil
	}
}

// weakerFrameOptions: DENY is stricter than SAMEORIGIN, and values that contradict each other mean nothing.
func weakerFrameOptions(want string, values []string) []string {
	for _, value := range strings.Split(strings.Join(values, ","), ",") {
		value = strings.TrimSpace(value)
		if !strings.EqualFold(value, want) && !strings.EqualFold(value, "DENY") {
			return []string{fmt.Sprintf("X-Frame-Options is %q, and %q is wanted", value, want)}
		}
	}
	return nil
}

// otherFilter compares without regard to spaces and case. It is no matter of stricter: the guide says one thing, and those
// who say "0" do so on purpose.
func otherFilter(want string, values []string) []string {
	plain := strings.NewReplacer(" ", "", "\t", "").Replace
	got := strings.Join(values, ", ")
	if !strings.EqualFold(plain(got), plain(want)) {
		return []string{fmt.Sprintf("X-XSS-Protection is %q, and %q is wanted", got, want)}
	}
	return nil
}

// sentReferrer is how much of the address a policy sends (W3C Referrer Policy, 3): 0 nothing, 1 the origin, 2 all of it;
// to the same origin, to others, and from HTTPS to HTTP.
var sentReferrer = map[string][3]int{
	"no-referrer":                     {0, 0, 0},
	"same-origin":                     {2, 0, 0},
	"strict-origin":                   {1, 1, 0},
	"origin":                          {1, 1, 1},
	"strict-origin-when-cross-origin": {2, 1, 0},
	"origin-when-cross-origin":        {2, 1, 1},
	"no-referrer-when-downgrade":      {2, 2, 0},
	"unsafe-url":                      {2, 2, 2},
}

// weakerReferrerPolicy compares what is sent. Of several values the last that is known counts.
func weakerReferrerPolicy(want string, values []string) []string {
	got := ""
	for _, value := range strings.Split(strings.ToLower(strings.Join(values, ",")), ",") {
		if value = strings.TrimSpace(value); value != "" {
			if _, known := sentReferrer[value]; known {
				got = value
			}
		}
	}
	sent, known := sentReferrer[got]
	if !known {
		return []string{fmt.Sprintf("Referrer-Policy is %q, which no browser knows; wanted: %s", strings.Join(values, ", "), want)}
	}
	most, known := sentReferrer[strings.ToLower(strings.TrimSpace(want))]
	for i := range sent {
		if known && sent[i] > most[i] || !known && !strings.EqualFold(got, want) {
			return []string{fmt.Sprintf("Referrer-Policy is %q, which tells more than %q", got, want)}
		}
	}
	return nil
}
