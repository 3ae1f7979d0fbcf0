package main

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// rehearsed is a rehearsal of one database that went well, changed as told.
func rehearsed(change func(*evidence.RehearsedDatabase)) evidence.Rehearsal {
	database := evidence.RehearsedDatabase{
		Binding: "DB", Name: "main", State: evidence.Present, Copied: true,
		Pending: []string{"0002_next.sql"}, Applied: []string{"0002_next.sql"}, Millis: 1500,
		Before: []evidence.TableRows{{Table: "courses", Rows: 7}, {Table: "notes", Rows: 0}},
		After:  []evidence.TableRows{{Table: "courses", Rows: 7}, {Table: "lessons", Rows: 0}},
		Live:   evidence.Statements{State: evidence.Present, Tried: 3}, Next: evidence.Statements{State: evidence.Present, Tried: 4},
	}
	if change != nil {
		change(&database)
	}
	return evidence.Rehearsal{Header: evidence.Header{TakenAt: now}, Databases: []evidence.RehearsedDatabase{database}, Smoke: evidence.RehearsedSmoke{State: evidence.Missing}}
}

func TestRehearsal(t *testing.T) {
	of := func(told evidence.Rehearsal) gates.Request {
		return gates.Request{Reports: []gates.Report{asEvidence(t, gates.ReportRehearsal, told)}}
	}
	about := func(change func(*evidence.RehearsedDatabase)) gates.Request { return of(rehearsed(change)) }
	loses := about(func(d *evidence.RehearsedDatabase) { d.After = []evidence.TableRows{{Table: "courses", Rows: 5}} })
	gap := rehearsed(nil)
	gap.Gaps = []evidence.Gap{{What: "something", Reason: "nobody answered"}}

	gatetest.Try(t, rehearsalGate{}, []gatetest.Case{{
		Name: "it went well", Request: about(nil), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("1 migration on a copy with 7 rows: no row is lost"), gatetest.Measures("migrations of main", 1.5)),
	}, {
		Name: "a seed behind the migrations", Want: gates.Pass, Check: gatetest.Says("1 migration and seed/first.sql on a copy"),
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.Pending, d.Applied, d.Seed = append(d.Pending, "seed/first.sql"), append(d.Applied, "seed/first.sql"), "seed/first.sql"
		}),
	}, {
		Name: "a seed that is refused", Want: gates.Fail, Check: gatetest.Says("seed/first.sql was refused: UNIQUE constraint failed"),
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.Pending, d.Seed = append(d.Pending, "seed/first.sql"), "seed/first.sql"
			d.Failed = &evidence.RehearsalFailure{Migration: "seed/first.sql", Message: "UNIQUE constraint failed"}
		}),
	}, {
		Name: "rows are lost", Request: loses, Want: gates.Fail, Check: gatetest.Says("main: table courses has lost 2 of 7 rows"),
	}, {
		Name: "rows are lost that may be", Config: `{"mayLose": ["Courses"]}`, Request: loses, Want: gates.Pass,
	}, {
		Name: "a table is gone", Want: gates.Fail, Check: gatetest.Says("table courses is gone with 7 rows"),
		Request: about(func(d *evidence.RehearsedDatabase) { d.After = nil }),
	}, {
		Name: "a migration was refused", Want: gates.Fail, Check: gatetest.Says("0002_next.sql was refused: no such table: away"),
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.Applied, d.After, d.Failed = nil, nil, &evidence.RehearsalFailure{Migration: "0002_next.sql", Message: "no such table: away"}
		}),
	}, {
		Name: "foreign keys are broken", Want: gates.Fail, Check: gatetest.Says("refers to a row of courses"),
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.Unsound = []string{"row 1 of notes refers to a row of courses that is not there"}
		}),
	}, {
		Name: "foreign keys that were broken before", Want: gates.Pass,
		Request: about(func(d *evidence.RehearsedDatabase) { d.Unsound, d.UnsoundBefore = []string{"x"}, []string{"x"} }),
	}, {
		Name: "the live version's SQL breaks", Want: gates.Fail,
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.Live.Broken = []evidence.BrokenStatement{{SQL: "SELECT title FROM courses", Message: "no such column: title"}}
		}),
		Check: gatetest.All(gatetest.Says("the live version asks for what is gone then: no such column: title"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "statement", Message: "main: SQL of the live version is not understood after the migrations: no such column: title", Detail: "SELECT title FROM courses",
		})),
	}, {
		Name: "the new version's SQL may be another database's", Want: gates.Warn, Check: gatetest.Says("the new version asks for what is not there"),
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.Next.Broken = []evidence.BrokenStatement{{SQL: "SELECT n FROM counters", Message: "no such table: counters"}}
		}),
	}, {
		Name: "it took too long", Config: `{"maxSeconds": 1}`, Request: about(nil), Want: gates.Fail, Check: gatetest.Says("took 1.5 s"),
	}, {
		Name: "a copy is left behind", Want: gates.Warn, Check: gatetest.Says("wrangler d1 delete copy"),
		Request: about(func(d *evidence.RehearsedDatabase) { d.Left = "copy" }),
	}, {
		Name: "it could not be tried", Want: gates.Inconclusive, Check: gatetest.Says("could not be tried: no export"),
		Request: about(func(d *evidence.RehearsedDatabase) { d.State, d.Reason = evidence.Unknown, "no export" }),
	}, {
		Name: "a state that nobody knows", Want: gates.Inconclusive, Request: about(func(d *evidence.RehearsedDatabase) { d.State = "" }),
	}, {
		Name: "only some were tried", Want: gates.Inconclusive, Request: about(func(d *evidence.RehearsedDatabase) { d.Applied = nil }),
	}, {
		Name: "the live code could not be read", Want: gates.Inconclusive, Check: gatetest.Says("nobody knows whether the live version's SQL"),
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.Live = evidence.Statements{State: evidence.Unknown, Reason: "no"}
		}),
	}, {
		Name: "nothing is live", Want: gates.Pass, Request: about(func(d *evidence.RehearsedDatabase) { d.Live = evidence.Statements{State: evidence.Missing} }),
	}, {
		Name: "a gap", Request: of(gap), Want: gates.Inconclusive, Check: gatetest.Says("nobody answered"),
	}, {
		Name: "nothing is pending", Want: gates.Pass, Check: gatetest.Says("no migration is pending"),
		Request: about(func(d *evidence.RehearsedDatabase) {
			d.State, d.Pending, d.Applied, d.Live.State, d.Next.State = evidence.Missing, nil, nil, "", ""
		}),
	}, {
		Name: "no database", Request: of(evidence.Rehearsal{}), Want: gates.Pass,
	}, {
		Name: "no rehearsal", Want: gates.Inconclusive,
	}, {
		Name: "a rehearsal that cannot be read", Want: gates.Inconclusive,
		Request: gates.Request{Reports: []gates.Report{{Kind: gates.ReportRehearsal, Path: gatetest.Written(t, "{}")}}},
	}})
}

func TestSmokeTestsOnCopies(t *testing.T) {
	passed := evidence.SmokeTrial{OK: true, Summary: "all well"}
	failed := evidence.SmokeTrial{Summary: "GET / says 500", Lines: []string{"GET / → 500"}}
	about := func(smoke evidence.RehearsedSmoke) gates.Request {
		told := rehearsed(nil)
		told.Smoke = smoke
		return gates.Request{Reports: []gates.Report{asEvidence(t, gates.ReportRehearsal, told)}}
	}
	asked := func(live, next evidence.SmokeTrial, control *evidence.SmokeTrial) evidence.RehearsedSmoke {
		return evidence.RehearsedSmoke{State: evidence.Present, Live: live, Next: next, Control: control}
	}
	lacking := failed
	lacking.StandIns = []string{"NEW_KEY"}
	unknown := evidence.RehearsedSmoke{State: evidence.Unknown, Reason: "there is no workerd"}

	gatetest.Try(t, rehearsalGate{}, []gatetest.Case{{
		Name: "both pass", Config: `{"smoke": "required"}`, Request: about(asked(passed, passed, nil)), Want: gates.Pass,
		Check: gatetest.Says("both versions pass the smoke tests there"),
	}, {
		Name: "the live version breaks", Request: about(asked(failed, passed, &passed)), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("the live version does not pass the smoke tests after the migrations, and does before: GET / says 500"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "smoke", Detail: "GET / → 500",
			Message: "the live version does not pass the smoke tests after the migrations, and does before: GET / says 500",
		})),
	}, {
		Name: "the new version does not work", Request: about(asked(passed, failed, &passed)), Want: gates.Fail,
		Check: gatetest.Says("the new version does not pass the smoke tests on the migrated copy"),
	}, {
		Name: "the copies lack what the tests ask for", Request: about(asked(failed, failed, &failed)), Want: gates.Pass,
		Check: gatetest.Finds(gates.Finding{
			Level: gates.LevelNote, Rule: "smoke",
			Message: "the smoke tests say nothing of the migrations: the live version does not pass them on a copy of the data as it is either: GET / says 500",
		}),
	}, {
		Name: "the copies lack it and it is required", Config: `{"smoke": "required"}`, Request: about(asked(failed, failed, &failed)), Want: gates.Inconclusive,
	}, {
		Name: "nobody asked the control", Config: `{"smoke": "required"}`, Request: about(asked(failed, passed, nil)), Want: gates.Inconclusive, Check: gatetest.Says("nobody asked it"),
	}, {
		Name: "a secret of the new version alone", Config: `{"smoke": "required"}`, Request: about(asked(passed, lacking, &passed)), Want: gates.Inconclusive,
		Check: gatetest.Says("maybe for want of the true NEW_KEY"),
	}, {
		Name: "it could not be run", Request: about(unknown), Want: gates.Pass,
		Check: gatetest.Finds(gates.Finding{Level: gates.LevelNote, Rule: "smoke", Message: "the smoke tests could not be run on a copy: there is no workerd"}),
	}, {
		Name: "it could not be run and is required", Config: `{"smoke": "required"}`, Request: about(unknown), Want: gates.Inconclusive, Check: gatetest.Says("there is no workerd"),
	}, {
		Name: "a state that nobody knows", Config: `{"smoke": "required"}`, Request: about(evidence.RehearsedSmoke{}), Want: gates.Inconclusive,
	}, {
		Name: "there is nothing to ask", Config: `{"smoke": "required"}`, Request: about(evidence.RehearsedSmoke{State: evidence.Missing}), Want: gates.Pass,
	}})
}
