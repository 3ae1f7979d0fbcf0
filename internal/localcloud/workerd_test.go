package localcloud

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/workerdtest"
)

// startReal starts a Cloud on real workerd ([workerdtest.Binary]).
func startReal(t *testing.T, dir string) *Cloud {
	t.Helper()
	workerd := workerdtest.Binary(t)
	cloud, err := Start(t.Context(), Options{Dir: dir, Workerd: workerd, witness: func(api http.Handler) http.Handler { return witness(t, api) }})
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

// ask gets a path of the worker and returns status and text.
func ask(t *testing.T, cloud *Cloud, path string, header ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cloud.URL("hello")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return fmt.Sprintf("%d %s", response.StatusCode, body(t, response.Body))
}

// worker is code that answers with the word, and uses each binding.
func worker(word string) string {
	return `export class Counter {
	constructor(state) { this.storage = state.storage }
	async fetch() { const n = (await this.storage.get("n") ?? 0) + 1; await this.storage.put("n", n); return new Response(n) }
}
export default {
	async fetch(request, env) {
		switch (new URL(request.url).pathname) {
		case "/id": return new Response(env.META.id)
		case "/count": return env.COUNTER.get(env.COUNTER.idFromName("one")).fetch(request)
		case "/kv": await env.KV.put("from", "worker"); return new Response(await env.KV.get("greeting"))
		case "/d1": {
			await env.DB.prepare("INSERT INTO notes (text) VALUES (?)").bind("x").run()
			return Response.json(await env.DB.prepare("SELECT count(*) AS n FROM notes").first())
		}
		case "/r2": await env.FILES.put("k", "object"); return new Response(await (await env.FILES.get("k")).text())
		case "/send": await env.JOBS.send({ a: 1 }); return new Response("sent")
		case "/log": console.log(new URL(request.url).search.slice(1)); return new Response("logged")
		case "/secret": return new Response(env.KEY)
		}
		return new Response("` + word + `")
	},
	async queue(batch, env) { await env.KV.put("received", JSON.stringify(batch.messages.map((m) => m.body))) },
}`
}

func TestRealWorkerd(t *testing.T) {
	dir := t.TempDir()
	cloud := startReal(t, dir)
	defer func() { stop(t, cloud) }()
	namespace := succeed(t, cloud, "POST", "@/storage/kv/namespaces", map[string]any{"title": "t"}).get(t, "id").(string)
	database := succeed(t, cloud, "POST", "@/d1/database", map[string]any{"name": "db"}).get(t, "uuid").(string)
	succeed(t, cloud, "POST", "@/r2/buckets", map[string]any{"name": "files"})
	queue := succeed(t, cloud, "POST", "@/queues", map[string]any{"queue_name": "jobs"}).get(t, "queue_id").(string)
	values := "@/storage/kv/namespaces/" + namespace + "/values/"
	read(t, request(t, cloud, "PUT", values+"greeting", strings.NewReader("hi")))
	succeed(t, cloud, "POST", "@/d1/database/"+database+"/query", map[string]any{"sql": "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('a;b')"})
	bindings := []any{
		map[string]any{"type": "version_metadata", "name": "META"},
		map[string]any{"type": "kv_namespace", "name": "KV", "namespace_id": namespace},
		map[string]any{"type": "d1", "name": "DB", "id": database},
		map[string]any{"type": "r2_bucket", "name": "FILES", "bucket_name": "files"},
		map[string]any{"type": "queue", "name": "JOBS", "queue_name": "jobs"},
		map[string]any{"type": "secret_text", "name": "KEY", "text": "s3cret"},
		map[string]any{"type": "durable_object_namespace", "name": "COUNTER", "class_name": "Counter"},
	}
	migrations := map[string]any{"new_tag": "v1", "steps": []any{map[string]any{"new_sqlite_classes": []string{"Counter"}}}}

	put := push(t, cloud, "PUT", hello, meta("bindings", bindings, "migrations", migrations), worker("blue"))
	if !put.Success {
		t.Fatal(put.Errors)
	}
	blue := succeed(t, cloud, "GET", hello+"/deployments", nil).get(t, "deployments.0.versions.0.version_id").(string)
	succeed(t, cloud, "POST", "@/queues/"+queue+"/consumers", map[string]any{"type": "worker", "script_name": "hello", "settings": map[string]any{"max_wait_time_ms": 10}})
	for path, want := range map[string]string{
		"/": "200 blue", "/id": "200 " + blue, "/kv": "200 hi", "/d1": `200 {"n":2}`, "/r2": "200 object", "/secret": "200 s3cret", "/send": "200 sent",
	} {
		if got := ask(t, cloud, path); got != want {
			t.Errorf("%s: %s, not %s", path, got, want)
		}
	}
	if got := ask(t, cloud, "/count"); got != "200 1" {
		t.Errorf("count: %s", got)
	}
	if got := body(t, request(t, cloud, "GET", values+"from", nil).Body); got != "worker" {
		t.Errorf("what the worker wrote is %q", got)
	}

	if got := push(t, cloud, "POST", hello+"/versions", meta("bindings", bindings), "export default {"); got.code() != codeBadUpload || !strings.Contains(got.Errors[0].Message, "SyntaxError") {
		t.Errorf("code that does not parse: %d %v", got.Status, got.Errors)
	}
	if got := push(t, cloud, "POST", hello+"/versions", meta("bindings", bindings), "export default {}"); got.code() != codeBadUpload {
		t.Errorf("code without its durable object class: %d %v", got.Status, got.Errors)
	}
	added := push(t, cloud, "POST", hello+"/versions", meta("bindings", bindings), worker("green"))
	if !added.Success {
		t.Fatal(added.Errors)
	}
	green := added.get(t, "id").(string)
	override := []string{"Cloudflare-Workers-Version-Overrides", fmt.Sprintf("hello=%q", green)}
	if got := ask(t, cloud, "/", override...); got != "200 blue" {
		t.Errorf("an override to a version that is not deployed: %s", got)
	}

	hammering := hammer(t, cloud.URL("hello"))
	shift(t, cloud, "", blue, 100, green, 0)
	if got := ask(t, cloud, "/"); got != "200 blue" {
		t.Errorf("at 0 %%: %s", got)
	}
	if got := ask(t, cloud, "/id", override...); got != "200 "+green {
		t.Errorf("with override: %s", got)
	}
	shift(t, cloud, "", green, 100)
	if got := ask(t, cloud, "/"); got != "200 green" {
		t.Errorf("at 100 %%: %s", got)
	}
	if failed, total := hammering(); failed > 0 || total == 0 {
		t.Errorf("%d of %d requests failed while traffic moved", failed, total)
	}
	if got := ask(t, cloud, "/count"); got != "200 2" {
		t.Errorf("the durable object after the change: %s", got)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if got := body(t, request(t, cloud, "GET", values+"received", nil).Body); got == `[{"a":1}]` {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the queue's consumer wrote %q", got)
		}
	}

	stop(t, cloud)
	cloud = startReal(t, dir)
	for path, want := range map[string]string{"/": "200 green", "/count": "200 3", "/d1": `200 {"n":3}`, "/kv": "200 hi", "/r2": "200 object"} {
		if got := ask(t, cloud, path); got != want {
			t.Errorf("after a restart %s: %s, not %s", path, got, want)
		}
	}
}

// hammer asks a URL all the time until the returned function is called.
func hammer(t *testing.T, url string) func() (failed, total int64) {
	var failures, all atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
			}
			response, err := http.Get(url)
			all.Add(1)
			if err != nil {
				failures.Add(1)
				continue
			}
			if response.StatusCode != http.StatusOK {
				failures.Add(1)
			}
			_ = response.Body.Close()
		}
	}()
	return func() (int64, int64) {
		close(end)
		<-ended
		return failures.Load(), all.Load()
	}
}

func TestRealDatabaseKeepsD1sRules(t *testing.T) {
	cloud := startReal(t, t.TempDir())
	defer stop(t, cloud)
	database := "@/d1/database/" + succeed(t, cloud, "POST", "@/d1/database", map[string]any{"name": "db"}).get(t, "uuid").(string)
	for _, statement := range []string{"BEGIN TRANSACTION", "PRAGMA journal_mode = DELETE", "ATTACH 'x' AS y"} {
		if got := send(t, cloud, "POST", database+"/query", map[string]any{"sql": statement}); got.Status != 400 || got.code() != codeDatabaseSQL {
			t.Errorf("%s: %d %v", statement, got.Status, got.Errors)
		}
	}
	// A file that fails in the middle has not happened.
	if got := send(t, cloud, "POST", database+"/query", map[string]any{"sql": "CREATE TABLE a (n); INSERT INTO a VALUES (1); SELECT * FROM absent;"}); got.code() != codeDatabaseSQL {
		t.Errorf("%d %v", got.Status, got.Errors)
	}
	if got := succeed(t, cloud, "GET", database, nil).get(t, "num_tables"); got != 0.0 {
		t.Errorf("half a file left %v tables", got)
	}
	many := succeed(t, cloud, "POST", database+"/query", map[string]any{"sql": "CREATE TABLE a (n); INSERT INTO a VALUES (1), (2); SELECT n FROM a"})
	if many.get(t, "2.results.1.n") != 2.0 || many.get(t, "1.meta.changes") != 2.0 || many.get(t, "3") != nil {
		t.Errorf("%s", many.Result)
	}
	bookmark := succeed(t, cloud, "GET", database+"/time_travel/bookmark", nil).get(t, "bookmark").(string)
	if again := succeed(t, cloud, "GET", database+"/time_travel/bookmark", nil).get(t, "bookmark"); again != bookmark {
		t.Errorf("without a change the bookmark went from %s to %s", bookmark, again)
	}
	succeed(t, cloud, "POST", database+"/query", map[string]any{"sql": "DROP TABLE a"})
	succeed(t, cloud, "POST", database+"/time_travel/restore?bookmark="+bookmark, nil)
	if got := succeed(t, cloud, "POST", database+"/query", map[string]any{"sql": "SELECT count(*) AS n FROM a"}).get(t, "0.results.0.n"); got != 2.0 {
		t.Errorf("after the restore there are %v rows", got)
	}
}

// TestNoRequestIsLostWhileEverythingChanges: many clients ask all the time, through uploads, shifts, secrets, triggers and
// rollbacks; each gets an answer, and each answer is counted for a version that was deployed.
func TestNoRequestIsLostWhileEverythingChanges(t *testing.T) {
	cloud := startReal(t, t.TempDir())
	defer stop(t, cloud)
	code := func(word string) string {
		return `export default { async fetch(request) {
			if (new URL(request.url).pathname === "/throw") throw new Error("on purpose");
			await scheduler.wait(Math.random() * 5); return new Response("` + word + `") },
			scheduled() {}, queue() {} }`
	}
	if got := push(t, cloud, "PUT", hello, meta(), code("0")); !got.Success {
		t.Fatal(got.Errors)
	}
	queue := succeed(t, cloud, "POST", "@/queues", map[string]any{"queue_name": "jobs"}).get(t, "queue_id").(string)
	var ends []func() (int64, int64)
	for range 8 {
		ends = append(ends, hammer(t, cloud.URL("hello")))
	}
	versions := []string{succeed(t, cloud, "GET", hello+"/versions", nil).get(t, "items.0.id").(string)}
	for round := range 3 {
		version := push(t, cloud, "POST", hello+"/versions", meta(), code(fmt.Sprint(round+1)))
		if !version.Success {
			t.Fatal(version.Errors)
		}
		newest := version.get(t, "id").(string)
		for _, percentage := range []float64{0, 10, 50} {
			shift(t, cloud, "", versions[len(versions)-1], 100-percentage, newest, percentage)
		}
		shift(t, cloud, "", newest, 100)
		versions = append(versions, newest)
		succeed(t, cloud, "PUT", hello+"/schedules", []any{map[string]any{"cron": fmt.Sprintf("%d 0 1 1 *", round)}})
	}
	succeed(t, cloud, "POST", "@/queues/"+queue+"/consumers", map[string]any{"type": "worker", "script_name": "hello", "settings": map[string]any{}})
	shift(t, cloud, "", versions[0], 100)
	shift(t, cloud, "", versions[3], 100)
	succeed(t, cloud, "PUT", hello+"/secrets", map[string]any{"name": "KEY", "type": "secret_text", "text": "x"})
	var total int64
	for _, end := range ends {
		failed, asked := end()
		if total += asked; failed > 0 {
			t.Errorf("%d of %d requests failed", failed, asked)
		}
	}
	if got := ask(t, cloud, "/throw"); !strings.HasPrefix(got, "500") {
		t.Errorf("an exception: %s", got)
	}
	counted := func() (requests, errors float64) {
		t.Helper()
		viewer, problems := graphQL(t, cloud, `{ viewer { accounts(filter: {accountTag: "`+cloud.Info().AccountID+`"}) {
			workersInvocationsAdaptive(limit: 1, filter: {scriptName: "hello"}) { sum { requests errors } } } } }`, nil)
		if problems != nil {
			t.Fatal(problems)
		}
		groups := viewer["accounts"].([]any)[0].(map[string]any)["workersInvocationsAdaptive"].([]any)
		if len(groups) == 0 {
			return 0, 0
		}
		sum := groups[0].(map[string]any)["sum"].(map[string]any)
		return sum["requests"].(float64), sum["errors"].(float64)
	}
	eventually(t, func() bool { requests, errors := counted(); return requests == float64(total)+1 && errors == 1 })
	t.Logf("%d requests", total)
}

// TestRealMigrations: Durable Object classes change under a live Worker by its upload, never by a version.
func TestRealMigrations(t *testing.T) {
	cloud := startReal(t, t.TempDir())
	defer stop(t, cloud)
	code := func(classes ...string) string {
		text := "import { DurableObject } from 'cloudflare:workers'\n"
		for _, class := range classes {
			text += "export class " + class + ` extends DurableObject {
				async fetch() { const n = (await this.ctx.storage.get("n") ?? 0) + 1; await this.ctx.storage.put("n", n); return new Response("` + class + ` " + n) } }` + "\n"
		}
		return text + `export default { fetch(request, env) { const name = new URL(request.url).pathname.slice(1); return env[name].get(env[name].idFromName("one")).fetch(request) } }`
	}
	bound := func(classes ...string) []any {
		var out []any
		for _, class := range classes {
			out = append(out, map[string]any{"type": "durable_object_namespace", "name": class, "class_name": class})
		}
		return out
	}
	step := func(from, to string, change map[string]any) map[string]any {
		return map[string]any{"old_tag": from, "new_tag": to, "steps": []any{change}}
	}
	put := func(classes []string, migrations map[string]any) reply {
		t.Helper()
		return push(t, cloud, "PUT", hello, meta("bindings", bound(classes...), "migrations", migrations), code(classes...))
	}
	if got := put([]string{"First"}, step("", "v1", map[string]any{"new_sqlite_classes": []string{"First"}})); !got.Success {
		t.Fatal(got.Errors)
	}
	if got := ask(t, cloud, "/First"); got != "200 First 1" {
		t.Errorf("%s", got)
	}
	both := []string{"First", "Second"}
	second := step("v1", "v2", map[string]any{"new_sqlite_classes": []string{"Second"}})
	if got := push(t, cloud, "POST", hello+"/versions", meta("bindings", bound(both...), "migrations", second), code(both...)); got.code() != codeMigrationInVersion {
		t.Errorf("a migration by a version: %v", got.Errors)
	}
	if got := put(both, step("v0", "v2", map[string]any{"new_sqlite_classes": []string{"Second"}})); got.code() != codeMigrationTag {
		t.Errorf("from another tag: %v", got.Errors)
	}
	before := succeed(t, cloud, "GET", hello+"/versions", nil).get(t, "items.0.id").(string)
	hammering := hammer(t, cloud.URL("hello")+"/First")
	if got := put(both, second); !got.Success {
		t.Fatal(got.Errors)
	}
	if failed, total := hammering(); failed > 0 || total == 0 {
		t.Errorf("%d of %d requests failed during the migration", failed, total)
	}
	if got := ask(t, cloud, "/Second"); got != "200 Second 1" {
		t.Errorf("%s", got)
	}
	if got := ask(t, cloud, "/First"); !strings.HasPrefix(got, "200 First ") || got == "200 First 1" {
		t.Errorf("the first class lost its state: %s", got)
	}
	if got := send(t, cloud, "POST", hello+"/deployments", map[string]any{"strategy": "percentage", "versions": []any{map[string]any{"version_id": before, "percentage": 100}}}); got.code() != codeBadDeployment {
		t.Errorf("back across a migration: %v", got.Errors)
	}
	renamed := []string{"Third", "Second"}
	if got := put(renamed, step("v2", "v3", map[string]any{"renamed_classes": []any{map[string]any{"from": "First", "to": "Third"}}})); !got.Success {
		t.Fatal(got.Errors)
	}
	if got := ask(t, cloud, "/Third"); !strings.HasPrefix(got, "200 Third ") || got == "200 Third 1" {
		t.Errorf("the renamed class lost its state: %s", got)
	}
}
