package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
)

// boundApp is the smallest Worker that needs something of its account.
var boundApp = map[string]string{
	"wrangler.toml": `name = "tiny"
main = "src/index.js"
compatibility_date = "2026-04-01"
routes = [{ pattern = "tiny.app.example.com", custom_domain = true, zone_name = "example.com" }]

[vars]
GREETING = "hello"

[version_metadata]
binding = "VERSION"

[[d1_databases]]
binding = "DB"
database_name = "tiny-rows"
database_id = "00000000-0000-4000-8000-000000000001"

[[kv_namespaces]]
binding = "CACHE"
id = "00000000000000000000000000000001"

[[r2_buckets]]
binding = "FILES"
bucket_name = "tiny-files"

[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]

[[queues.producers]]
binding = "JOBS"
queue = "tiny-jobs"

[[queues.consumers]]
queue = "tiny-jobs"
max_batch_size = 10
`,
	"migrations/0001_notes.sql": "CREATE TABLE notes (id INTEGER PRIMARY KEY);\n",
	"src/index.js": `import { DurableObject } from "cloudflare:workers";

export class Counter extends DurableObject {}

export default {
  fetch(request, env) {
    return new Response(env.GREETING + " from " + new URL(request.url).pathname, { headers: { "x-version-id": env.VERSION.id } });
  },
  queue() {},
};
`,
	"penstock.yaml": `gates:
  cloudflare/certificate:
    enforcement: mandatory
    config:
      days: 14
  cloudflare/drift:
    enforcement: mandatory
  cloudflare/secrets:
    phase: promote
    enforcement: mandatory
environments:
  local:
    secrets: [API_KEY]
    bake: 5s
`,
}

// TestGatesSeeWhatIsBroken breaks the local Cloudflare on purpose, one thing after the other, and wants the gate that is
// about it to say so: in the end by exit code, and in words that name the thing.
func TestGatesSeeWhatIsBroken(t *testing.T) {
	m := newWarmMachine(t, "e2e/testdata/tiny")
	for name, text := range boundApp {
		m.replace(name, text)
	}
	deploys := 0
	change := func() { // so that there is something to deploy
		deploys++
		m.edit("wrangler.toml", "GREETING = \"", fmt.Sprintf("GREETING = \"%d ", deploys))
	}
	sound := m.must(0, "deploy", "--json")
	verdict(t, sound, "cloudflare/certificate", gates.Pass, "is made with its domain")
	verdict(t, sound, "cloudflare/drift", gates.Pass, "nothing is live in local yet")
	verdict(t, sound, "cloudflare/secrets", gates.Pass, "secret API_KEY has a value")
	verdict(t, sound, "cloudflare/d1", gates.Pass, "D1 database tiny-rows exists; 1 migration applied")
	verdict(t, sound, "cloudflare/kv", gates.Pass, "KV namespace tiny-CACHE exists")
	verdict(t, sound, "cloudflare/r2", gates.Pass, "R2 bucket tiny-files exists; tiny-files is not public")
	verdict(t, sound, "cloudflare/durable-objects", gates.Pass, "Durable Object class Counter exists")
	verdict(t, sound, "cloudflare/queues", gates.Pass, "tiny consumes it as wanted")
	verdict(t, sound, "cloudflare/domain", gates.Pass, "the custom domain tiny.app.example.com leads to tiny")
	verdict(t, sound, "health/smoke", gates.Pass)

	t.Run("somebody changes a secret by hand", func(t *testing.T) {
		m := m.in(t)
		m.cloudflare(http.MethodPut, "/workers/scripts/tiny/secrets", map[string]any{"name": "BY_HAND", "type": "secret_text", "text": "not ours"}, nil)
		change()
		o := m.must(4, "deploy", "--json")
		verdict(t, o, "cloudflare/drift", gates.Fail, "takes 100 %, promoted was")
		putBack := m.edit("penstock.yaml", "cloudflare/drift:\n    enforcement: mandatory", "cloudflare/drift:\n    enforcement: advisory")
		m.must(0, "deploy") // on purpose, and from now on it is what was promoted
		putBack()

		// By penstock it is no drift, as the next deployment shows.
		m.env = []string{"BY_HAND=not any more"}
		m.must(0, "secrets", "put", "BY_HAND", "--env", "local", "--from-env", "BY_HAND")
	})

	t.Run("a vector index is of another shape", func(t *testing.T) {
		m := m.in(t)
		m.cloudflare(http.MethodPost, "/vectorize/v2/indexes", map[string]any{"name": "faq", "config": map[string]any{"dimensions": 3, "metric": "cosine"}}, nil)
		m.edit("wrangler.toml", "[version_metadata]", "[[vectorize]]\nbinding = \"FAQ\"\nindex_name = \"faq\"\n\n[version_metadata]")
		change()
		o := m.must(0, "deploy", "--json")
		verdict(t, o, "cloudflare/drift", gates.Pass, "as promotion", "penstock put secrets since")
		verdict(t, o, "cloudflare/vectorize", gates.Pass, "Vectorize index faq exists")
		putBack := m.edit("penstock.yaml", "environments:\n", "  cloudflare/vectorize:\n    config:\n      indexes: {faq: {dimensions: 768}}\nenvironments:\n")
		change()
		verdict(t, m.must(6, "deploy", "--json"), "cloudflare/vectorize", gates.Fail, "has 3 dimensions, 768 are wanted")
		putBack()
	})

	t.Run("the queue's consumer and the domain are deleted", func(t *testing.T) {
		m := m.in(t)
		change()
		o := m.during(moment{event.StepStarted, "bake"}, func() {
			var queues, consumers []map[string]any
			m.cloudflare(http.MethodGet, "/queues", nil, &queues)
			path := fmt.Sprintf("/queues/%s/consumers", queues[0]["queue_id"])
			m.cloudflare(http.MethodGet, path, nil, &consumers)
			m.cloudflare(http.MethodDelete, fmt.Sprintf("%s/%s", path, consumers[0]["consumer_id"]), nil, nil)
			m.deleteDomain()
		}, 6, "deploy")
		verdict(t, o, "cloudflare/queues", gates.Fail, "queue tiny-jobs has no consumer tiny; it has none")
		verdict(t, o, "cloudflare/domain", gates.Fail, "the custom domain tiny.app.example.com does not exist")
		m.next(verdict(t, o, "cloudflare/domain", gates.Fail))
		told := m.doctor()
		told.stands(t, "cloudflare/queues", "pass", "tiny consumes it as wanted")
		told.stands(t, "cloudflare/domain", "pass", "leads to tiny")
	})

	t.Run("the consumers and the domain cannot be asked", func(t *testing.T) {
		m := m.in(t)
		change()
		o := m.during(moment{event.StepStarted, "bake"}, func() {
			m.faults("calls:\n  - {call: \"GET /accounts/*/queues/*/consumers\", status: 403}\n  - {call: \"GET /accounts/*/workers/domains\", status: 500}\n")
		}, 6, "deploy")
		m.must(0, "local", "faults", "--off")
		verdict(t, o, "cloudflare/queues", gates.Inconclusive, "who consumes queue tiny-jobs is not known", `"Account > Queues > Read"`)
		verdict(t, o, "cloudflare/domain", gates.Inconclusive, "whether the custom domain tiny.app.example.com exists is not known", "answered 500")
	})

	t.Run("storage is deleted under a new version", func(t *testing.T) {
		m := m.in(t)
		change()
		o := m.during(moment{event.StepStarted, "smoke"}, func() {
			m.cloudflare(http.MethodDelete, "/d1/database/"+m.one("/d1/database", "uuid"), nil, nil)
			m.cloudflare(http.MethodDelete, "/storage/kv/namespaces/"+m.one("/storage/kv/namespaces", "id"), nil, nil)
			m.cloudflare(http.MethodDelete, "/r2/buckets/tiny-files", nil, nil)
		}, 6, "deploy")
		verdict(t, o, "cloudflare/d1", gates.Fail, "D1 database tiny-rows (binding DB) does not exist")
		verdict(t, o, "cloudflare/r2", gates.Fail, "R2 bucket tiny-files (binding FILES) does not exist")
		said := verdict(t, o, "cloudflare/kv", gates.Fail, "KV namespace tiny-CACHE (binding CACHE) does not exist")
		verdict(t, o, "cloudflare/durable-objects", gates.Pass)

		provision, deploy := said.NextStep, said.NextStep[strings.Index(said.NextStep, "then"):]
		m.next(gates.Verdict{NextStep: provision})
		// They are there again under their names, and what is live leads to those that are gone.
		told := m.doctor()
		told.stands(t, "cloudflare/kv", "fail", "leads to kv_namespace", "KV namespace tiny-CACHE is")
		told.stands(t, "cloudflare/d1", "fail", "1 migration is not applied to D1 database tiny-rows: 0001_notes.sql", "leads to d1")
		told.stands(t, "cloudflare/r2", "pass")
		o = m.next(gates.Verdict{NextStep: deploy})
		for _, gate := range []string{"cloudflare/d1", "cloudflare/kv", "cloudflare/r2"} {
			verdict(t, o, gate, gates.Pass)
		}
	})

	t.Run("what is live lacks what the config wants", func(t *testing.T) {
		m := m.in(t)
		defer m.edit("penstock.yaml", "cloudflare/drift:\n    enforcement: mandatory", "cloudflare/drift:\n    enforcement: advisory")()
		m.cloudflare(http.MethodDelete, "/workers/scripts/tiny/secrets/API_KEY", nil, nil) // makes a version that nobody promoted
		m.deleteDomain()
		m.replace("migrations/0002_tags.sql", "CREATE TABLE tags (id INTEGER PRIMARY KEY);\n")
		m.edit("wrangler.toml", "[[migrations]]", "[[durable_objects.bindings]]\nname = \"LOCK\"\nclass_name = \"Lock\"\n\n[[migrations]]")
		m.edit("src/index.js", "export class", "export class Lock extends DurableObject {}\nexport class")
		told := m.doctor()
		secrets := told.stands(t, "cloudflare/secrets", "fail", "the required secret API_KEY has no value in local")
		domain := told.stands(t, "cloudflare/domain", "fail", "the custom domain tiny.app.example.com does not exist")
		d1 := told.stands(t, "cloudflare/d1", "fail", "1 migration is not applied to D1 database tiny-rows: 0002_tags.sql")
		classes := told.stands(t, "cloudflare/durable-objects", "fail", "Durable Object class Lock (binding LOCK) does not exist")
		told.stands(t, "cloudflare/kv", "pass")

		// A class without a migration is refused by Cloudflare itself, before any gate of the promotion.
		m.must(3, "deploy").says(t, "class 'Lock'", "apply a migration")
		m.env = []string{"API_KEY=" + "a value of ours"}
		m.next(secrets, "--from-env", "API_KEY")
		m.env = nil
		m.next(domain)
		m.edit("wrangler.toml", "[[queues.producers]]", "[[migrations]]\ntag = \"v2\"\nnew_sqlite_classes = [\"Lock\"]\n\n[[queues.producers]]")
		if d1.NextStep == "" || !strings.Contains(classes.NextStep, "new_sqlite_classes") {
			t.Errorf("the next step does not say how a class comes to be: %s", classes.NextStep)
		}
		o := m.next(classes)
		if strings.Contains(o.out, "got a random one") {
			t.Error("the secret that was put is not used")
		}
		verdict(t, o, "cloudflare/drift", gates.Fail) // what penstock put is on top of what somebody took away
		verdict(t, o, "cloudflare/secrets", gates.Pass)
		verdict(t, o, "cloudflare/d1", gates.Pass, "2 migrations applied")
		verdict(t, o, "cloudflare/durable-objects", gates.Pass, "Durable Object class Lock exists")
		verdict(t, o, "cloudflare/domain", gates.Pass)
	})

	t.Run("storage cannot be asked", func(t *testing.T) {
		m := m.in(t)
		change()
		o := m.during(moment{event.StepStarted, "smoke"}, func() {
			m.faults(`calls:
  - {call: "GET /accounts/*/d1/database", status: 500}
  - {call: "GET /accounts/*/storage/kv/namespaces", status: 403}
  - {call: "GET /accounts/*/r2/buckets/*", status: 429, retryAfter: 1s}
`)
		}, 6, "deploy")
		// Nothing can be planned without them, so doctor says of no line that it holds.
		told := m.doctor()
		m.must(0, "local", "faults", "--off")
		verdict(t, o, "cloudflare/d1", gates.Inconclusive, "whether D1 database tiny-rows exists is not known", "answered 500")
		verdict(t, o, "cloudflare/kv", gates.Inconclusive, "whether KV namespace tiny-CACHE exists is not known", "answered 403", `"Account > Workers KV Storage > Read"`)
		verdict(t, o, "cloudflare/r2", gates.Inconclusive, "whether R2 bucket tiny-files exists is not known", "answered 429")
		for _, gate := range []string{"cloudflare/secrets", "cloudflare/d1", "cloudflare/kv", "cloudflare/r2", "cloudflare/durable-objects", "cloudflare/domain"} {
			told.stands(t, gate, "unknown", "was not asked", "answered 500")
		}
	})

	t.Run("the domain leads elsewhere", func(t *testing.T) {
		m := m.in(t)
		m.takeDomain("other")
		m.must(3, "deploy").says(t, `the custom domain tiny.app.example.com leads to Worker "other"`, "next: ")
		said := m.doctor().stands(t, "cloudflare/domain", "fail", `leads to Worker "other", not to tiny`)
		m.deleteDomain() // as its first half says
		m.next(said)
		m.doctor().stands(t, "cloudflare/domain", "pass", "leads to tiny")
	})

	t.Run("plain HTTP is answered", func(t *testing.T) {
		m := m.in(t)
		putBack := m.edit("penstock.yaml", "environments:\n", "  security/https: {environments: [local], enforcement: mandatory}\nenvironments:\n")
		defer putBack()
		change()
		o := m.must(6, "deploy", "--json")
		verdict(t, o, "security/https", gates.Fail, "tiny.app.example.com does not enforce HTTPS: 2 problems")
		verdicts := judged(t, o, "security/https")
		last := verdicts[len(verdicts)-1]
		for i, want := range []string{"GET http://tiny.app.example.com/ (200): plain HTTP is answered", "Strict-Transport-Security is missing"} {
			if len(last.Findings) != 2 || !strings.Contains(last.Findings[i].Message, want) {
				t.Errorf("it does not find %q: %+v", want, last.Findings)
			}
		}

		// The next step that it names, half of it first.
		if !strings.Contains(last.NextStep, "turn on Always Use HTTPS for the zone, and set Strict-Transport-Security") {
			t.Errorf("the next step: %s", last.NextStep)
		}
		var zones []map[string]any
		m.cloudflare(http.MethodGet, "/zones?name=example.com", nil, &zones)
		settings := fmt.Sprintf("/zones/%s/settings/", zones[0]["id"])
		m.cloudflare(http.MethodPatch, settings+"always_use_https", map[string]any{"value": "on"}, nil)
		verdict(t, m.must(6, "deploy", "--json"), "security/https", gates.Fail, "1 problem")
		m.edit("src/index.js", `"x-version-id": env.VERSION.id`, `"x-version-id": env.VERSION.id, "strict-transport-security": "max-age=31536000; includeSubDomains; preload"`)
		verdict(t, m.must(0, "deploy", "--json"), "security/https", gates.Pass, "tiny.app.example.com sends plain HTTP to HTTPS for good")
	})

	t.Run("the certificate runs out", func(t *testing.T) {
		m := m.in(t)
		m.deleteDomain()
		m.faults("certificates: {validityDays: 5}\n")
		change()
		m.must(0, "deploy") // makes the domain again, and with it a certificate
		change()
		o := m.must(4, "deploy", "--json")
		m.must(0, "local", "faults", "--off")
		verdict(t, o, "cloudflare/certificate", gates.Fail, "the certificate of tiny.app.example.com holds until", "at least 14 are wanted")
	})
}

// verdict is what a gate said at last in a run that was told as JSON; a test wants that outcome of it, in those words.
func verdict(t *testing.T, o outcome, gate string, want gates.Outcome, says ...string) gates.Verdict {
	t.Helper()
	verdicts := judged(t, o, gate)
	if len(verdicts) == 0 {
		t.Fatalf("%s was not asked:\n%s", gate, o)
	}
	last := verdicts[len(verdicts)-1]
	expectSaid(t, gate, last, want, says...)
	return last
}

// expectSaid fails unless a gate said that, and puts it down in the register.
func expectSaid(t *testing.T, gate string, said gates.Verdict, want gates.Outcome, says ...string) {
	t.Helper()
	if said.Outcome != want {
		t.Errorf("%s: %s, want %s: %s", gate, said.Outcome, want, said.Summary)
		return
	}
	for _, part := range says {
		if !strings.Contains(said.Summary, part) {
			t.Errorf("%s does not say %q: %s", gate, part, said.Summary)
		}
	}
	if want != gates.Pass && said.NextStep == "" {
		t.Errorf("%s names no next step: %s", gate, said.Summary)
	}
	seen.saw(gate, want)
}

// checklist is what doctor tells: how each gate stands.
type checklist map[string]struct{ state, detail, do string }

// doctor asks what is live, and args of penstock more.
func (m *machine) doctor(args ...string) checklist {
	m.t.Helper()
	o := m.run(append([]string{"doctor", "--json"}, args...)...)
	var told struct {
		Lists []struct {
			Lines []struct {
				State, Detail, Do string
				Gates             []struct{ Gate string }
			}
		}
	}
	if err := json.Unmarshal([]byte(o.out), &told); err != nil || (o.code != 0 && o.code != 4) {
		m.t.Fatalf("doctor: %v\n%s", err, o)
	}
	list := checklist{}
	for _, one := range told.Lists {
		for _, line := range one.Lines {
			for _, gate := range line.Gates {
				list[gate.Gate] = struct{ state, detail, do string }{line.State, line.Detail, line.Do}
			}
		}
	}
	return list
}

// stands wants a gate's line to be in a state, in those words.
func (c checklist) stands(t *testing.T, gate, state string, says ...string) gates.Verdict {
	t.Helper()
	line := c[gate]
	said := gates.Verdict{Outcome: gates.Outcome(line.state), Summary: line.detail, NextStep: line.do}
	expectSaid(t, gate, said, gates.Outcome(state), says...)
	return said
}

// next types the first command that a verdict names as the next step, with args more, and wants it to work.
func (m *machine) next(said gates.Verdict, more ...string) outcome {
	m.t.Helper()
	_, rest, _ := strings.Cut(said.NextStep, "`penstock ")
	command, _, found := strings.Cut(rest, "`")
	if !found {
		m.t.Fatalf("no command of penstock is named: %s", said.NextStep)
	}
	return m.must(0, append(append(strings.Fields(command), more...), "--json")...)
}

// one is a field of the only thing that Cloudflare lists at a path.
func (m *machine) one(path, field string) string {
	m.t.Helper()
	var listed []map[string]any
	m.cloudflare(http.MethodGet, path, nil, &listed)
	if len(listed) != 1 {
		m.t.Errorf("%s lists %d, not one", path, len(listed))
		return ""
	}
	return fmt.Sprint(listed[0][field])
}

// takeDomain gives the custom domain to another Worker, as somebody else would.
func (m *machine) takeDomain(script string) {
	m.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, part := range []struct{ disposition, kind, text string }{
		{`form-data; name="metadata"`, "application/json", `{"main_module": "other.js", "compatibility_date": "2026-04-01"}`},
		{`form-data; name="other.js"; filename="other.js"`, "application/javascript+module", `export default { fetch() { return new Response("other"); } };`},
	} {
		into, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {part.disposition}, "Content-Type": {part.kind}})
		if err == nil {
			_, err = io.WriteString(into, part.text)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.cloudflare(http.MethodPut, "/workers/scripts/"+script, upload{form.FormDataContentType(), body.Bytes()}, nil)
	m.cloudflare(http.MethodPut, "/workers/domains", map[string]any{"hostname": "tiny.app.example.com", "service": script, "zone_name": "example.com"}, nil)
}

// upload is a body that is sent as it is.
type upload struct {
	contentType string
	content     []byte
}

// deleteDomain takes the custom domain away from whoever has it.
func (m *machine) deleteDomain() {
	m.t.Helper()
	m.cloudflare(http.MethodDelete, "/workers/domains/"+m.one("/workers/domains?hostname=tiny.app.example.com", "id"), nil, nil)
}

// during runs penstock, does something at a moment of the run, which it must reach, and wants an exit code.
func (m *machine) during(at moment, do func(), code int, args ...string) outcome {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command, _, complaints := m.command(ctx, append(args, "--json")...)
	reached := false
	told := &eventReader{tell: func(e event.Event) {
		if !reached && at.is(e) {
			reached = true
			do()
		}
	}}
	command.Stdout = told
	began := time.Now()
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	_ = command.Wait() // the exit code tells
	o := outcome{command.ProcessState.ExitCode(), told.all.String(), complaints.String(), time.Since(began)}
	if !reached || o.code != code {
		m.t.Fatalf("penstock %v: reached %s %s: %v; want exit code %d, got %s", args, at.kind, at.name, reached, code, o)
	}
	return o
}

// faults lets the local Cloudflare go wrong as the plan says.
func (m *machine) faults(plan string) {
	m.t.Helper()
	path := filepath.Join(m.t.TempDir(), "faults.yaml")
	if err := os.WriteFile(path, []byte(plan), 0o644); err != nil {
		m.t.Error(err)
	}
	if o := m.run("local", "faults", path); o.code != 0 {
		m.t.Errorf("local faults: %s", o)
	}
}

// cloudflare calls the local Cloudflare's API as somebody else would, below the account or at its zones.
func (m *machine) cloudflare(method, path string, body, into any) {
	m.t.Helper()
	info, err := daemon.Status(context.Background(), filepath.Join(m.state, "local"))
	if err != nil {
		m.t.Error(err)
		return
	}
	if err := call(info, method, path, body, into); err != nil {
		m.t.Errorf("%s %s: %v", method, path, err)
	}
}

func call(info localcloud.Info, method, path string, body, into any) error {
	sent, isUpload := body.(upload)
	if !isUpload {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = upload{"application/json", text}
	}
	if !strings.HasPrefix(path, "/zones") {
		path = "/accounts/" + info.AccountID + path
	}
	request, err := http.NewRequestWithContext(context.Background(), method, info.APIURL+path, bytes.NewReader(sent.content))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+info.Token)
	request.Header.Set("Content-Type", sent.contentType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var got struct {
		Success bool            `json:"success"`
		Result  json.RawMessage `json:"result"`
		Errors  json.RawMessage `json:"errors"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return err
	}
	if !got.Success {
		return fmt.Errorf("%s: %s", answer.Status, got.Errors)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(got.Result, into)
}
