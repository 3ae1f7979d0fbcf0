package runtime

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKVExpiry(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	tests := []struct {
		query string
		want  int64 // Unix seconds, 0 never, -1 refused
	}{
		{"", 0}, {"expiration_ttl=60", 1060}, {"expiration_ttl=59", -1}, {"expiration_ttl=x", -1}, {"expiration_ttl=9999999999999999", -1},
		{"expiration=1060", 1060}, {"expiration=1059", -1}, {"expiration=", 0},
	}
	for _, tt := range tests {
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := kvExpiry(query, now)
		switch {
		case tt.want < 0 && err == nil, tt.want >= 0 && err != nil,
			tt.want == 0 && !got.IsZero(), tt.want > 0 && got.Unix() != tt.want:
			t.Errorf("%s: %v, %v", tt.query, got, err)
		}
	}
}

func TestQueueLimits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	big := strings.Repeat("x", queueMessageLimit+1)
	if _, err := oneMessage(http.Header{}, []byte(big), now); err == nil {
		t.Error("a message that is too long is accepted")
	}
	if _, err := oneMessage(http.Header{"X-Msg-Delay-Secs": {"43201"}}, nil, now); err == nil {
		t.Error("a delay that is too long is accepted")
	}
	many := `{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"body":""},`, queueBatchCount+1), ",") + `]}`
	if _, err := messageBatch(http.Header{}, []byte(many), now); err == nil {
		t.Error("too many messages are accepted")
	}
	messages, err := messageBatch(http.Header{"X-Msg-Delay-Secs": {"5"}},
		[]byte(`{"messages":[{"body":"eA==","contentType":"text"},{"body":"","delaySecs":0}]}`), now)
	if err != nil {
		t.Fatal(err)
	}
	if got := messages[0]; string(got.Body) != "x" || got.ContentType != "text" || got.VisibleAt != now.Add(5*time.Second) {
		t.Errorf("first = %+v", got)
	}
	if got := messages[1]; got.ContentType != "v8" || got.VisibleAt != now {
		t.Errorf("second = %+v", got)
	}
}

func TestQueueOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outcome string
		want    map[string]int // seconds until the retry; absent: acknowledged
	}{
		{`{"outcome":"ok"}`, map[string]int{}},
		{`{"outcome":"ok","ackAll":true}`, map[string]int{}},
		{`{"outcome":"exception"}`, map[string]int{"a": 0, "b": 0}},
		{`{"outcome":"exception","explicitAcks":["a"]}`, map[string]int{"b": 0}},
		{`{"outcome":"ok","retryBatch":{"retry":true,"delaySeconds":7}}`, map[string]int{"a": 7, "b": 7}},
		{`{"outcome":"ok","retryMessages":[{"msgId":"a","delaySeconds":3}]}`, map[string]int{"a": 3}},
		{`{"outcome":"ok","retryBatch":{"retry":true,"delaySeconds":7},"retryMessages":[{"msgId":"a","delaySeconds":0}]}`,
			map[string]int{"a": 0, "b": 7}},
	}
	for _, tt := range tests {
		var o queueOutcome
		if err := json.Unmarshal([]byte(tt.outcome), &o); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, id := range []string{"a", "b"} {
			if delay, retry := o.retry(id); retry {
				got[id] = int(delay / time.Second)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.outcome, got, tt.want)
		}
	}
}

func TestLogTail(t *testing.T) {
	t.Parallel()
	var tail logTail
	w := &lineWriter{emit: tail.add}
	fmt.Fprint(w, "a\r\nb")
	fmt.Fprint(w, "c\n\nstack: 0x1\n"+strings.Repeat("x", 2*logLineLength)+"\n")
	lines := tail.last()
	if len(lines) != 3 || lines[0].Text != "a" || lines[1].Text != "bc" || len(lines[2].Text) != logLineLength {
		t.Errorf("%d lines: %.40v", len(lines), lines)
	}
	for i := range logLines + 10 {
		fmt.Fprintln(w, i)
	}
	if lines = tail.last(); len(lines) != logLines || lines[0].Text != "10" || lines[logLines-1].Text != "509" {
		t.Errorf("%d lines from %s", len(lines), lines[0].Text)
	}
}

func TestStateVersion(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "version")
	for _, version := range []string{"2026-01-02", "2026-01-02", "2026-03-01"} {
		if err := acceptStateVersion(file, version); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	if err := acceptStateVersion(file, "2026-02-28"); err == nil || !strings.Contains(err.Error(), "install workerd 2026-03-01 or newer") {
		t.Errorf("an older workerd: %v", err)
	}
}

func TestFindWorkerd(t *testing.T) {
	t.Setenv("PENSTOCK_WORKERD", "")
	app := t.TempDir()
	if _, err := FindWorkerd(app); err == nil || !strings.Contains(err.Error(), "npm install") {
		t.Errorf("nothing installed: %v", err)
	}
	folder := filepath.Join(app, "node_modules", filepath.FromSlash(workerdPackage()), "bin")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "workerd")
	install := func(script string) {
		if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	install("echo something else")
	if _, err := FindWorkerd(app); err == nil || !strings.Contains(err.Error(), "is not workerd") {
		t.Errorf("another program: %v", err)
	}
	install("echo workerd 2026-01-01")
	deep := filepath.Join(app, "packages", "worker")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := FindWorkerd(deep); got != binary || err != nil {
		t.Errorf("from a folder within: %s, %v", got, err)
	}
	t.Setenv("PENSTOCK_WORKERD", filepath.Join(app, "absent"))
	if _, err := FindWorkerd(app); err == nil || !strings.Contains(err.Error(), "PENSTOCK_WORKERD") {
		t.Errorf("a wrong path in the environment: %v", err)
	}
}
