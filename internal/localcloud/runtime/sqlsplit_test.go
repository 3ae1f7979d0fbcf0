package runtime

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitSQL(t *testing.T) {
	t.Parallel()
	trigger := "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  UPDATE a SET x = CASE WHEN y THEN 1 END;\n  DELETE FROM b;\nEND"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"space and comments only", " ;; -- x; y\n /* ; */ ;", nil},
		{"one", "SELECT 1", []string{"SELECT 1"}},
		{"one closed", " SELECT 1 ; ", []string{"SELECT 1"}},
		{"two", "SELECT 1;SELECT 2", []string{"SELECT 1", "SELECT 2"}},
		{"strings", `SELECT ';', "a;b", ` + "`c;d`" + `, [e;f]; SELECT 2`,
			[]string{`SELECT ';', "a;b", ` + "`c;d`" + `, [e;f]`, "SELECT 2"}},
		{"doubled quote", "SELECT 'it''s; fine'; SELECT 2", []string{"SELECT 'it''s; fine'", "SELECT 2"}},
		{"backslash is no escape", `SELECT '\'; SELECT 2`, []string{`SELECT '\'`, "SELECT 2"}},
		{"comments", "SELECT 1 -- one; '\n; /* two; ' */ SELECT 2", []string{"SELECT 1 -- one; '", "/* two; ' */ SELECT 2"}},
		{"no nested comments", "/* a /* b */ SELECT 1; SELECT 2", []string{"/* a /* b */ SELECT 1", "SELECT 2"}},
		{"minus minus", "SELECT 1 - -1; SELECT 2", []string{"SELECT 1 - -1", "SELECT 2"}},
		{"trigger", trigger + ";\nSELECT 2;", []string{trigger, "SELECT 2"}},
		{"trigger last and open", "SELECT 1;" + trigger, []string{"SELECT 1", trigger}},
		{"temp trigger", "create temp trigger x after delete on a begin select 1; end; select 2",
			[]string{"create temp trigger x after delete on a begin select 1; end", "select 2"}},
		{"comment before END", "CREATE TRIGGER x AFTER DELETE ON a BEGIN SELECT 1; -- ;\n END /* ; */ ; SELECT 2",
			[]string{"CREATE TRIGGER x AFTER DELETE ON a BEGIN SELECT 1; -- ;\n END /* ; */", "SELECT 2"}},
		{"column named end", "CREATE TRIGGER x AFTER DELETE ON a BEGIN SELECT 1; SELECT \"end\"; END; SELECT 2",
			[]string{"CREATE TRIGGER x AFTER DELETE ON a BEGIN SELECT 1; SELECT \"end\"; END", "SELECT 2"}},
		{"explain trigger", "EXPLAIN QUERY PLAN CREATE TRIGGER x AFTER DELETE ON a BEGIN SELECT 1; END; SELECT 2",
			[]string{"EXPLAIN QUERY PLAN CREATE TRIGGER x AFTER DELETE ON a BEGIN SELECT 1; END", "SELECT 2"}},
		{"table named trigger", "CREATE TABLE trigger (a); SELECT 2", []string{"CREATE TABLE trigger (a)", "SELECT 2"}},
		{"byte order mark", "\ufeff" + trigger + "; \ufeff;", []string{"\ufeff" + trigger}},
		{"drop trigger", "DROP TRIGGER x; SELECT 2", []string{"DROP TRIGGER x", "SELECT 2"}},
		{"case end", "SELECT CASE WHEN 1 THEN 2 END; SELECT 2", []string{"SELECT CASE WHEN 1 THEN 2 END", "SELECT 2"}},
		{"open string", "SELECT 1; SELECT 'a; b", []string{"SELECT 1", "SELECT 'a; b"}},
		{"open comment", "SELECT 1; /* a; b", []string{"SELECT 1"}},
		{"names above ASCII", "SELECT ü;SELECT 2", []string{"SELECT ü", "SELECT 2"}},
		{"wrangler's migration", "CREATE TABLE a (id);\n\nINSERT INTO d1_migrations (name)\nvalues ('0001_a.sql');",
			[]string{"CREATE TABLE a (id)", "INSERT INTO d1_migrations (name)\nvalues ('0001_a.sql')"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, SplitSQL(tt.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzSplitSQL: no statement's text is lost or invented, and splitting again changes nothing.
func FuzzSplitSQL(f *testing.F) {
	for _, seed := range []string{
		"SELECT 1; SELECT ';'", "CREATE TRIGGER a BEGIN; END; x", "/*", "--", "'", "[", "CREATE TEMP TRIGGER a;END", "EXPLAIN CREATE;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		statements := SplitSQL(text)
		rest := text
		for _, s := range statements {
			if s == "" || strings.Trim(s, sqlBlanks) != s {
				t.Fatalf("a statement is %q", s)
			}
			i := strings.Index(rest, s)
			if i < 0 {
				t.Fatalf("%q is not in the rest of the text", s)
			}
			rest = rest[i+len(s):]
		}
		for _, s := range statements {
			// A trailing comment hides the end of the line, so each is looked at alone.
			if again := SplitSQL(s); len(again) != 1 || again[0] != s {
				t.Fatalf("%q splits again into %q", s, again)
			}
		}
	})
}
