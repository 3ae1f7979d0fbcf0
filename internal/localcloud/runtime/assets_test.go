package runtime

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// files makes assets whose content is their path.
func files(names ...string) map[string]Asset {
	out := map[string]Asset{}
	for _, name := range names {
		kind := "text/html; charset=utf-8"
		if strings.HasSuffix(name, ".css") {
			kind = "text/css"
		}
		out[name] = Asset{Hash: "hash of " + name, ContentType: kind, Size: int64(len(name)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(name)), nil
		}}
	}
	return out
}

func TestAssetsFindPages(t *testing.T) {
	t.Parallel()
	all := files("/index.html", "/page.html", "/folder/index.html", "/both.html", "/both/index.html", "/style.css", "/404.html", "/folder/404.html")
	tests := []struct{ handling, path, want string }{
		{"", "/", "200 /index.html"},
		{"", "/index.html", "307 /"},
		{"", "/index", "307 /"},
		{"", "/page", "200 /page.html"},
		{"", "/page.html", "307 /page"},
		{"", "/page/", "307 /page"},
		{"", "/folder/", "200 /folder/index.html"},
		{"", "/folder", "307 /folder/"},
		{"", "/folder/index.html", "307 /folder/"},
		{"", "/folder/index", "307 /folder/"},
		{"", "/both", "200 /both.html"},
		{"", "/both/", "200 /both/index.html"},
		{"", "/style.css", "200 /style.css"},
		{"", "/style.css?v=1", "200 /style.css"},
		{"", "/page.html?q=1", "307 /page?q=1"},
		{"", "/none", "404 "},
		{"force-trailing-slash", "/page/", "200 /page.html"},
		{"force-trailing-slash", "/page", "307 /page/"},
		{"force-trailing-slash", "/folder", "307 /folder/"},
		{"drop-trailing-slash", "/folder", "200 /folder/index.html"},
		{"drop-trailing-slash", "/folder/", "307 /folder"},
		{"drop-trailing-slash", "/page/", "307 /page"},
		{"drop-trailing-slash", "/", "200 /index.html"},
		{"none", "/page.html", "200 /page.html"},
		{"none", "/page", "404 "},
		{"none", "/", "404 "},
	}
	for _, test := range tests {
		assets := &Assets{Files: all, HTMLHandling: test.handling, Alone: true}
		if got := visitAssets(assets, "GET", test.path); got != test.want {
			t.Errorf("%s %s: %s, not %s", test.handling, test.path, got, test.want)
		}
	}
}

// visitAssets answers status, and the body or the Location; "worker" when the Worker is to be asked.
func visitAssets(assets *Assets, method, target string, header ...string) string {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if !assets.serveBefore(w, r) {
		return "worker"
	}
	text := w.Body.String()
	if to := w.Header().Get("Location"); to != "" {
		text = to
	}
	return strconv.Itoa(w.Code) + " " + text
}

func TestAssetsThatAreNotFound(t *testing.T) {
	t.Parallel()
	all := files("/index.html", "/404.html", "/folder/404.html", "/app.css")
	alone := func(handling string) *Assets { return &Assets{Files: all, NotFoundHandling: handling, Alone: true} }
	beside := func(handling string, first ...string) *Assets {
		return &Assets{Files: all, NotFoundHandling: handling, WorkerFirst: first}
	}
	tests := []struct {
		assets       *Assets
		method, path string
		header       []string
		want         string
	}{
		{alone(""), "GET", "/x", nil, "404 "},
		{alone("single-page-application"), "GET", "/x/y", nil, "200 /index.html"},
		{alone("404-page"), "GET", "/x/y", nil, "404 /404.html"},
		{alone("404-page"), "GET", "/folder/deep/y", nil, "404 /folder/404.html"},
		{alone("none"), "POST", "/app.css", nil, "405 "},
		{alone("none"), "HEAD", "/app.css", nil, "200 "},
		{alone("none"), "GET", "/app.css", []string{"If-None-Match", `"hash of /app.css"`}, "304 "},
		{beside(""), "GET", "/x", nil, "worker"},
		{beside(""), "GET", "/app.css", nil, "200 /app.css"},
		{beside(""), "POST", "/app.css", nil, "worker"},
		{beside("single-page-application"), "GET", "/x", nil, "worker"},
		{beside("single-page-application"), "GET", "/x", []string{"Sec-Fetch-Mode", "navigate"}, "200 /index.html"},
		{beside("single-page-application", "/api/*"), "GET", "/x", []string{"Sec-Fetch-Mode", "navigate"}, "worker"},
		{beside("", "/*"), "GET", "/app.css", nil, "worker"},
		{beside("", "/*", "!/*.css"), "GET", "/app.css", nil, "200 /app.css"},
		{beside("", "/api/*"), "GET", "/api/x", nil, "worker"},
	}
	for _, test := range tests {
		if got := visitAssets(test.assets, test.method, test.path, test.header...); got != test.want {
			t.Errorf("%+v %s %s: %s, not %s", test.assets.WorkerFirst, test.method, test.path, got, test.want)
		}
	}
}

// TestAssetsOfAVersion: each version has its own files, and its Worker reaches them.
func TestAssetsOfAVersion(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	code := `export default { async fetch(request, env) { return new Response("worker, and " + await (await env.ASSETS.fetch(new URL("/page", request.url))).text()) } }`
	build := func(number int, id string, names ...string) Version {
		version := tinyVersion(number, id, code)
		version.Bindings = []Binding{{Type: "assets", Name: "ASSETS"}}
		version.Assets = &Assets{Files: files(names...)}
		return version
	}
	one, two := build(1, idOne, "/page.html"), build(2, idTwo, "/page.html", "/new.css")
	apply(t, r, Script{Name: "app", Versions: []Version{one, two}, Shares: []Share{{idOne, 100}, {idTwo, 0}}})
	url := serve(t, r, "app")
	for _, test := range []struct{ path, version, want string }{
		{"/page", "", "/page.html"}, {"/new.css", "", "worker, and /page.html"}, {"/new.css", idTwo, "/new.css"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.version != "" {
			request.Header.Set("Cloudflare-Workers-Version-Overrides", `app="`+test.version+`"`)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(text) != test.want {
			t.Errorf("%s of %q: %s, %v", test.path, test.version, text, err)
		}
	}
}
