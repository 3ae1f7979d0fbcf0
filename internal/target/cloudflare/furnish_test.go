package cloudflare_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

const furnishedConfig = `{
	"name": "rows", "main": "worker.js", "compatibility_date": "2026-01-01",
	"d1_databases": [{ "binding": "DB", "database_name": "rows-db" }], "kv_namespaces": [{ "binding": "KEYS" }], "r2_buckets": [{ "binding": "FILES", "bucket_name": "rows-files" }],
	"queues": { "consumers": [{ "queue": "jobs", "max_batch_size": 5, "dead_letter_queue": "dead" }] },
	"routes": [{ "pattern": "guide.example.com/*", "zone_name": "example.com" }, { "pattern": "app.example.com", "custom_domain": true, "zone_name": "example.com" }],
	"version_metadata": { "binding": "VERSION" }
}`

// furnished does everything that is due and returns what it was.
func (p *place) furnished() (cloudflare.Furnishing, error) {
	p.t.Helper()
	target := p.target()
	cloudflare.Hurry(target)
	planned, err := target.Furnishing(p.t.Context())
	if err != nil {
		return planned, err
	}
	for _, change := range append(append([]event.Change{}, planned.Missing...), planned.Drift...) {
		if err := target.Furnish(p.t.Context(), "f1", change, nil); err != nil {
			return planned, err
		}
	}
	return planned, target.AwaitCertificates(p.t.Context(), func(string) {})
}

func names(changes []event.Change) string {
	var said []string
	for _, change := range changes {
		said = append(said, change.Action+" "+change.Kind+" "+change.Name)
	}
	return strings.Join(said, ", ")
}

func TestFurnishingAnEnvironment(t *testing.T) {
	t.Parallel()
	p := newPlace(t, furnishedConfig, pipelines.Environment{})
	first, err := p.furnished()
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("create database rows-db, create kv-namespace rows-KEYS, create bucket rows-files, create queue jobs, create queue dead", names(first.Missing)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("create queue-consumer jobs, create route guide.example.com/*, create custom-domain app.example.com", names(first.Later)); diff != "" {
		t.Error(diff)
	}
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	p.promote(bundleOf(t, string(rowsBundle(t, "one", "users").Modules[0].Body), map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{
			map[string]any{"name": "DB", "type": "d1"}, map[string]any{"name": "KEYS", "type": "kv_namespace"},
			map[string]any{"name": "FILES", "type": "r2_bucket", "bucket_name": "rows-files"}, map[string]any{"name": "VERSION", "type": "version_metadata"},
		},
	}), promotion.Completed)
	if second, err := p.furnished(); err != nil || names(second.Missing)+names(second.Drift)+names(second.Later) != "" {
		t.Errorf("after a deployment: %+v, %v", second, err)
	}
	p.write("wrangler.jsonc", strings.NewReplacer(`"max_batch_size": 5`, `"max_batch_size": 9`, "guide.example.com/*", "more.example.com/*").Replace(furnishedConfig))
	third, err := p.furnished()
	if err != nil || names(third.Missing) != "create route more.example.com/*" || names(third.Drift) != "update queue-consumer jobs" {
		t.Errorf("%+v, %v", third, err)
	}
	if fourth, err := p.furnished(); err != nil || names(fourth.Missing)+names(fourth.Drift) != "" {
		t.Errorf("once more: %+v, %v", fourth, err)
	}
	if got := p.at("more.example.com", "/"); got != "200 one 0" {
		t.Error(got)
	}
}
