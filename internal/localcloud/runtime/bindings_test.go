package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBindings runs the app with one of everything, in one process for all cases: what a worker sees through each binding.
func TestBindings(t *testing.T) {
	t.Parallel()
	store := newMemStore()
	watched := &watcher{}
	r := newTestRuntime(t, store, watched)
	apply(t, r, Script{
		Name: "other", Versions: []Version{tinyVersion(1, idThree, `export default { fetch(r) { return Response.json({ url: r.url }) } }`)},
		Shares: []Share{{idThree, 100}},
	})
	script := appScript([]Version{appVersion(t, 1, idOne), appVersion(t, 2, idTwo)}, Share{idOne, 0}, Share{idTwo, 100})
	script.QueueConsumers = []QueueConsumer{{
		QueueName: "jobs", BatchSize: 10, MaxWait: 50 * time.Millisecond, MaxRetries: 1, DeadLetterQueue: "dead",
	}}
	apply(t, r, script)
	url := serve(t, r, "app")

	tests := []struct {
		path string
		want string
	}{
		{"/version", `{"id":"` + idTwo + `","tag":"tag","timestamp":"2026-01-02T03:04:05Z"}`},
		{"/env", `{"plain":"a \"quoted\"\n\ttext \\ ü","secret":"s3cret value\n$HOME","json":{"a":[1,2]},"greeting":"hello",` +
			`"url":"` + url + `/env","ip":"127.0.0.1","colo":"LOCAL"}`},
		{"/kv", `{"value":"value","metadata":{"m":"ü"},"gone":null,"complete":[false,true],"bulk":{"json":{"x":1},"absent":null}}`},
		{"/r2", `{"text":"234","range":{"offset":2,"length":3},"type":"text/plain","expiry":1000000000000,"custom":{"a":"b"},` +
			`"noBody":false,"refused":null,` +
			`"digest":"put: The checksum you specified did not match what we received. (10037)","big":5242884,` +
			`"list":[["big",5242884,{"parts":"2"}],["k",10,{"a":"b"}]],"head":true,"gone":null}`},
		{"/d1", `{"changes":1,"lastRow":1,"n":2,"first":{"v":"x","b":[1,2]},"raw":[["v"],["x"],["y"]],` +
			`"error":"D1_ERROR: no such table: nope: SQLITE_ERROR","after":2}`},
		{"/other", `{"url":"https://other.example/version"}`},
		{"/cache", `{"hit":false}`},
	}
	for _, tt := range tests {
		t.Run(strings.TrimPrefix(tt.path, "/"), func(t *testing.T) {
			got := getJSON[map[string]any](t, url+tt.path)
			if first, ok := got["first"].([]any); ok { // KV: the expiry depends on the clock
				if name := first[0].(map[string]any)["name"]; name != "a/b c?" {
					t.Errorf("first key = %v", name)
				}
				delete(got, "first")
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer differs (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("objects are shared between versions", func(t *testing.T) {
		type answer struct {
			N       int
			Version string
		}
		override := fmt.Sprintf("app=%q", idOne)
		a := getJSON[answer](t, url+"/do", headerOverrides, override)
		b := getJSON[answer](t, url+"/do")
		if want := []answer{{1, idOne}, {2, idTwo}}; !cmp.Equal(want, []answer{a, b}) {
			t.Errorf("got %v, want %v", []answer{a, b}, want)
		}
	})

	t.Run("queue", func(t *testing.T) {
		if status, text := get(t, url+"/send"); status != http.StatusOK {
			t.Fatalf("send: %d %s", status, text)
		}
		eventually(t, "all is delivered and the poison is dead", func() bool {
			return len(store.queued("jobs")) == 0 && len(store.queued("dead")) == 1
		})
		got := map[string]bool{}
		store.mu.Lock()
		defer store.mu.Unlock()
		for key, v := range store.kv {
			if strings.HasPrefix(key, "ns/queue:") {
				got[string(v.value)] = true
			}
		}
		want := map[string]bool{
			`{"queue":"jobs","body":{"hello":"json"},"attempts":1}`: true,
			`{"queue":"jobs","body":"text","attempts":1}`:           true,
			`{"queue":"jobs","body":["map","v8"],"attempts":1}`:     true,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
	})

	t.Run("queue metrics", func(t *testing.T) {
		want := `{"before":{"backlogCount":0,"backlogBytes":0},"sent":1,"count":1,"bytes":5,"dated":true}`
		if status, text := get(t, url+"/backlog"); status != http.StatusOK || text != want {
			t.Errorf("got %d %s, want %s", status, text, want)
		}
	})

	t.Run("cron", func(t *testing.T) {
		at := time.Date(2026, 5, 6, 7, 8, 0, 0, time.UTC)
		if err := r.Trigger(t.Context(), "app", "8 7 * * *", at); err != nil {
			t.Fatal(err)
		}
		value, _, err := store.KVGet(t.Context(), "ns", "cron")
		if err != nil || string(value) != fmt.Sprintf(`{"cron":"8 7 * * *","at":%d}`, at.UnixMilli()) {
			t.Errorf("scheduled() wrote %s, %v", value, err)
		}
	})

	t.Run("streams", func(t *testing.T) {
		res, err := http.Get(url + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		first, err := lines.ReadString('\n')
		firstAt := time.Now()
		second, err2 := lines.ReadString('\n')
		if first != "one\n" || second != "two\n" || err != nil || err2 != nil {
			t.Errorf("read %q, %q, %v, %v", first, second, err, err2)
		}
		if gap := time.Since(firstAt); gap < 100*time.Millisecond {
			t.Errorf("both lines came within %v: the answer was buffered", gap)
		}
	})

	t.Run("WebSocket", func(t *testing.T) {
		conn := dialWebSocket(t, url+"/ws")
		conn.send(t, "hi")
		if got := conn.receive(t); got != "do:hi" {
			t.Errorf("received %q", got)
		}
	})

	t.Run("log", func(t *testing.T) {
		get(t, url+"/log")
		eventually(t, "the line is there", func() bool {
			for _, l := range r.Logs("app") {
				if l.Text == "printed by the app" {
					return true
				}
			}
			return false
		})
	})

	t.Run("observed", func(t *testing.T) {
		if status, _ := get(t, url+"/throw"); status != http.StatusInternalServerError {
			t.Fatalf("status = %d", status)
		}
		eventually(t, "the exception is told", func() bool {
			return watched.count(func(i Invocation) bool {
				return i.Script == "app" && i.Version == idTwo && i.Outcome == "exception" && i.Status == 500 && i.Duration > 0
			}) == 1
		})
		eventually(t, "and all others went well", func() bool {
			return watched.count(func(i Invocation) bool { return i.Outcome == "ok" && i.Status == 200 && i.Bytes > 0 }) > 5
		})
		if broken := watched.count(func(i Invocation) bool { return i.Outcome == OutcomeBroken }); broken != 0 {
			t.Errorf("%d calls are said to be broken", broken)
		}
		eventually(t, "what it printed is in the trace", func() bool {
			return watched.traced(idTwo, `"printed by the app"`)
		})
		if watched.queries("") == 0 {
			t.Error("no query of the database was told")
		}
	})

	t.Run("secrets are in no file", func(t *testing.T) {
		config := readTree(t, filepath.Join(r.dir, "run"))
		if strings.Contains(config, "s3cret") {
			t.Error("the secret is in a file")
		}
		if !strings.Contains(config, "PENSTOCK_SECRET_0") {
			t.Error("the check looks in the wrong place")
		}
	})

	t.Run("data plane wants its secret", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodGet, "http://"+r.plane.address+"/cron", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(headerBinding, "kv:ns")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("status = %d", res.StatusCode)
		}
	})
}

// TestEdgeWithoutScript: the edge of a script that does not exist answers.
func TestEdgeWithoutScript(t *testing.T) {
	t.Parallel()
	r := &Runtime{scripts: map[string]*script{}}
	w := httptest.NewRecorder()
	r.Handler("none").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotFound || !strings.HasPrefix(w.Body.String(), "error code: 1042") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// webSocket is just enough of RFC 6455 for short text messages.
type webSocket struct {
	net.Conn
	r *bufio.Reader
}

func dialWebSocket(t *testing.T, url string) webSocket {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	host, path, _ := strings.Cut(host, "/")
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", res, err)
	}
	return webSocket{conn, r}
}

func (w webSocket) send(t *testing.T, text string) {
	t.Helper()
	frame := append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...) // masked with zeros
	if _, err := w.Write(frame); err != nil {
		t.Fatal(err)
	}
}

func (w webSocket) receive(t *testing.T) string {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(w.r, head); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, head[1])
	if _, err := io.ReadFull(w.r, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
