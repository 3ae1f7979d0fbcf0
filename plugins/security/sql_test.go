package main

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestSQLSnippets(t *testing.T) { gatetest.Try(t, sqlGate{}, snippets(t, "sql")) }

func TestSQL(t *testing.T) {
	clean := "export const one = (env: Env) => env.DB.prepare('SELECT ?').bind(1).first();\n"
	built := "export const bad = (env: Env, id: string) =>\n  env.DB.prepare(`SELECT * FROM t WHERE é = 'é' AND id = '${id}'`).first();\n"
	broken := "export const = ;\n"
	of := func(files ...string) gates.Request { return gates.Request{SourceDir: appOf(t, files...)} }

	gatetest.Try(t, sqlGate{}, []gatetest.Case{{
		Name: "constant", Request: of("src/a.ts", clean), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("all SQL is constant: 1 statement in 1 file"), gatetest.Measures("statements", 1)),
	}, {
		Name: "built", Request: of("src/a.ts", clean, "src/b.ts", built), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 place (2 statements in 2 files)"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "sql-text", File: "src/b.ts", Line: 2, Column: 61,
			Message: "`id` becomes part of the SQL that prepare runs",
			Detail:  "bind it instead: SELECT * FROM t WHERE é = 'é' AND id = ?  with .bind(id)",
		}), gatetest.Measures("findings", 1)),
	}, {
		Name: "no SQL at all", Request: of("src/a.js", "export default {}\n"), Want: gates.Pass, Check: gatetest.Says("0 statements"),
	}, {
		Name: "nothing but types", Request: of("src/env.ts", "export interface Env { DB: D1Database }\n"), Want: gates.Pass,
	}, {
		Name: "not given the source", Want: gates.Inconclusive, Check: gatetest.Says("not given the source"),
	}, {
		Name: "no source", Want: gates.Inconclusive, Check: gatetest.Says("nothing to judge"),
		Request: of("src/a.test.ts", built, "test/b.ts", built, "node_modules/c/d.js", built, "scripts/e.mjs", built, "dist/f.js", built, "src/g.d.ts", built),
	}, {
		Name: "a file that cannot be parsed", Request: of("src/a.ts", clean, "src/b.ts", broken), Want: gates.Inconclusive,
		Check: gatetest.All(gatetest.Says("1 file could not be parsed"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "unread", File: "src/b.ts", Message: `could not be parsed: line 1:14: Expected identifier but found "="`,
		})),
	}, {
		Name: "a defect and a file that cannot be parsed", Request: of("src/a.ts", built, "src/b.ts", broken), Want: gates.Fail,
	}, {
		Name: "a broken file that is left out", Config: `{"exclude": ["src/generated/**"]}`, Want: gates.Pass,
		Request: of("src/a.ts", clean, "src/generated/b.ts", broken),
	}, {
		Name: "scripts when they are named", Config: `{"include": ["scripts/**", "src/**"]}`, Want: gates.Fail,
		Request: of("src/a.ts", clean, "scripts/b.mjs", "db.exec(`DROP TABLE ${process.argv[2]}`);\n"),
	}, {
		Name: "what is left out is still followed", Config: `{"include": ["src/a.ts"]}`, Want: gates.Pass,
		Request: of("src/a.ts", "import { ALL } from './b.js';\nexport const all = (db: D1Database) => db.prepare(ALL).all();\n", "src/b.ts", "export const ALL = 'SELECT * FROM t';\n"),
	}, {
		Name: "a glob that matches nothing", Config: `{"include": ["app/**"]}`, Request: of("src/a.ts", clean), Want: gates.Inconclusive,
	}, {
		Name: "allowed", Want: gates.Pass,
		Request: of("src/a.ts", "export const bad = (db: D1Database, t: 'a' | 'b') => db.exec(`DROP TABLE ${t}`); // penstock-allow sql: its type has two words\n"),
		Check: gatetest.All(gatetest.Says("1 exception allowed by a comment"), gatetest.Measures("allowed", 1), gatetest.Finds(gates.Finding{
			Level: gates.LevelNote, Rule: "sql-text", File: "src/a.ts", Line: 1, Column: 76,
			Message: "`t` becomes part of the SQL that exec runs; allowed: its type has two words",
		})),
	}})
}

// TestAdvice shows what a finding tells to write instead.
func TestAdvice(t *testing.T) {
	t.Parallel()
	for _, one := range []struct{ name, sql, want string }{
		{"equal", "`SELECT * FROM t WHERE a = '${x}' AND b = ?`", "bind it instead: SELECT * FROM t WHERE a = ? AND b = ?  with .bind(x)"},
		{"like", "`SELECT * FROM t WHERE a LIKE '%${x}%'`", "bind it instead: SELECT * FROM t WHERE a LIKE ?  with .bind(`%${x}%`)"},
		{"concatenated", "'SELECT * FROM t WHERE a = ' + x", "bind it instead: SELECT * FROM t WHERE a = ?  with .bind(x)"},
		{"limit", "`SELECT * FROM t LIMIT ${x}`", "bind it instead: SELECT * FROM t LIMIT ?  with .bind(x)"},
		{"order", "`SELECT * FROM t ORDER BY ${x}`", "SQL takes no ? here. Choose the text from a list in the code, such as { newest: 'created_at DESC', title: 'title' }[choice]"},
		{"table", "'SELECT * FROM ' + x", "SQL takes no ? here. Choose the text from a list in the code, such as { newest: 'created_at DESC', title: 'title' }[choice]"},
		{"clause", "`SELECT * FROM t ${x}`", "keep the SQL constant, put ? where values go, and give them to bind(…)"},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			verdict, err := sqlGate{}.Evaluate(t.Context(), &gates.Request{SourceDir: appOf(t, "src/a.ts", "export const f = (db, x) => db.prepare("+one.sql+").all();\n")})
			if err != nil {
				t.Fatal(err)
			}
			if len(verdict.Findings) != 1 || verdict.Findings[0].Detail != one.want {
				t.Errorf("got %+v, want the advice %q", verdict.Findings, one.want)
			}
		})
	}
}
