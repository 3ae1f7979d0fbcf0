package localcloud

import (
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
)

// sqlCloud starts a Cloud with one database and returns the path of that.
func sqlCloud(t *testing.T) (cloud *Cloud, database string) {
	cloud, _ = startFake(t, t.TempDir())
	id := succeed(t, cloud, "POST", "@/d1/database", map[string]any{"name": "db"}).get(t, "uuid").(string)
	return cloud, "@/d1/database/" + id
}

func run(t *testing.T, cloud *Cloud, database string, statements ...string) {
	t.Helper()
	batch := []map[string]any{}
	for _, statement := range statements {
		batch = append(batch, map[string]any{"sql": statement})
	}
	succeed(t, cloud, "POST", database+"/query", map[string]any{"batch": batch})
}

func TestDatabaseNames(t *testing.T) {
	cloud, _ := sqlCloud(t)
	if got := send(t, cloud, "POST", "@/d1/database", map[string]any{"name": "db"}); got.Status != 400 || got.code() != codeDatabaseExists {
		t.Errorf("a taken name: %d %v", got.Status, got.Errors)
	}
	if got := send(t, cloud, "POST", "@/d1/database", map[string]any{"name": ""}); got.Status != 400 {
		t.Errorf("no name: %d", got.Status)
	}
	if got := send(t, cloud, "GET", "@/d1/database/absent", nil); got.Status != 404 || got.code() != codeDatabaseNotFound {
		t.Errorf("absent: %d %v", got.Status, got.Errors)
	}
	if got := succeed(t, cloud, "GET", "@/d1/database?name=db", nil); got.get(t, "0.name") != "db" {
		t.Errorf("found: %s", got.Result)
	}
}

func TestQueryAndRaw(t *testing.T) {
	cloud, database := sqlCloud(t)
	run(t, cloud, database, "CREATE TABLE t (n INTEGER, s TEXT)", "INSERT INTO t VALUES (1, 'a')")
	body := map[string]any{"sql": "SELECT s, n FROM t WHERE n = ?", "params": []any{1}}
	query := succeed(t, cloud, "POST", database+"/query", body)
	if query.get(t, "0.results.0.s") != "a" || query.get(t, "0.success") != true || query.get(t, "0.meta") == nil {
		t.Errorf("query: %s", query.Result)
	}
	raw := succeed(t, cloud, "POST", database+"/raw", body)
	if raw.get(t, "0.results.columns.0") != "s" || raw.get(t, "0.results.rows.0.1") != 1.0 {
		t.Errorf("raw: %s", raw.Result)
	}
	if got := send(t, cloud, "POST", database+"/query", map[string]any{"sql": "SELECT * FROM absent"}); got.Status != 400 || got.code() != codeDatabaseSQL {
		t.Errorf("a refused statement: %d %v", got.Status, got.Errors)
	}
}

func TestExportIsSQLThatMakesTheDatabaseAnew(t *testing.T) {
	cloud, database := sqlCloud(t)
	run(t, cloud, database, `CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, "select" TEXT, b BLOB, f REAL, twice AS (id * 2))`,
		`INSERT INTO "odd ""name" ("select", b, f) VALUES ('it''s; -- so', x'00ff', 0.1), (NULL, NULL, 1e300)`,
		`CREATE INDEX by_select ON "odd ""name" ("select")`, "CREATE TABLE _cf_KV (secret)", "CREATE TABLE plain (n)",
		"CREATE TRIGGER tr AFTER INSERT ON plain BEGIN DELETE FROM plain; END", "INSERT INTO plain VALUES (7)")
	export := func(options map[string]any) string {
		got := succeed(t, cloud, "POST", database+"/export", map[string]any{"output_format": "polling", "dump_options": options})
		if got.get(t, "status") != "complete" {
			t.Fatalf("%s", got.Result)
		}
		response, err := http.Get(got.get(t, "result.signed_url").(string))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := `PRAGMA defer_foreign_keys=TRUE;
CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, "select" TEXT, b BLOB, f REAL, twice AS (id * 2));
INSERT INTO "odd ""name" ("id","select","b","f") VALUES(1,'it''s; -- so',X'00FF',0.1);
INSERT INTO "odd ""name" ("id","select","b","f") VALUES(2,NULL,NULL,1.0e+300);
CREATE TABLE plain (n);
CREATE INDEX by_select ON "odd ""name" ("select");
CREATE TRIGGER tr AFTER INSERT ON plain BEGIN DELETE FROM plain; END;
`
	if got := export(nil); got != want {
		t.Errorf("export:\n%s", got)
	}
	if got := export(map[string]any{"no_data": true, "tables": []string{"plain"}}); strings.Contains(got, "INSERT INTO \"") || strings.Contains(got, "odd") {
		t.Errorf("schema of one table:\n%s", got)
	}
	run(t, cloud, database, "CREATE VIRTUAL TABLE v USING fts5(x)")
	if got := send(t, cloud, "POST", database+"/export", map[string]any{"output_format": "polling"}); got.code() != codeDatabaseSQL || !strings.Contains(got.Errors[0].Message, "Virtual") {
		t.Errorf("with a virtual table: %v", got.Errors)
	}
}

func TestImport(t *testing.T) {
	cloud, database := sqlCloud(t)
	file := "CREATE TABLE t (n)"
	sum := md5.Sum([]byte(file))
	etag := hex.EncodeToString(sum[:])
	begun := succeed(t, cloud, "POST", database+"/import", map[string]any{"action": "init", "etag": etag})
	ingest := map[string]any{"action": "ingest", "etag": etag, "filename": begun.get(t, "filename")}
	if got := send(t, cloud, "POST", database+"/import", ingest); got.Status != 400 {
		t.Errorf("ingest before the upload: %d", got.Status)
	}
	upload, err := http.NewRequestWithContext(t.Context(), "PUT", begun.get(t, "upload_url").(string), strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(upload)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := response.Header.Get("ETag"); got != `"`+etag+`"` {
		t.Errorf("etag of the upload is %s", got)
	}
	done := succeed(t, cloud, "POST", database+"/import", ingest)
	if done.get(t, "status") != "complete" || done.get(t, "result.num_queries") != 1.0 || done.get(t, "result.final_bookmark") != done.get(t, "at_bookmark") {
		t.Errorf("ingest: %s", done.Result)
	}
	if got := succeed(t, cloud, "GET", database, nil).get(t, "num_tables"); got != 1.0 {
		t.Errorf("the database has %v tables", got)
	}
	if got := send(t, cloud, "POST", database+"/import", map[string]any{"action": "init", "etag": "x"}); got.Status != 400 {
		t.Errorf("a bad etag: %d", got.Status)
	}
}

func TestSignedURLsAreTheOnlyWayIn(t *testing.T) {
	cloud, _ := sqlCloud(t)
	base := strings.TrimSuffix(cloud.Info().APIURL, apiPrefix)
	for _, path := range []string{"/transfers/", "/transfers/00000000000000000000000000000000"} {
		response, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}

func TestTimeTravel(t *testing.T) {
	cloud, database := sqlCloud(t)
	count := func() any {
		return succeed(t, cloud, "POST", database+"/query", map[string]any{"sql": "SELECT count(*) AS n FROM t"}).get(t, "0.results.0.n")
	}
	mark := func() string {
		return succeed(t, cloud, "GET", database+"/time_travel/bookmark", nil).get(t, "bookmark").(string)
	}
	run(t, cloud, database, "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)")
	one := mark()
	run(t, cloud, database, "INSERT INTO t VALUES (2)")
	two := mark()
	if two <= one {
		t.Errorf("bookmark %s does not sort after %s", two, one)
	}
	run(t, cloud, database, "INSERT INTO t VALUES (3)")
	restored := succeed(t, cloud, "POST", database+"/time_travel/restore?bookmark="+one, nil)
	if count() != 1.0 || restored.get(t, "bookmark") != one {
		t.Errorf("after the restore: %v rows, %s", count(), restored.Result)
	}
	succeed(t, cloud, "POST", database+"/time_travel/restore?bookmark="+restored.get(t, "previous_bookmark").(string), nil)
	if count() != 3.0 {
		t.Errorf("after undoing it: %v rows", count())
	}
	for _, query := range []string{"", "?bookmark=00000000", "?timestamp=soon", "?timestamp=2001-01-01T00:00:00Z"} {
		if got := send(t, cloud, "POST", database+"/time_travel/restore"+query, nil); got.Status != 400 {
			t.Errorf("restore%s: %d", query, got.Status)
		}
	}
}
