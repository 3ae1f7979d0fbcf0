package cloudflare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	if err == nil || !strings.Contains(err.Error(), "another") {
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
