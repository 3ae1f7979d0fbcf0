package cloudflare

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/pipelines"
)

// An export that is not whole is no backup, and a promotion that wants one stops before it migrates.
func TestAnExportThatIsNotWholeIsNone(t *testing.T) {
	t.Parallel()
	dumps := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the signed URL was given the token")
		}
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "CREATE TABLE users (id);")
		case "/lacking":
			_, _ = io.WriteString(w, "CREATE TABLE other (id);\n")
		case "/whole":
			_, _ = io.WriteString(w, "CREATE TABLE users (id);\nINSERT INTO users VALUES (1);\n")
		default:
			http.Error(w, "expired", http.StatusForbidden)
		}
	}))
	defer dumps.Close()
	complete := func(path string) map[string]any {
		return map[string]any{"success": true, "status": "complete", "at_bookmark": "b", "result": map[string]any{"signed_url": dumps.URL + path + "?signature=not-to-be-seen"}}
	}
	for name, test := range map[string]struct {
		export map[string]any
		says   string // "" for a backup
	}{
		"whole":              {complete("/whole"), ""},
		"cut off":            {complete("/cut"), "broke off"},
		"a table is missing": {complete("/lacking"), "lacks table users"},
		"the URL is refused": {complete("/expired"), "403"},
		"no URL":             {map[string]any{"success": true, "status": "complete"}, "no address"},
		"an error":           {map[string]any{"success": true, "status": "error", "error": "cannot export virtual tables"}, "virtual tables"},
		"success: false":     {map[string]any{"success": false, "status": "active"}, "gives no reason"},
	} {
		f := newFake(t)
		f.databases = []map[string]any{{"uuid": "db-0", "name": "fixture-db"}}
		f.tables, f.export = []string{"users"}, test.export
		target := newTarget(t, f, func(o *Options) { o.Environment.Backup, o.BackupDir = pipelines.BackupExport, t.TempDir() })
		backup, err := target.Backup(t.Context(), "p1")
		switch {
		case test.says == "" && (err != nil || len(backup.Exports) != 1 || backup.Bookmark == ""):
			t.Errorf("%s: %+v, %v", name, backup, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || len(backup.Exports) > 0):
			t.Errorf("%s: %+v, %v", name, backup, err)
		case err != nil && strings.Contains(err.Error(), "not-to-be-seen"):
			t.Errorf("%s: the signature is shown: %v", name, err)
		}
	}
}
