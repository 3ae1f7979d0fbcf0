package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// save commits all that lies in the app's folder, as ann.
func (m *machine) save(subject string) {
	m.t.Helper()
	m.git("add", "-A")
	m.git("-c", "user.name=ann", "commit", "--quiet", "-m", subject)
}

// TestTooSoon: what was in staging for a moment only waits, another source than the one in staging is refused, and both go out
// once what the gate says was done.
func TestTooSoon(t *testing.T) {
	const soak = 15 * time.Second
	m := newWaitingMachine(t, fmt.Sprintf(`gates:
  release/soak: {phase: plan, environments: [local], enforcement: mandatory, config: {environment: staging, for: %s}}
environments:
  staging: {target: local, wranglerEnv: staging}
  local: {}
`, soak))
	m.write("wrangler.toml", "name = \"tiny\"\nmain = \"src/index.js\"\ncompatibility_date = \"2026-04-01\"\n[vars]\nGREETING = \"hello\"\n[env.staging.vars]\nGREETING = \"staged\"\n")
	o := m.must(4, "deploy", "--env", "local", "--json")
	verdict(t, o, "release/soak", gates.Fail, "nothing was ever promoted to staging")

	m.must(0, "deploy", "--env", "staging")
	staged := time.Now()
	o = m.must(5, "deploy", "--env", "local", "--json")
	verdict(t, o, "release/soak", gates.Pending, "live in staging for", "of "+gates.Span(soak), "until 20")
	waiting := m.runs()[0].ID
	m.must(0, "why", waiting).says(t, "release/soak", "time")
	if elapsed := time.Since(staged); elapsed > soak {
		t.Logf("NOT SHOWN that it still waits: that took %s", elapsed)
	} else {
		m.must(5, "promote", waiting)
	}

	putBack := m.edit("src/index.js", "from", "FROM")
	verdict(t, m.must(4, "deploy", "--env", "local", "--json"), "release/soak", gates.Fail, "what is live in staging is of another source")
	putBack()

	time.Sleep(time.Until(staged.Add(soak)))
	// The refused run began after the one that waits, and changed nothing: it does not stand in its way.
	verdict(t, m.must(0, "promote", waiting, "--json"), "release/soak", gates.Pass, "live in staging for")
	if _, body := m.get("/x"); body != "hello from /x\n" {
		t.Errorf("it serves %q", body)
	}
}

// TestTooLarge: a change that nobody can read goes out in parts, or when somebody takes it upon them.
func TestTooLarge(t *testing.T) {
	m := newWaitingMachine(t, "gates:\n  release/size: {phase: plan, environments: [local], enforcement: overridable, config: {lines: 40}}\n")
	verdict(t, m.must(0, "deploy", "--env", "local", "--json"), "release/size", gates.Pass, "nothing is live yet")

	m.write("src/more.js", untestedJS(0, 20))
	putBack := m.edit("src/index.js", "from", "FROM") // so that there is another version
	m.save("much at once")
	o := m.must(4, "deploy", "--env", "local", "--json")
	verdict(t, o, "release/size", gates.Fail, "a large change: 62 lines (limit 40)")
	verdicts := judged(t, o, "release/size")
	if found := verdicts[len(verdicts)-1].Findings; len(found) == 0 || found[0].File != "src/more.js" || !strings.Contains(found[0].Message, "60 lines added") {
		t.Errorf("it does not say where: %+v", found)
	}
	if status, body := m.get("/x"); status != 200 || body != "hello from /x\n" {
		t.Errorf("it serves %d %q", status, body)
	}
	putBack()

	t.Run("in smaller parts", func(t *testing.T) {
		m := m.in(t)
		m.write("src/more.js", untestedJS(0, 10))
		m.edit("src/index.js", "from", "FROM")
		m.save("the first half")
		verdict(t, m.must(0, "deploy", "--env", "local", "--json"), "release/size", gates.Pass, "2 files and 32 lines")
		m.write("src/more.js", untestedJS(0, 20))
		m.edit("src/index.js", "FROM", "out of")
		m.save("the second half")
		verdict(t, m.must(0, "deploy", "--env", "local", "--json"), "release/size", gates.Pass, "2 files and 32 lines")
	})

	t.Run("somebody has read all of it", func(t *testing.T) {
		m := m.in(t)
		m.write("src/more.js", untestedJS(20, 60))
		m.edit("src/index.js", "out of", "waived")
		m.save("much at once")
		m.must(4, "deploy", "--env", "local")
		id := m.runs()[0].ID
		m.must(0, "waive", id, "release/size", "--reason", "generated, and read")
		m.must(0, "promote", id).says(t, "fail, waived by ann@example.com")
		if _, body := m.get("/x"); body != "hello waived /x\n" {
			t.Errorf("it serves %q", body)
		}
	})
}

// untestedJS are functions of three lines each.
func untestedJS(from, to int) string {
	var out strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&out, "export function f%d() {\n  return %d;\n}\n", i, i)
	}
	return out.String()
}

// TestAnotherBundleThanTheTestedOne: what goes out is what the stages of this source make, and what was judged. What differs is
// refused, whoever made it differ.
func TestAnotherBundleThanTheTestedOne(t *testing.T) {
	m := newWaitingMachine(t, "gates:\n  release/provenance: {phase: plan, environments: [local], enforcement: mandatory, config: {clean: true}}\n"+people)

	// A source that is in no commit cannot be made again by anybody.
	putBack := m.edit("src/index.js", "from", "by hand")
	o := m.must(4, "deploy", "--env", "local", "--json")
	verdict(t, o, "release/provenance", gates.Fail, "the source differs from its commit", "nobody else can make it again")
	m.save("the next step")
	o = m.must(5, "deploy", "--env", "local", "--json") // waits for people, the gate has nothing against it
	verdict(t, o, "release/provenance", gates.Pass, "passed stages of this run", ", commit ")
	putBack()

	// Tampered with while it waits: the vault sees that it is not what its digest says.
	id := m.runs()[0].ID
	m.approve(id)
	kept := filepath.Join(m.state, "vault", "bundles", bundleOf(t, o)+".form")
	content, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	tampered := strings.Replace(string(content), "by hand", "evil ;)", 1)
	if tampered == string(content) {
		t.Fatalf("the bundle does not hold what was built:\n%s", content)
	}
	if err := os.WriteFile(kept, []byte(tampered), 0o600); err != nil {
		t.Fatal(err)
	}
	m.must(4, "promote", id).says(t, "was changed", "penstock deploy --env local")
	if err := os.WriteFile(kept, content, 0o600); err != nil {
		t.Fatal(err)
	}

	m.must(0, "promote", id)

	// A build that comes out differently each time, and no result of it that is known any more: what was approved is not what
	// its source makes now, so nobody can say that it is what was tested.
	m.edit("wrangler.toml", "compatibility_date", "build = { command = \"date +%N | sed 's/.*/export default \\\"&\\\"/' > src/stamp.js\" }\ncompatibility_date")
	m.edit("src/index.js", "export default {", "import stamp from './stamp.js';\nexport const made = () => stamp;\nexport default {")
	m.write(".gitignore", "src/stamp.js\n")
	m.save("a stamp")
	id = m.waits()
	m.approve(id)
	if err := os.RemoveAll(filepath.Join(m.state, "cache")); err != nil {
		t.Fatal(err)
	}
	o = m.must(4, "promote", id, "--json")
	verdict(t, o, "release/provenance", gates.Fail, "the stages make sha256:", "would be promoted")

	// The next step: deploy anew, and have that approved.
	id = m.waits()
	m.approve(id)
	verdict(t, m.must(0, "promote", id, "--json"), "release/provenance", gates.Pass)
}

var bundleDigest = regexp.MustCompile(`"digest":"sha256:([0-9a-f]{64})"`)

// bundleOf is the bundle that a run made, as its file in the vault is called.
func bundleOf(t *testing.T, o outcome) string {
	t.Helper()
	for line := range strings.Lines(o.out) {
		if !strings.Contains(line, string(event.BundleBuilt)) {
			continue
		}
		if found := bundleDigest.FindStringSubmatch(line); found != nil {
			return found[1]
		}
	}
	t.Fatalf("no bundle was made:\n%s", o)
	return ""
}

// TestAMisspeltGate: it is told before the first stage, with everything else that is wrong, and no run was made of it.
func TestAMisspeltGate(t *testing.T) {
	m := newWaitingMachine(t, `gates:
  security/sqll: {enforcement: mandatory, phase: build}
  release/size: {phase: plan, config: {line: 40}}
  release/window:
    phase: bake
`)
	for _, args := range [][]string{{"check"}, {"plan", "--env", "local"}, {"deploy", "--env", "local"}} {
		o := m.must(2, args...)
		o.says(t, `penstock.yaml:2:3: the set security has no gate "sqll", did you mean "sql"?`, `penstock.yaml:3:40: release/size: unknown key "line", did you mean "lines"?`,
			"penstock.yaml:5:5: release/window cannot be asked in the phase bake; use plan or promote")
		if strings.Contains(o.out+o.err, "install") {
			t.Errorf("a stage ran first:\n%s", o)
		}
	}
	if o := m.run("history", "--json"); strings.Contains(o.out, `"id"`) {
		t.Errorf("it left a run:\n%s", o)
	}
	m.write("penstock.yaml", "gates:\n  security/sql: {enforcement: mandatory}\n  release/size: {phase: plan, config: {lines: 40}}\n  release/window: {phase: plan}\n")
	m.must(0, "check")
}
