package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// secretsGate asks whether there are credentials in the source, or in its history: a credential that was committed and
// taken out again is known to everybody who has a clone.
type secretsGate struct{}

type secretsConfig struct {
	History historySpan   `json:"history"`
	Commits int           `json:"commits"`
	Base    string        `json:"base"`
	Allow   []allowedLeak `json:"allow"`
}

type allowedLeak struct {
	Fingerprint string `json:"fingerprint"`
	Reason      string `json:"reason"`
	Expires     string `json:"expires"`
}

// historySpan is how much of the history is searched.
type historySpan string

const (
	historyRange historySpan = "range"
	historyAll   historySpan = "all"
	historyNone  historySpan = "none"
)

func (secretsGate) Describe() gates.Description {
	return gates.Description{
		Name:   "secrets",
		Title:  "no credentials in the source and its history",
		Phases: []gates.Phase{gates.PhaseBuild},
		Needs:  gates.Needs{Source: true, History: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"history": {"enum": ["range", "all", "none"], "default": "range", "description": "range: the last commits, or those since base; all: every commit of every branch and tag; none: only the files as they are"},
				"commits": {"type": "integer", "minimum": 1, "maximum": 100000, "default": 200, "description": "how many commits back from the judged one a range goes"},
				"base": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._/@^~-]*$", "description": "a branch, tag or commit: the range is what came after it"},
				"allow": {
					"type": "array", "description": "findings that are known and no secret, or no longer one",
					"items": {
						"type": "object", "additionalProperties": false, "required": ["fingerprint"],
						"properties": {
							"fingerprint": {"type": "string", "description": "as the finding shows it"},
							"reason": {"type": "string"},
							"expires": {"type": "string", "description": "the last day on which it counts: 2026-12-31"}
						}
					}
				}
			}
		}`,
	}
}

func (secretsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := secretsConfig{History: historyRange, Commits: 200}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if request.SourceDir == "" {
		return gates.Undecided("update penstock: the gate was not given what it asks for", "the source was not granted, so nobody has looked"), nil
	}
	rules, err := theScanner()
	if err != nil {
		return nil, err
	}
	var found searched
	request.Progress("looking through the source")
	if err := searchTree(ctx, rules, request.SourceDir, &found); err != nil {
		return nil, err
	}
	wanted, none := config.wanted(request)
	if none != "" {
		return config.judge(&found, "; "+none, nil)
	}
	unknown := errors.New("its history was not granted")
	if request.History != nil {
		request.Progress("looking through the commits: %s", wanted.told)
		if unknown = searchHistory(ctx, rules, request.History, wanted, &found); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return config.judge(&found, fmt.Sprintf(" and %s (%s)", gates.Counted(found.commits, "commit"), wanted.told), unknown)
}

// wanted is the range of commits to search, or in words why there is none.
func (c secretsConfig) wanted(request *gates.Request) (commitRange, string) {
	switch {
	case c.History == historyNone:
		return commitRange{}, "the history was not looked at, as configured"
	case request.Run.Commit == "":
		return commitRange{}, "there is no history, as nothing was committed"
	case c.History == historyAll:
		return commitRange{words: []string{"--all", request.Run.Commit, "--"}, told: "the whole history"}, ""
	case c.Base != "":
		return commitRange{words: []string{request.Run.Commit, "^" + c.Base, "--"}, told: "the commits since " + c.Base}, ""
	default:
		return commitRange{
			words: []string{fmt.Sprintf("--max-count=%d", c.Commits), request.Run.Commit, "--"}, most: c.Commits,
			told: fmt.Sprintf("the last %d", c.Commits),
		}, ""
	}
}

// shownLeaks bounds the findings; who has more has a folder to look at, not a list.
const shownLeaks = 50

// judge weighs what was found before what could not be found out. history says what was looked at of it.
func (c secretsConfig) judge(found *searched, history string, unknown error) (*gates.Verdict, error) {
	entries := make([]allowance, len(c.Allow))
	for i, entry := range c.Allow {
		entries[i] = allowance{name: entry.Fingerprint, reason: entry.Reason, expires: entry.Expires}
	}
	allowed, findings := weigh(entries, time.Now())
	invalid := len(findings)

	leaks := merge(found.leaks)
	inTree, inHistory := 0, 0
	var notes []gates.Finding
	for i, leak := range leaks {
		if i >= shownLeaks && len(allowed) == 0 {
			inTree, inHistory = leak.count(inTree, inHistory)
			continue
		}
		fingerprint, err := leak.fingerprint()
		if err != nil {
			return nil, err
		}
		if entry, known := allowed.allows(fingerprint); known {
			notes = append(notes, entry.finding(leak.rule, "what looks like a secret in "+leak.file))
			continue
		}
		inTree, inHistory = leak.count(inTree, inHistory)
		if inTree+inHistory <= shownLeaks {
			findings = append(findings, leak.finding(fingerprint))
		}
	}
	if more := inTree + inHistory - shownLeaks; more > 0 {
		notes = append(notes, gates.Finding{Level: gates.LevelNote, Message: fmt.Sprintf("and %s more", gates.Counted(more, "secret"))})
	}
	for _, file := range found.tooLarge {
		findings = append(findings, gates.Finding{Level: gates.LevelWarning, File: file, Message: fmt.Sprintf("larger than %d MiB, so nobody has looked into it", maxSearched>>20)})
	}
	verdict := &gates.Verdict{
		Outcome: gates.Pass, Findings: append(findings, notes...),
		Measurements: []gates.Measurement{gates.Count("secrets", inTree+inHistory, gates.AtMost(0)), gates.Count("files", found.files, nil), gates.Count("commits", found.commits, nil)},
	}
	nothing := "no secrets in " + gates.Counted(found.files, "file") + history
	if found.binaries > 0 {
		nothing += fmt.Sprintf("; binary content, met %s, was not looked into", gates.Counted(found.binaries, "time"))
	}

	switch {
	case inTree > 0:
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%s in the source", gates.Counted(inTree, "secret"))
		if inHistory > 0 {
			verdict.Summary += fmt.Sprintf(" and %d more in its history", inHistory)
		}
		verdict.NextStep = "revoke each at whoever issued it, take it out of the source, and put the new one with `wrangler secret put`; what is no secret can be allowed by its fingerprint"
	case inHistory > 0:
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%s in the history, and no longer in the source", gates.Counted(inHistory, "secret"))
		verdict.NextStep = "revoke each at whoever issued it: everybody with a clone has it; then allow it by its fingerprint, with that as the reason"
	case len(found.tooLarge) > 0:
		verdict.Outcome = gates.Inconclusive
		verdict.Summary = fmt.Sprintf("%s too large to look into", gates.Counted(len(found.tooLarge), "file"))
		verdict.NextStep = "take it out of the source, or have .gitignore name it"
	case unknown != nil:
		verdict.Outcome = gates.Inconclusive
		verdict.Summary = fmt.Sprintf("no secrets in %s; of the history nobody knows: %v", gates.Counted(found.files, "file"), unknown)
		verdict.NextStep = "fetch the history (`git fetch --unshallow`; actions/checkout: fetch-depth: 0), or look at less of it: commits, base or history in the gate's config"
	case found.files == 0:
		verdict.Outcome = gates.Inconclusive
		verdict.Summary = "there was no file to look into"
		verdict.NextStep = "check that the app's folder is the right one"
	case invalid > 0:
		verdict.Outcome = gates.Warn
		verdict.Summary = fmt.Sprintf("%s; %d under allow do not count", nothing, invalid)
		verdict.NextStep = "give each entry under allow a reason and a day on which it expires, or take it away"
	default:
		verdict.Summary = nothing
	}
	return verdict, nil
}

// merge leaves each leak once, wherever and however often it was found: in the tree if it is there, else in the oldest of
// the commits, which is the one that brought it in.
func merge(leaks []leak) []leak {
	type identity struct{ rule, file, secret string }
	first := map[identity]leak{}
	for _, leak := range leaks {
		key := identity{leak.rule, leak.file, leak.secret}
		known, twice := first[key]
		if !twice || leak.before(known) {
			first[key] = leak
		}
	}
	merged := make([]leak, 0, len(first))
	for _, leak := range first {
		merged = append(merged, leak)
	}
	slices.SortFunc(merged, func(a, b leak) int {
		return cmp.Or(
			cmp.Compare(min(len(a.commit), 1), min(len(b.commit), 1)),
			strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line), strings.Compare(a.rule, b.rule), strings.Compare(a.secret, b.secret),
		)
	})
	return merged
}

func (l leak) before(other leak) bool {
	switch {
	case (l.commit == "") != (other.commit == ""):
		return l.commit == ""
	case l.age != other.age:
		return l.age > other.age
	default:
		return l.line < other.line
	}
}

func (l leak) count(inTree, inHistory int) (int, int) {
	if l.commit == "" {
		return inTree + 1, inHistory
	}
	return inTree, inHistory + 1
}

// finding tells where a leak is, and never what it is.
func (l leak) finding(fingerprint string) gates.Finding {
	finding := gates.Finding{Level: gates.LevelError, Rule: l.rule, File: l.file, Line: l.line, Message: l.what, Detail: "fingerprint " + fingerprint}
	if l.commit != "" {
		// The line is that of another version of the file, where nobody's editor would find it.
		finding.Line = 0
		finding.Message = fmt.Sprintf("%s (commit %s, line %d)", l.what, shortCommit(l.commit), l.line)
	}
	return finding
}
