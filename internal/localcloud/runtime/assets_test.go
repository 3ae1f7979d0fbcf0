package runtime

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/localcloud/assetrules"
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
	answer, _ := visitAssetsHeader(assets, method, target, header...)
	return answer
}

func visitAssetsHeader(assets *Assets, method, target string, header ...string) (string, http.Header) {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if !assets.serveBefore(w, r) {
		return "worker", nil
	}
	text := w.Body.String()
	if to := w.Header().Get("Location"); to != "" {
		text = to
	}
	return strconv.Itoa(w.Code) + " " + text, w.Result().Header
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
		{beside(""), "POST", "/app.css", nil, "405 "},
		{beside(""), "POST", "/x", nil, "worker"},
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

// TestAssetsObeyRules: redirects come first and headers last, for files, redirects and refusals, and not for the Worker.
func TestAssetsObeyRules(t *testing.T) {
	t.Parallel()
	build := func(alone bool) *Assets {
		assets := &Assets{Files: files("/page.html", "/app.css", "/a b.html"), WorkerFirst: []string{"/api/*"}, Alone: alone}
		var invalid []assetrules.Invalid
		if assets.Redirects, invalid = assetrules.ParseRedirects("/old /page?from=old\n/app.css /page 301\n/api/old /page\n/it /page 200\n/sp /a%20b 200\n/html /page.html 200\n/gone /nothing 200\n", ""); invalid != nil {
			t.Fatal(invalid)
		}
		if assets.Headers, invalid = assetrules.ParseHeaders("/*\n  X-Rule: all\n/page\n  ! Cache-Control\n  ! Content-Type\n  X-Rule: page\n"); invalid != nil {
			t.Fatal(invalid)
		}
		return assets
	}
	tests := []struct{ method, path, beside, alone, rule string }{
		{"GET", "/page", "200 /page.html", "", "all,page"},
		{"HEAD", "/page", "200 ", "", "all,page"},
		{"POST", "/page", "405 ", "", "all,page"},
		{"GET", "/page.html", "307 /page", "", "all"},
		{"GET", "/old", "302 /page?from=old", "", "all"},
		{"POST", "/old", "302 /page?from=old", "", "all"},
		{"GET", "/app.css?v=1", "301 /page?v=1", "", "all"},
		{"GET", "/it", "200 /page.html", "", "all"},
		{"PUT", "/it", "405 ", "", "all"},
		{"GET", "/sp", "200 /a b.html", "", "all"},
		{"GET", "/html?q", "307 /page?q", "", "all"},
		{"GET", "/gone", "404 ", "", "all"},
		{"GET", "/x", "worker", "404 ", "all"},
		{"GET", "/api/old", "worker", "302 /page", "all"},
	}
	for _, test := range tests {
		for alone, want := range map[bool]string{false: test.beside, true: cmp.Or(test.alone, test.beside)} {
			got, header := visitAssetsHeader(build(alone), test.method, test.path)
			rule := strings.Join(header["X-Rule"], ",")
			wantRule := test.rule
			if want == "worker" {
				wantRule = ""
			}
			if got != want || rule != wantRule {
				t.Errorf("alone %v, %s %s: %s with %q, not %s with %q", alone, test.method, test.path, got, rule, want, wantRule)
			}
		}
	}

	server := httptest.NewServer(http.HandlerFunc(build(true).serve)) // a real one guesses a type where none is told
	defer server.Close()
	response, err := http.Get(server.URL + "/page")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for _, name := range []string{"Content-Type", "Cache-Control"} {
		if values := response.Header[name]; values != nil {
			t.Errorf("%s was detached, and is %q", name, values)
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
