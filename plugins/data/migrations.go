package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// migrationsGate asks whether the pending migrations can be applied beside the version that runs, without loss, and whether
// the applied ones are still what was applied.
type migrationsGate struct{}

type migrationsConfig struct {
	Destructive string `json:"destructive"`
	Contract    string `json:"contract"`
	Locking     string `json:"locking"`
}

func (migrationsGate) Describe() gates.Description {
	level := func(rule, fallback, what string) string {
		return fmt.Sprintf(`"%s": {"enum": ["fail", "warn", "ignore"], "default": "%s", "description": "%s"}`, rule, fallback, what)
	}
	return gates.Description{
		Name:    "migrations",
		Title:   "migrations keep the data, and the version that runs",
		Phases:  []gates.Phase{gates.PhasePlan},
		Reports: []gates.Report{{Kind: gates.ReportPlan}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				` + level(ruleDestructive, "fail", "what people stored is gone afterwards") + `,
				` + level(ruleContract, "fail", "the version that still runs cannot live with it") + `,
				` + level(ruleLocking, "warn", "nobody is served by the database while it runs") + `
			}
		}`,
	}
}

func (migrationsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := migrationsConfig{Destructive: "fail", Contract: "fail", Locking: "warn"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	plan, refusal := readPlan(request)
	if refusal != nil {
		return refusal, nil
	}
	judged := judgedMigrations{config: config, live: !plan.FirstTime}
	for _, database := range plan.Databases {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		request.Progress("reading the migrations of %s", database.Name)
		judged.applied(database)
		judged.order(database)
		judged.pending(database)
	}
	return judged.verdict(plan), nil
}

// readPlan reads the evidence, or returns the verdict for want of it.
func readPlan(request *gates.Request) (evidence.Plan, *gates.Verdict) {
	const next = "see docs/evidence.md: the plan is evidence in the phase plan and later"
	reports := request.ReportsOf(gates.ReportPlan)
	if len(reports) != 1 {
		return evidence.Plan{}, gates.Undecided(next, "there is no plan to judge")
	}
	plan, err := evidence.ReadPlan(reports[0].Path)
	if err != nil {
		return evidence.Plan{}, gates.Undecided(next, "%v", err)
	}
	return plan, nil
}

// judgedMigrations is what was found in all databases together.
type judgedMigrations struct {
	config     migrationsConfig
	live       bool
	found      []gates.Finding
	unreadable []string
	count      int // of pending migrations
	unrecorded int // applied migrations of which nobody knows what was applied
}

// applied compares what is applied with the files as they are now.
func (j *judgedMigrations) applied(database evidence.DatabasePlan) {
	for _, one := range database.Applied {
		switch {
		case one.File == "":
			j.found = append(j.found, gates.Finding{
				Level: gates.LevelError, Rule: "gone",
				Message: fmt.Sprintf("%s is applied to %s and its file is gone: a new database would not get it; put it back", one.Name, database.Name),
			})
		case one.Recorded == "":
			j.unrecorded++
		case one.Recorded != one.Digest:
			j.found = append(j.found, gates.Finding{
				Level: gates.LevelError, Rule: "edited", File: one.File,
				Message: fmt.Sprintf("%s was changed after it was applied to %s: the database keeps what was applied; put the file back and write a new migration", one.Name, database.Name),
			})
		}
	}
}

// order finds pending files that come before applied ones, and files that share a number: what runs first would then differ
// from one database to the other.
func (j *judgedMigrations) order(database evidence.DatabasePlan) {
	last := -1
	lastName := ""
	numbers := map[int]string{}
	for _, one := range database.Applied {
		if number, ok := numberOf(one.Name); ok {
			numbers[number] = one.Name
			if number > last {
				last, lastName = number, one.Name
			}
		}
	}
	for _, one := range database.Pending {
		number, ok := numberOf(one.Name)
		if !ok {
			continue
		}
		if other := numbers[number]; other != "" {
			j.found = append(j.found, gates.Finding{
				Level: gates.LevelError, Rule: "order", File: one.File, Message: fmt.Sprintf("%s has the number of %s: which comes first is left to chance; give it the next free one", one.Name, other),
			})
		} else if number < last {
			j.found = append(j.found, gates.Finding{
				Level: gates.LevelError, Rule: "order", File: one.File,
				Message: fmt.Sprintf("%s comes before %s, which is applied to %s already: it would run after it here and before it in a new database; give it the next free number", one.Name, lastName, database.Name),
			})
		}
		numbers[number] = one.Name
	}
}

var leadingNumber = regexp.MustCompile(`^0*(\d{1,18})`)

func numberOf(name string) (int, bool) {
	match := leadingNumber.FindStringSubmatch(name)
	if match == nil {
		return 0, false
	}
	number, err := strconv.Atoi(match[1])
	return number, err == nil
}

// pending judges the SQL that would be applied, file by file in their order.
func (j *judgedMigrations) pending(database evidence.DatabasePlan) {
	s := schemaOf(database.Applied)
	j.count += len(database.Pending)
	for _, one := range database.Pending {
		// In a database that does not exist yet nothing is lost; what D1 refuses it refuses all the same.
		found, err := judgeSQL(one, s, j.live && database.ID != "")
		if err != nil {
			j.unreadable = append(j.unreadable, fmt.Sprintf("%s cannot be read as SQL: %v", one.Name, err))
		}
		for _, finding := range found {
			if database.ID == "" && finding.Rule != ruleRefused && finding.Rule != "syntax" {
				continue
			}
			j.found = append(j.found, j.weighed(finding)...)
		}
	}
}

// weighed gives a finding the level that the config says; what is allowed by a comment stays a note.
func (j *judgedMigrations) weighed(finding gates.Finding) []gates.Finding {
	level := map[string]string{ruleDestructive: j.config.Destructive, ruleContract: j.config.Contract, ruleLocking: j.config.Locking}[finding.Rule]
	if finding.Level == gates.LevelNote {
		return []gates.Finding{finding}
	}
	switch level {
	case "ignore":
		return nil
	case "warn":
		finding.Level = gates.LevelWarning
	case "fail":
		finding.Level = gates.LevelError
	}
	return []gates.Finding{finding}
}

func (j *judgedMigrations) verdict(plan evidence.Plan) *gates.Verdict {
	verdict := &gates.Verdict{Outcome: gates.Pass, Measurements: []gates.Measurement{gates.Count("pending migrations", j.count, nil)}}
	var errors, warnings []gates.Finding
	for _, finding := range j.found {
		switch {
		case finding.Rule == "syntax":
		case finding.Level == gates.LevelError:
			errors = append(errors, finding)
		case finding.Level == gates.LevelWarning:
			warnings = append(warnings, finding)
		}
	}
	verdict.Findings = j.found
	switch {
	case len(errors) > 0:
		verdict.Outcome = gates.Fail
		verdict.Summary = summaryOf(errors)
		verdict.NextStep = nextStep(errors)
	case len(j.unreadable) > 0:
		verdict.Outcome, verdict.Summary = gates.Inconclusive, strings.Join(j.unreadable, "; ")
		verdict.NextStep = "correct the SQL; if D1 takes it as it is, report this and make the gate advisory meanwhile"
	case len(plan.Gaps) > 0:
		verdict.Outcome, verdict.Summary = gates.Inconclusive, fmt.Sprintf("not known: %s: %s", plan.Gaps[0].What, plan.Gaps[0].Reason)
		verdict.NextStep = "mend what kept it from being read, and run the same command again"
	case len(warnings) > 0:
		verdict.Outcome, verdict.Summary = gates.Warn, summaryOf(warnings)
		verdict.NextStep = "deploy it when few people are there, or allow it on its line: -- penstock-allow locking: reason"
	case len(plan.Databases) == 0:
		verdict.Summary = "the app has no database"
	case j.count == 0:
		verdict.Summary = "no migration is pending"
	default:
		verdict.Summary = fmt.Sprintf("%s only what the running version can live with", adds(j.count))
	}
	if j.unrecorded > 0 && verdict.Outcome.Allows() {
		verdict.Summary += fmt.Sprintf("; of %s penstock does not know what was applied, because it did not apply them", gates.Counted(j.unrecorded, "applied migration"))
	}
	return verdict
}

func adds(n int) string {
	if n == 1 {
		return "1 pending migration adds"
	}
	return fmt.Sprintf("%d pending migrations add", n)
}

func summaryOf(findings []gates.Finding) string {
	text := findings[0].Message
	if findings[0].File != "" {
		text = findings[0].File + ": " + text
	}
	if len(findings) > 1 {
		text += fmt.Sprintf(", and %d more", len(findings)-1)
	}
	return text
}

// nextStep is about the first finding; each finding that no comment can allow says by itself what to do.
func nextStep(findings []gates.Finding) string {
	switch findings[0].Rule {
	case ruleDestructive, ruleContract:
		return "expand first: add what is new, deploy code that uses only that, and take the old away in a later deployment; " +
			"when that time has come, allow it on its line: -- penstock-allow " + findings[0].Rule + ": reason"
	case ruleLocking:
		return "make it smaller, or allow it on its line: -- penstock-allow locking: reason"
	default:
		return "see each finding"
	}
}
