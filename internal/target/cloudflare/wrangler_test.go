package cloudflare_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// wranglerScript is Cloudflare's own tool, by npm or as PENSTOCK_WRANGLER names its bin/wrangler.js; only in the slow tier.
func wranglerScript(t *testing.T) string {
	t.Helper()
	if os.Getenv("PENSTOCK_SLOW") == "" {
		t.Skip("slow tier: run `make test-slow`")
	}
	if script := os.Getenv("PENSTOCK_WRANGLER"); script != "" {
		return script
	}
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "wrangler@4.86.0").CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	return filepath.Join(folder, "node_modules", "wrangler", "bin", "wrangler.js")
}

// wrangler runs it in the app's folder, pointed at an API.
func (p *place) wrangler(script, api string, args ...string) (string, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	home := p.t.TempDir()
	info := p.cloud.Info()
	command := exec.CommandContext(ctx, "node", append(append([]string{script}, args...), "--config", filepath.Join(p.folder, "wrangler.jsonc"))...)
	command.Dir = p.folder
	command.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "CI=1", "NO_COLOR=1", "WRANGLER_SEND_METRICS=false",
		"CLOUDFLARE_API_BASE_URL="+api, "CLOUDFLARE_API_TOKEN="+info.Token, "CLOUDFLARE_ACCOUNT_ID="+info.AccountID)
	out, err := command.CombinedOutput()
	return string(out), err
}

func (p *place) must(script string, args ...string) string {
	p.t.Helper()
	out, err := p.wrangler(script, p.cloud.Info().APIURL, args...)
	if err != nil {
		p.t.Fatalf("wrangler %v: %v\n%s", args, err, out)
	}
	return out
}

// TestInTurnsWithWrangler uses both tools on one app, one after the other: neither loses what the other did, nor does it again.
func TestInTurnsWithWrangler(t *testing.T) {
	t.Parallel()
	script := wranglerScript(t)
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	code := func(word string) string { return string(rowsBundle(t, word, "users").Modules[0].Body) }
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	first := p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	var databases struct{ Result []struct{ UUID string } }
	if err := json.Unmarshal(p.call("GET", "/accounts/ACCOUNT/d1/database", "", nil), &databases); err != nil || len(databases.Result) != 1 {
		t.Fatal(err)
	}
	p.write("wrangler.jsonc", strings.Replace(rowsConfig, "11111111-1111-1111-1111-111111111111", databases.Result[0].UUID, 1))

	// wrangler knows Penstock's migration and version.
	if out := p.must(script, "d1", "migrations", "list", "rows-db", "--remote"); !strings.Contains(out, "No migrations to apply") {
		t.Errorf("wrangler would migrate again:\n%s", out)
	}
	if out := p.must(script, "versions", "list"); !strings.Contains(out, first.Version) {
		t.Errorf("wrangler does not list version %s:\n%s", first.Version, out)
	}
	// wrangler migrates and deploys; Penstock knows both.
	p.write("migrations/0002_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);")
	p.write("worker.js", code("two"))
	p.must(script, "d1", "migrations", "apply", "rows-db", "--remote")
	p.must(script, "deploy")
	if got := p.get("/write"); got != "200 two 1" {
		t.Fatal(got)
	}
	bound := func(word string) *bundle.Bundle {
		return bundleOf(t, code(word), map[string]any{"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{
			map[string]any{"name": "DB", "type": "d1", "id": databases.Result[0].UUID}, map[string]any{"name": "VERSION", "type": "version_metadata"},
		}})
	}
	plan, err := promotion.MakePlan(t.Context(), p.target(), promotion.Basis{App: "rows", Environment: p.options.Environment, Bundle: bound("three")})
	if err != nil || len(plan.Diff.Migrations) != 0 || len(plan.Diff.Changes) != 1 || !strings.Contains(plan.Diff.Changes[0].From, "which no promotion made") {
		t.Fatalf("%+v, %v", plan.Diff, err)
	}
	third := p.promote(bound("three"), promotion.Completed)
	// wrangler goes back to what it deployed, and Penstock goes on from there.
	p.must(script, "rollback", "--yes", "--message", "back")
	if got := p.get("/"); got != "200 two 1" {
		t.Errorf("after wrangler's rollback: %s", got)
	}
	if _, err := promotion.MakeRollback(t.Context(), p.target(), p.past(), "rows", p.options.Environment, ""); !errors.Is(err, promotion.ErrNoSuchVersion) {
		t.Errorf("what wrangler made live was taken for Penstock's: %v", err)
	}
	r, err := promotion.MakeRollback(t.Context(), p.target(), p.past(), "rows", p.options.Environment, third.Version)
	if err != nil || len(r.Breaking) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if result, err := promotion.Return(t.Context(), p.promotionOptions("r1"), p.target(), r, promotion.DataUndecided); err != nil || result.Version != third.Version {
		t.Fatalf("%+v, %v", result, err)
	}
	if out := p.must(script, "deployments", "status"); !strings.Contains(out, third.Version) {
		t.Errorf("wrangler does not see Penstock's rollback:\n%s", out)
	}
	if got := p.get("/"); got != "200 three 1" {
		t.Error(got)
	}
}

// recorder stands before an API and keeps the metadata of uploaded versions. It answers them itself, so that it does not
// matter which bindings the API behind it has.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	metadata []map[string]any
}

func record(t *testing.T, api string) *recorder {
	t.Helper()
	behind, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: behind.Scheme, Host: behind.Host})
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/versions") {
			proxy.ServeHTTP(w, req)
			return
		}
		metadata, err := readUpload(req)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.metadata = append(r.metadata, metadata)
		r.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"success":true,"errors":[],"messages":[],"result":{"id":"12345678-1234-4234-8234-123456789012","number":2,"metadata":{},"resources":{"script":{},"script_runtime":{},"bindings":[]},"startup_time_ms":1}}`)
	}))
	t.Cleanup(r.Close)
	return r
}

func readUpload(req *http.Request) (map[string]any, error) {
	_, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	form := multipart.NewReader(req.Body, params["boundary"])
	for {
		part, err := form.NextRawPart()
		if err != nil {
			return nil, fmt.Errorf("no metadata in the upload: %w", err)
		}
		if part.FormName() == "metadata" {
			var metadata map[string]any
			return metadata, json.NewDecoder(part).Decode(&metadata)
		}
	}
}

// wholeConfig binds everything that the guide uses, and more.
const wholeConfig = `{
	"name": "whole", "main": "worker.js", "compatibility_date": "2026-01-01", "compatibility_flags": ["nodejs_compat"],
	"vars": { "TEXT": "a \"b\"", "NUMBER": 3, "OBJECT": { "a": [1, null] } },
	%s
	"version_metadata": { "binding": "VERSION" }
}`

// TestUploadedMetadataIsWranglers compares, for a table of configs, what Penstock sends for a version with what wrangler
// sends: the one from the bundle of `wrangler deploy --dry-run --outfile`, the other by `wrangler versions upload`.
func TestUploadedMetadataIsWranglers(t *testing.T) {
	t.Parallel()
	script := wranglerScript(t)
	for name, keys := range map[string]string{
		"vars only":                 ``,
		"d1":                        `"d1_databases": [{ "binding": "DB", "database_name": "db", "database_id": "11111111-1111-1111-1111-111111111111" }],`,
		"kv":                        `"kv_namespaces": [{ "binding": "KEYS", "id": "11111111111111111111111111111111" }],`,
		"r2":                        `"r2_buckets": [{ "binding": "FILES", "bucket_name": "files" }, { "binding": "EU", "bucket_name": "files-eu", "jurisdiction": "eu" }],`,
		"queue":                     `"queues": { "producers": [{ "binding": "JOBS", "queue": "jobs", "delivery_delay": 5 }] },`,
		"ai":                        `"ai": { "binding": "AI" },`,
		"service":                   `"services": [{ "binding": "OTHER", "service": "other", "entrypoint": "Api" }],`,
		"analytics":                 `"analytics_engine_datasets": [{ "binding": "EVENTS", "dataset": "events" }],`,
		"limits, placement":         `"limits": { "cpu_ms": 30000 }, "placement": { "mode": "smart" },`,
		"observability":             `"observability": { "enabled": true, "head_sampling_rate": 0.5 }, "logpush": true,`,
		"rate limit":                `"ratelimits": [{ "name": "LIMIT", "namespace_id": "1001", "simple": { "limit": 100, "period": 60 } }],`,
		"vectorize":                 `"vectorize": [{ "binding": "FAQ", "index_name": "faq" }],`,
		"hyperdrive":                `"hyperdrive": [{ "binding": "PG", "id": "22222222222222222222222222222222" }],`,
		"browser, images":           `"browser": { "binding": "BROWSER" }, "images": { "binding": "IMAGES" },`,
		"durable object of another": `"durable_objects": { "bindings": [{ "name": "ROOM", "class_name": "Room", "script_name": "other" }] },`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, fmt.Sprintf(wholeConfig, keys), pipelines.Environment{})
			p.write("worker.js", `export default { fetch() { return new Response("x"); } };`)
			p.call("POST", "/accounts/ACCOUNT/vectorize/v2/indexes", "application/json", []byte(`{"name":"faq","config":{"dimensions":3,"metric":"cosine"}}`))
			r := record(t, p.cloud.Info().APIURL)
			api := r.URL + "/client/v4"
			p.options.BaseURL = api
			outfile := filepath.Join(t.TempDir(), "upload")
			if out, err := p.wrangler(script, api, "deploy", "--dry-run", "--outfile", outfile); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			content, err := os.ReadFile(outfile)
			if err != nil {
				t.Fatal(err)
			}
			b, err := bundle.Parse(bytes.NewReader(content), p.folder)
			if err != nil {
				t.Fatal(err)
			}
			target := p.target()
			live, err := target.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d, err := target.Diff(t.Context(), live, b)
			if err == nil {
				_, err = target.Provision(t.Context(), "u1", d)
			}
			if err == nil {
				_, err = target.Prepare(t.Context(), "u1", live, b)
			}
			if err == nil {
				_, err = target.Upload(t.Context(), "u1", b)
			}
			if err != nil {
				t.Fatal(err)
			}
			out, err := p.wrangler(script, api, "versions", "upload")
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.metadata) != 2 {
				t.Fatalf("%d uploads; wrangler: %v\n%s", len(r.metadata), err, out)
			}
			if diff := cmp.Diff(withoutIDs(r.metadata[1]), withoutIDs(r.metadata[0])); diff != "" {
				t.Errorf("-wrangler +penstock:\n%s", diff)
			}
		})
	}
}

// withoutIDs leaves out what is meant to differ: annotations, and ids, which here are those of the account and not the
// config's; the order of bindings means nothing.
func withoutIDs(metadata map[string]any) map[string]any {
	delete(metadata, "annotations")
	bindings, _ := metadata["bindings"].([]any)
	for _, one := range bindings {
		b, _ := one.(map[string]any)
		if b["type"] == "d1" {
			b["id"] = "(id)"
		}
		if b["type"] == "kv_namespace" {
			b["namespace_id"] = "(id)"
		}
	}
	slices.SortFunc(bindings, func(x, y any) int {
		return strings.Compare(fmt.Sprint(x.(map[string]any)["name"]), fmt.Sprint(y.(map[string]any)["name"]))
	})
	return metadata
}
