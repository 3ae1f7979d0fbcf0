package localcloud

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKVValues(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	kv := fmt.Sprintf("@/storage/kv/namespaces/%s", succeed(t, cloud, "POST", "@/storage/kv/namespaces", map[string]any{"title": "t"}).get(t, "id"))
	if got := send(t, cloud, "POST", "@/storage/kv/namespaces", map[string]any{"title": "t"}); got.code() != codeNamespaceExists {
		t.Errorf("a taken title: %v", got.Errors)
	}
	odd := kv + "/values/a%2Fb%20%25%3F"
	for _, value := range []string{odd, kv + "/values/a%20plain"} {
		if got := read(t, request(t, cloud, "PUT", value, strings.NewReader("raw \x00"))); !got.Success {
			t.Fatal(got.Errors)
		}
	}
	if got := read(t, request(t, cloud, "DELETE", kv+"/values/a%20plain", nil)); !got.Success {
		t.Fatal(got.Errors)
	}
	if got := body(t, request(t, cloud, "GET", odd, nil).Body); got != "raw \x00" {
		t.Errorf("value is %q", got)
	}
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	_ = parts.WriteField("value", "with metadata")
	_ = parts.WriteField("metadata", `{"m":1}`)
	_ = parts.Close()
	if got := read(t, request(t, cloud, "PUT", kv+"/values/m?expiration_ttl=100", &form, "Content-Type", parts.FormDataContentType())); !got.Success {
		t.Fatal(got.Errors)
	}
	if got := succeed(t, cloud, "GET", kv+"/metadata/m", nil); string(got.Result) != `{"m":1}` {
		t.Errorf("metadata is %s", got.Result)
	}
	keys := succeed(t, cloud, "GET", kv+"/keys", nil)
	if keys.get(t, "0.name") != "a/b %?" || keys.get(t, "1.metadata.m") != 1.0 || keys.get(t, "1.expiration") == nil || keys.get(t, "2") != nil {
		t.Errorf("keys: %s", keys.Result)
	}
	if got := send(t, cloud, "GET", kv+"/values/absent", nil); got.Status != 404 || got.code() != codeKeyNotFound {
		t.Errorf("absent: %d %v", got.Status, got.Errors)
	}
	for _, query := range []string{"?expiration_ttl=10", "?expiration_ttl=x", "?expiration=1000"} {
		if got := read(t, request(t, cloud, "PUT", kv+"/values/x"+query, strings.NewReader("v"))); got.Status != 400 {
			t.Errorf("%s: %d", query, got.Status)
		}
	}
}

func TestKVBulk(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	kv := fmt.Sprintf("@/storage/kv/namespaces/%s", succeed(t, cloud, "POST", "@/storage/kv/namespaces", map[string]any{"title": "t"}).get(t, "id"))
	got := succeed(t, cloud, "PUT", kv+"/bulk", []any{
		map[string]any{"key": "a", "value": "1"}, map[string]any{"key": "b", "value": "AP8=", "base64": true, "metadata": map[string]any{"x": 1}, "expiration_ttl": 60},
	})
	if got.get(t, "successful_key_count") != 2.0 {
		t.Errorf("%s", got.Result)
	}
	if got := body(t, request(t, cloud, "GET", kv+"/values/b", nil).Body); got != "\x00\xff" {
		t.Errorf("value is %q", got)
	}
	read := succeed(t, cloud, "POST", kv+"/bulk/get", map[string]any{"keys": []string{"a", "absent"}})
	if read.get(t, "values.a") != "1" || read.get(t, "values.absent") != nil {
		t.Errorf("%s", read.Result)
	}
	if got := send(t, cloud, "PUT", kv+"/bulk", []any{map[string]any{"key": "c", "value": "1"}, map[string]any{"key": "", "value": "1"}}); got.Status != 400 {
		t.Errorf("an empty key: %d", got.Status)
	}
	succeed(t, cloud, "POST", kv+"/bulk/delete", []string{"a", "b", "c"})
	if got := succeed(t, cloud, "GET", kv+"/keys", nil); string(got.Result) != "[]" {
		t.Errorf("left: %s", got.Result)
	}
}

func TestR2Objects(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	succeed(t, cloud, "POST", "@/r2/buckets", map[string]any{"name": "files"})
	for name, code := range map[string]int{"files": codeBucketExists, "No": codeBadBucketName, "-x-": codeBadBucketName} {
		if got := send(t, cloud, "POST", "@/r2/buckets", map[string]any{"name": name}); got.code() != code {
			t.Errorf("bucket %s: %v", name, got.Errors)
		}
	}
	if got := read(t, request(t, cloud, "PUT", "@/r2/buckets/files/objects/dir/a.txt", strings.NewReader("hello"), "Content-Type", "text/plain")); !got.Success {
		t.Fatal(got.Errors)
	}
	object := request(t, cloud, "GET", "@/r2/buckets/files/objects/dir%2Fa.txt", nil)
	if got := body(t, object.Body); got != "hello" || object.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%q of type %s", got, object.Header.Get("Content-Type"))
	}
	if got := send(t, cloud, "DELETE", "@/r2/buckets/files", nil); got.Status != 409 || got.code() != codeBucketNotEmpty {
		t.Errorf("deleting a full bucket: %v", got.Errors)
	}
	if got := succeed(t, cloud, "GET", "@/r2/buckets/files/domains/managed", nil).get(t, "enabled"); got != false {
		t.Errorf("a bucket here is public: %v", got)
	}
	succeed(t, cloud, "GET", "@/r2/buckets/files/domains/custom", nil)
	for _, kind := range []string{"managed", "custom"} {
		if got := send(t, cloud, "GET", "@/r2/buckets/none/domains/"+kind, nil); got.Status != 404 || got.code() != codeBucketNotFound {
			t.Errorf("%s domain of a bucket that does not exist: %+v", kind, got)
		}
	}
	if got := succeed(t, cloud, "GET", "@/r2/buckets", nil).get(t, "buckets.0.name"); got != "files" {
		t.Errorf("buckets: %v", got)
	}
	succeed(t, cloud, "DELETE", "@/r2/buckets/files/objects/dir/a.txt", nil)
	succeed(t, cloud, "DELETE", "@/r2/buckets/files", nil)
	if got := send(t, cloud, "GET", "@/r2/buckets/files", nil); got.Status != 404 || got.code() != codeBucketNotFound {
		t.Errorf("absent: %v", got.Errors)
	}
}

func TestQueueConsumersReachTheRuntime(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	deployed(t, cloud)
	queue := fmt.Sprintf("@/queues/%s", succeed(t, cloud, "POST", "@/queues", map[string]any{"queue_name": "jobs"}).get(t, "queue_id"))
	if got := send(t, cloud, "POST", "@/queues", map[string]any{"queue_name": "jobs"}); got.code() != codeQueueExists {
		t.Errorf("a taken name: %v", got.Errors)
	}
	consumers := func() int {
		script, _ := fake.script("hello")
		return len(script.QueueConsumers)
	}
	add := map[string]any{"type": "worker", "script_name": "hello", "settings": map[string]any{"batch_size": 5}}
	consumer := succeed(t, cloud, "POST", queue+"/consumers", add).get(t, "consumer_id")
	if consumers() != 1 {
		t.Errorf("the worker consumes %d queues", consumers())
	}
	if got := send(t, cloud, "POST", queue+"/consumers", add); got.Status != 409 || got.code() != codeConsumerExists {
		t.Errorf("a second consumer: %v", got.Errors)
	}
	if got := send(t, cloud, "POST", queue+"/consumers", map[string]any{"type": "worker", "script_name": "absent"}); got.Status != 400 {
		t.Errorf("an absent worker: %d", got.Status)
	}
	succeed(t, cloud, "PATCH", queue, map[string]any{"settings": map[string]any{"delivery_paused": true}})
	if consumers() != 0 {
		t.Error("a paused queue is consumed")
	}
	succeed(t, cloud, "PATCH", queue, map[string]any{"settings": map[string]any{"delivery_paused": false}})
	listed := succeed(t, cloud, "GET", "@/queues?name=jobs", nil)
	if consumers() != 1 || listed.get(t, "0.consumers.0.script_name") != "hello" || listed.get(t, "0.consumers.0.settings.batch_size") != 5.0 {
		t.Errorf("%d consumers; %s", consumers(), listed.Result)
	}
	succeed(t, cloud, "DELETE", fmt.Sprintf("%s/consumers/%s", queue, consumer), nil)
	if consumers() != 0 {
		t.Error("the removed consumer still runs")
	}
	succeed(t, cloud, "POST", queue+"/consumers", add)
	succeed(t, cloud, "DELETE", queue, nil)
	if consumers() != 0 {
		t.Error("the consumer of a deleted queue still runs")
	}
}
