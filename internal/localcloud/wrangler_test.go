package localcloud

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// startWrangler installs it from npm, unless PENSTOCK_WRANGLER names its bin/wrangler.js, and makes an app for it.
func startWrangler(t *testing.T, cloud *Cloud) wrangler {
	t.Helper()
	script, home := os.Getenv("PENSTOCK_WRANGLER"), t.TempDir()
	if script == "" {
		folder := t.TempDir()
		install := exec.CommandContext(t.Context(), "npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "wrangler@"+wranglerVersion)
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("npm install: %v\n%s", err, out)
		}
		script = filepath.Join(folder, "node_modules", "wrangler", "bin", "wrangler.js")
	}
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

func TestRealWrangler(t *testing.T) {
	if os.Getenv("PENSTOCK_SLOW") == "" {
		t.Skip("PENSTOCK_SLOW is not set: this drives the real wrangler for a minute or two")
	}
	cloud := startReal(t, t.TempDir())
	defer stop(t, cloud)
	w := startWrangler(t, cloud)
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

	w.run(t, "r2 object put files/a/b.txt --file more.sql --remote", "Upload complete")
	w.run(t, "r2 object get files/a/b.txt --pipe --remote", "and more")
	w.run(t, "r2 object delete files/a/b.txt --remote")
	w.run(t, "queues info jobs", "worker:hello")
	w.run(t, "queues purge jobs --force", "Purged")
	w.run(t, "queues consumer remove jobs hello")
	w.run(t, "delete --force", "Successfully deleted")
	if cloud.URL("hello") != "" {
		t.Error("the deleted worker still has an address")
	}
}
