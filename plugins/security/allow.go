package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// allowance lets one known finding pass, for a reason and until a day.
type allowance struct {
	name    string // of what is allowed: an advisory's id, a secret's fingerprint
	reason  string
	expires string // YYYY-MM-DD; it counts through that day, in UTC
}

// allowances are those that count, by their names in lower case.
type allowances map[string]allowance

// weigh keeps the entries that count, and names each that does not with why. An entry that nobody gave a reason for, or
// that never ends, is forgotten about and hides more than it was meant to.
func weigh(entries []allowance, now time.Time) (allowances, []gates.Finding) {
	counting := allowances{}
	var findings []gates.Finding
	for _, entry := range entries {
		if problem := entry.problem(now); problem != "" {
			findings = append(findings, gates.Finding{
				Level: gates.LevelWarning, Rule: "allow",
				Message: fmt.Sprintf("the entry for %s under allow does not count: %s", orUnnamed(entry.name), problem),
			})
			continue
		}
		counting[strings.ToLower(entry.name)] = entry
	}
	return counting, findings
}

func (a allowance) problem(now time.Time) string {
	day, err := time.Parse(time.DateOnly, a.expires)
	switch {
	case strings.TrimSpace(a.name) == "":
		return "it does not say what it allows"
	case strings.TrimSpace(a.reason) == "":
		return "it has no reason"
	case a.expires == "":
		return "it does not say when it expires"
	case err != nil:
		return fmt.Sprintf("%q is no day; write it as 2026-12-31", a.expires)
	case !now.Before(day.AddDate(0, 0, 1)):
		return "it expired on " + a.expires
	default:
		return ""
	}
}

func orUnnamed(name string) string {
	if strings.TrimSpace(name) == "" {
		return "nothing"
	}
	return name
}

// allows returns the entry that lets something pass which goes by any of those names.
func (a allowances) allows(names ...string) (allowance, bool) {
	for _, name := range names {
		if entry, found := a[strings.ToLower(name)]; found {
			return entry, true
		}
	}
	return allowance{}, false
}

// finding says that something was found and is allowed: it stays visible until the entry expires.
func (a allowance) finding(rule, what string) gates.Finding {
	return gates.Finding{
		Level: gates.LevelNote, Rule: rule,
		Message: fmt.Sprintf("%s is allowed until %s: %s", what, a.expires, a.reason),
	}
}
