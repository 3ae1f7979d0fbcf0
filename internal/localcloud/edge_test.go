package localcloud

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRoutePatterns(t *testing.T) {
	tests := []struct {
		pattern, target string
		want            bool
	}{
		{"example.com/*", "example.com/", true}, {"example.com/*", "example.com/a/b", true}, {"example.com/*", "www.example.com/", false},
		{"example.com/api/*", "example.com/api/x", true}, {"example.com/api/*", "example.com/ap", false},
		{"*.example.com/*", "a.example.com/x", true}, {"*.example.com/*", "example.com/x", false},
		{"*example.com/*", "example.com/x", true}, {"*example.com/*", "notexample.com/x", true},
		{"example.com", "example.com/", true}, {"example.com", "example.com/x", false},
		{"https://example.com/x", "example.com/x", true}, {"*.example.com/x", "a.example.com/x", true}, {"*.example.com/x", "a.example.com/xy", false},
	}
	for _, test := range tests {
		if got := matches(test.pattern, test.target); got != test.want {
			t.Errorf("%s on %s: %v", test.pattern, test.target, got)
		}
	}
}

func TestEdgeFindsTheWorkerByHost(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	for _, name := range []string{"hello", "api", "wide"} {
		if got := push(t, cloud, "PUT", "@/workers/scripts/"+name, meta(), "x"); !got.Success {
			t.Fatal(got.Errors)
		}
	}
	succeed(t, cloud, "POST", hello+"/subdomain", map[string]any{"enabled": true})
	succeed(t, cloud, "PUT", hello+"/domains/records", map[string]any{"origins": []any{map[string]any{"hostname": "app.example.com"}}})
	succeed(t, cloud, "PUT", "@/workers/scripts/api/routes", []any{map[string]any{"pattern": "example.com/api/*", "zone_name": "example.com"}})
	succeed(t, cloud, "PUT", "@/workers/scripts/wide/routes", []any{map[string]any{"pattern": "*example.com/*"}})
	tests := map[string]string{
		"hello.localhost/":              "hello",
		"api.localhost:8080/":           "api",
		"absent.localhost/":             "",
		"hello.local.workers.dev/":      "hello",
		"api.local.workers.dev/":        "", // its workers.dev address is off
		"app.example.com/":              "hello",
		"APP.example.com/":              "hello",
		"example.com/api/x":             "api",
		"example.com/":                  "wide",
		"other.example.com/api/x":       "wide",
		"elsewhere.test/":               "",
		"hello.somebody.workers.dev/":   "",
		"127.0.0.1/":                    "",
		"nested.hello.localhost/":       "",
		"example.com.attacker.test/api": "",
	}
	for target, want := range tests {
		host, path, _ := strings.Cut(target, "/")
		r, err := http.NewRequestWithContext(t.Context(), "GET", cloud.Info().EdgeURL+"/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		got, _, _ := strings.Cut(string(text), " ")
		if response.StatusCode == http.StatusNotFound {
			got = ""
		}
		if got != want {
			t.Errorf("%s is answered by %q, not %q", target, got, want)
		}
	}
}

func TestEveryWorkerHasItsOwnAddress(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	deployed(t, cloud)
	if got := push(t, cloud, "PUT", "@/workers/scripts/other", meta(), "x"); !got.Success {
		t.Fatal(got.Errors)
	}
	first, second := cloud.URL("hello"), cloud.URL("other")
	if first == "" || first == second {
		t.Fatalf("addresses are %q and %q", first, second)
	}
	succeed(t, cloud, "DELETE", hello, nil)
	if got := cloud.URL("hello"); got != "" {
		t.Errorf("a deleted worker has the address %s", got)
	}
	if _, err := http.Get(first); err == nil {
		t.Error("a deleted worker's address still answers")
	}
	deployed(t, cloud)
	if got := cloud.URL("hello"); got != first {
		t.Errorf("made again, the worker has the address %s instead of %s", got, first)
	}
}

func TestRoutesBelongToOneWorker(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	deployed(t, cloud)
	if got := push(t, cloud, "PUT", "@/workers/scripts/other", meta(), "x"); !got.Success {
		t.Fatal(got.Errors)
	}
	route := []any{map[string]any{"pattern": "example.com/*"}}
	succeed(t, cloud, "PUT", hello+"/routes", route)
	if got := send(t, cloud, "PUT", "@/workers/scripts/other/routes", route); got.Status != http.StatusConflict || got.code() != codeRouteTaken {
		t.Errorf("%d %v", got.Status, got.Errors)
	}
	if got := send(t, cloud, "PUT", hello+"/routes", []any{map[string]any{"pattern": "exa*mple.com/"}}); got.code() != codeBadRoute {
		t.Errorf("%d %v", got.Status, got.Errors)
	}
	zone := succeed(t, cloud, "GET", "/zones?name=example.com", nil).get(t, "0.id")
	listed := succeed(t, cloud, "GET", fmt.Sprintf("/zones/%s/workers/routes", zone), nil)
	if listed.get(t, "0.script") != "hello" || listed.get(t, "1") != nil {
		t.Errorf("routes: %s", listed.Result)
	}
	if got := succeed(t, cloud, "GET", "/zones?name=www.example.com", nil); string(got.Result) != "[]" {
		t.Errorf("a host is taken for a zone: %s", got.Result)
	}
}
