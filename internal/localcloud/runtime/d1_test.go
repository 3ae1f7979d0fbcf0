package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func query(t testing.TB, d *D1, sql string, params ...any) []D1Result {
	t.Helper()
	results, err := d.Query(t.Context(), "db", []Statement{{SQL: sql, Params: params}})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return results
}

func queryText(t testing.TB, d *D1, sql string, params ...any) string {
	t.Helper()
	results := query(t, d, sql, params...)
	var all []string
	for _, r := range results {
		for _, o := range r.Objects() {
			all = append(all, string(o))
		}
	}
	return strings.Join(all, " ")
}

func TestD1(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	d := r.D1()

	t.Run("never used", func(t *testing.T) {
		if size, err := d.Size("absent"); size != 0 || err != nil {
			t.Errorf("size = %d, %v", size, err)
		}
		if d.worker != nil {
			t.Error("a worker runs though nothing was asked")
		}
	})

	t.Run("statements and meta", func(t *testing.T) {
		results := query(t, d, `
			CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, b BLOB, f REAL); -- ; a comment
			CREATE TABLE log (v TEXT);
			CREATE TRIGGER tr AFTER INSERT ON t BEGIN
				INSERT INTO log VALUES (CASE WHEN new.v IS NULL THEN ';' ELSE new.v END);
				UPDATE t SET f = 1.5 WHERE id = new.id;
			END;
			INSERT INTO t (v, b) VALUES (?, ?)`, "x;'y", []byte{0, 255})
		if len(results) != 4 {
			t.Fatalf("%d results", len(results))
		}
		meta := results[3].Meta
		if meta.SizeAfter <= 0 || meta.Duration <= 0 {
			t.Errorf("meta = %+v", meta)
		}
		meta.SizeAfter, meta.Duration = 0, 0
		want := D1Meta{ServedBy: "penstock.local", Changes: 3, LastRowID: 1, ChangedDB: true, RowsRead: 1, RowsWritten: 3}
		if diff := cmp.Diff(want, meta); diff != "" {
			t.Errorf("meta (-want +got):\n%s", diff)
		}
		got := queryText(t, d, "SELECT v FROM log; SELECT id, v, b, f, NULL AS n, ? AS yes FROM t", true)
		if want := `{"v":"x;'y"} {"id":1,"v":"x;'y","b":[0,255],"f":1.5,"n":null,"yes":1}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})

	t.Run("refusals", func(t *testing.T) {
		for sql, want := range map[string]string{
			"SELECT * FROM nope":      "no such table: nope: SQLITE_ERROR",
			"SELEC":                   `near "SELEC": syntax error`,
			"BEGIN":                   "transaction",
			"ATTACH 'x' AS y":         "not authorized",
			"-- nothing\n ; ;":        "No SQL statements detected.",
			"SELECT 'unfinished":      "unrecognized token",
			"PRAGMA journal_mode=WAL": "not authorized",
		} {
			_, err := d.Query(t.Context(), "db", []Statement{{SQL: sql}})
			var refused *SQLError
			if !errors.As(err, &refused) || !strings.Contains(refused.Message, want) {
				t.Errorf("%s: %v, want a SQLError with %q", sql, err, want)
			}
		}
	})

	t.Run("a batch is atomic", func(t *testing.T) {
		_, err := d.Query(t.Context(), "db", []Statement{
			{SQL: "CREATE TABLE half (id); INSERT INTO half VALUES (1)"}, {SQL: "INSERT INTO nope VALUES (1)"},
		})
		if err == nil {
			t.Fatal("no error")
		}
		if got := queryText(t, d, "SELECT count(*) AS n FROM sqlite_master WHERE name = 'half'"); got != `{"n":0}` {
			t.Errorf("half of the batch happened: %s", got)
		}
	})

	t.Run("objects", func(t *testing.T) {
		result := query(t, d, "SELECT 1 AS z, 2 AS a, 3 AS z")[0]
		if got := fmt.Sprintf("%s", result.Objects()); got != `[{"a":2,"z":3}]` {
			t.Errorf("got %s", got)
		}
	})

	dir := t.TempDir()
	snapshot := filepath.Join(dir, "snapshot.sqlite")

	t.Run("snapshot and restore while queries run", func(t *testing.T) {
		query(t, d, "CREATE TABLE k (n); INSERT INTO k VALUES (1)")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					if _, err := d.Query(t.Context(), "db", []Statement{{SQL: "INSERT INTO k VALUES (2)"}}); err != nil {
						t.Errorf("a query failed meanwhile: %v", err)
					}
				}
			})
		}
		if err := d.Snapshot(t.Context(), "db", snapshot); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if got := queryText(t, d, "SELECT count(*) AS n FROM k"); got != `{"n":81}` {
			t.Errorf("before: %s", got)
		}
		if err := d.Restore(t.Context(), "db", snapshot); err != nil {
			t.Fatal(err)
		}
		var counts [1]struct{ N int }
		result := query(t, d, "SELECT count(*) AS n FROM k")[0].Objects()[0]
		if err := json.Unmarshal(result, &counts[0]); err != nil || counts[0].N < 1 || counts[0].N > 81 {
			t.Errorf("after: %s", result)
		}
		query(t, d, "INSERT INTO k VALUES (3)")
		if err := d.Snapshot(t.Context(), "db", snapshot); err == nil {
			t.Error("a snapshot overwrote a file")
		}
		if size, err := d.Size("db"); size < 4096 || err != nil {
			t.Errorf("size = %d, %v", size, err)
		}
	})

	t.Run("a damaged file changes nothing", func(t *testing.T) {
		whole, err := os.ReadFile(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		before := queryText(t, d, "SELECT count(*) AS n FROM k")
		for name, content := range map[string][]byte{
			"text": []byte("not a database"), "cut": whole[:len(whole)/2], "scratched": scratch(whole),
		} {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := d.Restore(t.Context(), "db", file); err == nil {
				t.Errorf("%s was restored", name)
			}
			if got := queryText(t, d, "SELECT count(*) AS n FROM k"); got != before {
				t.Errorf("%s: %s became %s", name, before, got)
			}
		}
	})

	t.Run("survives a crash of its worker", func(t *testing.T) {
		query(t, d, "INSERT INTO k VALUES (4)")
		before := queryText(t, d, "SELECT count(*) AS n FROM k")
		killHard(t, d.worker.proc.cmd)
		eventually(t, "it answers again", func() bool {
			_, err := d.Query(t.Context(), "db", []Statement{{SQL: "SELECT 1"}})
			return err == nil
		})
		if got := queryText(t, d, "SELECT count(*) AS n FROM k"); got != before {
			t.Errorf("%s became %s", before, got)
		}
		if err := d.Snapshot(t.Context(), "db", filepath.Join(dir, "after-crash.sqlite")); err != nil {
			t.Error(err)
		}
	})

	t.Run("delete", func(t *testing.T) {
		for range 2 {
			if err := d.Delete(t.Context(), "db"); err != nil {
				t.Fatal(err)
			}
		}
		if got := queryText(t, d, "SELECT count(*) AS n FROM sqlite_master WHERE name = 'k'"); got != `{"n":0}` {
			t.Errorf("the table is still there: %s", got)
		}
	})
}

// scratch spoils every page but the first.
func scratch(database []byte) []byte {
	spoilt := append([]byte{}, database...)
	for i := 4096; i < len(spoilt); i++ {
		spoilt[i] ^= 0x5a
	}
	return spoilt
}
