package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sqlc-dev/meyer/parser"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func file(name, sql string) evidence.Migration {
	return evidence.Migration{Name: name, File: "migrations/" + name, Digest: digest(sql), SQL: sql}
}

func recorded(name, sql string) evidence.Migration {
	one := file(name, sql)
	one.Recorded = one.Digest
	return one
}

// courses is the database as it is.
const courses = "CREATE TABLE courses (id TEXT PRIMARY KEY, title TEXT NOT NULL);\nCREATE TABLE guides (id TEXT);"

// planOf is a plan for a database with one applied migration.
func planOf(pending ...evidence.Migration) evidence.Plan {
	return evidence.Plan{
		Header: evidence.Header{TakenAt: now},
		Databases: []evidence.DatabasePlan{{
			Binding: "DB", Name: "main", ID: "1", Folder: "migrations", Pending: pending, Applied: []evidence.Migration{recorded("0001_first.sql", courses)},
		}},
	}
}

func TestMigrations(t *testing.T) {
	about := func(plan evidence.Plan) gates.Request {
		return gates.Request{Reports: []gates.Report{asEvidence(t, gates.ReportPlan, plan)}}
	}
	sql := func(text string) gates.Request { return about(planOf(file("0002_next.sql", text))) }
	rules := func(want ...string) gatetest.Check {
		return func(t *testing.T, verdict gates.Verdict) {
			t.Helper()
			var got []string
			for _, finding := range verdict.Findings {
				got = append(got, fmt.Sprintf("%s %s:%d %s", finding.Level, finding.File, finding.Line, finding.Rule))
			}
			if !slices.Equal(got, want) {
				t.Errorf("findings:\n got %q\nwant %q\n%+v", got, want, verdict.Findings)
			}
		}
	}
	at := func(level string, line int, rule string) string {
		return fmt.Sprintf("%s migrations/0002_next.sql:%d %s", level, line, rule)
	}

	applied := func(change func(*evidence.Migration)) gates.Request {
		plan := planOf()
		change(&plan.Databases[0].Applied[0])
		return about(plan)
	}
	fresh := planOf(file("0002_next.sql", "DROP TABLE IF EXISTS old;\nCREATE TABLE old (id);"))
	fresh.Databases[0].ID, fresh.Databases[0].Applied = "", nil
	nothingLive := planOf(file("0002_next.sql", "ALTER TABLE guides RENAME TO manuals;"))
	nothingLive.FirstTime = true
	gap := planOf()
	gap.Gaps = []evidence.Gap{{What: "the digests of the applied migrations", Reason: "the ledger is locked"}}

	gatetest.Try(t, migrationsGate{}, []gatetest.Case{{
		Name:    "new tables, columns and rows",
		Request: sql("CREATE TABLE lessons (id TEXT);\nCREATE UNIQUE INDEX l ON lessons (id);\nALTER TABLE courses ADD COLUMN minutes INTEGER NOT NULL DEFAULT 0;\nINSERT INTO courses VALUES ('a', 'b', 1);\nDELETE FROM lessons;\nUPDATE courses SET minutes = 1 WHERE minutes = 0;"),
		Want:    gates.Pass, Check: gatetest.All(gatetest.Says("1 pending migration adds only"), rules(), gatetest.Measures("pending migrations", 1)),
	}, {
		Name: "a table is dropped", Request: sql("\nDROP TABLE Courses;"), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("migrations/0002_next.sql: table courses is dropped with all its rows, and 1 more"), rules(at("error", 2, "destructive"), at("error", 2, "contract"))),
	}, {
		Name: "a column is dropped", Request: sql("ALTER TABLE courses DROP COLUMN title;"), Want: gates.Fail,
		Check: rules(at("error", 1, "destructive"), at("error", 1, "contract"), at("warning", 1, "locking")),
	}, {
		Name: "a column is renamed", Request: sql("ALTER TABLE courses RENAME COLUMN title TO name;"), Want: gates.Fail, Check: rules(at("error", 1, "contract")),
	}, {
		Name: "a table is renamed", Request: sql("ALTER TABLE courses RENAME TO classes;"), Want: gates.Fail, Check: rules(at("error", 1, "contract")),
	}, {
		Name: "a table is renamed, and nothing runs that knows it", Request: about(nothingLive), Want: gates.Pass, Check: rules(),
	}, {
		Name: "a table is made anew", Want: gates.Fail, Check: rules(at("error", 3, "destructive"), at("warning", 3, "locking")),
		Request: sql("CREATE TABLE fresh (id TEXT);\nINSERT INTO fresh SELECT id FROM courses;\nDROP TABLE courses;\nALTER TABLE fresh RENAME TO courses;"),
	}, {
		Name: "what a migration made, a later one may drop", Want: gates.Pass,
		Request: about(planOf(file("0002_next.sql", "CREATE TABLE a (id);"), file("0003_more.sql", "ALTER TABLE a RENAME TO b; DROP TABLE b;"))),
	}, {
		Name: "what may have been there before is not made here", Want: gates.Fail, Check: rules(at("error", 2, "destructive")),
		Request: sql("CREATE TABLE IF NOT EXISTS old (id TEXT, a TEXT);\nDELETE FROM old WHERE id = 'x';\nCREATE INDEX o ON old (id);"),
	}, {
		Name: "a column of what may have been there before", Want: gates.Fail, Check: rules(at("error", 2, "destructive")),
		Request: sql("CREATE TABLE IF NOT EXISTS old (id TEXT, a TEXT);\nALTER TABLE old DROP COLUMN a;"),
	}, {
		Name: "a virtual table that is there already", Want: gates.Fail, Check: rules(at("error", 2, "destructive"), at("error", 2, "contract")),
		Request: sql("CREATE VIRTUAL TABLE IF NOT EXISTS courses USING fts5(title);\nDROP TABLE courses;"),
	}, {
		Name: "a copy that takes no name is no replacement", Want: gates.Fail, Check: rules(at("note", 4, "destructive"), at("error", 4, "contract")),
		Request: sql("CREATE TABLE archive (id TEXT);\nINSERT INTO archive SELECT id FROM courses;\n-- penstock-allow destructive: archive has them\nDROP TABLE courses;"),
	}, {
		Name: "a copy that holds the only rows", Want: gates.Fail, Check: rules(at("note", 4, "destructive"), at("warning", 4, "locking"), at("error", 6, "destructive"), at("error", 7, "contract")),
		Request: sql("CREATE TABLE fresh (id TEXT, title TEXT);\nINSERT INTO fresh SELECT id, title FROM courses;\n-- penstock-allow destructive: fresh has them\nDROP TABLE courses;\n" +
			"ALTER TABLE fresh RENAME TO courses;\nDELETE FROM courses;\nALTER TABLE courses RENAME COLUMN title TO name;"),
	}, {
		Name: "a trigger on what is new that deletes what is not", Want: gates.Fail, Check: rules(at("error", 2, "destructive")),
		Request: sql("CREATE TABLE lessons (id TEXT);\nCREATE TRIGGER t AFTER INSERT ON lessons BEGIN DELETE FROM courses; END;\nINSERT INTO lessons VALUES ('a');"),
	}, {
		Name: "a trigger is dropped", Request: sql("DROP TRIGGER t;"), Want: gates.Fail, Check: rules(at("error", 1, "contract")),
	}, {
		Name: "all rows are written, with a condition that is none", Request: sql("UPDATE courses SET title = '' WHERE 1 = 1;"), Want: gates.Fail,
		Check: rules(at("error", 1, "destructive"), at("warning", 1, "locking")),
	}, {
		Name: "rows in the way of an update are replaced", Request: sql("UPDATE OR REPLACE courses SET id = 'a' WHERE id = 'b';"), Want: gates.Fail,
		Check: rules(at("error", 1, "destructive")),
	}, {
		Name: "rows are deleted", Request: sql("DELETE FROM courses WHERE id = 'x';"), Want: gates.Fail, Check: rules(at("error", 1, "destructive")),
	}, {
		Name: "all rows are written", Request: sql("UPDATE courses SET title = '';"), Want: gates.Fail, Check: rules(at("error", 1, "destructive"), at("warning", 1, "locking")),
	}, {
		Name: "rows are replaced", Request: sql("INSERT OR REPLACE INTO courses VALUES ('a', 'b');"), Want: gates.Fail, Check: rules(at("error", 1, "destructive")),
	}, {
		Name: "a column that the running version does not fill", Request: sql("ALTER TABLE courses ADD COLUMN minutes INTEGER NOT NULL;"), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("NOT NULL without a default"), rules(at("error", 1, "contract"))),
	}, {
		Name: "a unique column", Request: sql("ALTER TABLE courses ADD COLUMN slug TEXT UNIQUE;"), Want: gates.Fail, Check: rules(at("error", 1, "refused")),
	}, {
		Name: "an index over what is there", Request: sql("CREATE INDEX t ON courses (title);"), Want: gates.Warn, Check: gatetest.All(gatetest.Says("every row of courses"), rules(at("warning", 1, "locking"))),
	}, {
		Name: "an index that may refuse what the running version writes", Request: sql("CREATE UNIQUE INDEX t ON courses (title);"), Want: gates.Fail,
		Check: rules(at("warning", 1, "locking"), at("error", 1, "contract")),
	}, {
		Name: "a trigger on what is there", Request: sql("CREATE TRIGGER t AFTER INSERT ON courses BEGIN DELETE FROM guides; END;"), Want: gates.Fail, Check: rules(at("error", 1, "contract")),
	}, {
		Name: "transaction statements, which D1 refuses", Request: sql("BEGIN TRANSACTION;\nCREATE TABLE a (id);\nCOMMIT;"), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("D1 takes no transaction statements"), rules(at("error", 1, "refused"), at("error", 3, "refused"))),
	}, {
		Name: "foreign keys cannot be turned off", Request: sql("PRAGMA foreign_keys = OFF;"), Want: gates.Fail, Check: gatetest.Says("defer_foreign_keys"),
	}, {
		Name: "a pragma that D1 takes", Request: sql("PRAGMA defer_foreign_keys = on;"), Want: gates.Pass,
	}, {
		Name: "allowed, with a reason", Request: sql("-- penstock-allow destructive: nobody reads it since 1.4\n-- penstock-allow contract: the same\nDROP TABLE courses;"), Want: gates.Pass,
		Check: rules(at("note", 3, "destructive"), at("note", 3, "contract")),
	}, {
		Name: "allowed for another statement", Want: gates.Fail,
		Request: sql("-- penstock-allow destructive: nobody reads it\nDELETE FROM courses WHERE id = 'x';\nDELETE FROM guides;"), Check: rules(at("note", 2, "destructive"), at("error", 3, "destructive")),
	}, {
		Name: "allowed without a reason is not allowed", Request: sql("ALTER TABLE courses RENAME TO classes; -- penstock-allow contract"), Want: gates.Fail, Check: gatetest.Says("gives no reason"),
	}, {
		Name: "what D1 refuses cannot be allowed", Request: sql("BEGIN; -- penstock-allow refused: please"), Want: gates.Fail,
	}, {
		Name: "a mild config", Config: `{"destructive": "warn", "contract": "ignore"}`, Request: sql("DROP TABLE courses;"), Want: gates.Warn, Check: rules(at("warning", 1, "destructive")),
	}, {
		Name: "a strict config", Config: `{"locking": "fail"}`, Request: sql("CREATE INDEX t ON courses (title);"), Want: gates.Fail,
	}, {
		Name: "a database that does not exist yet", Request: about(fresh), Want: gates.Pass,
	}, {
		Name: "an applied file was edited", Want: gates.Fail,
		Request: applied(func(m *evidence.Migration) { m.Digest = digest("something else") }),
		Check:   gatetest.All(gatetest.Says("0001_first.sql was changed after it was applied to main"), rules("error migrations/0001_first.sql:0 edited")),
	}, {
		Name: "an applied file is gone", Want: gates.Fail, Check: gatetest.Says("its file is gone"),
		Request: applied(func(m *evidence.Migration) { m.File, m.Digest, m.SQL = "", "", "" }),
	}, {
		Name: "applied by somebody else", Want: gates.Pass, Check: gatetest.Says("penstock does not know what was applied"),
		Request: applied(func(m *evidence.Migration) { m.Recorded = "" }),
	}, {
		Name: "a file before an applied one", Request: about(planOf(file("0000_earlier.sql", "CREATE TABLE a (id);"))), Want: gates.Fail,
		Check: gatetest.Says("0000_earlier.sql comes before 0001_first.sql, which is applied"),
	}, {
		Name: "two files with one number", Want: gates.Fail, Check: gatetest.Says("0002_b.sql has the number of 0002_a.sql"),
		Request: about(planOf(file("0002_a.sql", "CREATE TABLE a (id);"), file("0002_b.sql", "CREATE TABLE b (id);"))),
	}, {
		Name: "SQL that nobody can read", Request: sql("CREATE TABEL a (id);"), Want: gates.Inconclusive,
		Check: gatetest.All(gatetest.Says(`0002_next.sql cannot be read as SQL: 1:8: near "TABEL": syntax error`), rules(at("error", 1, "syntax"))),
	}, {
		Name: "a bad statement beside SQL that nobody can read", Want: gates.Fail,
		Request: about(planOf(file("0002_next.sql", "DROP TABLE courses;"), file("0003_more.sql", "CREATE TABEL a (id);"))),
	}, {
		Name: "nothing is pending", Request: about(planOf()), Want: gates.Pass, Check: gatetest.Says("no migration is pending"),
	}, {
		Name: "no database", Request: about(evidence.Plan{}), Want: gates.Pass, Check: gatetest.Says("has no database"),
	}, {
		Name: "a gap", Request: about(gap), Want: gates.Inconclusive, Check: gatetest.Says("the ledger is locked"),
	}, {
		Name: "no plan", Want: gates.Inconclusive,
	}, {
		Name: "a plan that cannot be read", Want: gates.Inconclusive,
		Request: gates.Request{Reports: []gates.Report{{Kind: gates.ReportPlan, Path: gatetest.Written(t, "{}")}}},
	}})
}

// TestMigrationsOfTheExample holds the parser to real files: no complaint about the app that we ship.
func TestMigrationsOfTheExample(t *testing.T) {
	paths, err := filepath.Glob("../../examples/atomic-guide/migrations/*.sql")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no migrations", err)
	}
	plan := planOf()
	plan.Databases[0].Applied = nil
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		plan.Databases[0].Pending = append(plan.Databases[0].Pending, file(filepath.Base(path), string(text)))
	}
	gatetest.Run(t, migrationsGate{}, []gatetest.Case{{
		Name: "atomic-guide", Want: gates.Pass, Check: gatetest.Says("3 pending migrations add"),
		Request: gates.Request{Reports: []gates.Report{asEvidence(t, gates.ReportPlan, plan)}},
	}})
}

func FuzzJudgeSQL(f *testing.F) {
	for _, seed := range []string{courses, "DROP TABLE a", "ALTER TABLE a ADD COLUMN b UNIQUE", "INSERT INTO a SELECT * FROM (SELECT 1)", "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END", "PRAGMA x = 1", "DELETE FROM main.a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		found, err := judgeSQL(file("1.sql", sql), schemaOf([]evidence.Migration{file("0.sql", sql)}), true)
		if _, parsing := parser.ParseString(sql); (parsing == nil) != (err == nil) {
			t.Errorf("the parser says %v, the gate %v", parsing, err)
		}
		for _, finding := range found {
			if finding.Line < 1 || finding.Line > strings.Count(sql, "\n")+1 {
				t.Errorf("line %d of %q", finding.Line, sql)
			}
		}
	})
}
