package main

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// backupGate asks whether there is something fresh and proven to go back to.
type backupGate struct{}

type backupConfig struct {
	Kind   string `json:"kind"`
	MaxAge string `json:"maxAge"`
	// DrillAge is how long ago a restore must have been proven at most; "" asks for none.
	DrillAge string `json:"drillAge"`
}

const howToBackUp = "run `penstock backup --env NAME` (exports), or let the environment's promotions take one: backup: bookmark or export in penstock.yaml"

func (backupGate) Describe() gates.Description {
	return gates.Description{
		Name:    "backup",
		Title:   "there is a fresh and proven backup",
		Phases:  []gates.Phase{gates.PhasePlan, gates.PhasePromote, gates.PhaseBake},
		Reports: []gates.Report{{Kind: gates.ReportPlan}, {Kind: gates.ReportBackups}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"kind": {"enum": ["bookmark", "export"], "default": "bookmark", "description": "bookmark: a moment that Time Travel can go back to will do; export: a proven copy outside the database is wanted"},
				"maxAge": {"type": "string", "pattern": "^[0-9]+(h|m|s)([0-9]+(m|s))*$", "default": "24h", "description": "how old it may be"},
				"drillAge": {"type": "string", "pattern": "^[0-9]+(h|m|s)([0-9]+(m|s))*$", "description": "how long ago at most a restore must have been proven with penstock drill; without it nobody asks"}
			}
		}`,
	}
}

func (backupGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := backupConfig{Kind: evidence.BackupBookmark, MaxAge: "24h"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	maxAge, err := time.ParseDuration(config.MaxAge)
	if err != nil {
		return nil, fmt.Errorf("read maxAge: %w", err)
	}
	var drillAge time.Duration
	if config.DrillAge != "" {
		if drillAge, err = time.ParseDuration(config.DrillAge); err != nil {
			return nil, fmt.Errorf("read drillAge: %w", err)
		}
	}
	plan, refusal := readPlan(request)
	if refusal != nil {
		return refusal, nil
	}
	reports := request.ReportsOf(gates.ReportBackups)
	if len(reports) != 1 {
		return gates.Undecided("report this: penstock gathers the evidence for each gate that names it", "nobody looked for backups"), nil
	}
	told, err := evidence.ReadBackups(reports[0].Path)
	if err != nil {
		return gates.Undecided("mend what kept the evidence away, then run the same command again", "%v", err), nil
	}
	return config.judge(plan, told, maxAge, drillAge), nil
}

// judge asks for each database that exists. Ages are counted to the moment at which the evidence was gathered.
func (c backupConfig) judge(plan evidence.Plan, told evidence.Backups, maxAge, drillAge time.Duration) *gates.Verdict {
	verdict := &gates.Verdict{Outcome: gates.Pass}
	var missing []string
	asked := 0
	oldest := time.Duration(0)
	for _, database := range plan.Databases {
		if database.ID == "" {
			continue // nothing can be lost yet
		}
		asked++
		best, refused := c.newest(told, database.Name)
		switch {
		case best == nil:
			missing = append(missing, fmt.Sprintf("database %s has no %s%s", database.Name, c.wanted(), refused))
		case told.TakenAt.Sub(best.At) > maxAge:
			missing = append(missing, fmt.Sprintf("the last %s of database %s is %s old, and at most %s are allowed%s", best.Kind, database.Name, gates.Span(max(told.TakenAt.Sub(best.At), 0)), gates.Span(maxAge), refused))
		default:
			oldest = max(oldest, told.TakenAt.Sub(best.At))
		}
		if drillAge > 0 {
			if problem := drilled(told, database.Name, drillAge); problem != "" {
				missing = append(missing, problem)
			}
		}
	}
	switch {
	case len(missing) > 0:
		for _, one := range missing {
			verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelError, Rule: "backup", Message: one})
		}
		verdict.Outcome, verdict.Summary, verdict.NextStep = gates.Fail, first(missing), howToBackUp
	case len(plan.Gaps) > 0:
		return gates.Undecided("mend what kept it from being read, and run the same command again", "not known: %s: %s", plan.Gaps[0].What, plan.Gaps[0].Reason)
	case asked == 0:
		verdict.Summary = "there is no database yet whose data could be lost"
	default:
		limit := maxAge.Hours()
		verdict.Summary = fmt.Sprintf("%s, the oldest backup is %s old", gates.Counted(asked, "database"), gates.Span(oldest))
		verdict.Measurements = []gates.Measurement{{Name: "age of the oldest backup", Value: oldest.Hours(), Unit: "h", Limit: &limit, Better: "lower"}}
	}
	return verdict
}

// newest is the newest backup of a database that counts, and why newer ones do not.
func (c backupConfig) newest(told evidence.Backups, database string) (best *evidence.Backup, refused string) {
	for i, backup := range told.Backups {
		if backup.Database != database || backup.At.After(told.TakenAt.Add(time.Minute)) {
			continue
		}
		switch backup.Kind {
		case evidence.BackupBookmark:
			if c.Kind != evidence.BackupBookmark || backup.Bookmark == "" {
				continue
			}
		case evidence.BackupExport:
			if backup.Kept != evidence.Present {
				if refused == "" {
					refused = fmt.Sprintf(" (the export of %s UTC does not count: %s)", backup.At.UTC().Format("2006-01-02 15:04"), backup.Reason)
				}
				continue
			}
		default:
			continue // a drill keeps nothing
		}
		if best == nil || backup.At.After(best.At) {
			best = &told.Backups[i]
		}
	}
	return best, refused
}

func (c backupConfig) wanted() string {
	if c.Kind == evidence.BackupExport {
		return "export that is still there"
	}
	return "backup"
}

// drilled says what is wrong about the last proof that a database can be restored, "" for nothing.
func drilled(told evidence.Backups, database string, limit time.Duration) string {
	var last time.Time
	for _, backup := range told.Backups {
		if backup.Kind == evidence.BackupDrill && backup.Database == database && backup.At.After(last) {
			last = backup.At
		}
	}
	switch {
	case last.IsZero():
		return fmt.Sprintf("nobody has proven that database %s can be restored: run `penstock drill`", database)
	case told.TakenAt.Sub(last) > limit:
		return fmt.Sprintf("that database %s can be restored was proven %s ago, and at most %s are allowed: run `penstock drill`", database, gates.Span(max(told.TakenAt.Sub(last), 0)), gates.Span(limit))
	default:
		return ""
	}
}
