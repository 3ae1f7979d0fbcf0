package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestShares(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	script := Script{
		Name:     "app",
		Versions: []Version{tinyVersion(1, idOne, answering("one")), tinyVersion(2, idTwo, answering("two"))},
		Shares:   []Share{{idOne, 90}, {idTwo, 10}},
	}
	apply(t, r, script)
	url := serve(t, r, "app")
	process := r.script("app").worker.proc

	const requests = 1000
	two := 0
	for range requests {
		if _, text := get(t, url); text == "two" {
			two++
		}
	}
	// Six standard deviations of a binomial distribution: sqrt(1000·0.1·0.9) = 9.5.
	if two < 43 || two > 157 {
		t.Errorf("%d of %d requests went to the 10 %% version", two, requests)
	}
	for name, header := range map[string]string{
		`app="` + idTwo + `"`:            "two",
		`other="x", app="` + idOne + `"`: "one",
	} {
		for range 20 {
			if _, text := get(t, url, headerOverrides, name); text != header {
				t.Errorf("override %s reached %s", name, text)
			}
		}
	}
	_, first := get(t, url, headerVersionKey, "user-1")
	for range 20 {
		if _, text := get(t, url, headerVersionKey, "user-1"); text != first {
			t.Errorf("the sticky key moved from %s to %s", first, text)
		}
	}

	script.Shares = []Share{{idOne, 0}, {idTwo, 100}}
	apply(t, r, script)
	if r.script("app").worker.proc != process {
		t.Error("a process was replaced though only the shares changed")
	}
	for range 20 {
		if _, text := get(t, url); text != "two" {
			t.Errorf("reached %s at 0 %%", text)
		}
	}
	if _, text := get(t, url, headerOverrides, `app="`+idOne+`"`); text != "one" {
		t.Errorf("the version at 0 %% is not reachable by override: %s", text)
	}

	if err := r.Remove(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, url); status != http.StatusNotFound {
		t.Errorf("a removed script answers %d", status)
	}
	if process.alive() {
		t.Error("a removed script's process lives")
	}
}

// hammer sends requests until stopped, and returns how many there were, the failed ones, and the slowest.
func hammer(t *testing.T, url string, clients int, header ...string) (stop func() (total int, failed []string, slowest time.Duration)) {
	t.Helper()
	var wg sync.WaitGroup
	var done atomic.Bool
	var mu sync.Mutex
	var total int
	var failed []string
	var slowest time.Duration
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	for range clients {
		wg.Go(func() {
			for !done.Load() {
				started := time.Now()
				failure := try(client, url, header)
				took := time.Since(started)
				mu.Lock()
				total++
				slowest = max(slowest, took)
				if failure != "" {
					failed = append(failed, failure)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []string, time.Duration) {
		done.Store(true)
		wg.Wait()
		client.CloseIdleConnections()
		return total, failed, slowest
	}
}

func try(client *http.Client, url string, header []string) (failure string) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		return err.Error()
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s %v", res.StatusCode, text, err)
	}
	return ""
}

// TestSwapLosesNothing deploys five times under load: a script with a Durable Object, whose storage only one process may
// have open, and one without.
func TestSwapLosesNothing(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	next := func(i int) (Script, Script) {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		v := appVersion(t, i, id)
		v.Modules = append(v.Modules, Module{Name: "v.txt", ContentType: "text/plain", Body: []byte(strconv.Itoa(i))})
		tiny := Script{Name: "tiny", Versions: []Version{tinyVersion(i, id, answering(id))}, Shares: []Share{{id, 100}}}
		return appScript([]Version{v}, Share{id, 100}), tiny
	}
	withObjects, tiny := next(0)
	apply(t, r, withObjects)
	apply(t, r, tiny)
	url := serve(t, r, "app")
	stopObjects := hammer(t, url+"/do", 4)
	stopSlow := hammer(t, url+"/slow", 2)
	stopTiny := hammer(t, serve(t, r, "tiny"), 2)
	for i := 1; i <= 5; i++ {
		withObjects, tiny = next(i)
		started := time.Now()
		apply(t, r, withObjects)
		swapped := time.Since(started)
		apply(t, r, tiny)
		t.Logf("swap %d: with objects %v, without %v", i, swapped, time.Since(started)-swapped)
	}
	total, failed, slowest := stopObjects()
	t.Logf("objects: %d requests, %d failed, slowest %v", total, len(failed), slowest)
	for name, stop := range map[string]func() (int, []string, time.Duration){"slow": stopSlow, "tiny": stopTiny} {
		n, failures, worst := stop()
		t.Logf("%s: %d requests, %d failed, slowest %v", name, n, len(failures), worst)
		failed = append(failed, failures...)
		if n == 0 {
			t.Errorf("%s: no requests were made", name)
		}
	}
	if len(failed) > 0 {
		t.Errorf("%d requests failed, the first: %s", len(failed), failed[0])
	}
	// Every request counted once, through six processes: the object lost no write.
	type answer struct{ N int }
	if got := getJSON[answer](t, url+"/do"); got.N != total+1 {
		t.Errorf("the object counted %d requests, not %d", got.N, total+1)
	}
}

func TestBadDeploymentChangesNothing(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	good := appScript([]Version{appVersion(t, 1, idOne)}, Share{idOne, 100})
	apply(t, r, good)
	url := serve(t, r, "app")
	stop := hammer(t, url+"/do", 2)
	process := r.script("app").worker.proc

	change := func(f func(*Version)) Script {
		v := appVersion(t, 2, idTwo)
		f(&v)
		return appScript([]Version{v}, Share{idTwo, 100})
	}
	tests := []struct {
		name   string
		script Script
		want   string
		start  bool // a *StartError, else an *UnsupportedError
	}{
		{"throws at load", change(func(v *Version) {
			v.Modules[0].Body = append([]byte("nope();\n"), v.Modules[0].Body...)
		}), "does not start: Uncaught ReferenceError: nope is not defined", true},
		{"syntax error", change(func(v *Version) { v.Modules[0].Body = []byte("export default {{") }), "Uncaught SyntaxError", true},
		{"missing import", change(func(v *Version) { v.Modules = v.Modules[:1] }), "greeting.txt", true},
		{"class not exported", change(func(v *Version) { v.Modules[0].Body = []byte("export default {}") }), `"Counter"`, true},
		{"date in the future", change(func(v *Version) { v.CompatibilityDate = "2031-01-01" }), "2031-01-01", true},
		{"unknown flag", change(func(v *Version) { v.CompatibilityFlags = []string{"no_such_flag"} }), "no_such_flag", true},
		{"unsupported binding", change(func(v *Version) {
			v.Bindings = append(v.Bindings, Binding{Type: "browser", Name: "AI"})
		}), "binding AI of type browser", false},
		{"class without migration", change(func(v *Version) {
			v.Bindings = append(v.Bindings, Binding{Type: "durable_object_namespace", Name: "X", ClassName: "X"})
		}), "no migration created the class X", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := r.Apply(t.Context(), tt.script)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
			var start *StartError
			var unsupported *UnsupportedError
			if errors.As(err, &start) != tt.start || errors.As(err, &unsupported) == tt.start {
				t.Errorf("error is a %T", err)
			}
		})
	}
	if total, failed, _ := stop(); len(failed) > 0 || total == 0 {
		t.Errorf("%d of %d requests failed meanwhile: %v", len(failed), total, failed[:min(len(failed), 1)])
	}
	if r.script("app").worker.proc != process {
		t.Error("the process was replaced")
	}
}

func TestCrashAndRestart(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	apply(t, r, appScript([]Version{appVersion(t, 1, idOne)}, Share{idOne, 100}))
	url := serve(t, r, "app")
	for i := range 2 {
		before := r.script("app").worker.proc
		killHard(t, before.cmd)
		started := time.Now()
		res, err := http.Post(url+"/echo", "text/plain", strings.NewReader("kept"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		// A request that had reached the process when it died may fail; one that comes later may not.
		if err != nil || (string(text) != "kept" && res.StatusCode != http.StatusBadGateway) {
			t.Fatalf("crash %d: %d %s %v", i, res.StatusCode, text, err)
		}
		t.Logf("crash %d: answered %d after %v", i, res.StatusCode, time.Since(started))
		eventually(t, "it answers again", func() bool { status, _ := get(t, url+"/version"); return status == http.StatusOK })
	}
}

func killHard(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// TestServiceCallDuringSwap: a running request that calls its own script through another one must not wait for itself.
func TestServiceCallDuringSwap(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	caller := func(number int, id string) Script {
		v := appVersion(t, number, id)
		v.Modules[0].Body = []byte(`import { DurableObject } from "cloudflare:workers";
			export class Counter extends DurableObject {}
			export default { async fetch(r, env) {
				if (new URL(r.url).pathname === "/inner") return new Response("inner");
				await scheduler.wait(400);
				return env.OTHER.fetch("https://other/");
			} }`)
		return appScript([]Version{v}, Share{id, 100})
	}
	other := tinyVersion(1, idThree, `export default { fetch(r, env) { return env.APP.fetch("https://app/inner") } }`)
	other.Bindings = []Binding{{Type: "service", Name: "APP", Service: "app"}}
	apply(t, r, Script{Name: "other", Versions: []Version{other}, Shares: []Share{{idThree, 100}}})
	apply(t, r, caller(1, idOne))
	url := serve(t, r, "app")
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get(url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answer <- string(text)
	}()
	time.Sleep(100 * time.Millisecond) // the request is inside its wait
	apply(t, r, caller(2, idTwo))
	if got := <-answer; got != "inner" {
		t.Errorf("answer = %q", got)
	}
}

// TestStorageThatCannotBeOpened: the new process starts without storage but not with it, and neither does the old one.
// The error says so, requests are refused rather than kept waiting, and the next deployment works.
func TestStorageThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	apply(t, r, appScript([]Version{appVersion(t, 1, idOne)}, Share{idOne, 100}))
	url := serve(t, r, "app")
	alarms := filepath.Join(r.dir, "objects", "app-Counter", "metadata.sqlite")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(alarms + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(alarms, 0o700); err != nil {
		t.Fatal(err)
	}
	next := appScript([]Version{appVersion(t, 2, idTwo)}, Share{idTwo, 100})
	if err := r.Apply(t.Context(), next); err == nil || !strings.Contains(err.Error(), "the previous deployment does not come back") {
		t.Errorf("error = %v", err)
	}
	if status, text := get(t, url+"/version"); status != http.StatusBadGateway || !strings.HasPrefix(text, "error code: 502") {
		t.Errorf("%d %s", status, text)
	}
	if err := os.Remove(alarms); err != nil {
		t.Fatal(err)
	}
	apply(t, r, next)
	if status, text := get(t, url+"/version"); status != http.StatusOK || !strings.Contains(text, idTwo) {
		t.Errorf("%d %s", status, text)
	}
}

// TestMain lets the test binary play the program that is killed in TestKilledParentLeavesNoWorkerd.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PENSTOCK_TEST_RUN_IN"); dir != "" {
		runUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func runUntilKilled(dir string) {
	r, err := New(Options{Dir: dir, Workerd: os.Getenv("PENSTOCK_WORKERD"), Store: newMemStore()})
	if err == nil {
		err = r.Apply(context.Background(), Script{
			Name: "app", Versions: []Version{tinyVersion(1, idOne, answering("x"))}, Shares: []Share{{idOne, 100}},
		})
	}
	if err == nil {
		_, err = r.D1().Query(context.Background(), "db", []Statement{{SQL: "SELECT 1"}})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(r.script("app").worker.proc.cmd.Process.Pid, r.d1.worker.proc.cmd.Process.Pid)
	select {}
}

func TestKilledParentLeavesNoWorkerd(t *testing.T) {
	t.Parallel()
	workerd := workerdForTest(t)
	if runtime.GOOS != "linux" {
		t.Skipf("SKIPPED: %s cannot tie a child's life to its parent's", runtime.GOOS)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PENSTOCK_TEST_RUN_IN="+t.TempDir(), "PENSTOCK_WORKERD="+workerd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pids := strings.Fields(string(line[:n]))
	if len(pids) != 2 {
		t.Fatalf("the helper said %q", line[:n])
	}
	for _, pid := range pids {
		if !runsWorkerd(pid) {
			t.Errorf("process %s is no workerd", pid)
		}
	}
	killHard(t, cmd)
	_ = cmd.Wait() // it was killed, which Wait reports
	for _, pid := range pids {
		eventually(t, "workerd "+pid+" is gone", func() bool { return !runsWorkerd(pid) })
	}
}

func runsWorkerd(pid string) bool {
	name, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	return err == nil && bytes.Contains(name, []byte("workerd"))
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	r, err := New(Options{Dir: t.TempDir(), Workerd: workerdForTest(t), Store: newMemStore(), Drain: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, r, Script{
		Name: "app", Shares: []Share{{idOne, 100}},
		Versions: []Version{tinyVersion(1, idOne, `export default { fetch() { return new Promise(() => setTimeout(() => {}, 1e9)) } }`)},
	})
	server := serve(t, r, "app")
	go func() {
		if res, err := http.Get(server); err == nil { // it hangs until the process is stopped
			res.Body.Close()
		}
	}()
	time.Sleep(50 * time.Millisecond)
	process := r.script("app").worker.proc
	started := time.Now()
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("close took %v", took)
	}
	if process.alive() {
		t.Error("the process lives")
	}
	if err := r.Apply(t.Context(), Script{}); err == nil {
		t.Error("apply works after close")
	}
}

// TestStateSurvivesRestart: another Runtime on the same folder finds objects and databases; two at once are refused.
func TestStateSurvivesRestart(t *testing.T) {
	t.Parallel()
	options := Options{Dir: t.TempDir(), Workerd: workerdForTest(t), Store: newMemStore(), Drain: time.Second}
	for i := 1; i <= 2; i++ {
		r, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(options); err == nil || !strings.Contains(err.Error(), "is in use") {
			t.Errorf("a second runtime on the folder: %v", err)
		}
		apply(t, r, appScript([]Version{appVersion(t, 1, idOne)}, Share{idOne, 100}))
		url := serve(t, r, "app")
		type answer struct{ N int }
		if got := getJSON[answer](t, url+"/do"); got.N != i {
			t.Errorf("run %d: the object counts %d", i, got.N)
		}
		query(t, r.D1(), "CREATE TABLE IF NOT EXISTS runs (n); INSERT INTO runs VALUES (1)")
		if got := queryText(t, r.D1(), "SELECT count(*) AS n FROM runs"); got != fmt.Sprintf(`{"n":%d}`, i) {
			t.Errorf("run %d: the database has %s", i, got)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
