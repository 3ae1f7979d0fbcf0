package cloudflare_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

const siteConfig = `{
	"name": "site", "main": "worker.js", "compatibility_date": "2026-01-01",
	"assets": { "directory": "public", "binding": "ASSETS", "not_found_handling": "404-page", "run_worker_first": ["/api/*"] },
	"version_metadata": { "binding": "VERSION" }
}`

// siteBundle is a Worker with the static files that are in the folder now.
func (p *place) siteBundle(word string) *bundle.Bundle {
	p.t.Helper()
	// A copy, as the bundle stage leaves one: the folder goes on changing.
	dir := filepath.Join(p.t.TempDir(), "assets")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(p.folder, "public"))); err != nil {
		p.t.Fatal(err)
	}
	assets, err := bundle.ReadAssets(dir, bundle.AssetConfig{NotFoundHandling: "404-page", RunWorkerFirst: []byte(`["/api/*"]`)})
	if err != nil {
		p.t.Fatal(err)
	}
	code := `export default { fetch(request, env) { return new Response("` + word + `", { headers: { "x-version-id": env.VERSION.id } }) } }`
	return bundleOf(p.t, code, map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01",
		"bindings": []any{
			map[string]any{"name": "VERSION", "type": "version_metadata"},
			map[string]any{"name": "ASSETS", "type": "assets"},
		},
	}).WithAssets(assets)
}

// planned is the plan's change of static files.
func (p *place) planned(b *bundle.Bundle) event.Change {
	p.t.Helper()
	target := p.target()
	live, err := target.Inspect(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	d, err := target.Diff(p.t.Context(), live, b)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, change := range d.Changes {
		if change.Kind == "assets" {
			return change
		}
	}
	return event.Change{}
}

func TestStaticFilesGoWithTheirVersion(t *testing.T) {
	t.Parallel()
	p := newPlace(t, siteConfig, pipelines.Environment{Smoke: pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/api/", Status: 200}}, Version: pipelines.ProofRequired}})
	p.write("public/index.html", "<p>first</p>")
	p.write("public/css/site.css", "p {}")
	p.write("public/404.html", "<p>none</p>")
	p.write("public/source.map", "private")
	p.write("public/.assetsignore", "*.map\n")
	one := p.siteBundle("one")
	if change := p.planned(one); change.Action != "create" || change.To != "3 files, 27 bytes" {
		t.Errorf("%+v", change)
	}
	first := p.promote(one, promotion.Completed)
	if _, err := p.target().NewTrial(t.TempDir()).Next(t.Context(), one); err == nil || !strings.Contains(err.Error(), "static assets") {
		t.Errorf("a trial without the static files: %v", err)
	}
	for path, want := range map[string]string{ // what is no file is the code's to answer
		"/": "200 <p>first</p>", "/css/site.css": "200 p {}", "/api/x": "200 one", "/source.map": "200 one", "/.assetsignore": "200 one",
	} {
		if got := p.get(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	res, err := http.Get(p.cloud.URL("site") + "/css/site.css")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/css; charset=utf-8" {
		t.Errorf("content type %q", kind)
	}
	if change := p.planned(one); change != (event.Change{}) {
		t.Errorf("the same files: %+v", change)
	}

	p.write("public/index.html", "<p>second</p>")
	p.write("public/new.txt", "new")
	if err := os.Remove(filepath.Join(p.folder, "public/css/site.css")); err != nil {
		t.Fatal(err)
	}
	two := p.siteBundle("one")
	if change := p.planned(two); !strings.Contains(change.From, "not known") {
		t.Errorf("what the live version has is known from nowhere: %+v", change)
	}
	p.options.KeptAssets = func(digest string) *bundle.Assets {
		if digest != one.Digest {
			t.Errorf("asked for %s", digest)
		}
		return one.Assets
	}
	if change, want := p.planned(two), "3 files, 27 bytes: 1 new, 1 changed, 1 gone (~/index.html +/new.txt -/css/site.css)"; change.Action != "update" || change.To != want {
		t.Errorf("%+v, want %s", change, want)
	}
	p.promote(two, promotion.Completed)
	for path, want := range map[string]string{"/": "200 <p>second</p>", "/new.txt": "200 new", "/css/site.css": "200 one"} {
		if got := p.get(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}

	back, err := promotion.MakeRollback(t.Context(), p.target(), p.past(), "site", p.options.Environment, "")
	if err != nil || back.To.ID != first.Version {
		t.Fatalf("%+v, %v", back, err)
	}
	if result, err := promotion.Return(t.Context(), p.promotionOptions("r1"), p.target(), back, promotion.DataUndecided); err != nil || result.Phase != promotion.Completed {
		t.Fatalf("%+v, %v", result, err)
	}
	for path, want := range map[string]string{"/": "200 <p>first</p>", "/css/site.css": "200 p {}", "/new.txt": "200 one"} {
		if got := p.get(path); got != want {
			t.Errorf("after the rollback, %s: %s, want %s", path, got, want)
		}
	}

	// The version that is live is not the newest now, whose files an upload of the live code would get.
	if _, err := p.target().PutSecret(t.Context(), "s1", "TOKEN", "x"); err == nil || !strings.Contains(err.Error(), "static files") {
		t.Errorf("got %v", err)
	}
	p.write("wrangler.jsonc", strings.Replace(siteConfig, `"version_metadata"`, `"migrations": [{ "tag": "v1", "new_sqlite_classes": ["Room"] }], "version_metadata"`, 1))
	target := p.target()
	live, err := target.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := target.Diff(t.Context(), live, one); err == nil || !strings.Contains(err.Error(), "static files") || !strings.Contains(err.Error(), "wrangler deploy") {
		t.Errorf("got %v", err)
	}
}

func TestStaticFilesAreThoseThatWereBuilt(t *testing.T) {
	t.Parallel()
	p := newPlace(t, siteConfig, pipelines.Environment{})
	p.write("public/index.html", "<p>first</p>")
	assets, err := bundle.ReadAssets(filepath.Join(p.folder, "public"), bundle.AssetConfig{NotFoundHandling: "404-page", RunWorkerFirst: []byte(`["/api/*"]`)})
	if err != nil {
		t.Fatal(err)
	}
	b := p.siteBundle("one")
	b = b.WithAssets(assets)
	if _, err := p.target().Prepare(t.Context(), "p1", promotion.State{}, b); err != nil {
		t.Fatal(err)
	}
	p.write("public/index.html", "<p>other</p>")
	if _, err := p.target().Upload(t.Context(), "p1", b); err == nil || !strings.Contains(err.Error(), "/index.html was changed since it was built") {
		t.Errorf("got %v", err)
	}
	b.Assets = nil
	if _, err := p.target().Upload(t.Context(), "p1", b); err == nil || !strings.Contains(err.Error(), "no static files") {
		t.Errorf("got %v", err)
	}
}
