package localcloud

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

func TestEverythingIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	cloud, fake := startFake(t, dir)
	namespace := succeed(t, cloud, "POST", "@/storage/kv/namespaces", map[string]any{"title": "t"}).get(t, "id").(string)
	database := succeed(t, cloud, "POST", "@/d1/database", map[string]any{"name": "db"}).get(t, "uuid").(string)
	succeed(t, cloud, "POST", "@/d1/database/"+database+"/query", map[string]any{"sql": "CREATE TABLE t (n)"})
	blue := deployed(t, cloud, "bindings", []any{
		map[string]any{"type": "kv_namespace", "name": "KV", "namespace_id": namespace},
		map[string]any{"type": "d1", "name": "DB", "id": database},
		map[string]any{"type": "secret_text", "name": "S", "text": "x"},
		map[string]any{"type": "durable_object_namespace", "name": "DO", "class_name": "C"},
	}, "migrations", map[string]any{"new_tag": "v1", "new_sqlite_classes": []string{"C"}})
	green := added(t, cloud)
	shift(t, cloud, "", blue, 90, green, 10)
	succeed(t, cloud, "PUT", hello+"/schedules", []any{map[string]any{"cron": "*/5 * * * *"}})
	before, _ := fake.script("hello")
	info := cloud.Info()
	stop(t, cloud)

	again, fake := startFake(t, dir)
	after, _ := fake.script("hello")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what runs (-before +after):\n%s", diff)
	}
	got := again.Info()
	if diff := cmp.Diff(info, got); diff != "" {
		t.Errorf("addresses and token (-before +after):\n%s", diff)
	}
	if count := succeed(t, again, "GET", "@/d1/database/"+database, nil).get(t, "num_tables"); count != 1.0 {
		t.Errorf("the database has %v tables", count)
	}
}

func TestTakenPortsAreGivenUp(t *testing.T) {
	dir := t.TempDir()
	cloud, _ := startFake(t, dir)
	deployed(t, cloud)
	old := strings.TrimPrefix(cloud.URL("hello"), "http://")
	stop(t, cloud)
	stranger, err := net.Listen("tcp", old)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()

	again, _ := startFake(t, dir)
	if again.URL("hello") == "http://"+old {
		t.Fatal("the worker claims a port that another program has")
	}
	response, err := http.Get(again.URL("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); !strings.HasPrefix(string(text), "hello ") {
		t.Errorf("the worker answers %q", text)
	}
}

func TestDeploymentThatNoLongerStartsDoesNotStopTheRest(t *testing.T) {
	dir := t.TempDir()
	cloud, _ := startFake(t, dir)
	deployed(t, cloud)
	stop(t, cloud)

	broken := &refusing{fakeWorkers: fakeWorkers{scripts: map[string]runtime.Script{}}}
	again, err := Start(t.Context(), Options{Dir: dir, start: func(runtime.Options) (workers, databases, error) {
		return broken, fakeDatabases{dir}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, again)
	if got := again.Info().Scripts; len(got) != 1 || !strings.Contains(got[0].Problem, "no longer") {
		t.Errorf("scripts: %+v", got)
	}
	broken.willing.Store(true)
	deployed(t, again)
	if got := again.Info().Scripts; got[0].Problem != "" {
		t.Errorf("after a good deployment the problem is still %q", got[0].Problem)
	}
}

// refusing starts nothing until it is willing.
type refusing struct {
	fakeWorkers
	willing atomic.Bool
}

func (r *refusing) Apply(ctx context.Context, script runtime.Script) error {
	if r.willing.Load() {
		return r.fakeWorkers.Apply(ctx, script)
	}
	return &runtime.StartError{Script: script.Name, Output: "no longer"}
}

func TestOnlyLoopback(t *testing.T) {
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), APIAddr: "0.0.0.0:0", start: func(runtime.Options) (workers, databases, error) {
		return &fakeWorkers{}, fakeDatabases{}, nil
	}})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v", err)
	}
}

func TestEnvFile(t *testing.T) {
	got := Info{APIURL: "http://127.0.0.1:1/client/v4", Token: "t", AccountID: "a"}.EnvFile()
	want := "CLOUDFLARE_API_BASE_URL=http://127.0.0.1:1/client/v4\nCLOUDFLARE_API_TOKEN=t\nCLOUDFLARE_ACCOUNT_ID=a\n"
	if got != want {
		t.Errorf("%q", got)
	}
}
