package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// auditGate asks whether the packages have known vulnerabilities: by what the registry answered in the audit stage, else by
// a database of advisories that the user provides. Without either nobody knows, and that is no pass.
type auditGate struct{}

type auditConfig struct {
	Level    string            `json:"level"`
	Database string            `json:"database"`
	MaxAge   string            `json:"maxAge"`
	Allow    []allowedAdvisory `json:"allow"`
}

type allowedAdvisory struct {
	ID      string `json:"id"`
	Reason  string `json:"reason"`
	Expires string `json:"expires"`
}

const howToAudit = "see the log of the audit stage and ask again when the registry answers, or give the gate a database of advisories: " +
	"an OSV export in the app's folder (config: database) or as a stage's report of kind osv"

func (auditGate) Describe() gates.Description {
	return gates.Description{
		Name:    "audit",
		Title:   "no known vulnerabilities in the packages",
		Phases:  []gates.Phase{gates.PhaseBuild},
		Reports: []gates.Report{{Kind: gates.ReportNPMAudit}, {Kind: gates.ReportOSV}},
		Needs:   gates.Needs{Source: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"level": {"enum": ["info", "low", "moderate", "high", "critical"], "default": "high", "description": "advisories of this severity and above are not accepted; one without a severity counts as critical"},
				"database": {"type": "string", "minLength": 1, "description": "path within the app's folder of an OSV export, a zip or a folder of JSON files, for when the registry does not answer"},
				"maxAge": {"type": "string", "pattern": "^[1-9][0-9]{0,3}[dh]$", "default": "30d", "description": "a database whose newest advisory is older than this is not believed"},
				"allow": {
					"type": "array", "description": "advisories that are known and accepted for a time",
					"items": {
						"type": "object", "additionalProperties": false, "required": ["id"],
						"properties": {
							"id": {"type": "string", "description": "GHSA-…, CVE-… or the registry's own number"},
							"reason": {"type": "string"},
							"expires": {"type": "string", "description": "the last day on which it counts: 2026-12-31"}
						}
					}
				}
			}
		}`,
	}
}

func (auditGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := auditConfig{Level: "high", MaxAge: "30d"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	now := time.Now()
	lock, lockProblem := readPackageLock(request.SourceDir)

	asked, unknown := registryAnswers(request)
	if asked != nil {
		for i := range asked.vulnerabilities {
			lock.locate(&asked.vulnerabilities[i])
		}
		return config.judge(asked, now), nil
	}
	database, problem := config.openDatabase(request)
	switch {
	case database == "" && problem == "":
		return gates.Undecided(howToAudit, "%s, and there is no database of advisories: nobody knows", unknown), nil
	case problem != "":
		return gates.Undecided(howToAudit, "%s, and %s", unknown, problem), nil
	case lockProblem != nil:
		return gates.Undecided("commit a package-lock.json of npm 7 or later, or have the registry asked: only that lock file is understood here",
			"%s, and the locked packages cannot be read: %v", unknown, lockProblem), nil
	}
	request.Progress("comparing %s with the advisories", gates.Counted(len(lock.packages), "package"))
	found, err := searchOSV(ctx, database, lock, now)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return gates.Undecided("export the database anew (https://osv.dev has npm's as one zip)", "%s, and the database of advisories cannot be used: %v", unknown, err), nil
	}
	limit, err := parseAge(config.MaxAge)
	if err != nil {
		return nil, err
	}
	verdict := config.judge(&found.audit, now)
	switch {
	case verdict.Outcome == gates.Fail: // an old database that knows of a vulnerability is right about that one
	case found.age > limit:
		old := gates.Undecided("export the database anew, or raise maxAge", "%s, and the database of advisories is %s old, at most %s are believed", unknown, gates.Span(found.age), gates.Span(limit))
		old.Findings, old.Measurements = verdict.Findings, verdict.Measurements
		return old, nil
	case len(found.incomparable) > 0:
		verdict.Outcome = gates.Inconclusive
		verdict.Summary = fmt.Sprintf("%s cannot be compared with the advisories for it: %s", gates.Counted(len(found.incomparable), "package"), strings.Join(found.incomparable[:min(len(found.incomparable), 3)], ", "))
		verdict.NextStep = "lock a version that is a semantic version, or have the registry asked"
	}
	return verdict, nil
}

// audit is what one source says of all packages.
type audit struct {
	vulnerabilities []vulnerability
	source          string // for people
}

// registryAnswers reads what the registry said. When it said nothing, unknown tells why.
func registryAnswers(request *gates.Request) (answered *audit, unknown string) {
	reports := request.ReportsOf(gates.ReportNPMAudit)
	if len(reports) == 0 {
		return nil, "the registry was not asked for advisories or did not answer"
	}
	answered = &audit{source: "the registry's advisories"}
	for _, report := range reports {
		if stage := request.Stage(report.Stage); stage == nil || stage.Outcome != "passed" && stage.Outcome != "failed" {
			return nil, fmt.Sprintf("stage %s did not end by itself", report.Stage)
		}
		content, err := readBounded(report.Path)
		if err == nil {
			var more []vulnerability
			more, err = parseAudit(content)
			answered.vulnerabilities = append(answered.vulnerabilities, more...)
		}
		if err != nil {
			var path *os.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			return nil, fmt.Sprintf("the report of stage %s is no answer: %v", report.Stage, err)
		}
	}
	return answered, ""
}

// openDatabase finds the database that the user provides: the path of a zip or a folder. Both are empty when there is none.
func (c auditConfig) openDatabase(request *gates.Request) (path, problem string) {
	switch reports := request.ReportsOf(gates.ReportOSV); len(reports) {
	case 0:
	case 1:
		return reports[0].Path, ""
	default:
		return "", fmt.Sprintf("there are %d databases of advisories among the reports, and one is asked", len(reports))
	}
	if c.Database == "" {
		return "", ""
	}
	local := filepath.FromSlash(c.Database)
	if !filepath.IsLocal(local) || request.SourceDir == "" {
		return "", fmt.Sprintf("the database %s is not within the app's folder", c.Database)
	}
	path = filepath.Join(request.SourceDir, local)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Sprintf("there is no %s in the source (files that git ignores are not part of it)", c.Database)
	} else if err != nil {
		return "", fmt.Sprintf("the database %s cannot be read", c.Database)
	}
	return path, ""
}

// judge weighs the vulnerabilities against the level and what is allowed.
func (c auditConfig) judge(found *audit, now time.Time) *gates.Verdict {
	entries := make([]allowance, len(c.Allow))
	for i, entry := range c.Allow {
		entries[i] = allowance{name: entry.ID, reason: entry.Reason, expires: entry.Expires}
	}
	allowed, findings := weigh(entries, now)
	invalid := len(findings)

	var notes []gates.Finding
	counts := map[string]int{}
	over, fixable := 0, 0
	for _, one := range sorted(found.vulnerabilities) {
		counts[one.severity]++
		entry, known := allowed.allows(one.names()...)
		switch {
		case !one.reaches(c.Level):
			notes = append(notes, one.finding(gates.LevelNote))
		case known:
			notes = append(notes, entry.finding(one.id, one.name+": "+one.title))
		default:
			over++
			if one.fix != "" {
				fixable++
			}
			findings = append(findings, one.finding(gates.LevelError))
		}
	}
	const shown = 50
	verdict := &gates.Verdict{
		Outcome: gates.Pass, Findings: capped(append(findings, notes...), shown),
		Measurements: []gates.Measurement{gates.Count("vulnerabilities at "+c.Level+" or above", over, gates.AtMost(0)), gates.Count("vulnerabilities", len(found.vulnerabilities), nil)},
	}
	told := tally(counts)
	switch {
	case over > 0:
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%s at %s or above, by %s (%s)", vulnerabilities(over), c.Level, found.source, told)
		verdict.NextStep = "update the packages that the findings name"
		if fixable == 0 {
			verdict.NextStep = "replace the packages that the findings name: no fixed version is known; or allow an advisory with a reason and an end"
		}
	case invalid > 0:
		verdict.Outcome = gates.Warn
		verdict.Summary = fmt.Sprintf("none at %s or above, by %s (%s); %d under allow do not count", c.Level, found.source, told, invalid)
		verdict.NextStep = "give each entry under allow a reason and a day on which it expires, or take it away"
	default:
		verdict.Summary = fmt.Sprintf("none at %s or above, by %s (%s)", c.Level, found.source, told)
	}
	return verdict
}

func vulnerabilities(n int) string {
	if n == 1 {
		return "1 vulnerability"
	}
	return fmt.Sprintf("%d vulnerabilities", n)
}

// tally says "2 high, 1 low", the worst first.
func tally(counts map[string]int) string {
	var parts []string
	for i := len(severities) - 1; i >= 0; i-- {
		if n := counts[severities[i]]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, severities[i]))
		}
	}
	if n := counts[""]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d of unknown severity", n))
	}
	if len(parts) == 0 {
		return "none of any severity"
	}
	return strings.Join(parts, ", ")
}

func capped(findings []gates.Finding, most int) []gates.Finding {
	if more := len(findings) - most; more > 0 {
		return append(findings[:most:most], gates.Finding{Level: gates.LevelNote, Message: fmt.Sprintf("and %d more", more)})
	}
	return findings
}

// parseAge reads "30d" or "36h".
func parseAge(text string) (time.Duration, error) {
	if len(text) < 2 {
		return 0, fmt.Errorf("%q is no age; write it as 30d or 36h", text)
	}
	number, err := strconv.Atoi(text[:len(text)-1])
	if err != nil {
		return 0, fmt.Errorf("%q is no age; write it as 30d or 36h", text)
	}
	if text[len(text)-1] == 'd' {
		number *= 24
	}
	return time.Duration(number) * time.Hour, nil
}
