package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

const fixture = "testdata/fixture"

// fixtureBundle is what wrangler 4.86.0 wrote for the fixture's config.
func fixtureBundle(t *testing.T) *bundle.Bundle {
	t.Helper()
	file, err := os.Open(filepath.Join(fixture, "dry-run.upload"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b, err := bundle.Parse(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fixtureWorker(t *testing.T) wrangler.Worker {
	t.Helper()
	config, err := wrangler.Load(fixture)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := config.For("")
	if err != nil {
		t.Fatal(err)
	}
	return worker
}

// app is a folder with the given files.
func app(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var fixtureFiles = map[string]string{
	"migrations/0001_first.sql":  "CREATE TABLE users (id);",
	"migrations/0002_second.sql": "CREATE TABLE guides (id);",
	"migrations/0010_third.sql":  "CREATE TABLE lessons (id);",
	"migrations/README.md":       "not a migration",
	"seed/first.sql":             "INSERT INTO users VALUES (1);",
}

// newTarget is the fixture in a local environment of the fake account.
func newTarget(t *testing.T, f *fake, change func(*Options)) *Target {
	t.Helper()
	options := Options{
		BaseURL: f.url, Token: testToken, AccountID: testAccount,
		Worker: fixtureWorker(t), ConfigFile: "wrangler.jsonc", AppDir: app(t, fixtureFiles), Resources: ByName,
		Environment: pipelines.Environment{Name: "local", Provision: true, Seed: "seed/first.sql"},
		PublicURL:   func(worker string) string { return "http://" + worker + ".test/" },
	}
	if change != nil {
		change(&options)
	}
	target, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	target.pace = pace{settle: time.Millisecond, looks: 3, poll: time.Millisecond, shown: 200 * time.Millisecond, certificate: time.Millisecond}
	if target.api, err = api.New(api.Options{
		BaseURL: options.BaseURL, Token: options.Token, AccountID: options.AccountID, Backoff: time.Millisecond,
	}); err != nil {
		t.Fatal(err)
	}
	return target
}

// promote does everything that a promotion does, in its order.
func promote(ctx context.Context, t *testing.T, target *Target, b *bundle.Bundle, id string) error {
	t.Helper()
	live, err := target.Inspect(ctx)
	if err != nil {
		return err
	}
	d, err := target.Diff(ctx, live, b)
	if err != nil {
		return err
	}
	if _, err := target.Provision(ctx, id, d); err != nil {
		return err
	}
	if _, err := target.Prepare(ctx, id, live, b); err != nil {
		return err
	}
	if live, err = target.Inspect(ctx); err != nil {
		return err
	}
	if _, err := target.Backup(ctx, id); err != nil {
		return err
	}
	if err := target.Migrate(ctx, id, d.Migrations, func(promotion.Migration) {}); err != nil {
		return err
	}
	version, err := target.Upload(ctx, id, b)
	if err != nil {
		return err
	}
	if live.Live() != version {
		if err := target.Route(ctx, id, promotion.Routing{Shares: []promotion.Share{{Version: live.Live(), Percentage: 100}, {Version: version}}, Message: "smoke"}); err != nil {
			return err
		}
	}
	return target.Route(ctx, id, promotion.Routing{Shares: []promotion.Share{{Version: version, Percentage: 100}}, Message: "all"})
}

// checkPromoted looks at everything that a completed promotion must have left, each exactly once.
func checkPromoted(t *testing.T, f *fake, id string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, list := range [][]map[string]any{f.databases, f.namespaces, f.queues} {
		for _, resource := range list {
			for _, key := range []string{"name", "title", "queue_name"} {
				if name, ok := resource[key].(string); ok {
					names = append(names, name)
				}
			}
		}
	}
	names = append(names, f.buckets...)
	if diff := cmp.Diff([]string{"fixture-db", "fixture-CACHE", "fixture-jobs", "fixture-dead", "fixture-files"}, names); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	tagged := 0
	for _, u := range f.uploads {
		if strings.Contains(string(u.rest["annotations"]), `"workers/tag":"`+id+`"`) {
			tagged++
		}
	}
	if tagged != 1 {
		t.Errorf("%d versions were uploaded for promotion %s, want 1", tagged, id)
	}
	if diff := cmp.Diff([]string{seeded{"seed/first.sql", digestOf(fixtureFiles["seed/first.sql"]), "01PROMO"}.row(), "0001_first.sql", "0002_second.sql", "0010_third.sql"}, f.rows); diff != "" {
		t.Errorf("migrations table (-want +got):\n%s", diff)
	}
	for _, statement := range []string{"CREATE TABLE users", "CREATE TABLE guides", "CREATE TABLE lessons", "INSERT INTO users"} {
		if n := strings.Count(strings.Join(f.executed, "\n"), statement); n != 1 {
			t.Errorf("%q was executed %d times, want once", statement, n)
		}
	}
	if n := len(f.consumers["q-0"]); n != 1 {
		t.Errorf("the queue has %d consumers, want 1", n)
	}
	if !slices.Equal(f.crons, []string{"0 3 * * *"}) {
		t.Errorf("crons are %v", f.crons)
	}
	if want := `{"logpush":true,"observability":{"enabled":true}}`; string(f.settings) != want {
		t.Errorf("settings are %s, want %s", f.settings, want)
	}
	if got := len(f.deployments[0]["versions"].([]any)); got != 1 {
		t.Errorf("the last deployment has %d versions", got)
	}
}

func TestPromotionOfAnEmptyAccount(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	b := fixtureBundle(t)
	if err := promote(t.Context(), t, target, b, "01PROMO"); err != nil {
		t.Fatal(err)
	}
	checkPromoted(t, f, "01PROMO")
	for _, want := range []string{"status: 503", `"retry-after"`, "export class Counter extends DurableObject {}"} {
		if !strings.Contains(f.placeholder, want) {
			t.Errorf("the placeholder has no %q:\n%s", want, f.placeholder)
		}
	}

	live, err := target.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	version := "00000002-0000-4000-8000-000000000000"
	want := promotion.State{
		Worker: "fixture", Exists: true, URL: "http://fixture.test",
		Shares: []promotion.Share{{Version: version, Percentage: 100}},
		Versions: []promotion.Version{
			{ID: version, Number: 2, Tag: "01PROMO", Message: "penstock bundle " + b.Digest, Bundle: b.Digest, CreatedAt: time.Date(2026, 11, 22, 12, 0, 2, 0, time.UTC)},
			{ID: "00000001-0000-4000-8000-000000000000", Number: 1, Message: "penstock placeholder for promotion 01PROMO", CreatedAt: time.Date(2026, 11, 22, 12, 0, 1, 0, time.UTC)},
		},
		Migrations: []string{"0001_first.sql", "0002_second.sql", "0010_third.sql"},
	}
	if diff := cmp.Diff(want, live); diff != "" {
		t.Errorf("Inspect (-want +got):\n%s", diff)
	}
	d, err := target.Diff(t.Context(), live, b)
	if err != nil {
		t.Fatal(err)
	}
	if !d.UpToDate {
		t.Errorf("nothing changed, and the plan says: %+v", d.Changes)
	}
}

// TestUploadSendsWhatWranglerSends compares with a recording of `wrangler versions upload` for the same config.
func TestUploadSendsWhatWranglerSends(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.exists = true
	f.databases = []map[string]any{{"uuid": "00000000-0000-4000-8000-000000000001", "name": "fixture-db"}}
	f.namespaces = []map[string]any{{"id": "00000000000000000000000000000001", "title": "any"}}
	f.buckets = []string{"fixture-files"}
	f.queues = []map[string]any{{"queue_id": "q-0", "queue_name": "fixture-jobs"}, {"queue_id": "q-1", "queue_name": "fixture-dead"}}
	target := newTarget(t, f, func(o *Options) { o.Resources = ByID })
	b := fixtureBundle(t)
	if _, err := target.Upload(t.Context(), "01PROMO", b); err != nil {
		t.Fatal(err)
	}
	recording, err := os.ReadFile(filepath.Join(fixture, "versions-upload.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(recording, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encode(f.uploads[0].rest), &got); err != nil {
		t.Fatal(err)
	}
	want["annotations"].(map[string]any)["workers/message"] = "penstock bundle " + b.Digest
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-wrangler +penstock):\n%s", diff)
	}
}

func TestUploadMapsNamesSecretsAndVariables(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, func(o *Options) {
		o.Environment.Vars = map[string]string{"GREETING": "hej", "EXTRA": "<&>"}
		o.Secrets = map[string]string{"API_KEY": "s3cret"}
	})
	if err := promote(t.Context(), t, target, fixtureBundle(t), "01PROMO"); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, b := range f.uploads[0].bindings {
		got[b.text("name")] = string(encode(b))
	}
	for name, want := range map[string]string{
		"DB":       `{"id":"db-0","name":"DB","type":"d1"}`,
		"CACHE":    `{"name":"CACHE","namespace_id":"kv-0","type":"kv_namespace"}`,
		"GREETING": `{"name":"GREETING","text":"hej","type":"plain_text"}`,
		"EXTRA":    `{"name":"EXTRA","text":"<&>","type":"plain_text"}`,
		"API_KEY":  `{"name":"API_KEY","text":"s3cret","type":"secret_text"}`,
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
	message := string(f.uploads[0].rest["annotations"])
	if !strings.Contains(message, " secrets ") || strings.Contains(message, "s3cret") {
		t.Errorf("the message must mark the secrets and not tell them: %s", message)
	}

	live, err := target.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d, err := target.Diff(t.Context(), live, fixtureBundle(t)); err != nil || !d.UpToDate {
		t.Errorf("the same secrets count as a change: %+v (%v)", d.Changes, err)
	}
	target.Secrets = map[string]string{"API_KEY": "another"}
	d, err := target.Diff(t.Context(), live, fixtureBundle(t))
	if err != nil {
		t.Fatal(err)
	}
	want := event.Change{Action: "update", Kind: "secret", Name: "API_KEY", To: d.Changes[0].To}
	if diff := cmp.Diff(want, d.Changes[0]); diff != "" || d.UpToDate || !strings.HasPrefix(want.To, "a value that may differ, known by ") {
		t.Errorf("a changed secret (-want +got):\n%s\n%s", diff, want.To)
	}
	// Who approves a change of a secret approves one value: another one in its place makes another plan.
	for _, live := range []promotion.State{live, {}} {
		var told [2]string
		for i, value := range []string{"another", "yet another"} {
			target.Secrets = map[string]string{"API_KEY": value}
			d, err := target.Diff(t.Context(), live, fixtureBundle(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range d.Changes {
				if change.Name == "API_KEY" {
					told[i] = change.To
				}
			}
		}
		if told[0] == told[1] || told[0] == "" || strings.Contains(told[0], "another") {
			t.Errorf("two values are told as %q", told)
		}
	}
}

// TestFaultsAtEachStep injects each fault into each call of a first promotion. Whatever happens, everything is there
// exactly once in the end. Only a migration that was not done is left to the next run: the target says "unreachable", and
// the same promotion run again completes.
func TestFaultsAtEachStep(t *testing.T) {
	t.Parallel()
	calls := map[string]string{
		"create database":   "POST /d1/database",
		"create namespace":  "POST /storage/kv/namespaces",
		"create bucket":     "POST /r2/buckets",
		"create queue":      "POST /queues",
		"make the Worker":   "PUT " + scriptPath,
		"upload":            "POST " + scriptPath + "/versions",
		"deploy":            "POST " + scriptPath + "/deployments",
		"consumer":          "POST /queues/q-0/consumers",
		"crons":             "PUT " + scriptPath + "/schedules",
		"settings":          "PATCH " + scriptPath + "/script-settings",
		"read deployments":  "GET " + scriptPath + "/deployments",
		"read versions":     "GET " + scriptPath + "/versions",
		"read databases":    "GET /d1/database",
		"database":          "POST /d1/database/db-0/query",
		"bookmark":          "GET /d1/database/db-0/time_travel/bookmark",
		"one queue's state": "GET /queues/q-0/consumers",
	}
	for name, call := range calls {
		for _, kind := range []string{"lost", "unavailable", "ratelimit"} {
			for skip := range 12 {
				if skip > 2 && name != "database" {
					continue // queries are many, and each is another step
				}
				t.Run(name+" "+kind+" "+string(rune('a'+skip)), func(t *testing.T) {
					t.Parallel()
					f := newFake(t)
					f.faults = []*fault{{call: call, kind: kind, times: 1, skip: skip}}
					target := newTarget(t, f, nil)
					b := fixtureBundle(t)
					if err := promote(t.Context(), t, target, b, "01PROMO"); err != nil {
						if name != "database" || kind != "unavailable" || !errors.Is(err, promotion.ErrUnreachable) {
							t.Fatal(err)
						}
						if err := promote(t.Context(), t, target, b, "01PROMO"); err != nil {
							t.Fatalf("the same promotion again: %v", err)
						}
					}
					checkPromoted(t, f, "01PROMO")
				})
			}
		}
	}
}

func TestUploadRecognisesItsOwnVersion(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	b := fixtureBundle(t)
	if err := promote(t.Context(), t, target, b, "01PROMO"); err != nil {
		t.Fatal(err)
	}
	again, err := target.Upload(t.Context(), "01PROMO", b)
	if err != nil || again != "00000002-0000-4000-8000-000000000000" || len(f.uploads) != 1 {
		t.Errorf("got version %s after %d uploads (%v)", again, len(f.uploads), err)
	}
	other, err := target.Upload(t.Context(), "01OTHER", b)
	if err != nil || other == again {
		t.Errorf("another promotion got the version %s (%v)", other, err)
	}
}

func TestGivesUpAsUnreachable(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind, call string
		calls      int
	}{
		"always 503":         {"unavailable", "GET /d1/database", 4},
		"not Cloudflare":     {"nonsense", "GET /d1/database", 4},
		"banned for minutes": {"banned", "GET /d1/database", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.faults = []*fault{{call: tc.call, kind: tc.kind, times: 100}}
			_, err := newTarget(t, f, nil).Inspect(t.Context())
			if !errors.Is(err, promotion.ErrUnreachable) {
				t.Errorf("got %v, want ErrUnreachable", err)
			}
			if n := f.count(tc.call); n != tc.calls {
				t.Errorf("asked %d times, want %d", n, tc.calls)
			}
		})
	}
}

func TestChangesAreNotRepeatedBlindly(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.faults = []*fault{{call: "POST " + scriptPath + "/versions", kind: "unavailable", times: 100}}
	err := promote(t.Context(), t, newTarget(t, f, nil), fixtureBundle(t), "01PROMO")
	if !errors.Is(err, promotion.ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	posts, looks := f.count("POST "+scriptPath+"/versions"), f.count("GET "+scriptPath+"/versions")
	if posts != repeats || looks < repeats*3 {
		t.Errorf("%d uploads with %d looks in between; want %d, and at least 3 looks after each", posts, looks, repeats)
	}
}

func TestDeniedNamesThePermission(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		"GET /d1/database":           `"Account > D1 > Read"`,
		"POST /queues":               `"Account > Queues > Edit"`,
		"PUT " + scriptPath:          `"Account > Workers Scripts > Edit"`,
		"GET /storage/kv/namespaces": `"Account > Workers KV Storage > Read"`,
	} {
		f := newFake(t)
		f.faults = []*fault{{call: call, kind: "denied", times: 100}}
		err := promote(t.Context(), t, newTarget(t, f, nil), fixtureBundle(t), "01PROMO")
		if !errors.Is(err, api.ErrDenied) || errors.Is(err, promotion.ErrUnreachable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a refusal that names %s", call, err, want)
		}
		if n := f.count(call); n != 1 {
			t.Errorf("%s: asked %d times", call, n)
		}
	}
}

func TestSuccessFalseIsNoSuccess(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.faults = []*fault{{call: "POST " + scriptPath + "/versions", kind: "refused", times: 1}}
	err := promote(t.Context(), t, newTarget(t, f, nil), fixtureBundle(t), "01PROMO")
	if err == nil || !strings.Contains(err.Error(), "it did not work [code: 1234]") {
		t.Errorf("got %v, want Cloudflare's own words", err)
	}
}

// plannedOf are all migrations of the app as they are now.
func plannedOf(t *testing.T, target *Target) []promotion.Migration {
	t.Helper()
	var planned []promotion.Migration
	for _, database := range target.Worker.D1Databases {
		files, err := target.migrationFiles(database)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			planned = append(planned, file.Migration)
		}
	}
	return planned
}

func TestMigrateStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ sql, want string }{
		"an error":                     {"BOOM;", `near "BOOM": syntax error at offset 0: SQLITE_ERROR [code: 7500]`},
		"success: false and no reason": {"SILENT;", "statement 2 of 2: the database says success: false and gives no reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.databases = []map[string]any{{"uuid": "db-0", "name": "fixture-db"}}
			target := newTarget(t, f, func(o *Options) {
				o.AppDir = app(t, map[string]string{
					"migrations/0001_good.sql": "CREATE TABLE a (id);", "migrations/0002_bad.sql": tc.sql, "migrations/0003_later.sql": "CREATE TABLE b (id);",
				})
				o.Environment.Seed = ""
			})
			var told []string
			err := target.Migrate(t.Context(), "01PROMO", plannedOf(t, target), func(m promotion.Migration) { told = append(told, m.Name) })
			var failed *promotion.MigrationError
			if !errors.As(err, &failed) {
				t.Fatalf("got %v, want a MigrationError", err)
			}
			if failed.Migration.Name != "0002_bad.sql" || failed.Message != tc.want || len(failed.Applied) != 1 {
				t.Errorf("got %+v", failed)
			}
			if !slices.Equal(told, []string{"0001_good.sql"}) || !slices.Equal(f.rows, told) {
				t.Errorf("told %v, in the table %v", told, f.rows)
			}
		})
	}
}

func TestSeedOnlyIntoAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tables, rows []string
		seeded       bool
	}{
		"empty":                          {nil, nil, true},
		"adopted":                        {[]string{"users"}, nil, false},
		"migrated before":                {[]string{"d1_migrations", "users"}, []string{"0001_first.sql"}, false},
		"stopped before the seed":        {[]string{"d1_migrations", "users"}, []string{noteSeedDue + "seed/first.sql", "0001_first.sql", "0002_second.sql", "0010_third.sql"}, true},
		"seeded, and migrated once more": {[]string{"d1_migrations", "users"}, []string{seeded{"seed/first.sql", "sha256:x", "01OTHER"}.row(), "0001_first.sql"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.databases = []map[string]any{{"uuid": "db-0", "name": "fixture-db"}}
			f.tables, f.rows = tc.tables, tc.rows
			target := newTarget(t, f, nil)
			if err := target.Migrate(t.Context(), "01PROMO", plannedOf(t, target), func(promotion.Migration) {}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(strings.Join(f.executed, "\n"), "INSERT INTO users"); got != tc.seeded {
				t.Errorf("seeded: %v, want %v", got, tc.seeded)
			}
		})
	}
}

func TestMigrationOrderIsWranglers(t *testing.T) {
	t.Parallel()
	names := []string{"0002_b.sql", "10_d.sql", "0001_a.sql", "9_c.sql", "0002_a.sql"}
	slices.SortStableFunc(names, func(a, b string) int {
		if migrationLess(a, b) {
			return -1
		}
		return 1
	})
	if want := []string{"0001_a.sql", "0002_a.sql", "0002_b.sql", "9_c.sql", "10_d.sql"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestDiffNamesEachDifference(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	b := fixtureBundle(t)
	if err := promote(t.Context(), t, target, b, "01PROMO"); err != nil {
		t.Fatal(err)
	}
	changed := newTarget(t, f, func(o *Options) {
		files := map[string]string{"migrations/0011_more.sql": "CREATE TABLE more (id);"}
		for name, text := range fixtureFiles {
			if name != "migrations/0002_second.sql" {
				files[name] = text
			}
		}
		o.AppDir = app(t, files)
		o.Environment.Vars = map[string]string{"GREETING": "hej"}
		o.Environment.Secrets = []string{"API_KEY", "OTHER_KEY"}
		retries := 5
		o.Worker.Queues.Consumers[0].MaxRetries = &retries
		o.Worker.Triggers.Crons = nil
	})
	f.secrets = []string{"OTHER_KEY"}
	other := *b
	other.Digest = "sha256:" + strings.Repeat("0", 64)
	other.Metadata = json.RawMessage(strings.NewReplacer(`"2026-04-01"`, `"2026-05-01"`, `,{"name":"CF_VERSION","type":"version_metadata"}`, "").Replace(string(b.Metadata)))
	live, err := changed.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := changed.Diff(t.Context(), live, &other)
	if err != nil {
		t.Fatal(err)
	}
	want := []event.Change{
		{Action: "update", Kind: "version", Name: "fixture", From: b.Digest, To: other.Digest},
		{Action: "update", Kind: "var", Name: "GREETING", From: "hello", To: "hej"},
		{Action: "remove", Kind: "binding", Name: "CF_VERSION", From: "version_metadata"},
		{Action: "update", Kind: "setting", Name: "compatibility_date", From: "2026-04-01", To: "2026-05-01"},
		{Action: "create", Kind: "migration", Name: "0011_more.sql", To: "fixture-db " + d.Migrations[0].Digest},
		{Action: "keep", Kind: "migration", Name: "0002_second.sql", From: "applied to fixture-db", To: "its file no longer exists"},
		{Action: "update", Kind: "crons", Name: "fixture", From: "0 3 * * *"},
		{
			Action: "update", Kind: "queue-consumer", Name: "fixture-jobs",
			From: "worker, batch size 10, wait ms 1000, retries 2, dead letters to fixture-dead",
			To:   "worker, batch size 10, wait ms 1000, retries 5, dead letters to fixture-dead",
		},
	}
	if diff := cmp.Diff(want, d.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if !slices.Equal(d.MissingSecrets, []string{"API_KEY"}) || d.UpToDate {
		t.Errorf("missing secrets %v, up to date %v", d.MissingSecrets, d.UpToDate)
	}
}

func TestProductionNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.exists, f.migrationTag = true, "v1"
	f.zones = []map[string]any{{"id": "zone-1", "name": "example.com"}}
	target := newTarget(t, f, func(o *Options) { o.Resources, o.PublicURL = ByID, nil })
	live, err := target.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if live.URL != "https://fixture.example.com" {
		t.Errorf("URL is %s", live.URL)
	}
	d, err := target.Diff(t.Context(), live, fixtureBundle(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Upload(t.Context(), "01PROMO", fixtureBundle(t))
	if err == nil {
		t.Fatal("a version was uploaded without its resources")
	}
	for _, want := range []string{
		"database fixture-db (id 00000000-0000-4000-8000-000000000001)",
		"kv-namespace fixture-CACHE (id 00000000000000000000000000000001)", "bucket fixture-files", "queue fixture-dead",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	route := event.Change{Action: "create", Kind: "route", Name: "fixture.example.com/*", To: "fixture"}
	if !slices.Contains(d.Changes, route) {
		t.Errorf("the plan has no route: %+v", d.Changes)
	}
	// An id cannot be created, whoever allows it.
	if _, err := target.Provision(t.Context(), "01PROMO", d); err == nil {
		t.Error("a database with a given id was created")
	}
}

func TestDurableObjectMigrationOnALivingWorker(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	if err := promote(t.Context(), t, target, fixtureBundle(t), "01PROMO"); err != nil {
		t.Fatal(err)
	}
	target.Worker.Migrations = append(target.Worker.Migrations, wrangler.DurableObjectMigration{Tag: "v2", NewSQLiteClasses: []string{"Room"}})
	live, err := target.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := target.Diff(t.Context(), live, fixtureBundle(t))
	if err != nil || !slices.ContainsFunc(d.Changes, func(c event.Change) bool {
		return c.Kind == "durable-object-migration" && c.Name == "v2" && strings.Contains(c.To, "no version from before")
	}) {
		t.Errorf("the plan does not say what the migration means: %+v, %v", d.Changes, err)
	}
	// What destroys or moves objects is for a person.
	for _, harmful := range []wrangler.DurableObjectMigration{
		{Tag: "v3", DeletedClasses: []string{"Counter"}}, {Tag: "v3", RenamedClasses: []wrangler.Rename{{From: "Counter", To: "Teller"}}},
	} {
		target.Worker.Migrations[1] = harmful
		_, err = target.Diff(t.Context(), live, fixtureBundle(t))
		if err == nil || !strings.Contains(err.Error(), `"v3"`) || !strings.Contains(err.Error(), "wrangler deploy") {
			t.Errorf("got %v, want an error with the tag and the next step", err)
		}
	}
}

func TestRefusesWhatItCannotHonour(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, func(o *Options) {
		o.Worker.Other = []wrangler.Key{
			{Path: "env.production.workflows", Line: 7, Known: true}, {Path: "hyperdrive", Known: true}, {Path: "limits.new_one", Known: true},
			{Path: "colour", Known: false},
		}
		o.Worker.Assets = &wrangler.Assets{Directory: "../public"}
	})
	_, err := target.Diff(t.Context(), promotion.State{}, fixtureBundle(t))
	var refused *UnsupportedError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want an UnsupportedError", err)
	}
	var paths []string
	for _, key := range refused.Keys {
		paths = append(paths, key.Path)
	}
	if !slices.Equal(paths, []string{"env.production.workflows", "assets.directory"}) {
		t.Errorf("refused %v", paths)
	}
	if text := err.Error(); !strings.Contains(text, "wrangler.jsonc") || !strings.Contains(text, "(line 7)") {
		t.Errorf("the error does not say where: %s", text)
	}
	// wrangler brings code for a Worker that has static files only, and Cloudflare's Vite plugin says where a build left them.
	target = newTarget(t, f, func(o *Options) { o.Worker.Assets, o.Worker.Main = &wrangler.Assets{}, "" })
	if _, err := target.Diff(t.Context(), promotion.State{}, fixtureBundle(t)); errors.As(err, &refused) {
		t.Errorf("static files alone, in a folder that the build names: %v", err)
	}
}

func TestRefusesABundleOfAnotherEnvironment(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*wrangler.Worker){
		"variable": func(w *wrangler.Worker) { w.Vars["GREETING"] = json.RawMessage(`"other"`) },
		"bucket":   func(w *wrangler.Worker) { w.R2Buckets[0].BucketName = "other" },
		"binding":  func(w *wrangler.Worker) { w.KVNamespaces[0].Binding = "OTHER_CACHE" },
		"database": func(w *wrangler.Worker) { w.D1Databases[0].DatabaseID = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := newTarget(t, newFake(t), func(o *Options) { change(&o.Worker); o.Worker.Environment = "production" })
			_, err := target.Diff(t.Context(), promotion.State{}, fixtureBundle(t))
			if err == nil || !strings.Contains(err.Error(), "--env=production") {
				t.Errorf("got %v, want a refusal that says how to build it", err)
			}
		})
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	if err := promote(t.Context(), t, target, fixtureBundle(t), "01PROMO"); err != nil {
		t.Fatal(err)
	}
	const old, current = "00000001-0000-4000-8000-000000000000", "00000002-0000-4000-8000-000000000000"
	deploys := "POST " + scriptPath + "/deployments"
	before := f.count(deploys)
	if err := target.Route(t.Context(), "01PROMO", promotion.Routing{Shares: []promotion.Share{{Version: current, Percentage: 100}}, Message: "again"}); err != nil || f.count(deploys) != before {
		t.Errorf("what is deployed was deployed again (%v)", err)
	}
	f.faults = []*fault{{call: deploys, kind: "lost", times: 1}}
	anew := promotion.Routing{Shares: []promotion.Share{{Version: current, Percentage: 100}}, Message: "anew", Anew: true}
	if err := target.Route(t.Context(), "01PROMO", anew); err != nil || f.count(deploys) != before+2 {
		t.Errorf("asked for anew, with one reply lost: %d deployments more (%v)", f.count(deploys)-before, err)
	}
	f.stale = 5
	if err := target.Route(t.Context(), "01PROMO", promotion.Routing{Shares: []promotion.Share{{Version: old, Percentage: 100}}, Message: "back"}); err != nil || f.stale != 0 {
		t.Errorf("did not wait until the deployment was shown: %v, %d", err, f.stale)
	}
	f.stale = 1 << 30
	err := target.Route(t.Context(), "01PROMO", promotion.Routing{Shares: []promotion.Share{{Version: old, Percentage: 50}, {Version: current, Percentage: 50}}, Message: "never shown"})
	if !errors.Is(err, promotion.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	for name, wrong := range map[string][]promotion.Share{
		"none": nil, "sum": {{Version: old, Percentage: 90}}, "negative": {{Version: old, Percentage: 110}, {Version: current, Percentage: -10}},
		"twice": {{Version: old, Percentage: 50}, {Version: old, Percentage: 50}}, "no version": {{Percentage: 100}},
	} {
		if err := target.Route(t.Context(), "01PROMO", promotion.Routing{Shares: wrong, Message: name}); err == nil {
			t.Errorf("%s: %v was accepted", name, wrong)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	target := newTarget(t, newFake(t), nil)
	address, err := target.Address(t.Context(), "00000002-0000-4000-8000-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	if got := address.Header.Get("Cloudflare-Workers-Version-Overrides"); got != `fixture="00000002-0000-4000-8000-000000000000"` || address.URL != "http://fixture.test" {
		t.Errorf("got %+v", address)
	}
	target.PublicURL, target.Worker.Routes = nil, nil
	if address, err = target.Address(t.Context(), ""); err != nil || address.URL != "https://fixture.anna.workers.dev" || len(address.Header) != 0 {
		t.Errorf("got %+v, %v", address, err)
	}
	for pattern, want := range map[string]string{
		"guide.example.com/*": "https://guide.example.com", "https://example.com/app/*": "https://example.com/app",
		"example.com": "https://example.com", "*.example.com/*": "",
	} {
		if got, _ := routeURL(pattern); got != want {
			t.Errorf("%s is %q, want %q", pattern, got, want)
		}
	}
}

func TestCancelIsNotUnreachable(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.faults = []*fault{{call: "GET .*", kind: "unavailable", times: 1000}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newTarget(t, f, nil).Inspect(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, promotion.ErrUnreachable) {
		t.Errorf("got %v, want only context.Canceled", err)
	}
}

func TestPagesAreAllRead(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for i := range 250 {
		f.databases = append(f.databases, map[string]any{"uuid": "other", "name": "other-" + string(rune('a'+i%26))})
	}
	f.databases = append(f.databases, map[string]any{"uuid": "db-0", "name": "fixture-db"})
	target := newTarget(t, f, nil)
	id, err := target.findDatabase(t.Context(), target.Worker.D1Databases[0])
	if err != nil || id != "db-0" {
		t.Errorf("got %q, %v", id, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Options{BaseURL: "http://127.0.0.1:1/client/v4", Token: "t", AccountID: testAccount, Worker: wrangler.Worker{Name: "w"}, AppDir: "."}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"plain http elsewhere": func(o *Options) { o.BaseURL = "http://api.example.com/client/v4" },
		"no URL":               func(o *Options) { o.BaseURL = "nonsense" },
		"path in the name":     func(o *Options) { o.Worker.Name = "../../zones" },
		"no name":              func(o *Options) { o.Worker.Name = "" },
		"path in the account":  func(o *Options) { o.AccountID = "../x" },
		"no token":             func(o *Options) { o.Token = " " },
		"no folder":            func(o *Options) { o.AppDir = "" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
