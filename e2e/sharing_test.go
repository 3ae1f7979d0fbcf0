package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sharing is a penstock.yaml whose environments keep their record where all machines of this test reach it. Anybody may deploy to
// the second one, which takes its time.
const sharing = `environments:
  local:
    approvers: [ann@example.com, bea@example.com]
    ledger: &shared {d1: penstock-ledger, r2: penstock-vault}
  slow:
    target: local
    bake: 30s
    ledger: *shared
`

// another is a machine with nothing but a clone of the app: no state, no installed packages. It reaches the same Cloudflare.
func (m *machine) another(t *testing.T, who string) *machine {
	t.Helper()
	other := copyOf(t, "e2e/testdata/tiny")
	if err := os.RemoveAll(other.app); err != nil {
		t.Fatal(err)
	}
	m.git("clone", "--quiet", m.app, other.app)
	other.git("config", "user.email", who)
	if err := os.Symlink(filepath.Join(m.state, "local"), filepath.Join(other.state, "local")); err != nil {
		t.Fatal(err)
	}
	return other
}

// TestMachinesShareALedger: what one machine began another approves, and a third, which has nothing, goes on with.
func TestMachinesShareALedger(t *testing.T) {
	a := newWaitingMachine(t, sharing)
	if err := os.Mkdir(filepath.Join(a.app, "static"), 0o755); err != nil {
		t.Fatal(err)
	}
	a.write("static/a.txt", "one\n")
	a.edit("wrangler.toml", "[vars]", "[assets]\ndirectory = \"static\"\n\n[vars]")
	a.git("add", "-A")
	a.git("-c", "user.name=ann", "commit", "--quiet", "-m", "static files")
	a.must(2, "deploy", "--env", "local").says(t, "there is no shared ledger yet", "penstock provision --env local")
	a.must(0, "local", "up")
	a.must(0, "provision", "--env", "local").says(t, "created database penstock-ledger", "created bucket penstock-vault")
	a.must(0, "provision", "--env", "local") // it is there already

	id := a.waits()
	b := a.another(t, "bea@example.com")
	b.must(0, "status").says(t, "awaiting approval (0 of 1 given)", id)
	b.must(0, "why").says(t, "it would change, by plan sha256:", "bea@example.com", "penstock approve "+id)
	b.must(4, "approve", id, "--as", "ann@example.com", "--reason", "mine").says(t, "began this run")
	b.must(0, "approve", id[len(id)-8:], "--reason", "seen").says(t, "approved by bea@example.com")

	c := a.another(t, "cyd@example.com")
	c.write("src/index.js", "what a checkout may have become meanwhile")
	c.must(0, "promote", id).says(t, "approved by bea@example.com", "live: version")
	if status, body := a.get("/x"); status != 200 || body != "hello from /x\n" {
		t.Errorf("it serves %d %q", status, body)
	}
	for _, m := range []*machine{a, b, c} {
		m.must(4, "promote", id).says(t, "completed")
		m.must(0, "status").says(t, "live:    version", id)
		m.must(0, "verify").says(t, "are the same")
		if got := m.stands(id); got != "done" {
			t.Errorf("it is %s", got)
		}
	}

	t.Run("one of two that deploy at once gets the lease", func(t *testing.T) {
		a, b := a.in(t), b.in(t)
		defer a.edit("src/index.js", "from", "slowly from")()
		defer b.edit("src/index.js", "from", "at once from")()
		first, _, _ := a.command(t.Context(), "deploy", "--env", "slow")
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(limit); !strings.Contains(b.must(0, "status").out, "at work:"); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it never got to work")
			}
		}
		b.must(7, "deploy", "--env", "slow").says(t, "is being changed by promotion")
		if err := first.Wait(); err != nil {
			t.Errorf("the first: %v", err)
		}
	})

	t.Run("back from any machine", func(t *testing.T) {
		a, b, c := a.in(t), b.in(t), c.in(t)
		defer a.edit("src/index.js", "from", "second")()
		defer a.edit("static/a.txt", "one", "two")()
		id := a.waits()
		b.must(0, "why", id).says(t, "1 changed", "~/a.txt") // which files are live is known here too
		b.must(0, "approve", id, "--reason", "seen")
		c.must(0, "promote", id) // and there, or its plan would not be the one that was approved
		b.must(0, "rollback", "--env", "local")
		if _, body := a.get("/x"); body != "hello slowly from /x\n" { // the other environment is the same Worker
			t.Errorf("it serves %q", body)
		}
		a.must(0, "verify")
	})

	t.Run("it is changed behind their backs", func(t *testing.T) {
		a, b := a.in(t), b.in(t)
		for _, m := range []*machine{a, b} { // who has not seen it is no witness
			m.must(0, "status")
		}
		a.sql("DROP TRIGGER penstock_ledger_is_not_shortened")
		a.sql("DELETE FROM penstock_ledger WHERE seq = (SELECT max(seq) FROM penstock_ledger)")
		for _, m := range []*machine{a, b} {
			m.must(4, "status").says(t, "the shared ledger was changed", "is gone")
			m.must(4, "approve", id, "--reason", "x").says(t, "the shared ledger was changed")
			m.must(4, "deploy", "--env", "slow").says(t, "the shared ledger was changed")
			m.must(4, "verify").says(t, "the shared ledger", "is gone")
		}
	})
}

// sql changes the shared database as somebody would who has the token.
func (m *machine) sql(statement string) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.state, "local", "wrangler.env"))
	if err != nil {
		m.t.Fatal(err)
	}
	env := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, "=")
		env[name] = strings.Trim(value, `'"`)
	}
	base := env["CLOUDFLARE_API_BASE_URL"] + "/accounts/" + env["CLOUDFLARE_ACCOUNT_ID"] + "/d1/database"
	ask := func(method, address string, body []byte, into any) {
		m.t.Helper()
		request, err := http.NewRequestWithContext(m.t.Context(), method, address, bytes.NewReader(body))
		if err != nil {
			m.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+env["CLOUDFLARE_API_TOKEN"])
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			m.t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
			m.t.Fatalf("%s %s: %s, %v", method, address, answer.Status, err)
		}
	}
	var found struct{ Result []struct{ UUID string } }
	ask(http.MethodGet, base+"?name=penstock-ledger", nil, &found)
	if len(found.Result) != 1 {
		m.t.Fatalf("databases: %+v", found)
	}
	body, err := json.Marshal(map[string]string{"sql": statement})
	if err != nil {
		m.t.Fatal(err)
	}
	var done struct{ Success bool }
	if ask(http.MethodPost, fmt.Sprintf("%s/%s/query", base, found.Result[0].UUID), body, &done); !done.Success {
		m.t.Fatalf("%s was not done", statement)
	}
}
