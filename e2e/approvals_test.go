package e2e

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// people is a penstock.yaml by which ann's runs wait for bea, or cyd.
const people = `environments:
  local:
    approvers: [ann@example.com, bea@example.com, cyd@example.com]
`

// newWaitingMachine is ann's machine, with the smallest app and a penstock.yaml.
func newWaitingMachine(t *testing.T, config string) *machine {
	t.Helper()
	m := newWarmMachine(t, "e2e/testdata/tiny")
	m.write("penstock.yaml", config)
	m.git("config", "user.email", "ann@example.com")
	m.git("add", "-A")
	m.git("-c", "user.name=ann", "commit", "--quiet", "-m", "people")
	return m
}

func (m *machine) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.app, name), []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// aRun is a run as `history --json` lists it.
type aRun struct{ ID, State, Reason string }

func (m *machine) runs() []aRun {
	m.t.Helper()
	var runs []aRun
	told := m.must(0, "history", "--json")
	if err := json.Unmarshal([]byte(told.out), &runs); err != nil || len(runs) == 0 {
		m.t.Fatalf("no history: %v\n%s", err, told)
	}
	return runs
}

// stands is where a run stands.
func (m *machine) stands(id string) string {
	m.t.Helper()
	at := slices.IndexFunc(m.runs(), func(run aRun) bool { return run.ID == id })
	if at < 0 {
		m.t.Fatalf("run %s is not in the history", id)
	}
	return m.runs()[at].State
}

// waits deploys, wants the run to wait, and returns its id.
func (m *machine) waits(args ...string) string {
	m.t.Helper()
	m.must(5, append([]string{"deploy", "--env", "local"}, args...)...)
	return m.runs()[0].ID
}

// says fails unless a command's output has all the parts.
func (o outcome) says(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(o.out+o.err, part) {
			t.Errorf("it does not say %q:\n%s", part, o)
		}
	}
}

func (m *machine) approve(id string) {
	m.t.Helper()
	m.must(0, "approve", id, "--as", "bea@example.com", "--reason", "seen")
}

// TestPeopleApprove is the story of a run that waits, and of everything by which it must not go on.
func TestPeopleApprove(t *testing.T) {
	m := newWaitingMachine(t, people)
	id := m.waits()
	m.expectNobodyLeft() // it waits without a process, its Cloudflare included
	if got := m.stands(id); got != "awaiting-approval" {
		t.Errorf("it is %s", got)
	}
	m.must(0, "status").says(t, "awaiting approval (0 of 1 given)", id)
	m.must(0, "why").says(t, "it would change, by plan sha256:", "create", "version", "0 of 1 given", "bea@example.com, cyd@example.com", "penstock approve "+id)
	var why struct {
		Unmet []struct{ What, Who, Do string }
	}
	if told := m.must(0, "why", id, "--json"); json.Unmarshal([]byte(told.out), &why) != nil || len(why.Unmet) != 1 || why.Unmet[0].What != "approval" {
		t.Errorf("why --json: %s", told)
	}

	m.must(5, "promote", id).says(t, "waits for 1 of") // nobody approved
	m.must(4, "approve", id, "--reason", "mine").says(t, "ann@example.com began this run")
	m.must(4, "approve", id, "--as", "eve@example.com", "--reason", "x").says(t, "none of the approvers")
	m.must(2, "approve", id, "--as", "bea@example.com").says(t, "needs a reason")
	m.must(4, "approve", id, "--as", "bea@example.com", "--reason", "x", "--plan", "sha256:"+strings.Repeat("0", 64)).says(t, "what waits is plan")
	m.must(2, "approve", "01NOSUCHRUN", "--reason", "x")
	if got := m.stands(id); got != "awaiting-approval" {
		t.Fatalf("after decisions that do not count it is %s", got)
	}

	m.approve(id)
	m.must(4, "approve", id, "--as", "BEA@example.com", "--reason", "again").says(t, "approved this plan already")
	if got := m.stands(id); got != "approved" {
		t.Errorf("it is %s", got)
	}
	// The folder goes on; what was approved does not.
	putBack := m.edit("src/index.js", "from", "FROM")
	m.must(0, "promote", id[len(id)-8:]).says(t, "approved by bea@example.com", "live: version")
	if status, body := m.get("/x"); status != 200 || body != "hello from /x\n" {
		t.Errorf("it serves %d %q, which nobody approved", status, body)
	}
	putBack()
	m.must(4, "promote", id).says(t, "completed")
	m.must(4, "approve", id, "--as", "cyd@example.com", "--reason", "late").says(t, "completed")
	m.must(0, "verify")

	t.Run("what changes nothing needs nobody", func(t *testing.T) {
		m.in(t).must(0, "deploy", "--env", "local").says(t, "nothing to deploy")
	})

	t.Run("a rejection is the end", func(t *testing.T) {
		m := m.in(t)
		defer m.edit("src/index.js", "from", "rejected")()
		id := m.waits()
		m.must(4, "reject", id, "--as", "eve", "--reason", "x").says(t, "none of the approvers")
		m.must(0, "reject", id, "--as", "cyd@example.com", "--reason", "not before the exam week")
		m.must(4, "approve", id, "--as", "bea@example.com", "--reason", "but").says(t, "rejected")
		m.must(4, "promote", id).says(t, "rejected", "not before the exam week")
		m.must(0, "why", id).says(t, "rejected by cyd@example.com", "begins anew")
		if got := m.stands(id); got != "rejected" {
			t.Errorf("it is %s", got)
		}
	})

	t.Run("a newer run supersedes", func(t *testing.T) {
		m := m.in(t)
		putBack := m.edit("src/index.js", "from", "older")
		older := m.waits()
		m.approve(older)
		putBack()
		defer m.edit("src/index.js", "from", "newer")()
		newer := m.waits()
		if got := m.stands(older); got != "superseded" {
			t.Errorf("the older is %s", got)
		}
		m.must(4, "promote", older).says(t, "superseded")
		m.must(4, "approve", older, "--as", "cyd@example.com", "--reason", "x")
		m.approve(newer)
		m.must(0, "promote", newer)
		m.must(4, "promote", older).says(t, "superseded")
		if _, body := m.get("/x"); body != "hello newer /x\n" {
			t.Errorf("it serves %q", body)
		}
	})

	t.Run("what is live changes, and the approval is void", func(t *testing.T) {
		m := m.in(t)
		defer m.edit("src/index.js", "from", "voided")()
		id := m.waits()
		m.approve(id)
		m.must(0, "local", "down")
		if err := os.RemoveAll(filepath.Join(m.state, "local")); err != nil {
			t.Fatal(err)
		}
		m.must(5, "promote", id).says(t, "what was decided is void", "it was ", "live")
		if got := m.stands(id); got != "awaiting-approval" {
			t.Errorf("it is %s", got)
		}
		m.must(5, "promote", id) // the old approval is not replayed
		m.must(0, "why", id).says(t, "does not count for this plan", "void")
		m.approve(id)
		m.must(0, "promote", id)
		if _, body := m.get("/x"); body != "hello voided /x\n" {
			t.Errorf("it serves %q", body)
		}
	})

	t.Run("the bundle is changed while it waits", func(t *testing.T) {
		m := m.in(t)
		defer m.edit("src/index.js", "from", "swapped")()
		id := m.waits()
		m.approve(id)
		kept, err := filepath.Glob(filepath.Join(m.state, "vault", "bundles", "*"))
		if err != nil || len(kept) == 0 {
			t.Fatal(err)
		}
		for _, path := range kept {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), "swapped", "evil ;)")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m.must(4, "promote", id).says(t, "was changed")
	})
}

// TestWaitingEnds: a run does not wait for ever.
func TestWaitingEnds(t *testing.T) {
	m := newWaitingMachine(t, people+"    waiting: 1s\n")
	id := m.waits()
	time.Sleep(1100 * time.Millisecond)
	m.must(4, "approve", id, "--as", "bea@example.com", "--reason", "late").says(t, "expired")
	m.must(4, "promote", id).says(t, "expired")
	if got := m.stands(id); got != "expired" {
		t.Errorf("it is %s", got)
	}
	m.must(0, "why", id).says(t, "nobody cleared it", "begins anew")
}

// TestQuorum: two of three, none of them twice, and the author not at all.
func TestQuorum(t *testing.T) {
	m := newWaitingMachine(t, people+"    approvals: 2\n")
	id := m.waits()
	m.must(0, "approve", id, "--as", "bea@example.com", "--reason", "seen").says(t, "1 more of")
	m.must(5, "promote", id).says(t, "waits for 1 of")
	m.must(4, "approve", id, "--as", "ann@example.com", "--reason", "x")
	m.must(4, "approve", id, "--as", "bea@example.com", "--reason", "x")
	m.must(0, "approve", id, "--as", "cyd@example.com", "--reason", "seen too")
	m.must(0, "promote", id).says(t, "approved by bea@example.com", "approved by cyd@example.com")
}

// TestWaive: an overridable gate that blocks can be passed for a reason and a time, a mandatory one never.
func TestWaive(t *testing.T) {
	m := newWaitingMachine(t, "name: tiny\n")
	m.edit("src/index.js", "return new Response(", "if (!env.GREETING) env.DB.prepare('SELECT * FROM t WHERE a = ' + request.url).all();\n    return new Response(")
	m.must(4, "deploy", "--env", "local").says(t, "security/sql", "penstock waive")
	id := m.runs()[0].ID
	m.must(4, "promote", id).says(t, "blocked by security/sql") // nobody waived it
	m.must(0, "why", id).says(t, "gate security/sql", "penstock waive "+id+" security/sql")
	m.must(4, "waive", id, "security/secrets", "--reason", "x").says(t, "mandatory")
	m.must(2, "waive", id, "security/sql").says(t, "needs a reason")
	m.must(4, "waive", id, "security/sql", "--reason", "x", "--expires", "91d").says(t, "90 days")
	m.must(2, "waive", id, "security/sql", "--reason", "x", "--expires", "soon")
	m.must(2, "waive", id, "quality/nothing", "--reason", "x")
	m.must(0, "waive", id, "security/sql", "--reason", "hot fix", "--expires", "1h").says(t, "waived by ann@example.com", "hot fix")
	m.must(0, "promote", id).says(t, "fail, waived by ann@example.com")
	m.must(0, "status").says(t, "waiver:  security/sql", "hot fix")
	m.must(0, "why", id).says(t, "nothing is in its way", "security/sql waived by")
	// Another bundle is another matter.
	defer m.edit("src/index.js", "from", "FROM")()
	m.must(4, "deploy", "--env", "local").says(t, "blocked by security/sql")
}

// TestFreeze: a run that is caught by a freeze waits, says until when, and goes on when somebody takes it upon them.
func TestFreeze(t *testing.T) {
	until := time.Now().AddDate(0, 0, 3).UTC().Format("2006-01-02")
	m := newWaitingMachine(t, `gates:
  release/window:
    phase: plan
    config: {freeze: [{from: "2026-01-01", to: "`+until+`", reason: exam weeks}]}
  release/approval: {phase: plan, config: {with: [bea@example.com]}}
  release/provenance: {environments: [local], config: {clean: true}, enforcement: mandatory}
  release/size: {environments: [local], enforcement: mandatory}
`+people)
	o := m.must(5, "deploy", "--env", "local", "--json")
	verdict(t, o, "release/window", gates.Pending, "exam weeks")
	verdict(t, o, "release/approval", gates.Pending, "bea@example.com")
	id := m.runs()[0].ID
	if got := m.stands(id); got != "awaiting-approval" {
		t.Errorf("it is %s", got)
	}
	m.must(0, "why", id).says(t, "exam weeks", "the calendar", "not before", "approval")
	m.approve(id)
	m.must(5, "promote", id).says(t, "waits for release/window") // approved, and still frozen
	m.must(4, "waive", id, "release/window", "--reason", "mine").says(t, "ann@example.com began this run")
	m.must(0, "waive", id, "release/window", "--reason", "the exams need it", "--as", "cyd@example.com")
	m.must(0, "promote", id).says(t, "pending, waived by cyd@example.com", "approved by bea@example.com")

	t.Run("it never opens, and nobody can approve", func(t *testing.T) {
		m := m.in(t)
		m.edit("penstock.yaml", `to: "`+until+`"`, `to: "2099-12-31"`)
		m.edit("penstock.yaml", "with: [bea@example.com]", "count: 4")
		m.edit("src/index.js", "from", "never")
		o := m.must(4, "deploy", "--env", "local", "--json")
		verdict(t, o, "release/window", gates.Fail, "exam weeks")
		verdict(t, o, "release/approval", gates.Fail, "4")
	})
}

// TestFurther: the same source goes from one environment to the next, and not the other way round.
func TestFurther(t *testing.T) {
	m := newWaitingMachine(t, `gates:
  release/window: {phase: plan, environments: [staging]}
  release/approval: {phase: plan, environments: [staging]}
  release/soak: {phase: plan, environments: [local], config: {environment: staging, for: 1s}}
environments:
  staging: {target: local, wranglerEnv: staging}
  local: {after: staging}
`)
	m.write("wrangler.toml", "name = \"tiny\"\nmain = \"src/index.js\"\ncompatibility_date = \"2026-04-01\"\n[vars]\nGREETING = \"hello\"\n[env.staging.vars]\nGREETING = \"staged\"\n")
	m.must(4, "deploy", "--env", "local").says(t, "local comes after staging")
	o := m.must(0, "deploy", "--env", "staging", "--json")
	verdict(t, o, "release/window", gates.Pass)
	verdict(t, o, "release/approval", gates.Pass)
	staged := m.runs()[0].ID
	defer m.edit("src/index.js", "from", "FROM")()
	m.must(4, "deploy", "--env", "local").says(t, "never had this source")
	time.Sleep(time.Second)
	m.must(0, "promote", staged, "--env", "local").says(t, "release/soak")
	m.must(0, "status").says(t, "tiny → local", "tiny → staging")
	m.must(4, "promote", staged).says(t, "does not wait")
}

// TestKilledWhileItWaits: killed at any moment around waiting and approving, a run waits or does not, and nothing is lost:
// no approval, no traffic, no record.
func TestKilledWhileItWaits(t *testing.T) {
	m := newWaitingMachine(t, people)
	first := m.waits() // so that there is something to go back to
	m.approve(first)
	m.must(0, "promote", first)
	m.edit("src/index.js", "from", "killed")
	kill := []syscall.Signal{syscall.SIGKILL}
	for _, at := range []moment{
		{event.BundleBuilt, ""}, {event.PlanMade, ""}, {event.RunFinished, ""},
	} {
		m.stopAt(at, kill, "deploy", "--env", "local")
		m.expectOnlyCloudLeft()
		m.must(0, "verify")
		run := m.runs()[0]
		switch run.State {
		case "interrupted":
			m.must(4, "promote", run.ID).says(t, "interrupted")
		case "awaiting-approval":
			m.must(5, "promote", run.ID)
		default:
			t.Errorf("killed at %s it is %s", at.kind, run.State)
		}
	}
	id := m.waits()
	m.approve(id)
	for _, at := range []moment{
		{event.RunStarted, ""}, {event.StageStarted, "install"}, {event.PlanMade, ""}, {event.StepStarted, "lease"}, {event.StepStarted, "upload"},
		{event.StepStarted, "place"}, {event.StepStarted, "shift-100"}, {event.StepStarted, "verify"},
	} {
		m.stopAt(at, kill, "promote", id)
		m.expectOnlyCloudLeft()
		m.must(0, "verify")
		if got := m.stands(id); got != "approved" {
			t.Fatalf("killed at %s %s it is %s", at.kind, at.name, got)
		}
	}
	if _, body := m.get("/x"); body != "hello from /x\n" && body != "hello killed /x\n" {
		t.Errorf("after everything was killed it serves %q", body)
	}
	m.must(0, "promote", id).says(t, "approved by bea@example.com")
	if _, body := m.get("/x"); body != "hello killed /x\n" {
		t.Errorf("it serves %q", body)
	}
	m.must(0, "verify")
}

// TestNobodyHidesBehindAnotherName: where only signatures count, ann can approve no run of hers, whatever name she begins it by.
func TestNobodyHidesBehindAnotherName(t *testing.T) {
	m := newWaitingMachine(t, "environments:\n  local:\n    approvers: [ann@example.com, bea@example.com]\n    signers: allowed_signers\n")
	keys := map[string]string{}
	var signers strings.Builder
	for _, name := range []string{"ann", "bea"} {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		key, keyErr := ssh.NewPublicKey(public)
		if err := errors.Join(err, keyErr); err != nil {
			t.Fatal(err)
		}
		keys[name] = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(keys[name], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		signers.WriteString(name + "@example.com " + string(ssh.MarshalAuthorizedKey(key)))
	}
	m.write("allowed_signers", signers.String())
	approves := func(code int, id, name string) outcome {
		return m.must(code, "approve", id, "--reason", "mine", "--as", name+"@example.com", "--sign", keys[name])
	}

	hidden := m.waits("--as", "eve@example.com")
	approves(0, hidden, "ann").says(t, "1 more", "nobody signed who began the run")
	m.must(5, "promote", hidden)
	approves(0, hidden, "bea").says(t, "goes on")
	m.must(0, "promote", hidden)

	defer m.edit("src/index.js", "from", "FROM")()
	begun := m.waits("--sign", keys["ann"])
	approves(4, begun, "ann").says(t, "began this run")
	approves(0, begun, "bea").says(t, "goes on")
	m.must(0, "promote", begun)
}
