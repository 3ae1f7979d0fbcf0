package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

// rows asks the app of the production stand-in, whatever else runs beside it.
func (m *machine) rows(path string) string {
	m.t.Helper()
	var told struct {
		Scripts []struct{ Name, URL string } `json:"scripts"`
	}
	status := m.must(0, "local", "status", "--json")
	if err := json.Unmarshal([]byte(status.out), &told); err != nil {
		m.t.Fatal(err)
	}
	for _, script := range told.Scripts {
		if script.Name == "rows" {
			return m.fetch(script.URL + path)
		}
	}
	m.t.Fatalf("no Worker rows:\n%s", status)
	return ""
}

// bookmark is that of the app's database as it is now.
func (m *machine) bookmark() string {
	m.t.Helper()
	var databases []map[string]any
	m.cloudflare(http.MethodGet, "/d1/database", nil, &databases)
	for _, database := range databases {
		if database["name"] == "rows" || database["name"] == "rows-db" {
			var now struct{ Bookmark string }
			m.cloudflare(http.MethodGet, "/d1/database/"+database["uuid"].(string)+"/time_travel/bookmark", nil, &now)
			return now.Bookmark
		}
	}
	m.t.Fatalf("no database of the app in %v", databases)
	return ""
}

// deployments counts those of a Worker.
func (m *machine) deployments(worker string) int {
	m.t.Helper()
	var told struct{ Deployments []any }
	m.cloudflare(http.MethodGet, "/workers/scripts/"+worker+"/deployments", nil, &told)
	return len(told.Deployments)
}

// listed reports whether a list of runs has one by that command with that end.
func listed(history outcome, command, state string) bool {
	return regexp.MustCompile(`(?m)^.* ` + command + ` +` + state + `\b`).MatchString(history.out)
}

// TestOperations goes through the guide's procedures by their commands: a slot first, a rollback with its data question, backup,
// drill and restore, maintenance, secrets.
func TestOperations(t *testing.T) {
	m := newMachine(t, "e2e/testdata/rows")
	first := m.must(0, "deploy", "--env", "local")
	for _, want := range []string{"rows → staging", "integration stage passed", "the same code was deployed to staging and tested there"} {
		if !strings.Contains(first.out+first.err, want) {
			t.Errorf("the screen does not say %q:\n%s", want, first)
		}
	}
	if got := m.rows("/write"); got != `{"code":"one","rows":1}` {
		t.Fatal(got)
	}

	t.Run("as JSON", func(t *testing.T) {
		m := m.in(t)
		for _, args := range []string{
			"check", "plan", "deploy --env staging", "run bundle", "migrate --env staging", "smoke", "backup", "drill", "provision", "maintenance on --env staging",
			"maintenance off --env staging",
		} {
			told := m.must(0, append(strings.Fields(args), "--json")...)
			if told.err != "" {
				t.Errorf("%s: the standard error says %q", args, told.err)
			}
			last := event.Event{}
			for line := range strings.Lines(told.out) {
				last = event.Event{}
				decoder := json.NewDecoder(strings.NewReader(line))
				decoder.DisallowUnknownFields()
				if err := decoder.Decode(&last); err != nil || decoder.More() || strings.Contains(line, ":null") {
					t.Errorf("%s: a line that is no event as docs/json.md has it: %v: %s", args, err, line)
				}
			}
			if last.Type != event.RunFinished || last.Result == nil || last.Result.Outcome != "done" {
				t.Errorf("%s: the last line is %+v", args, last)
			}
		}
		for _, args := range []string{"provision --dry-run", "maintenance status", "secrets list", "local status", "status", "history", "gates list", "gates info quality/tests"} {
			told := m.must(0, append(strings.Fields(args), "--json")...)
			if !json.Valid([]byte(told.out)) || told.err != "" || strings.Contains(told.out, ": null") || strings.Count(told.out, "\n") < 1 {
				t.Errorf("%s: %s", args, told)
			}
		}
	})

	t.Run("smoke on demand", func(t *testing.T) {
		m := m.in(t)
		before := m.deployments("rows")
		sound := m.must(0, "smoke", "--env", "local")
		if !strings.Contains(sound.out, "what everybody gets is sound") || strings.Contains(sound.out, "the smoke tests are those of") {
			t.Error(sound)
		}
		m.must(2, "smoke", "--env", "local", "--version", "0123456789")
		func() {
			defer m.edit("worker.js", `"one"`, `"other"`)()
			if other := m.must(0, "smoke", "--env", "local"); !strings.Contains(other.out, "with changes; version") {
				t.Errorf("it does not say that the tests are of another source:\n%s", other)
			}
		}()
		m.must(0, "maintenance", "on", "--env", "local")
		if refused := m.must(7, "smoke", "--env", "local"); !strings.Contains(refused.out, "`penstock maintenance off --env local`") {
			t.Error(refused)
		}
		// A deployment says so before it runs anything: what ran is the slot's.
		if refused := m.must(7, "deploy", "--env", "local"); !strings.Contains(refused.out, "`penstock maintenance off --env local`") || !regexp.MustCompile(`bundle +not run`).MatchString(refused.out) {
			t.Error(refused)
		}
		if status := m.must(0, "status"); !strings.Contains(status.out, "in maintenance by run") {
			t.Error(status)
		}
		var told struct {
			Steps []struct{ Name, Detail string }
		}
		newest := strings.Fields(strings.Split(m.must(0, "history", "--env", "local", "--limit", "3").out, "\n")[3])[0]
		if err := json.Unmarshal([]byte(m.must(0, "history", newest, "--json").out), &told); err != nil {
			t.Error(err)
		}
		if len(told.Steps) != 1 || told.Steps[0].Name != "suspend" || told.Steps[0].Detail == "" {
			t.Errorf("the steps of an operation are not on record: %+v", told)
		}
		m.must(0, "maintenance", "off", "--env", "local")
		if status := m.must(0, "status"); strings.Contains(status.out, "in maintenance") {
			t.Error(status)
		}
		if history := m.must(0, "history", "--env", "local"); !listed(history, "smoke", "done") || !listed(history, "smoke", "busy") {
			t.Error(history)
		}
		if after := m.deployments("rows"); after != before+2 { // the maintenance, and its end
			t.Errorf("%d deployments before, %d after", before, after)
		}
	})

	t.Run("the slot says no", func(t *testing.T) {
		m := m.in(t)
		defer m.edit("worker.js", `"one"`, `"unwanted"`)()
		m.must(6, "deploy", "--env", "local")
		if got := m.rows("/"); got != `{"code":"one","rows":1}` {
			t.Error(got)
		}
	})

	t.Run("rollback", func(t *testing.T) {
		m := m.in(t)
		time.Sleep(time.Second) // a migrations table knows whole seconds
		if err := os.WriteFile(filepath.Join(m.app, "migrations", "0002_people.sql"), []byte("ALTER TABLE users RENAME TO people;\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		m.edit("worker.js", "INTO users", "INTO people")
		m.edit("worker.js", "FROM users", "FROM people")
		m.edit("worker.js", `"one"`, `"two"`)
		m.must(0, "deploy", "--env", "local")
		if got := m.rows("/write"); got != `{"code":"two","rows":2}` {
			t.Fatal(got)
		}
		refused := m.must(5, "rollback", "--env", "local")
		for _, want := range []string{"0002_people.sql", "it changes a table that older code uses", "loses everything written since", "--code-only", "--restore-data --confirm-loss"} {
			if !strings.Contains(refused.err, want) {
				t.Errorf("the refusal does not say %q:\n%s", want, refused)
			}
		}
		m.must(2, "rollback", "--env", "local", "--restore-data")
		m.must(0, "rollback", "--env", "local", "--restore-data", "--confirm-loss")
		if got := m.rows("/"); got != `{"code":"one","rows":1}` {
			t.Error(got)
		}
		again := m.must(2, "rollback", "--env", "local")
		if !strings.Contains(again.err, "came by a rollback") {
			t.Error(again)
		}
		if history := m.must(0, "history"); !listed(history, "rollback", "done") {
			t.Error(history)
		}
	})

	t.Run("backup, drill, restore", func(t *testing.T) {
		m := m.in(t)
		m.must(0, "backup", "--env", "local")
		m.must(0, "drill", "--env", "local", "--json")
		restored := m.must(0, "restore", "--env", "local", "--into", "rows-recovery")
		if !strings.Contains(restored.out, "database_id") {
			t.Error(restored)
		}
		m.must(3, "restore", "--env", "local", "--into", "rows-recovery")
		m.must(2, "restore", "--env", "local")
	})

	t.Run("operations that fail", func(t *testing.T) {
		m := m.in(t)
		m.faults("calls:\n  - {call: \"POST /accounts/*/d1/database/*/import\", status: 400}\n")
		m.must(3, "drill", "--env", "local")
		m.must(0, "local", "faults", "--off")
		var databases []map[string]any
		m.cloudflare(http.MethodGet, "/d1/database", nil, &databases)
		for _, database := range databases {
			if name := database["name"].(string); strings.Contains(name, "-drill-") {
				t.Errorf("the drill left database %s", name)
			}
		}
		// Whether it was done is not known, and a second time would lose the way back.
		m.faults("calls:\n  - {call: \"POST /accounts/*/d1/database/*/time_travel/restore\", lost: reply}\n")
		before := time.Now().UTC().Format("2006-01-02T")
		lost := m.must(8, "restore", "--env", "local", "--bookmark", m.bookmark(), "--confirm-loss")
		m.must(0, "local", "faults", "--off")
		for _, want := range []string{"d1 time-travel info", "--timestamp=" + before} {
			if !strings.Contains(lost.out+lost.err, want) {
				t.Errorf("it does not say %q:\n%s", want, lost)
			}
		}
		if strings.Contains(lost.out+lost.err, "run the same command again") {
			t.Errorf("it asks for a second time:\n%s", lost)
		}
	})

	t.Run("maintenance", func(t *testing.T) {
		m := m.in(t)
		m.must(0, "maintenance", "on", "--env", "local", "--message", "Closed for today.")
		if got := m.rows("/"); !strings.Contains(got, "Closed for today.") {
			t.Error(got)
		}
		if refused := m.must(7, "rollback", "--env", "local", "--dry-run"); !strings.Contains(refused.err, "maintenance off") {
			t.Errorf("the refused rollback does not say how to go on:\n%s", refused.err)
		}
		if status := m.must(0, "maintenance", "status", "--env", "local"); !strings.Contains(status.out, "maintenance version") {
			t.Error(status)
		}
		m.must(0, "maintenance", "off", "--env", "local")
		if got := m.rows("/write"); got != `{"code":"one","rows":2}` {
			t.Error(got)
		}
		m.must(0, "maintenance", "on", "--env", "local", "--read-only")
		if got := m.rows("/write"); strings.Contains(got, `"rows":3`) {
			t.Error(got)
		}
		m.must(0, "maintenance", "off", "--env", "local")
		if got := m.rows("/write"); got != `{"code":"one","rows":3}` {
			t.Error(got)
		}
	})

	t.Run("secrets", func(t *testing.T) {
		m := m.in(t)
		t.Setenv("A_VALUE", "not-to-be-seen-4711")
		put := m.must(0, "secrets", "put", "TOKEN", "--env", "local", "--from-env", "A_VALUE")
		if strings.Contains(put.out+put.err, "4711") {
			t.Error("the value is shown")
		}
		if listed := m.must(0, "secrets", "list", "--env", "local"); !strings.Contains(listed.out, "TOKEN") {
			t.Error(listed)
		}
		m.must(2, "secrets", "put", "TOKEN", "value-on-the-command-line", "--env", "local")
	})
	if provision := m.must(0, "provision", "--env", "local", "--dry-run"); !strings.Contains(provision.out, "nothing is missing") {
		t.Error(provision)
	}
	m.must(0, "verify")
}
