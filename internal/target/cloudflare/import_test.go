package cloudflare

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/sqldump"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// importer is a Cloudflare whose import is over before anybody asks how far it is, and which then says so in its own words.
// There are users in the database after it.
func importer(t *testing.T, users string) *Target {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		answer := `{"success":true,"result":[{"success":true,"results":[{"n":` + users + `}]}]}`
		for action, told := range map[string]string{
			`"init"`:   `{"success":true,"filename":"f"}`,
			`"ingest"`: `{"success":true,"status":"active","at_bookmark":"b"}`,
			`"poll"`:   `{"success":false,"status":"error","error":"Not currently importing anything."}`,
		} {
			if strings.Contains(string(body), action) {
				answer = `{"success":true,"result":` + told + `}`
			}
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	target, err := New(Options{
		BaseURL: server.URL + "/client/v4", Token: testToken, AccountID: testAccount, Worker: wrangler.Worker{Name: "app"}, ConfigFile: "wrangler.jsonc", AppDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	target.pace = pace{}
	return target
}

func TestAnImportThatEndsBetweenTwoQuestions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(path, []byte("CREATE TABLE users (id);\nINSERT INTO users VALUES (1), (2);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dump, err := sqldump.Read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := importer(t, "2").importDump(t.Context(), "database", path, dump); err != nil {
		t.Errorf("all rows are there: %v", err)
	}
	// It may as well have ended because it failed.
	if err := importer(t, "1").importDump(t.Context(), "database", path, dump); err == nil || !strings.Contains(err.Error(), "table users has 1 rows") {
		t.Errorf("a row is missing: %v", err)
	}
}
