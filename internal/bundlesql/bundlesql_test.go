package bundlesql_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/bundlesql"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code string
		want []string
	}{
		"strings, templates and constants that are added up": {
			"env.DB.prepare('SELECT id FROM a'); env.DB.prepare(`\n  INSERT INTO a\n  VALUES (?)`); const q = 'UPDATE a ' + 'SET b = 1';",
			[]string{"INSERT INTO a\n  VALUES (?)", "SELECT id FROM a", "UPDATE a SET b = 1"},
		},
		"each once, wherever it stands": {
			"class A { #p = 'DELETE FROM a'; static { this.x = ['DELETE FROM a']; } async *g() { for await (const r of f`x${1}`) yield r?.['select 1 from b'] ?? 1n; } }",
			[]string{"DELETE FROM a", "select 1 from b"},
		},
		"with": {"x('WITH t AS (SELECT 1) SELECT * FROM t')", []string{"WITH t AS (SELECT 1) SELECT * FROM t"}},
		"no statements": {
			"x('Select a course', 'update', 'insert into', `SELECT ${name} FROM a`, /SELECT a/, 'DELETE', 'with care'); // 'SELECT 1'",
			[]string{"Select a course"}, // a database will tell it from SQL
		},
		"nothing": {"", nil},
	} {
		got, err := bundlesql.Find("worker.js", []byte(test.code))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := bundlesql.Find("worker.js", []byte("const {")); err == nil || !strings.Contains(err.Error(), "worker.js") {
		t.Errorf("broken code: %v", err)
	}
}
