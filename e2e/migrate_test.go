package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
)

// databases counts the account's.
func (m *machine) databases() int {
	m.t.Helper()
	var found []map[string]any
	m.cloudflare(http.MethodGet, "/d1/database", nil, &found)
	return len(found)
}

// migration adds a migration and returns a function that takes it away again.
func (m *machine) migration(name, sql string) (takeAway func()) {
	m.t.Helper()
	path := filepath.Join(m.app, "migrations", name)
	if err := os.WriteFile(path, []byte(sql+"\n"), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return func() { os.Remove(path) }
}

// TestMigrateAlone goes through the guide's database setup and its migrations by hand: before a first deployment, beside a
// version that runs, refused, approved, stopped and killed.
func TestMigrateAlone(t *testing.T) {
	m := newMachine(t, "e2e/testdata/rows")
	m.must(0, "local", "up")

	t.Run("before the first deployment", func(t *testing.T) {
		m := m.in(t)
		looked := m.must(0, "migrate", "--env", "staging", "--dry-run")
		for _, want := range []string{"migrations/0001", "CREATE TABLE users", "this was a dry run"} {
			if !strings.Contains(looked.out, want) {
				t.Errorf("it does not say %q:\n%s", want, looked)
			}
		}
		if n := m.databases(); n > 0 {
			t.Errorf("a dry run made %d databases", n)
		}
		done := m.must(0, "migrate", "--env", "staging")
		if !strings.Contains(done.out, "nothing is live that could break") || m.databases() != 1 {
			t.Errorf("%d databases:\n%s", m.databases(), done)
		}
		if again := m.must(0, "migrate", "--env", "staging"); !strings.Contains(again.out, "nothing to migrate") {
			t.Error(again)
		}
		if deployed := m.must(0, "deploy", "--env", "staging"); !strings.Contains(deployed.err, "none is pending") {
			t.Error(deployed)
		}
	})

	served := func(m *machine, want string) {
		m.t.Helper()
		if got := m.fetch(m.url() + "/"); got != want {
			m.t.Errorf("served is %s, want %s", got, want)
		}
	}
	one := `{"code":"one","rows":0}`
	served(m, one)
	before := m.deployments("rows-staging")

	t.Run("beside what is live", func(t *testing.T) {
		m := m.in(t)
		m.migration("0002_age.sql", "ALTER TABLE users ADD COLUMN age INTEGER;")
		defer m.edit("worker.js", `"one"`, `"two"`)() // which must not be deployed
		done := m.must(0, "migrate", "--env", "staging")
		for _, want := range []string{"applied 0002_age.sql", "ADD COLUMN age", "the state before is bookmark"} {
			if !strings.Contains(done.out, want) {
				t.Errorf("it does not say %q:\n%s", want, done)
			}
		}
		served(m, one)
		if history := m.must(0, "history", "--env", "staging"); !listed(history, "migrate", "done") {
			t.Error(history)
		}
		if status := m.must(0, "status"); strings.Count(status.out, "rows → staging") != 1 || strings.Contains(status.out, "died") {
			t.Error(status)
		}
	})

	t.Run("what the live version cannot live with", func(t *testing.T) {
		m := m.in(t)
		defer m.migration("0003_people.sql", "ALTER TABLE users RENAME TO people;")()
		refused := m.must(4, "migrate", "--env", "staging")
		if !strings.Contains(refused.out, "0003_people.sql (it changes a table that older code uses") {
			t.Error(refused)
		}
		served(m, one)
	})

	t.Run("what the database refuses", func(t *testing.T) {
		m := m.in(t)
		defer m.migration("0003_wrong.sql", "CREATE TABLE more (id INTEGER);\nINSERT INTO nowhere VALUES (1);")()
		refused := m.must(3, "migrate", "--env", "staging")
		if !strings.Contains(refused.out+refused.err, "no such table: nowhere") {
			t.Error(refused)
		}
		served(m, one)
	})

	t.Run("what is live does not work", func(t *testing.T) {
		m := m.in(t)
		defer m.migration("0003_email.sql", "ALTER TABLE users ADD COLUMN email TEXT;")()
		defer m.edit("penstock.yaml", "{path: /, status: 200}", "{path: /, status: 204}")()
		refused := m.must(3, "migrate", "--env", "staging")
		if !strings.Contains(refused.out, "nothing was changed") || strings.Contains(refused.out+refused.err, "not put back") {
			t.Error(refused)
		}
	})

	t.Run("stopped and killed", func(t *testing.T) {
		m := m.in(t)
		m.migration("0003_email.sql", "ALTER TABLE users ADD COLUMN email TEXT;")
		stopped := m.stopAt(moment{event.StepFinished, "bookmark"}, []syscall.Signal{syscall.SIGINT}, "migrate", "--env", "staging")
		if stopped.code != 130 {
			t.Error(stopped)
		}
		if looked := m.must(0, "migrate", "--env", "staging", "--dry-run"); !strings.Contains(looked.out, "1 pending") {
			t.Errorf("after a stop before the migration:\n%s", looked)
		}
		m.stopAt(moment{event.StepFinished, "migrate"}, []syscall.Signal{syscall.SIGKILL}, "migrate", "--env", "staging")
		if again := m.must(0, "migrate", "--env", "staging"); !strings.Contains(again.out, "nothing to migrate") {
			t.Errorf("after a kill behind the migration:\n%s", again)
		}
		served(m, one)
	})

	t.Run("seeded", func(t *testing.T) {
		m := m.in(t)
		migrate := func(code int, args ...string) outcome {
			m.t.Helper()
			return m.must(code, append([]string{"migrate", "--env", "staging"}, args...)...)
		}
		if err := os.Mkdir(filepath.Join(m.app, "seed"), 0o755); err != nil {
			t.Fatal(err)
		}
		m.write("seed/minimal.sql", "INSERT INTO users (name) VALUES ('ada');\n")
		migrate(2, "--again")
		if refused := migrate(2, "--seed", "seed/nothing.sql"); strings.Contains(refused.err, "[bundle]") {
			t.Errorf("what is not there is noticed only after the stages:\n%s", refused)
		}
		migrate(2, "--seed", "../elsewhere.sql")
		if looked := migrate(0, "--seed", "seed/minimal.sql", "--dry-run"); !strings.Contains(looked.out, "VALUES ('ada')") || !strings.Contains(looked.out, "the seed was not executed") {
			t.Error(looked)
		}
		served(m, one)
		if done := migrate(0, "--seed", "seed/minimal.sql"); !strings.Contains(done.out, "applied seed/minimal.sql") {
			t.Error(done)
		}
		served(m, `{"code":"one","rows":1}`)
		if again := migrate(0, "--seed", "./seed/minimal.sql"); !strings.Contains(again.out, "was executed already") {
			t.Error(again)
		}
		migrate(0, "--seed", "seed/minimal.sql", "--again")
		served(m, `{"code":"one","rows":2}`)
		m.write("seed/minimal.sql", "INSERT INTO users (name) VALUES ('bob');\n")
		if refused := migrate(4, "--seed", "seed/minimal.sql"); !strings.Contains(refused.out, "there are rows in table users") || !strings.Contains(refused.out, "--beside-data") {
			t.Error(refused)
		}
		m.write("seed/reset.sql", "DELETE FROM users;\n")
		if refused := migrate(4, "--seed", "seed/reset.sql", "--beside-data"); !strings.Contains(refused.out, "it deletes rows") {
			t.Error(refused)
		}
		m.stopAt(moment{event.StepFinished, "seed"}, []syscall.Signal{syscall.SIGKILL}, "migrate", "--env", "staging", "--seed", "seed/minimal.sql", "--beside-data")
		if again := migrate(0, "--seed", "seed/minimal.sql", "--beside-data"); !strings.Contains(again.out, "was executed already") {
			t.Errorf("after a kill behind the seed:\n%s", again)
		}
		one = `{"code":"one","rows":3}`
		served(m, one)
	})

	t.Run("approved", func(t *testing.T) {
		m := m.in(t)
		m.git("config", "user.email", "ann@example.com")
		m.edit("penstock.yaml", "  staging:\n    target: local\n", "  staging:\n    target: local\n    approvers: [bea@example.com]\n")
		m.migration("0004_city.sql", "ALTER TABLE users ADD COLUMN city TEXT;")
		m.write("seed/city.sql", "INSERT INTO users (name, city) VALUES ('cyd', 'Rome');\n")
		waits := m.must(5, "migrate", "--env", "staging", "--seed", "seed/city.sql", "--beside-data")
		id := m.runs()[0].ID
		if !strings.Contains(waits.out, "ADD COLUMN city") || !strings.Contains(waits.out, "'Rome'") {
			t.Errorf("who approves does not see the SQL:\n%s", waits)
		}
		why := m.must(0, "why", id)
		if !strings.Contains(why.out, "0004_city.sql") || !strings.Contains(why.out, "seed/city.sql") || strings.Contains(why.out, "version") {
			t.Error(why)
		}
		m.must(0, "approve", id, "--as", "bea@example.com", "--reason", "seen")
		done := m.must(0, "promote", id)
		if !strings.Contains(done.out, "applied 0004_city.sql") || !strings.Contains(done.out, "seed/city.sql") {
			t.Error(done)
		}
		one = `{"code":"one","rows":4}`
		m.must(4, "promote", id, "--env", "local")
		served(m, one)
	})
	if after := m.deployments("rows-staging"); after != before {
		t.Errorf("%d deployments before, %d after", before, after)
	}
	m.must(0, "verify")
}
