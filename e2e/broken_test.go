package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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

[[kv_namespaces]]
binding = "CACHE"
id = "00000000000000000000000000000001"

[[queues.producers]]
binding = "JOBS"
queue = "tiny-jobs"

[[queues.consumers]]
queue = "tiny-jobs"
max_batch_size = 10
`,
	"src/index.js": `export default {
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
environments:
  local:
    bake: 5s
`,
}

// TestGatesSeeWhatIsBroken breaks the local Cloudflare on purpose, one thing after the other, and wants the gate that is
// about it to say so: in the end by exit code, and in words that name the thing.
func TestGatesSeeWhatIsBroken(t *testing.T) {
	m := newMachine(t, "e2e/testdata/tiny")
	for name, text := range boundApp {
		if err := os.WriteFile(filepath.Join(m.app, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deploys := 0
	change := func() { // so that there is something to deploy
		deploys++
		m.edit("wrangler.toml", "GREETING = \"", fmt.Sprintf("GREETING = \"%d ", deploys))
	}
	sound := m.must(0, "deploy", "--json")
	verdict(t, sound, "cloudflare/certificate", gates.Pass, "is made with its domain")
	verdict(t, sound, "cloudflare/drift", gates.Pass, "nothing is live in local yet")
	verdict(t, sound, "cloudflare/kv", gates.Pass, "KV namespace tiny-CACHE exists")
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
	})

	t.Run("a vector index is of another shape", func(t *testing.T) {
		m := m.in(t)
		m.cloudflare(http.MethodPost, "/vectorize/v2/indexes", map[string]any{"name": "faq", "config": map[string]any{"dimensions": 3, "metric": "cosine"}}, nil)
		m.edit("wrangler.toml", "[version_metadata]", "[[vectorize]]\nbinding = \"FAQ\"\nindex_name = \"faq\"\n\n[version_metadata]")
		change()
		verdict(t, m.must(0, "deploy", "--json"), "cloudflare/vectorize", gates.Pass, "Vectorize index faq exists")
		putBack := m.edit("penstock.yaml", "environments:\n", "  cloudflare/vectorize:\n    config:\n      indexes: {faq: {dimensions: 768}}\nenvironments:\n")
		change()
		verdict(t, m.must(6, "deploy", "--json"), "cloudflare/vectorize", gates.Fail, "has 3 dimensions, 768 are wanted")
		putBack()
	})

	t.Run("the queue's consumer is deleted", func(t *testing.T) {
		m := m.in(t)
		change()
		o := m.during(moment{event.StepStarted, "bake"}, func() {
			var queues, consumers []map[string]any
			m.cloudflare(http.MethodGet, "/queues", nil, &queues)
			path := fmt.Sprintf("/queues/%s/consumers", queues[0]["queue_id"])
			m.cloudflare(http.MethodGet, path, nil, &consumers)
			m.cloudflare(http.MethodDelete, fmt.Sprintf("%s/%s", path, consumers[0]["consumer_id"]), nil, nil)
		}, 6, "deploy")
		verdict(t, o, "cloudflare/queues", gates.Fail, "queue tiny-jobs has no consumer tiny; it has none")
	})

	t.Run("the consumers cannot be asked", func(t *testing.T) {
		m := m.in(t)
		change()
		o := m.during(moment{event.StepStarted, "bake"}, func() {
			m.faults("calls:\n  - {call: \"GET /accounts/*/queues/*/consumers\", status: 403}\n")
		}, 6, "deploy")
		m.must(0, "local", "faults", "--off")
		verdict(t, o, "cloudflare/queues", gates.Inconclusive, "who consumes queue tiny-jobs is not known", `"Account > Queues > Read"`)
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
		var domains []map[string]any
		m.cloudflare(http.MethodGet, "/workers/domains?hostname=tiny.app.example.com", nil, &domains)
		m.cloudflare(http.MethodDelete, "/workers/domains/"+domains[0]["id"].(string), nil, nil)
		m.faults("certificates: {validityDays: 5}\n")
		change()
		m.must(0, "deploy") // makes the domain again, and with it a certificate
		change()
		o := m.must(4, "deploy", "--json")
		m.must(0, "local", "faults", "--off")
		verdict(t, o, "cloudflare/certificate", gates.Fail, "the certificate of tiny.app.example.com holds until", "at least 14 are wanted")
	})
}

// verdict wants the last verdict of a gate in a run that was told as JSON: its outcome, and what its summary says.
func verdict(t *testing.T, o outcome, gate string, want gates.Outcome, says ...string) {
	t.Helper()
	verdicts := judged(t, o, gate)
	if len(verdicts) == 0 {
		t.Fatalf("%s was not asked:\n%s", gate, o)
	}
	last := verdicts[len(verdicts)-1]
	if last.Outcome != want {
		t.Errorf("%s: %s, want %s: %s", gate, last.Outcome, want, last.Summary)
	}
	for _, part := range says {
		if !strings.Contains(last.Summary, part) {
			t.Errorf("%s does not say %q: %s", gate, part, last.Summary)
		}
	}
	if want != gates.Pass && last.NextStep == "" {
		t.Errorf("%s names no next step: %s", gate, last.Summary)
	}
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
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(path, "/zones") {
		path = "/accounts/" + info.AccountID + path
	}
	request, err := http.NewRequestWithContext(context.Background(), method, info.APIURL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+info.Token)
	request.Header.Set("Content-Type", "application/json")
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
