package wrangler

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/pipelines"
)

// guide is the guide's configuration, in both syntaxes, with what it binds.
const guideJSONC = "\uFEFF" + `{
  // the guide's
  "name": "atomic-guide",
  "main": "dist/index.js",
  "compatibility_date": "2024-01-15",
  "compatibility_flags": ["nodejs_compat"],
  "send_metrics": true,
  "logpush": true,
  "placement": { "mode": "smart" },
  "observability": { "enabled": true },
  "vars": { "ENVIRONMENT": "development" },
  "kv_namespaces": [{ "binding": "KEYS", "id": "0001" }],
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["Limiter"] }],
  "triggers": { "crons": ["0 * * * *"] },
  "env": {
    "production": {
      "vars": { "ENVIRONMENT": "production", "LIMITS": { "a": 1 } },
      "routes": [{ "pattern": "guide.example.com/*", "zone_name": "example.com" }, "other.example.com/*"],
      "limits": { "cpu_ms": 30000, "memory_mb": 128 },
      "durable_objects": { "bindings": [{ "name": "LIMITER", "class_name": "Limiter" }] },
      "d1_databases": [{ "binding": "DB", "database_name": "guide", "database_id": "x" }],
      "queues": { "producers": [{ "binding": "Q", "queue": "q" }], "consumers": [{ "queue": "q", "max_retries": 2 }] },
      "hyperdrive": [],
    },
  },
} // the end`

const guideTOML = `
name = "atomic-guide"
main = "dist/index.js"
compatibility_date = "2024-01-15"
compatibility_flags = ["nodejs_compat"]
send_metrics = true
logpush = true
placement = { mode = "smart" }

[observability]
enabled = true

[vars]
ENVIRONMENT = "development"

[[kv_namespaces]]
binding = "KEYS"
id = "0001"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Limiter"]

[triggers]
crons = ["0 * * * *"]

[env.production]
routes = [{ pattern = "guide.example.com/*", zone_name = "example.com" }, "other.example.com/*"]
limits = { cpu_ms = 30000, memory_mb = 128 }
hyperdrive = []
vars = { ENVIRONMENT = "production", LIMITS = { a = 1 } }

[[env.production.durable_objects.bindings]]
name = "LIMITER"
class_name = "Limiter"

[[env.production.d1_databases]]
binding = "DB"
database_name = "guide"
database_id = "x"

[[env.production.queues.producers]]
binding = "Q"
queue = "q"

[[env.production.queues.consumers]]
queue = "q"
max_retries = 2
`

func parse(t *testing.T, name, text string) *Config {
	t.Helper()
	config, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func workerFor(t *testing.T, config *Config, env string) Worker {
	t.Helper()
	worker, err := config.For(env)
	if err != nil {
		t.Fatal(err)
	}
	return worker
}

func TestEnvironmentInheritsAsInWrangler(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"wrangler.jsonc": guideJSONC, "wrangler.toml": guideTOML} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := parse(t, name, text)
			if diff := cmp.Diff([]string{"production"}, config.Environments()); diff != "" {
				t.Error(diff)
			}
			two, yes := 2, true
			want := Worker{
				Environment:        "production",
				Name:               "atomic-guide-production",
				Main:               "dist/index.js",
				CompatibilityDate:  "2024-01-15",
				CompatibilityFlags: []string{"nodejs_compat"},
				Routes:             []Route{{Pattern: "guide.example.com/*", ZoneName: "example.com"}, {Pattern: "other.example.com/*"}},
				Limits:             Limits{CPUMillis: 30000},
				Placement:          &Placement{Mode: "smart"},
				Observability:      &Observability{Enabled: &yes},
				Logpush:            &yes,
				Migrations:         []DurableObjectMigration{{Tag: "v1", NewSQLiteClasses: []string{"Limiter"}}},
				Vars:               map[string]json.RawMessage{"ENVIRONMENT": []byte(`"production"`), "LIMITS": []byte(`{"a":1}`)},
				D1Databases: []D1Database{{
					Binding: "DB", DatabaseName: "guide", DatabaseID: "x",
					MigrationsDir: "migrations", MigrationsTable: "d1_migrations",
				}},
			}
			want.Triggers.Crons = []string{"0 * * * *"}
			want.DurableObjects.Bindings = []DurableObject{{Name: "LIMITER", ClassName: "Limiter"}}
			want.Queues.Producers = []QueueProducer{{Binding: "Q", Queue: "q"}}
			want.Queues.Consumers = []QueueConsumer{{Queue: "q", MaxRetries: &two}}

			got := workerFor(t, config, "production")
			var other, forgotten []string
			for _, key := range got.Other {
				other = append(other, key.Path)
				if known := key.Path == "env.production.hyperdrive"; key.Known != known || key.Line == 0 {
					t.Errorf("%+v: want known=%v and a line", key, known)
				}
			}
			for _, key := range got.NotInherited {
				forgotten = append(forgotten, key.Path)
			}
			if diff := cmp.Diff([]string{"env.production.hyperdrive", "env.production.limits.memory_mb"}, other); diff != "" {
				t.Errorf("keys that nothing here honours (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"kv_namespaces"}, forgotten); diff != "" {
				t.Errorf("keys that are not inherited (-want +got):\n%s", diff)
			}
			got.Other, got.NotInherited = nil, nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if text, ok := got.VarText("ENVIRONMENT"); text != "production" || !ok {
				t.Errorf("VarText(ENVIRONMENT) = %q, %v", text, ok)
			}
			if _, ok := got.VarText("LIMITS"); ok {
				t.Error("an object passes for a text")
			}
			if top := workerFor(t, config, ""); top.Name != "atomic-guide" || len(top.KVNamespaces) != 1 || top.Routes != nil {
				t.Errorf("top level: %+v", top)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want map[string]int
	}{
		"wrangler.jsonc": {guideJSONC, map[string]int{
			"/name": 3, "/env/production": 16, "/env/production/limits/memory_mb": 19, "/env/production/d1_databases/0/binding": 21, "/nope": 0,
		}},
		"wrangler.toml": {guideTOML, map[string]int{
			"/name": 2, "/observability/enabled": 11, "/env/production": 27, "/env/production/limits/memory_mb": 29,
			"/env/production/d1_databases/0": 37, "/env/production/d1_databases/0/binding": 38, "/env/production/routes/0/zone_name": 28,
			"/env/production/queues/consumers/0/max_retries": 48, "/nope": 0,
		}},
	} {
		config := parse(t, name, test.text)
		for at, want := range test.want {
			if line, _ := config.Place(at); line != want {
				t.Errorf("%s: %s is on line %d, want %d", name, at, line, want)
			}
		}
	}
}

func TestNameOfAnEnvironment(t *testing.T) {
	t.Parallel()
	config := parse(t, "wrangler.json", `{"name": "app", "env": {"a": {"name": "own"}, "b": {}, "c": {"name": null}}}`)
	for env, want := range map[string]string{"": "app", "a": "own", "b": "app-b", "c": "app-c"} {
		if got := workerFor(t, config, env).Name; got != want {
			t.Errorf("environment %q is named %q, want %q", env, got, want)
		}
	}
	_, err := config.For("prod")
	if err == nil || !strings.Contains(err.Error(), `no environment "prod"; it has a, b, c`) {
		t.Errorf("unknown environment: %v", err)
	}
}

func TestRoutesWinOverRoute(t *testing.T) {
	t.Parallel()
	config := parse(t, "wrangler.json", `{"route": "a/*", "env": {"many": {"routes": ["b/*"]}, "none": {"routes": []}}}`)
	for env, want := range map[string][]Route{"": {{Pattern: "a/*"}}, "many": {{Pattern: "b/*"}}, "none": {}} {
		worker := workerFor(t, config, env)
		if diff := cmp.Diff(want, worker.AllRoutes()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", env, diff)
		}
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file, text string
		want             []string
	}{
		{
			"types", "wrangler.jsonc", `{
  "name": 7,
  "d1_databases": [
    { "binding": "DB" },
    { "binding": false }
  ],
  "env": { "production": { "vars": ["a"], "observability": { "logs": { "enabled": "yes" } } }, "odd": 3 }
}`,
			[]string{
				"wrangler.jsonc:2:3: name must be a text, not number; correct the value; wrangler would refuse it too",
				"wrangler.jsonc:5:7: d1_databases[1].binding must be a text, not bool; correct the value; wrangler would refuse it too",
				"wrangler.jsonc:7:28: env.production.vars must be an object, not array; correct the value; wrangler would refuse it too",
				"wrangler.jsonc:7:72: env.production.observability.logs.enabled must be true or false, not string; correct the value; wrangler would refuse it too",
				"wrangler.jsonc:7:96: env.odd must be an object, not 3; correct the value; wrangler would refuse it too",
			},
		},
		{"json syntax", "wrangler.json", "{\n  \"name\": \"a\"\n  \"main\": \"b\"\n}", []string{
			"wrangler.json:3:3: invalid character '\"' after object value (expecting ',' or '}'); correct the syntax; wrangler cannot read the file either",
		}},
		{"not an object", "wrangler.json", "[]", []string{
			"wrangler.json:1:1: the file must hold one object: { … }; correct the syntax; wrangler cannot read the file either",
		}},
		{"toml syntax", "wrangler.toml", "name = \"a\"\nname = \"b\"\n", []string{
			"wrangler.toml:2:1: key name is already defined; correct the syntax; wrangler cannot read the file either",
		}},
		{"deep", "wrangler.json", strings.Repeat("[", 100), []string{
			"wrangler.json:1:65: more than 64 levels of nesting; correct the syntax; wrangler cannot read the file either",
		}},
		{"large", "wrangler.json", strings.Repeat(" ", maxConfigSize+1), []string{
			"wrangler.json: is larger than 1024 KiB; check that it is the wrangler configuration",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(test.file, []byte(test.text))
			var problems pipelines.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v", err)
			}
			var got []string
			for _, problem := range problems {
				got = append(got, problem.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	config := parse(t, "wrangler.json", `{
  "name": "a", "name": "b",
  "vars": {"A": "1"},
  "env": {"production": {}}
}`)
	var got []string
	for _, problem := range config.Warnings {
		if problem.Severity != pipelines.SeverityWarning {
			t.Errorf("%+v is no warning", problem)
		}
		got = append(got, problem.String())
	}
	if diff := cmp.Diff([]string{
		`wrangler.json:2:16: "name" is written twice, and only the last one counts; delete one of them`,
		`wrangler.json:4:11: has no "vars", and wrangler does not inherit the top level's; repeat it in this environment, or set it to an empty value there to say that none is meant`,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if name := workerFor(t, config, "").Name; name != "b" {
		t.Errorf("name %q: the last one counts", name)
	}
}

// TestLoadPrefersAsWranglerDoes puts all three files into one folder, as some repositories do.
func TestLoadPrefersAsWranglerDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNoConfig) {
		t.Errorf("empty folder: %v", err)
	}
	for _, step := range []struct {
		file, text string
		warnings   int
	}{
		{"wrangler.toml", `name = "toml"`, 0},
		{"wrangler.jsonc", `{"name": "jsonc"}`, 1},
		{"wrangler.json", `{"name": "json"}`, 1},
		{".wrangler/deploy/config.json", `{"configPath":"../../dist/wrangler.json"}`, 2},
	} {
		write(t, dir, step.file, step.text)
		config, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(config.Warnings) != step.warnings {
			t.Errorf("after %s: warnings %v", step.file, config.Warnings)
		}
		if worker := workerFor(t, config, ""); !strings.HasPrefix(step.file, ".") && "wrangler."+worker.Name != step.file {
			t.Errorf("after %s: read %s (%s)", step.file, worker.Name, config.File)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKeyRulesMatchWorker holds the table and the type together: each typed key has a field, and each field a rule.
func TestKeyRulesMatchWorker(t *testing.T) {
	t.Parallel()
	fields := map[string]bool{}
	for key, rule := range keyRules {
		if rule.effect == typed {
			fields[key] = true
			if _, ok := fieldNamed(reflect.TypeFor[Worker](), key); !ok {
				t.Errorf("%s is called typed, and Worker has no field for it", key)
			}
		}
	}
	for i := range reflect.TypeFor[Worker]().NumField() {
		if key := reflect.TypeFor[Worker]().Field(i).Tag.Get("json"); key != "-" && !fields[key] {
			t.Errorf("Worker has %s, and keyRules does not call it typed", key)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("wrangler.jsonc", guideJSONC)
	f.Add("wrangler.toml", guideTOML)
	f.Add("wrangler.json", `{"env":{"a":{"route":"x","vars":null,"migrations":[{"tag":1}]}}}`)
	f.Add("wrangler.toml", "[[a]]\n[a.b]\nc.d=[{e=1}]\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		config, err := Parse(name, []byte(text))
		if err != nil {
			var problems pipelines.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("error without a problem: %v", err)
			}
			return
		}
		for _, env := range append([]string{""}, config.Environments()...) {
			if _, err := config.For(env); err != nil {
				t.Errorf("Parse accepted what For(%q) refuses: %v", env, err)
			}
		}
	})
}
