package localcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// item is a trace item as workerd tells it.
func item(method, outcome, log string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"outcome":%q,"event":{"request":{"method":%q,"url":"http://x/","headers":{"x-kind":"test run","cf-connecting-ip":"127.0.0.1"}},"response":{"status":200}},
		"logs":[{"message":["said",%q],"level":"log"}],"exceptions":[{"name":"Error","message":"broke here"}],"eventTimestamp":1}`, outcome, method, log))
}

func TestTailSendsWhatFits(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	deployed(t, cloud)
	made := succeed(t, cloud, "POST", hello+"/tails", map[string]any{"filters": []any{map[string]any{"outcome": []string{"exception"}}, map[string]any{"query": "broke"}}})
	url := made.get(t, "url").(string)
	if expires, err := time.Parse(time.RFC3339, made.get(t, "expires_at").(string)); err != nil || time.Until(expires) < time.Hour {
		t.Errorf("expires %v, %v", expires, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, _, _, err := (ws.Dialer{}).Dial(ctx, url); err == nil {
		t.Error("listened without the protocol")
	}
	dialer := ws.Dialer{Protocols: []string{tailProtocol}}
	socket, _, _, err := dialer.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	deadline, _ := ctx.Deadline()
	_ = socket.SetDeadline(deadline)
	// As wrangler does: not masked; and a ping, masked.
	for _, frame := range []ws.Frame{ws.NewTextFrame([]byte(`{"debug":false}`)), ws.MaskFrame(ws.NewPingFrame([]byte("there?")))} {
		if err := ws.WriteFrame(socket, frame); err != nil {
			t.Fatal(err)
		}
	}
	if pong, err := readFrame(socket); err != nil || pong.Header.OpCode != ws.OpPong || string(pong.Payload) != "there?" {
		t.Errorf("pong: %v, %v", pong, err)
	}
	if _, _, _, err := dialer.Dial(ctx, url); err == nil {
		t.Error("two listen to one tail")
	}
	fake.observer.Trace("hello", "v1", item("GET", "ok", "not this"))
	fake.observer.Trace("other", "v1", item("GET", "exception", "nor this"))
	fake.observer.Trace("hello", "v2", item("GET", "exception", "this"))
	frame, err := readFrame(socket)
	text := frame.Payload
	if err != nil || !strings.Contains(string(text), `"this"`) || !strings.Contains(string(text), `"scriptVersion":{"id":"v2"}`) || !strings.Contains(string(text), `"scriptName":"hello"`) {
		t.Errorf("%s, %v", text, err)
	}
	id := made.get(t, "id").(string)
	succeed(t, cloud, "DELETE", hello+"/tails/"+id, nil)
	if got := send(t, cloud, "DELETE", hello+"/tails/"+id, nil); got.code() != codeTailNotFound {
		t.Errorf("deleted twice: %v", got.Errors)
	}
	if _, _, _, err := dialer.Dial(ctx, url); err == nil {
		t.Error("listened to a deleted tail")
	}
	for range tailsMost {
		succeed(t, cloud, "POST", hello+"/tails", map[string]any{})
	}
	if got := send(t, cloud, "POST", hello+"/tails", map[string]any{}); got.code() != codeTooManyTails {
		t.Errorf("one too many: %v", got.Errors)
	}
}

// readFrame is one frame of what the Cloud sends: those are small.
func readFrame(from io.Reader) (frame ws.Frame, err error) {
	if frame.Header, err = ws.ReadHeader(from); err != nil {
		return frame, err
	}
	frame.Payload = make([]byte, frame.Header.Length)
	_, err = io.ReadFull(from, frame.Payload)
	return frame, err
}

func TestASlowListenerIsToldThatItMissedSomething(t *testing.T) {
	one := &tail{items: make(chan []byte, 2)}
	one.offer([]byte("nobody listens"))
	one.listen(true)
	for range 5 {
		one.offer([]byte("x"))
	}
	if len(one.items) != 2 || one.takeDropped() != 3 || one.takeDropped() != 0 {
		t.Errorf("%d wait, %d dropped", len(one.items), one.dropped)
	}
}

func TestTailFilters(t *testing.T) {
	for filter, want := range map[string]bool{
		`{}`:                                         true,
		`{"outcome":["ok","canceled"]}`:              true,
		`{"outcome":["exception"]}`:                  false,
		`{"method":["post","GET"]}`:                  true,
		`{"method":["POST"]}`:                        false,
		`{"header":{"key":"X-Kind"}}`:                true,
		`{"header":{"key":"x-kind","query":"run"}}`:  true,
		`{"header":{"key":"x-kind","query":"prod"}}`: false,
		`{"header":{"key":"x-none"}}`:                false,
		`{"client_ip":["self"]}`:                     true,
		`{"client_ip":["127.0.0.1"]}`:                true,
		`{"client_ip":["10.0.0.1"]}`:                 false,
		`{"query":"needle"}`:                         true,
		`{"query":"broke"}`:                          true,
		`{"query":"hay"}`:                            false,
		`{"scriptVersion":"v1"}`:                     true,
		`{"scriptVersion":"v2"}`:                     false,
		`{"sampling_rate":0.0000001}`:                false,
		`{"method":["GET"],"scriptVersion":"v2"}`:    false,
	} {
		read, seen := tailFilter{}, traceItem{}
		if err := json.Unmarshal([]byte(filter), &read); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(item("GET", "ok", "a needle"), &seen); err != nil {
			t.Fatal(err)
		}
		if got := read.fits(seen, "v1"); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
	cron := traceItem{}
	if err := json.Unmarshal([]byte(`{"outcome":"ok","event":{"cron":"* * * * *"}}`), &cron); err != nil {
		t.Fatal(err)
	}
	if (tailFilter{Method: []string{"GET"}}).fits(cron, "v1") || !(tailFilter{Outcome: []string{"ok"}}).fits(cron, "v1") {
		t.Error("an event that is no request")
	}
}

func TestWorkersResource(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	deployed(t, cloud, "migrations", map[string]any{"new_tag": "v1", "steps": []any{map[string]any{"new_sqlite_classes": []string{"Counter"}}}})
	worker := succeed(t, cloud, "GET", "@/workers/workers/hello", nil)
	if worker.get(t, "name") != "hello" || worker.get(t, "subdomain.enabled") != false || worker.get(t, "observability.enabled") != false || worker.get(t, "deployed_on") == nil {
		t.Errorf("%s", worker.Result)
	}
	byID := "@/workers/workers/" + worker.get(t, "id").(string)
	patched := succeed(t, cloud, "PATCH", byID, map[string]any{"subdomain": map[string]any{"enabled": true}, "tags": []string{"a"}})
	if patched.get(t, "subdomain.enabled") != true || patched.get(t, "subdomain.previews_enabled") != true || patched.get(t, "tags.0") != "a" {
		t.Errorf("%s", patched.Result)
	}
	if got := send(t, cloud, "PATCH", byID, map[string]any{"name": "new"}); got.code() != codeBadQuery {
		t.Errorf("a new name: %v", got.Errors)
	}
	if got := succeed(t, cloud, "GET", "@/workers/workers?page=2", nil); got.Info.TotalCount != 1 || got.get(t, "0") != nil {
		t.Errorf("page 2: %s", got.Result)
	}
	if got := succeed(t, cloud, "GET", "@/workers/durable_objects/namespaces", nil); got.get(t, "0.class") != "Counter" || got.get(t, "0.script") != "hello" || got.get(t, "0.use_sqlite") != true {
		t.Errorf("%s", got.Result)
	}
	succeed(t, cloud, "DELETE", byID, nil)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		if got := send(t, cloud, method, byID, map[string]any{}); got.Status != 404 || got.code() != codeScriptNotFound {
			t.Errorf("%s: %d %v", method, got.Status, got.Errors)
		}
	}
}
