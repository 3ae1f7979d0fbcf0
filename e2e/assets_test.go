package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStaticAssets deploys a Worker with static files, changes one, sees that in the plan, and goes back.
func TestStaticAssets(t *testing.T) {
	m := newMachine(t, "e2e/testdata/assets")
	m.must(0, "deploy")
	serves := func(wanted map[string]string) {
		t.Helper()
		for path, want := range wanted {
			if status, body := m.get(path); status != 200 || body != want {
				t.Errorf("GET %s: %d %q, want %q", path, status, body, want)
			}
		}
	}
	first := map[string]string{"/": "<p>first</p>\n", "/css/site.css": "p { color: black }\n", "/api/x": "the code\n", "/notes.map": "the code\n", "/style/site": "p { color: black }\n"}
	serves(first)

	if err := os.WriteFile(filepath.Join(m.app, "public/index.html"), []byte("<p>second</p>\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if plan := m.must(0, "plan"); !strings.Contains(plan.out, "0 new, 1 changed, 0 gone (~/index.html)") {
		t.Errorf("the plan does not name the file:\n%s", plan)
	}
	m.must(0, "deploy")
	serves(map[string]string{"/": "<p>second</p>\n", "/css/site.css": "p { color: black }\n"})

	m.must(0, "rollback")
	serves(first)
}
