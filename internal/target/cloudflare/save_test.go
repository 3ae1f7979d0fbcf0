package cloudflare_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/localcloud/faults"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/sqldump"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// call makes one call to the place's API by itself, as another client would.
func (p *place) call(method, path, kind string, body []byte) []byte {
	p.t.Helper()
	info := p.cloud.Info()
	req, err := http.NewRequestWithContext(p.t.Context(), method, info.APIURL+strings.Replace(path, "ACCOUNT", info.AccountID, 1), bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(res.Body); err != nil || res.StatusCode/100 != 2 {
		p.t.Fatalf("%s %s: %s, %v\n%s", method, path, res.Status, err, out.Bytes())
	}
	return out.Bytes()
}

func TestABackupIsWholeAndComesBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t, strings.Replace(rowsConfig, `"version_metadata"`, `"kv_namespaces": [{ "binding": "KEYS" }], "version_metadata"`, 1), pipelines.Environment{})
	p.write("migrations/0001_users.sql", `CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, data BLOB, score REAL);
INSERT INTO users (name, data, score) VALUES ('O''Neill; "x"', x'00ff', 0.1), ('two
lines', NULL, 1e300);
CREATE TABLE pairs (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO pairs VALUES (1, 2);
CREATE TRIGGER t AFTER INSERT ON users BEGIN INSERT INTO pairs VALUES (new.id, 9); END;`)
	bundle := rowsBundle(t, "one", "users")
	bundle = bundleOf(t, string(bundle.Modules[0].Body), map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{
			map[string]any{"name": "DB", "type": "d1", "id": "11111111-1111-1111-1111-111111111111"},
			map[string]any{"name": "KEYS", "type": "kv_namespace"},
			map[string]any{"name": "VERSION", "type": "version_metadata"},
		},
	})
	p.promote(bundle, promotion.Completed)
	var namespaces struct {
		Result []struct{ ID string }
	}
	if err := json.Unmarshal(p.call("GET", "/accounts/ACCOUNT/storage/kv/namespaces", "", nil), &namespaces); err != nil || len(namespaces.Result) != 1 {
		t.Fatal(err)
	}
	var pairs []map[string]any
	for i := range 1100 { // more than one page of keys
		pairs = append(pairs, map[string]any{"key": fmt.Sprintf("key/%04d ü", i), "value": fmt.Sprint(i), "metadata": map[string]any{"n": i}})
	}
	pairs = append(pairs, map[string]any{"key": "binary", "value": "AP8=", "base64": true, "expiration_ttl": 3600})
	bulk, err := json.Marshal(pairs)
	if err != nil {
		t.Fatal(err)
	}
	p.call("PUT", "/accounts/ACCOUNT/storage/kv/namespaces/"+namespaces.Result[0].ID+"/bulk", "application/json", bulk)

	target, dir := p.target(), t.TempDir()
	savable, err := target.Savable(t.Context())
	if err != nil || len(savable) != 2 {
		t.Fatalf("%+v, %v", savable, err)
	}
	saved := map[string]cloudflare.Saved{}
	for _, resource := range savable {
		if saved[resource.Kind], err = resource.Save(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	wanted := []sqldump.Table{{Name: "d1_migrations", Rows: 1}, {Name: "pairs", Rows: 1}, {Name: "users", Rows: 2}}
	if diff := cmp.Diff(wanted, saved[cloudflare.SavedDatabase].Tables); diff != "" {
		t.Error(diff)
	}
	var back []struct {
		Key, Value string
		Base64     bool
		Expiration float64
		Metadata   struct{ N int }
	}
	text, err := os.ReadFile(saved[cloudflare.SavedNamespace].File)
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil || len(back) != 1101 || saved[cloudflare.SavedNamespace].Keys != 1101 {
		t.Fatalf("%d keys, %v", len(back), err)
	}
	for _, one := range back {
		if one.Key == "binary" && (!one.Base64 || one.Value != "AP8=" || one.Expiration == 0) || one.Key != "binary" && one.Value != fmt.Sprint(one.Metadata.N) {
			t.Errorf("%+v", one)
		}
	}

	p.call("POST", "/accounts/ACCOUNT/r2/buckets", "application/json", []byte(`{"name":"backups"}`))
	file := saved[cloudflare.SavedDatabase].File
	if digest, err := target.Store(t.Context(), "backups", "a/b c.sql", file); err != nil || digest != saved[cloudflare.SavedDatabase].Digest {
		t.Fatalf("%s, %v", digest, err)
	}
	if keys, err := target.Objects(t.Context(), "backups", "a/"); err != nil || len(keys) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
	fetched, err := target.Fetch(t.Context(), "backups", "a/b c.sql", filepath.Join(dir, "fetched"))
	if err != nil {
		t.Fatal(err)
	}
	restored, err := target.RestoreInto(t.Context(), "recovery", fetched)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, restored.Tables); diff != "" {
		t.Error(diff)
	}
	again, err := target.RestoreInto(t.Context(), "recovery", fetched)
	if err == nil || !strings.Contains(err.Error(), "none is overwritten") {
		t.Errorf("a database that was there: %+v, %v", again, err)
	}
	if err := target.Discard(t.Context(), restored); err != nil {
		t.Error(err)
	}
	// A dump that was cut off becomes no database.
	whole, err := os.ReadFile(fetched)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fetched, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := target.RestoreInto(t.Context(), "recovery", fetched); err == nil {
		t.Error("half a dump was restored")
	}
}

const twoConfig = `{
	"name": "rows", "main": "worker.js", "compatibility_date": "2026-01-01",
	"d1_databases": [{ "binding": "DB", "database_name": "rows-db", "database_id": "11111111-1111-1111-1111-111111111111" },
		{ "binding": "AGAIN", "database_name": "rows-db", "database_id": "11111111-1111-1111-1111-111111111111" },
		{ "binding": "MORE", "database_name": "more-db", "database_id": "22222222-2222-2222-2222-222222222222", "migrations_dir": "more" }],
	"version_metadata": { "binding": "VERSION" }
}`

// A bookmark that does not say what becomes of every database changes none of them, and a database that has two bindings is put
// back once: the second time would take the state after the first for the one that was replaced.
func TestARestoreOfSeveralDatabases(t *testing.T) {
	t.Parallel()
	p := newPlace(t, twoConfig, pipelines.Environment{Backup: pipelines.BackupBookmark})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	p.promote(bundleOf(t, string(rowsBundle(t, "one", "users").Modules[0].Body), map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{
			map[string]any{"name": "DB", "type": "d1", "id": "11111111-1111-1111-1111-111111111111"},
			map[string]any{"name": "AGAIN", "type": "d1", "id": "11111111-1111-1111-1111-111111111111"},
			map[string]any{"name": "MORE", "type": "d1", "id": "22222222-2222-2222-2222-222222222222"},
			map[string]any{"name": "VERSION", "type": "version_metadata"},
		},
	}), promotion.Completed)
	p.get("/write")
	backup, err := p.target().Backup(t.Context(), "b1")
	if err != nil || len(strings.Fields(backup.Bookmark)) != 3 {
		t.Fatalf("%+v, %v", backup, err)
	}
	p.get("/write")
	for _, bookmark := range []string{strings.Fields(backup.Bookmark)[0], backup.Bookmark[:strings.LastIndex(backup.Bookmark, "=")+1]} {
		if undo, err := p.target().RestoreData(t.Context(), "r1", bookmark); err == nil || undo != "" || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%q: %q, %v", bookmark, undo, err)
		}
		if got := p.get("/"); got != "200 one 2" {
			t.Fatalf("after the refused restore of %q: %s", bookmark, got)
		}
	}
	undo, err := p.target().RestoreData(t.Context(), "r2", backup.Bookmark)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.get("/"); got != "200 one 1" {
		t.Error(got)
	}
	if _, err := p.target().RestoreData(t.Context(), "r3", undo); err != nil {
		t.Fatal(err)
	}
	if got := p.get("/"); got != "200 one 2" {
		t.Errorf("after undoing it: %s", got)
	}
}

// stoppedAt stops once a call to such a path was answered, before anybody hears of the answer.
type stoppedAt struct {
	path string
	stop context.CancelFunc
}

func (s stoppedAt) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, s.path) {
		return res, err
	}
	_ = res.Body.Close()
	s.stop()
	return nil, r.Context().Err()
}

// Ctrl-C does not take back what was asked for.
func TestARestoreThatIsStoppedSaysThatItMayHaveHappened(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{Backup: pipelines.BackupBookmark})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	backup, err := p.target().Backup(t.Context(), "b1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p.options.HTTPClient = &http.Client{Transport: stoppedAt{"/time_travel/restore", stop}}
	if _, err := p.target().RestoreData(ctx, "r1", backup.Bookmark); err == nil || !strings.Contains(err.Error(), "whether it was done is not known") {
		t.Error(err)
	}
}

// Cloudflare lets a token ask 1200 times in five minutes, and a namespace has more keys than that.
func TestANamespaceIsSavedAlthoughCloudflareSaysLater(t *testing.T) {
	t.Parallel()
	p := newPlace(t, `{ "name": "rows", "main": "worker.js", "compatibility_date": "2026-01-01", "kv_namespaces": [{ "binding": "KEYS" }] }`, pipelines.Environment{})
	p.call("POST", "/accounts/ACCOUNT/storage/kv/namespaces", "application/json", []byte(`{"title":"rows-KEYS"}`))
	savable, err := p.target().Savable(t.Context())
	if err != nil || len(savable) != 1 {
		t.Fatalf("%+v, %v", savable, err)
	}
	var namespaces struct {
		Result []struct{ ID string }
	}
	if err := json.Unmarshal(p.call("GET", "/accounts/ACCOUNT/storage/kv/namespaces", "", nil), &namespaces); err != nil || len(namespaces.Result) != 1 {
		t.Fatal(err)
	}
	p.call("PUT", "/accounts/ACCOUNT/storage/kv/namespaces/"+namespaces.Result[0].ID+"/bulk", "application/json", []byte(`[{"key":"a","value":"1"},{"key":"b","value":"2"}]`))
	for name, rule := range map[string]faults.Rule{"429": {Status: 429, Times: 2}, "503": {Status: 503, Times: 2}, "lost": {Lost: faults.LostReply, Times: 1}} {
		rule.Call = "GET /accounts/*/storage/kv/namespaces/*/values/*"
		p.goWrong(faults.Plan{Calls: []faults.Rule{rule}})
		if saved, err := savable[0].Save(t.Context(), t.TempDir()); err != nil || saved.Keys != 2 {
			t.Errorf("%s: %+v, %v", name, saved, err)
		}
	}
	// What is said to be missing, and is still listed, was not saved.
	p.goWrong(faults.Plan{Calls: []faults.Rule{{Call: "GET /accounts/*/storage/kv/namespaces/*/values/*", Status: 404}}})
	if saved, err := savable[0].Save(t.Context(), t.TempDir()); err == nil {
		t.Errorf("%+v", saved)
	}
}

// What a restore made and could not finish is told, so that it can be removed.
func TestARestoreThatFailsTellsWhatItMade(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	file := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(file, []byte("CREATE TABLE users (id);\nINSERT INTO users VALUES (1);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.goWrong(faults.Plan{Calls: []faults.Rule{{Call: "POST /accounts/*/d1/database/*/import", Status: 400}}})
	target := p.target()
	restored, err := target.RestoreInto(t.Context(), "copy", file)
	if err == nil || restored.ID == "" || restored.Name != "copy" {
		t.Fatalf("%+v, %v", restored, err)
	}
	if err := target.Discard(t.Context(), restored); err != nil {
		t.Error(err)
	}
	if left := string(p.call("GET", "/accounts/ACCOUNT/d1/database", "", nil)); strings.Contains(left, "copy") {
		t.Error(left)
	}
}
