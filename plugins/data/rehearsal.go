package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// rehearsalGate asks what the pending migrations did to a copy of the data.
type rehearsalGate struct{}

type rehearsalConfig struct {
	MayLose []string `json:"mayLose"`
	// MaxSeconds is how long the migrations of one database may take; 0 for as long as they like.
	MaxSeconds float64 `json:"maxSeconds"`
	Smoke      string  `json:"smoke"` // smokeRequired: smoke tests that could not be run do not pass
}

const rehearseAgain = "mend what kept it from being tried, and run the same command again"

func (rehearsalGate) Describe() gates.Description {
	return gates.Description{
		Name:    "rehearsal",
		Title:   "pending migrations go well on a copy of the data",
		Phases:  []gates.Phase{gates.PhasePlan},
		Reports: []gates.Report{{Kind: gates.ReportRehearsal}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"mayLose": {"type": "array", "uniqueItems": true, "items": {"type": "string", "minLength": 1}, "description": "tables that may go, or have fewer rows afterwards"},
				"maxSeconds": {"type": "number", "minimum": 0, "default": 0, "description": "how long the migrations of one database may take; 0 for any time"},
				"smoke": {"enum": ["told", "required"], "default": "told", "description": "whether smoke tests that could not be run on a copy are only told, or keep the gate from passing"}
			}
		}`,
	}
}

func (rehearsalGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	var config rehearsalConfig
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportRehearsal)
	if len(reports) != 1 {
		return gates.Undecided("give the gate the phase plan, and run it with `penstock deploy`", "nothing was rehearsed"), nil
	}
	told, err := evidence.ReadRehearsal(reports[0].Path)
	if err != nil {
		return gates.Undecided(rehearseAgain, "%v", err), nil
	}
	return config.judge(told), nil
}

func (c rehearsalConfig) judge(told evidence.Rehearsal) *gates.Verdict {
	verdict := &gates.Verdict{Outcome: gates.Pass}
	var wrong, unknown, doubts []string
	tried, sown := 0, "" // migrations, and the seed behind them
	var rows int64
	for _, database := range told.Databases {
		switch database.State {
		case evidence.Missing:
			continue
		case evidence.Present:
		default:
			unknown = append(unknown, fmt.Sprintf("the migrations of %s could not be tried: %s", database.Name, database.Reason))
			continue
		}
		found := c.problems(database)
		for _, one := range found {
			verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelError, Rule: "rehearsal", Message: database.Name + ": " + one})
			wrong = append(wrong, database.Name+": "+one)
		}
		for _, broken := range database.Live.Broken {
			verdict.Findings = append(verdict.Findings, brokenFinding(gates.LevelError, "the live version", database.Name, broken))
			wrong = append(wrong, fmt.Sprintf("%s: the live version asks for what is gone then: %s", database.Name, broken.Message))
		}
		for _, broken := range database.Next.Broken {
			// It may be meant for another database or for a Durable Object's own storage.
			verdict.Findings = append(verdict.Findings, brokenFinding(gates.LevelWarning, "the new version", database.Name, broken))
			doubts = append(doubts, fmt.Sprintf("%s: the new version asks for what is not there then either: %s", database.Name, broken.Message))
		}
		unknown = append(unknown, unasked(database, len(found) > 0)...)
		if database.Left != "" {
			doubts = append(doubts, fmt.Sprintf("the copy %s could not be removed: `wrangler d1 delete %s`", database.Left, database.Left))
		}
		tried += len(database.Applied)
		if database.Seed != "" && len(database.Applied) == len(database.Pending) {
			tried, sown = tried-1, " and "+database.Seed
		}
		for _, table := range database.Before {
			rows += table.Rows
		}
		verdict.Measurements = append(verdict.Measurements, c.duration(database))
	}
	for _, gap := range told.Gaps {
		unknown = append(unknown, gap.What+": "+gap.Reason)
	}
	smoke := c.judgeSmoke(told.Smoke)
	verdict.Findings = append(verdict.Findings, smoke.findings...)
	wrong, unknown = append(wrong, smoke.wrong...), append(unknown, smoke.unknown...)
	switch {
	case len(wrong) > 0:
		verdict.Outcome, verdict.Summary = gates.Fail, first(wrong)
		verdict.NextStep = "change the migrations, or the new code: the data itself has not been touched; where a loss is meant, name the table under mayLose"
	case len(unknown) > 0:
		verdict.Outcome, verdict.Summary, verdict.NextStep = gates.Inconclusive, first(unknown), rehearseAgain
	case len(doubts) > 0:
		verdict.Outcome, verdict.Summary, verdict.NextStep = gates.Warn, first(doubts), "see each finding; what is another database's or a Durable Object's is right"
	case len(told.Databases) == 0:
		verdict.Summary = "the app has no database"
	case tried == 0 && sown == "":
		verdict.Summary = "no migration is pending"
	default:
		verdict.Summary = fmt.Sprintf("%s%s on a copy with %s: no row is lost, and the running version's SQL is understood", gates.Counted(tried, "migration"), sown, gates.Counted(int(rows), "row"))
		if smoke.passed {
			verdict.Summary += "; both versions pass the smoke tests there"
		}
	}
	return verdict
}

// problems are what makes the rehearsal a failure whatever the code asks.
func (c rehearsalConfig) problems(database evidence.RehearsedDatabase) []string {
	if failed := database.Failed; failed != nil {
		return []string{fmt.Sprintf("%s was refused: %s", failed.Migration, failed.Message)}
	}
	var found []string
	after := map[string]int64{}
	for _, table := range database.After {
		after[table.Table] = table.Rows
	}
	for _, table := range database.Before {
		rows, there := after[table.Table]
		switch {
		case table.Rows == 0 || rows >= table.Rows || slices.ContainsFunc(c.MayLose, func(name string) bool { return strings.EqualFold(name, table.Table) }):
		case !there:
			found = append(found, fmt.Sprintf("table %s is gone with %s", table.Table, gates.Counted(int(table.Rows), "row")))
		default:
			found = append(found, fmt.Sprintf("table %s has lost %d of %s", table.Table, table.Rows-rows, gates.Counted(int(table.Rows), "row")))
		}
	}
	for _, said := range database.Unsound {
		if !slices.Contains(database.UnsoundBefore, said) {
			found = append(found, said)
		}
	}
	if c.MaxSeconds > 0 && float64(database.Millis) > c.MaxSeconds*1000 {
		found = append(found, fmt.Sprintf("the migrations took %.1f s on the copy, and at most %g s are allowed", float64(database.Millis)/1000, c.MaxSeconds))
	}
	return found
}

// unasked says what nobody knows although the migrations were tried.
func unasked(database evidence.RehearsedDatabase, failed bool) []string {
	switch {
	case failed:
		return nil
	case len(database.Applied) != len(database.Pending):
		return []string{fmt.Sprintf("%s: %d of %s were tried", database.Name, len(database.Applied), gates.Counted(len(database.Pending), "migration"))}
	case database.Live.State != evidence.Present && database.Live.State != evidence.Missing:
		return []string{fmt.Sprintf("%s: nobody knows whether the live version's SQL is still understood: %s", database.Name, database.Live.Reason)}
	case database.Next.State != evidence.Present && database.Next.State != evidence.Missing:
		return []string{fmt.Sprintf("%s: nobody knows whether the new version's SQL is understood: %s", database.Name, database.Next.Reason)}
	default:
		return nil
	}
}

func (c rehearsalConfig) duration(database evidence.RehearsedDatabase) gates.Measurement {
	measured := gates.Measurement{Name: "migrations of " + database.Name, Value: float64(database.Millis) / 1000, Unit: "s"}
	if c.MaxSeconds > 0 {
		measured.Limit, measured.Better = &c.MaxSeconds, "lower"
	}
	return measured
}

func brokenFinding(level gates.Level, whose, database string, broken evidence.BrokenStatement) gates.Finding {
	return gates.Finding{
		Level: level, Rule: "statement", Message: fmt.Sprintf("%s: SQL of %s is not understood after the migrations: %s", database, whose, broken.Message), Detail: broken.SQL,
	}
}

func first(all []string) string {
	if len(all) == 1 {
		return all[0]
	}
	return fmt.Sprintf("%s, and %d more", all[0], len(all)-1)
}
