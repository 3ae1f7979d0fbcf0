package localcloud

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// wranglerVersion is the newest that runs on Node 20.
const wranglerVersion = "4.86.0"

// wrangler is Cloudflare's own tool, pointed at a Cloud, in a folder with an app.
type wrangler struct {
	script, folder string
	env            []string
}

// installWrangler gets it from npm, unless PENSTOCK_WRANGLER names its bin/wrangler.js.
func installWrangler(t *testing.T) (script string) {
	t.Helper()
	if script := os.Getenv("PENSTOCK_WRANGLER"); script != "" {
		return script
	}
	folder := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "wrangler@"+wranglerVersion)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	return filepath.Join(folder, "node_modules", "wrangler", "bin", "wrangler.js")
}

// startWrangler makes a folder for an app of wrangler's.
func startWrangler(t *testing.T, cloud *Cloud, script string) wrangler {
	t.Helper()
	home := t.TempDir()
	w := wrangler{script: script, folder: t.TempDir(), env: append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "CI=1", "NO_COLOR=1", "WRANGLER_SEND_METRICS=false")}
	w.env = append(w.env, strings.Fields(cloud.Info().EnvFile())...)
	return w
}

func (w wrangler) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(w.folder, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// try runs a command and returns all that it printed.
func (w wrangler) try(t *testing.T, stdin, line string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Config explicit: wrangler would look in parent folders too.
	command := exec.CommandContext(ctx, "node", append(append([]string{w.script}, strings.Fields(line)...), "--config", filepath.Join(w.folder, "wrangler.jsonc"))...)
	command.Dir, command.Env, command.Stdin = w.folder, w.env, strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	return string(out), err
}

// run is try for commands that must succeed and print all of wants.
func (w wrangler) run(t *testing.T, line string, wants ...string) string {
	t.Helper()
	out, err := w.try(t, "", line)
	if err != nil {
		t.Fatalf("wrangler %s: %v\n%s", line, err, out)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("wrangler %s does not say %q:\n%s", line, want, out)
		}
	}
	return out
}

// TestRealWrangler drives Cloudflare's own tool through what it is used for, each part on a Cloud of its own.
func TestRealWrangler(t *testing.T) {
	if os.Getenv("PENSTOCK_SLOW") == "" {
		t.Skip("PENSTOCK_SLOW is not set: this drives the real wrangler for a minute or two")
	}
	script := installWrangler(t)
	for name, part := range map[string]func(*testing.T, *Cloud, wrangler){
		"deploy": wranglerDeploys, "storage": wranglerStores, "vectorize": wranglerKeepsVectors, "assets": wranglerServesAssets, "rules": wranglerObeysRules, "tail": wranglerTails,
	} {
		t.Run(name, func(t *testing.T) {
			cloud := startReal(t, t.TempDir())
			defer stop(t, cloud)
			part(t, cloud, startWrangler(t, cloud, script))
		})
	}
}

func wranglerKeepsVectors(t *testing.T, _ *Cloud, w wrangler) {
	w.write(t, "wrangler.jsonc", `{"name": "hello", "main": "index.js", "compatibility_date": "2026-04-01"}`)
	w.run(t, "vectorize create docs --dimensions 2 --metric cosine", "Successfully created")
	w.run(t, "vectorize list", "docs")
	w.run(t, "vectorize get docs", "docs", "cosine")
	w.run(t, "vectorize create-metadata-index docs --property-name kind --type string", "Successfully enqueued")
	w.run(t, "vectorize list-metadata-index docs", "kind", "String")
	w.write(t, "vectors.ndjson", `{"id":"east","values":[1,0],"metadata":{"kind":"x"}}`+"\n"+`{"id":"north","values":[0,1]}`+"\n")
	w.run(t, "vectorize insert docs --file vectors.ndjson", "2 vectors")
	w.run(t, "vectorize query docs --vector 1 0.1 --top-k 1", "east")
	w.run(t, "vectorize info docs", "2")
	w.run(t, "vectorize get-vectors docs --ids north", "north")
	w.run(t, "vectorize delete-vectors docs --ids north", "Successfully enqueued")
	w.run(t, "vectorize delete docs --force", "Deleted index docs")
}

func wranglerStores(t *testing.T, cloud *Cloud, w wrangler) {
	w.write(t, "wrangler.jsonc", `{"name": "hello", "main": "index.js", "compatibility_date": "2026-04-01"}`)
	w.write(t, "more.sql", "SELECT '; and more';")
	w.run(t, "kv namespace create kv", "Success")
	w.run(t, "r2 bucket create files", "Created bucket")
	w.run(t, "queues create jobs", "Created queue")
	namespace := succeed(t, cloud, "GET", "@/storage/kv/namespaces", nil).get(t, "0.id").(string)
	w.write(t, "wrangler.jsonc", `{"name": "hello", "main": "index.js", "compatibility_date": "2026-04-01", "kv_namespaces": [{"binding": "KV", "id": "`+namespace+`"}]}`)
	w.run(t, "kv namespace list", namespace)
	w.write(t, "pairs.json", `[{"key": "a", "value": "1"}, {"key": "b", "value": "2", "metadata": {"m": 1}}]`)
	w.run(t, "kv bulk put pairs.json --binding KV --remote", "Success")
	w.run(t, "kv key list --binding KV --remote", `"name": "a"`, `"m": 1`)
	w.run(t, "kv key delete a --binding KV --remote", "Deleting the key")
	w.run(t, "r2 object put files/a/b.txt --file more.sql --remote", "Upload complete")
	w.run(t, "r2 object get files/a/b.txt --pipe --remote", "and more")
	w.run(t, "r2 object delete files/a/b.txt --remote")
	w.run(t, "r2 bucket list", "files")
	w.run(t, "r2 bucket info files", "object_count")
	w.run(t, "queues list", "jobs")
}

func wranglerServesAssets(t *testing.T, cloud *Cloud, w wrangler) {
	const config = `"name": "hello", "compatibility_date": "2026-04-01", "assets": {"directory": "public", "not_found_handling": "404-page"`
	w.write(t, "public/index.html", "<p>index</p>")
	w.write(t, "public/about.html", "<p>about</p>")
	w.write(t, "public/404.html", "<p>none</p>")
	w.write(t, "wrangler.jsonc", `{`+config+`}}`)
	w.run(t, "deploy", "Uploaded 3 files", "Current Version ID")
	expect := func(answers map[string]string) {
		t.Helper()
		for path, want := range answers {
			if got := ask(t, cloud, path); got != want {
				t.Errorf("%s: %s, not %s", path, got, want)
			}
		}
	}
	expect(map[string]string{"/": "200 <p>index</p>", "/about": "200 <p>about</p>", "/about.html": "200 <p>about</p>", "/x/y": "404 <p>none</p>"})
	w.write(t, "index.js", `export default { fetch: async (request, env) => new Response("worker " + (await env.ASSETS.fetch(new URL("/about", request.url))).status) }`)
	w.write(t, "wrangler.jsonc", `{"main": "index.js", `+config+`, "binding": "ASSETS", "run_worker_first": ["/api/*"]}}`)
	w.run(t, "deploy", "No updated asset files to upload")
	expect(map[string]string{"/": "200 <p>index</p>", "/api/index.html": "200 worker 200", "/x/y": "200 worker 200"})
}

func wranglerTails(t *testing.T, cloud *Cloud, w wrangler) {
	w.write(t, "wrangler.jsonc", `{"name": "hello", "main": "index.js", "compatibility_date": "2026-04-01"}`)
	if got := push(t, cloud, "PUT", hello, meta(), worker("one")); !got.Success {
		t.Fatal(got.Errors)
	}
	w.tails(t, cloud)
}

func wranglerDeploys(t *testing.T, cloud *Cloud, w wrangler) {
	newest := func() string {
		return succeed(t, cloud, "GET", hello+"/versions", nil).get(t, "items.0.id").(string)
	}
	serving := func() string {
		return succeed(t, cloud, "GET", hello+"/deployments", nil).get(t, "deployments.0.versions.0.version_id").(string)
	}

	w.write(t, "wrangler.jsonc", `{"name": "hello", "main": "index.js", "compatibility_date": "2026-04-01"}`)
	w.run(t, "whoami", "Local Cloudflare", cloud.Info().AccountID)
	w.run(t, "d1 create db", "database_id")
	w.run(t, "kv namespace create kv", "Success")
	w.run(t, "r2 bucket create files")
	w.run(t, "queues create jobs")
	database := succeed(t, cloud, "GET", "@/d1/database", nil).get(t, "0.uuid").(string)
	namespace := succeed(t, cloud, "GET", "@/storage/kv/namespaces", nil).get(t, "0.id").(string)
	w.write(t, "index.js", worker("one"))
	w.write(t, "migrations/0001_notes.sql", "CREATE TABLE notes (text TEXT);\nINSERT INTO notes VALUES ('a;b');\n")
	w.write(t, "migrations/0002_more.sql", "CREATE TRIGGER tr AFTER INSERT ON notes BEGIN SELECT 1; SELECT 2; END;\n")
	w.write(t, "wrangler.jsonc", `{
		"name": "hello", "main": "index.js", "compatibility_date": "2026-04-01", "workers_dev": true,
		"vars": {"MODE": "prod"}, "version_metadata": {"binding": "META"},
		"d1_databases": [{"binding": "DB", "database_name": "db", "database_id": "`+database+`"}],
		"kv_namespaces": [{"binding": "KV", "id": "`+namespace+`"}],
		"r2_buckets": [{"binding": "FILES", "bucket_name": "files"}],
		"queues": {"producers": [{"binding": "JOBS", "queue": "jobs"}], "consumers": [{"queue": "jobs", "max_batch_timeout": 0}]},
		"durable_objects": {"bindings": [{"name": "COUNTER", "class_name": "Counter"}]},
		"migrations": [{"tag": "v1", "new_sqlite_classes": ["Counter"]}],
		"triggers": {"crons": ["*/5 * * * *"]},
		"routes": [{"pattern": "app.example.com", "custom_domain": true}, {"pattern": "example.com/api/*", "zone_name": "example.com"}]
	}`)

	w.run(t, "deploy", "https://hello.local.workers.dev", "app.example.com (custom domain)", "schedule: */5 * * * *", "Consumer for jobs")
	w.run(t, "d1 migrations apply db --remote", "0001_notes.sql", "0002_more.sql", "✅")
	w.run(t, "d1 migrations list db --remote", "No migrations to apply")
	w.run(t, "kv key put greeting hi --binding KV --remote")
	w.run(t, "kv key get greeting --binding KV --remote", "hi")
	for path, want := range map[string]string{"/": "200 one", "/d1": `200 {"n":2}`, "/kv": "200 hi", "/count": "200 1", "/r2": "200 object"} {
		if got := ask(t, cloud, path); got != want {
			t.Errorf("%s: %s, not %s", path, got, want)
		}
	}

	one := serving()
	w.write(t, "index.js", worker("two"))
	w.run(t, "versions upload --tag t2 --message second", "Worker Version ID: ")
	two := newest()
	w.run(t, "versions list", two, "t2")
	w.run(t, "versions view "+two, "second")
	w.run(t, "versions deploy "+one+"@100% "+two+"@0% --yes", "SUCCESS")
	if got := ask(t, cloud, "/", "Cloudflare-Workers-Version-Overrides", `hello="`+two+`"`); got != "200 two" {
		t.Errorf("with override: %s", got)
	}
	if got := ask(t, cloud, "/"); got != "200 one" {
		t.Errorf("at 0 %%: %s", got)
	}
	w.run(t, "versions deploy "+two+"@100% --yes", "SUCCESS")
	w.run(t, "deployments status", two)
	w.run(t, "rollback --yes --message back", "SUCCESS")
	if got := ask(t, cloud, "/"); got != "200 one" || serving() != one {
		t.Errorf("after the rollback: %s", got)
	}

	if out, err := w.try(t, "s3cret", "secret put KEY"); err == nil || !strings.Contains(out, "isn't currently deployed") {
		t.Errorf("a secret after a rollback: %v\n%s", err, out)
	}
	w.run(t, "deploy")
	if out, err := w.try(t, "s3cret", "secret put KEY"); err != nil {
		t.Errorf("secret put: %v\n%s", err, out)
	}
	if got := ask(t, cloud, "/secret"); got != "200 s3cret" {
		t.Errorf("the secret: %s", got)
	}
	w.run(t, "secret list", `"KEY"`)
	w.run(t, "deploy")
	if got := ask(t, cloud, "/secret"); got != "200 s3cret" {
		t.Errorf("the secret after another deployment: %s", got)
	}
	w.write(t, "secrets.json", `{"A": "1", "B": "2"}`)
	w.run(t, "secret bulk secrets.json", "2 secrets successfully uploaded")
	w.run(t, "secret delete A", "Success")
	if out, err := w.try(t, "other", "versions secret put KEY"); err != nil {
		t.Errorf("versions secret put: %v\n%s", err, out)
	}
	w.write(t, "secrets.json", `{"C": "3"}`)
	w.run(t, "versions secret bulk secrets.json", "1 secret")
	w.run(t, "versions secret list", "KEY")
	w.run(t, "versions secret delete C", "Success")
	w.run(t, "rollback "+one+" --yes", "KEY", "SUCCESS")

	bookmark := succeed(t, cloud, "GET", "@/d1/database/"+database+"/time_travel/bookmark", nil).get(t, "bookmark").(string)
	w.run(t, "d1 time-travel info db", bookmark)
	w.write(t, "more.sql", "INSERT INTO notes VALUES ('from a file'); INSERT INTO notes VALUES ('; and more');")
	w.run(t, "d1 execute db --remote --yes --file more.sql", `"rows_written": 2`)
	w.run(t, "d1 execute db --remote --command SELECT/**/count(*)/**/AS/**/n/**/FROM/**/notes", `"n": 4`)
	w.run(t, "d1 export db --remote --output out.sql", "Downloaded")
	if dump, err := os.ReadFile(filepath.Join(w.folder, "out.sql")); err != nil || !strings.Contains(string(dump), `INSERT INTO "notes" ("text") VALUES('; and more');`) {
		t.Errorf("the export: %v\n%s", err, dump)
	}
	w.run(t, "d1 time-travel restore db --bookmark "+bookmark, "restored")
	w.run(t, "d1 execute db --remote --command SELECT/**/count(*)/**/AS/**/n/**/FROM/**/notes", `"n": 2`)
	w.run(t, "d1 info db", "db")

	w.run(t, "queues info jobs", "worker:hello")
	w.run(t, "queues purge jobs --force", "Purged")
	w.run(t, "queues consumer remove jobs hello")

	w.run(t, "delete --force", "Successfully deleted")
	if cloud.URL("hello") != "" {
		t.Error("the deleted worker still has an address")
	}
}

// tails listens with wrangler tail while the Worker is asked, until it has printed what it should.
func (w wrangler) tails(t *testing.T, cloud *Cloud) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", w.script, "tail", "--format", "json", "--method", "GET", "--status", "ok", "--search", "needle", "--config", filepath.Join(w.folder, "wrangler.jsonc"))
	command.Dir, command.Env = w.folder, w.env
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	var said lockedBuffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil && !strings.Contains(said.String(), `"needle"`) {
		if len(cloud.tails.of("hello")) == 1 {
			ask(t, cloud, "/log?hay")
			ask(t, cloud, "/log?needle")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	_ = command.Wait() // an interrupt is how people end it
	text := said.String()
	item := struct {
		Outcome, ScriptName string
		ScriptVersion       struct{ ID string }
		Event               struct {
			Request  struct{ URL string }
			Response struct{ Status int }
		}
	}{}
	at := strings.Index(text, "{")
	if at < 0 {
		t.Fatalf("wrangler tail printed no item:\n%s", text)
	}
	if err := json.NewDecoder(strings.NewReader(text[at:])).Decode(&item); err != nil {
		t.Fatalf("wrangler tail: %v\n%s", err, text)
	}
	serving := succeed(t, cloud, "GET", hello+"/deployments", nil).get(t, "deployments.0.versions.0.version_id")
	if item.Outcome != "ok" || item.ScriptName != "hello" || item.ScriptVersion.ID != serving || item.Event.Response.Status != 200 || !strings.HasSuffix(item.Event.Request.URL, "/log?needle") {
		t.Errorf("wrangler tail printed %+v", item)
	}
	if strings.Contains(text, `"hay"`) {
		t.Errorf("wrangler tail prints what it was not asked for:\n%s", text)
	}
}

// lockedBuffer is written by a process while it is read.
type lockedBuffer struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}
