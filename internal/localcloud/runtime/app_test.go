package runtime

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// workerdForTest returns the binary that the tests with real processes need.
func workerdForTest(t testing.TB) string {
	t.Helper()
	path, err := FindWorkerd(".")
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test must run in CI: %v", err)
	}
	t.Skipf("SKIPPED, NOT TESTED: %v", err)
	return ""
}

// newTestRuntime starts a Runtime that is closed with the test; its workers' output shows when the test fails.
func newTestRuntime(t testing.TB, store Store, watched ...Observer) *Runtime {
	t.Helper()
	r, err := New(Options{
		Observer: append(watched, nil)[0],
		Dir:      t.TempDir(), Workerd: workerdForTest(t), Store: store,
		Log:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Drain: 3 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

const (
	idOne   = "11111111-1111-4111-8111-111111111111"
	idTwo   = "22222222-2222-4222-8222-222222222222"
	idThree = "33333333-3333-4333-8333-333333333333"
)

// appVersion is the app of testdata with one of everything bound.
func appVersion(t testing.TB, number int, id string) Version {
	t.Helper()
	return Version{
		ID: id, Number: number, Tag: "tag", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		MainModule: "index.js",
		Modules: []Module{
			{Name: "index.js", ContentType: "application/javascript+module", Body: readTestFile(t, "app/index.js")},
			{Name: "./greeting.txt", ContentType: "text/plain", Body: readTestFile(t, "app/greeting.txt")},
		},
		CompatibilityDate:  "2026-04-01",
		CompatibilityFlags: []string{"nodejs_compat"},
		Bindings: []Binding{
			{Type: "version_metadata", Name: "VERSION"},
			{Type: "plain_text", Name: "PLAIN", Text: "a \"quoted\"\n\ttext \\ ü"},
			{Type: "secret_text", Name: "SECRET", Text: "s3cret value\n$HOME"},
			{Type: "json", Name: "JSON", JSON: json.RawMessage(`{"a":[1,2]}`)},
			{Type: "kv_namespace", Name: "KV", NamespaceID: "ns"},
			{Type: "r2_bucket", Name: "R2", BucketName: "bucket"},
			{Type: "d1", Name: "DB", DatabaseID: "db"},
			{Type: "queue", Name: "QUEUE", QueueName: "jobs"},
			{Type: "queue", Name: "PARKED", QueueName: "parked"},
			{Type: "durable_object_namespace", Name: "COUNTER", ClassName: "Counter"},
			{Type: "service", Name: "OTHER", Service: "other"},
		},
	}
}

func appScript(versions []Version, shares ...Share) Script {
	return Script{
		Name: "app", Versions: versions, Shares: shares,
		DurableObjects: []DurableObjectClass{{ClassName: "Counter", UniqueKey: "app-Counter", SQL: true}},
	}
}

// tinyVersion is a worker without bindings that answers text.
func tinyVersion(number int, id, code string) Version {
	return Version{
		ID: id, Number: number, MainModule: "index.js", CompatibilityDate: "2026-04-01",
		Modules: []Module{{Name: "index.js", ContentType: "application/javascript+module", Body: []byte(code)}},
	}
}

func answering(text string) string {
	return `export default { fetch() { return new Response("` + text + `") } }`
}

func readTestFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func apply(t testing.TB, r *Runtime, s Script) {
	t.Helper()
	if err := r.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// serve puts a script's edge on a port.
func serve(t testing.TB, r *Runtime, script string) string {
	t.Helper()
	server := httptest.NewServer(r.Handler(script))
	t.Cleanup(server.Close)
	return server.URL
}

func get(t testing.TB, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// getJSON wants 200 and decodes.
func getJSON[T any](t testing.TB, url string, header ...string) T {
	t.Helper()
	status, text := get(t, url, header...)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d: %s", url, status, text)
	}
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("GET %s: %v: %s", url, err, text)
	}
	return v
}

// eventually waits for a condition that another process brings about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
