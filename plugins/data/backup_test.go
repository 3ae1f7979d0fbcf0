package main

import (
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestBackup(t *testing.T) {
	about := func(plan evidence.Plan, backups ...evidence.Backup) gates.Request {
		return gates.Request{Reports: []gates.Report{
			asEvidence(t, gates.ReportPlan, plan),
			asEvidence(t, gates.ReportBackups, evidence.Backups{Header: evidence.Header{TakenAt: now}, Backups: backups}),
		}}
	}
	ago := func(hours float64) time.Time { return now.Add(-time.Duration(hours * float64(time.Hour))) }
	bookmark := func(hours float64) evidence.Backup {
		return evidence.Backup{Kind: evidence.BackupBookmark, Database: "main", At: ago(hours), Bookmark: "b"}
	}
	export := func(hours float64, kept evidence.State) evidence.Backup {
		return evidence.Backup{Kind: evidence.BackupExport, Database: "main", At: ago(hours), Kept: kept, Reason: "the file is gone"}
	}
	drill := func(hours float64) evidence.Backup {
		return evidence.Backup{Kind: evidence.BackupDrill, Database: "main", At: ago(hours)}
	}
	two := planOf()
	two.Databases = append(two.Databases, evidence.DatabasePlan{Name: "second", ID: "2"})
	fresh := planOf()
	fresh.Databases[0].ID = ""
	gap := planOf()
	gap.Gaps = []evidence.Gap{{What: "the migrations of D1 database other", Reason: "not allowed"}}
	unread := about(planOf(), bookmark(1))
	unread.Reports[1].Path = gatetest.Written(t, "{}")

	gatetest.Try(t, backupGate{}, []gatetest.Case{{
		Name: "a fresh bookmark", Request: about(planOf(), bookmark(0.1)), Want: gates.Pass,
		Check: gatetest.Says("1 database, the oldest backup is 6 m old"),
	}, {
		Name: "a fresh export is more than a bookmark", Request: about(planOf(), export(1, evidence.Present)), Want: gates.Pass,
	}, {
		Name: "none", Request: about(planOf()), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("database main has no backup"), gatetest.Finds(gates.Finding{Level: gates.LevelError, Rule: "backup", Message: "database main has no backup"})),
	}, {
		Name: "too old", Request: about(planOf(), bookmark(25)), Want: gates.Fail, Check: gatetest.Says("is 25 h old, and at most 24 h"),
	}, {
		Name: "old enough for another limit", Config: `{"maxAge": "48h"}`, Request: about(planOf(), bookmark(25)), Want: gates.Pass,
	}, {
		Name: "a bookmark is no export", Config: `{"kind": "export"}`, Request: about(planOf(), bookmark(1)), Want: gates.Fail, Check: gatetest.Says("no export that is still there"),
	}, {
		Name: "an export that is gone", Config: `{"kind": "export"}`, Request: about(planOf(), export(1, evidence.Missing)), Want: gates.Fail, Check: gatetest.Says("does not count: the file is gone"),
	}, {
		Name: "an export where nobody can look", Config: `{"kind": "export"}`, Request: about(planOf(), export(1, evidence.Unknown)), Want: gates.Fail,
	}, {
		Name: "an older export that is there", Config: `{"kind": "export"}`, Request: about(planOf(), export(1, evidence.Missing), export(20, evidence.Present)), Want: gates.Pass,
	}, {
		Name: "one of another database", Request: about(two, bookmark(1)), Want: gates.Fail, Check: gatetest.Says("database second has no backup"),
	}, {
		Name: "one from the future", Request: about(planOf(), bookmark(-5)), Want: gates.Fail,
	}, {
		Name: "a drill keeps nothing", Request: about(planOf(), drill(1)), Want: gates.Fail,
	}, {
		Name: "proven by a drill", Config: `{"drillAge": "720h"}`, Request: about(planOf(), bookmark(1), drill(700)), Want: gates.Pass,
	}, {
		Name: "never drilled", Config: `{"drillAge": "720h"}`, Request: about(planOf(), bookmark(1)), Want: gates.Fail, Check: gatetest.Says("nobody has proven"),
	}, {
		Name: "drilled long ago", Config: `{"drillAge": "720h"}`, Request: about(planOf(), bookmark(1), drill(800)), Want: gates.Fail, Check: gatetest.Says("33 d 8 h ago, and at most 30 d are"),
	}, {
		Name: "a database that does not exist yet", Request: about(fresh), Want: gates.Pass,
	}, {
		Name: "no database", Request: about(evidence.Plan{}), Want: gates.Pass,
	}, {
		Name: "a database that could not be read", Request: about(gap, bookmark(1)), Want: gates.Inconclusive, Check: gatetest.Says("not allowed"),
	}, {
		Name: "no evidence", Want: gates.Inconclusive,
	}, {
		Name: "evidence that cannot be read", Request: unread, Want: gates.Inconclusive,
	}})
}
