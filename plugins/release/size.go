package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// sizeGate asks whether the change is small enough to be understood by whoever lets it pass: files and lines against what is
// live, statements of SQL, and bindings and other settings that it touches.
type sizeGate struct{}

type sizeConfig struct {
	Files      int      `json:"files"`
	Lines      int      `json:"lines"`
	Migrations int      `json:"migrations"`
	Bindings   int      `json:"bindings"`
	Ignore     []string `json:"ignore"`
}

func (sizeGate) Describe() gates.Description {
	return gates.Description{
		Name: "size", Title: "the change is small enough to be understood", Phases: asked(),
		Reports: []gates.Report{{Kind: gates.ReportPlan}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"files": {"type": "integer", "minimum": 0, "default": 40, "description": "most files that differ from what is live"},
				"lines": {"type": "integer", "minimum": 0, "default": 1000, "description": "most lines added and deleted in them"},
				"migrations": {"type": "integer", "minimum": 0, "default": 2, "description": "most migrations that are pending"},
				"bindings": {"type": "integer", "minimum": 0, "default": 4, "description": "most bindings, variables, secrets, routes and settings that change"},
				"ignore": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "globs of files that do not count; lock files by default"}
			}
		}`,
	}
}

// lockFiles change by the thousand lines without anybody writing one.
func lockFiles() []string {
	return []string{"**/package-lock.json", "**/npm-shrinkwrap.json", "**/yarn.lock", "**/pnpm-lock.yaml", "**/bun.lock", "**/bun.lockb"}
}

func (sizeGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := sizeConfig{Files: 40, Lines: 1000, Migrations: 2, Bindings: 4, Ignore: lockFiles()}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	for _, pattern := range config.Ignore {
		if !doublestar.ValidatePattern(pattern) {
			return nil, fmt.Errorf("%q is no glob", pattern)
		}
	}
	plan, refusal, err := planOf(request)
	if refusal != nil || err != nil {
		return refusal, err
	}
	if plan.FirstTime {
		return &gates.Verdict{Outcome: gates.Pass, Summary: "nothing is live yet, so nothing changes"}, nil
	}
	if plan.Source.State != evidence.Present {
		reason := plan.Source.Reason
		if reason == "" {
			reason = "nothing is live that penstock made"
		}
		return gates.Undecided("deploy from a commit, so that the next change can be compared", "the size of the change is not known: %s", reason), nil
	}
	for _, gap := range plan.Gaps {
		if strings.Contains(gap.What, "migrations of") { // pending ones may be missing from the plan
			return gates.Undecided("see why, then run it again", "%s: %s", gap.What, gap.Reason), nil
		}
	}
	return judgeSize(config, measureSize(config, plan)), nil
}

// change is what was counted.
type change struct {
	files, lines, binary, migrations, bindings int
	largest                                    []evidence.File
	touched, sql                               []string
}

func measureSize(config sizeConfig, plan evidence.Plan) change {
	var found change
	for _, file := range plan.Source.Files {
		if slices.ContainsFunc(config.Ignore, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, file.Path) }) {
			continue
		}
		found.files++
		found.lines += file.Added + file.Deleted
		if file.Binary {
			found.binary++
		}
		found.largest = append(found.largest, file)
	}
	slices.SortStableFunc(found.largest, func(a, b evidence.File) int { return b.Added + b.Deleted - a.Added - a.Deleted })
	for _, database := range plan.Databases {
		for _, migration := range database.Pending {
			found.migrations++
			found.sql = append(found.sql, migration.Name+" on "+database.Name)
		}
	}
	for _, one := range plan.Changes {
		switch {
		case one.Action == "keep", one.Kind == "version", one.Kind == "migration": // the upload itself, and what was counted
		default:
			found.bindings++
			found.touched = append(found.touched, strings.TrimSpace(one.Action+" "+one.Kind+" "+one.Name))
		}
	}
	return found
}

func judgeSize(config sizeConfig, found change) *gates.Verdict {
	var over []string
	measurements := []gates.Measurement{}
	for _, one := range []struct {
		name         string
		value, limit int
	}{{"files", found.files, config.Files}, {"lines", found.lines, config.Lines}, {"migrations", found.migrations, config.Migrations}, {"bindings", found.bindings, config.Bindings}} {
		measurements = append(measurements, gates.Count(one.name, one.value, gates.AtMost(one.limit)))
		if one.value > one.limit {
			over = append(over, fmt.Sprintf("%d %s (limit %d)", one.value, one.name, one.limit))
		}
	}
	summary := fmt.Sprintf("%s and %s, %s, %s touched", gates.Counted(found.files, "file"), gates.Counted(found.lines, "line"), gates.Counted(found.migrations, "migration"), gates.Counted(found.bindings, "binding"))
	verdict := &gates.Verdict{Outcome: gates.Pass, Summary: summary}
	if len(over) > 0 {
		verdict = gates.Failed("take it out in smaller parts, or let somebody waive it who has read all of it", "a large change: %s", strings.Join(over, ", "))
		verdict.Findings = sizeFindings(found)
	} else if found.binary > 0 {
		verdict.Outcome, verdict.Summary, verdict.NextStep = gates.Warn, summary+"; "+gates.Counted(found.binary, "binary file")+" could not be counted in lines", "look at the binary files"
	}
	verdict.Measurements = measurements
	return verdict
}

// shownFiles is how many of the largest files are named: enough to see where the change lies.
const shownFiles = 10

func sizeFindings(found change) []gates.Finding {
	var findings []gates.Finding
	for _, file := range found.largest[:min(shownFiles, len(found.largest))] {
		findings = append(findings, gates.Finding{Level: gates.LevelNote, File: file.Path, Message: fmt.Sprintf("%d lines added, %d deleted", file.Added, file.Deleted)})
	}
	for _, name := range found.sql {
		findings = append(findings, gates.Finding{Level: gates.LevelNote, Message: "migration " + name})
	}
	for _, name := range found.touched {
		findings = append(findings, gates.Finding{Level: gates.LevelNote, Message: name})
	}
	return findings
}
