package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/localcloud/workerdtest"
)

// This test binary is also the hidden sub-command, and the run that starts it, for tests that kill them.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch role, dir := os.Getenv("DAEMON_TEST_ROLE"), os.Getenv("DAEMON_TEST_DIR"); role {
	case "":
		os.Exit(m.Run())
	case "serve":
		err = daemon.Serve(ctx, daemon.ServeOptions{Dir: dir, Workerd: os.Getenv("DAEMON_TEST_WORKERD"), Lease: os.Stdin, Report: os.Stdout})
	case "run": // starts one, says so, and does whatever the next line of stdin says
		var handle *daemon.Handle
		if handle, err = daemon.Up(ctx, options(dir)); err != nil {
			break
		}
		fmt.Println(handle.StartedByUs)
		word, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		if strings.TrimSpace(word) == "keep" {
			err = handle.Keep(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func options(dir string) daemon.Options {
	return daemon.Options{Dir: dir, Env: append(os.Environ(), "DAEMON_TEST_ROLE=serve", "DAEMON_TEST_DIR="+dir)}
}

// needWorkerd is for tests that start a whole local Cloudflare ([workerdtest.Binary]).
func needWorkerd(t *testing.T) {
	t.Helper()
	t.Setenv("DAEMON_TEST_WORKERD", workerdtest.Binary(t))
}

func up(t *testing.T, options daemon.Options) *daemon.Handle {
	t.Helper()
	handle, err := daemon.Up(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.Down(context.WithoutCancel(t.Context()), options.Dir); err != nil && !errors.Is(err, daemon.ErrNotRunning) {
			t.Error(err)
		}
	})
	return handle
}

// answers asks the API who the token belongs to.
func answers(t *testing.T, info localcloud.Info) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, info.APIURL+"/user/tokens/verify", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+info.Token)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

func running(t *testing.T, dir string) bool {
	t.Helper()
	_, err := daemon.Status(t.Context(), dir)
	if err != nil && !errors.Is(err, daemon.ErrNotRunning) {
		t.Fatal(err)
	}
	return err == nil
}

// awaitGone waits for the process to let go of the folder.
func awaitGone(t *testing.T, dir string, info localcloud.Info) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); running(t, dir); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the local cloudflare is still there")
		}
	}
	if answers(t, info) {
		t.Error("nobody holds the folder, yet the API still answers")
	}
}

func TestUpTwiceFindsTheSame(t *testing.T) {
	needWorkerd(t)
	dir := filepath.Join(t.TempDir(), "cloud")
	first := up(t, options(dir))
	if !first.StartedByUs || !answers(t, first.Info) {
		t.Fatalf("started by us: %v, %+v", first.StartedByUs, first.Info)
	}
	if info, err := os.Stat(filepath.Join(dir, "local.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state file: %v %v", info.Mode(), err)
	}
	second := up(t, options(dir))
	if second.StartedByUs || second.Info.PID != first.Info.PID || second.Info.Token != first.Info.Token {
		t.Errorf("second: %v %+v", second.StartedByUs, second.Info)
	}
	// The first run ends, while the second still uses what the first had started.
	closing, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := first.Close(closing); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing the first: %v", err)
	}
	if !answers(t, second.Info) {
		t.Error("it stopped although the second run holds it")
	}
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, dir, first.Info)
}

func TestCloseStopsWhatWasNotKept(t *testing.T) {
	needWorkerd(t)
	dir := t.TempDir()
	handle := up(t, options(dir))
	for range 2 {
		if err := handle.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if running(t, dir) || answers(t, handle.Info) {
		t.Error("it still runs")
	}
	if err := daemon.Down(t.Context(), dir); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("down: %v", err)
	}
}

func TestKeptOneStaysUntilDown(t *testing.T) {
	needWorkerd(t)
	dir := t.TempDir()
	kept := options(dir)
	kept.KeepAlive = true
	handle := up(t, kept)
	joined := up(t, options(dir))
	if err := joined.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if !answers(t, handle.Info) {
		t.Fatal("it is gone although it was kept")
	}
	if err := daemon.Down(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if running(t, dir) || answers(t, handle.Info) {
		t.Error("it still runs after down")
	}
	if _, err := os.Stat(filepath.Join(dir, "local.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file is still there: %v", err)
	}
	again := up(t, options(dir))
	if again.Info.Token != handle.Info.Token || again.Info.AccountID != handle.Info.AccountID {
		t.Error("the account changed with a restart")
	}
}

// run starts a process that does what a penstock run does.
func run(t *testing.T, dir string) (process *exec.Cmd, say func(string)) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process = exec.Command(exe)
	process.Env = append(os.Environ(), "DAEMON_TEST_ROLE=run", "DAEMON_TEST_DIR="+dir)
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "true\n" {
		t.Fatalf("the run says %q, %v", line, err)
	}
	return process, func(word string) {
		if _, err := fmt.Fprintln(in, word); err != nil {
			t.Fatal(err)
		}
	}
}

func status(t *testing.T, dir string) localcloud.Info {
	t.Helper()
	info, err := daemon.Status(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestKilledRunLeavesNothing(t *testing.T) {
	needWorkerd(t)
	dir := t.TempDir()
	process, _ := run(t, dir)
	info := status(t, dir)
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	awaitGone(t, dir, info)
}

func TestEndedRunThatKeptLeavesIt(t *testing.T) {
	needWorkerd(t)
	dir := t.TempDir()
	process, say := run(t, dir)
	say("keep")
	if err := process.Wait(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if !answers(t, status(t, dir)) {
		t.Fatal("it is gone although it was kept")
	}
	if err := daemon.Down(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
}

func TestStaleStateIsNotTrusted(t *testing.T) {
	needWorkerd(t)
	dir := t.TempDir()
	kept := options(dir)
	kept.KeepAlive = true
	dead := up(t, kept)
	process, err := os.FindProcess(dead.Info.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, dir, dead.Info)

	// The number is somebody else's by now: ours, which must survive.
	file := filepath.Join(dir, "local.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stale := strings.Replace(string(text), fmt.Sprintf(`"pid": %d`, dead.Info.PID), fmt.Sprintf(`"pid": %d`, os.Getpid()), 1)
	if err := os.WriteFile(file, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Down(t.Context(), dir); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("down: %v", err)
	}
	next := up(t, options(dir))
	if !next.StartedByUs || next.Info.PID == os.Getpid() || !answers(t, next.Info) {
		t.Errorf("next: %v %+v", next.StartedByUs, next.Info)
	}
}

func TestUpAtOnceStartsOne(t *testing.T) {
	needWorkerd(t)
	dir := t.TempDir()
	type outcome struct {
		handle *daemon.Handle
		err    error
	}
	outcomes := make(chan outcome)
	for range 4 {
		go func() {
			handle, err := daemon.Up(t.Context(), options(dir))
			outcomes <- outcome{handle, err}
		}()
	}
	started, pids := 0, map[int]bool{}
	var handles []*daemon.Handle
	for range 4 {
		got := <-outcomes
		if got.err != nil {
			t.Fatal(got.err)
		}
		handles, pids[got.handle.Info.PID] = append(handles, got.handle), true
		if got.handle.StartedByUs {
			started++
		}
	}
	if started != 1 || len(pids) != 1 {
		t.Errorf("%d were started, processes %v", started, pids)
	}
	if err := daemon.Down(t.Context(), dir); err != nil {
		t.Error(err)
	}
	for _, handle := range handles {
		if err := handle.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestFailedStartGivesItsReason(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DAEMON_TEST_WORKERD", filepath.Join(dir, "no-such-workerd"))
	began := time.Now()
	_, err := daemon.Up(t.Context(), options(dir))
	if err == nil || !strings.Contains(err.Error(), "no-such-workerd") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the failure took %v to arrive", took)
	}
	if running(t, dir) {
		t.Error("a failed start left a process")
	}
}

func TestProgramThatIsNoDaemonIsReported(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh here")
	}
	_, err := daemon.Up(t.Context(), daemon.Options{Dir: t.TempDir(), Exe: "sh", Args: []string{"-c", "echo went wrong >&2; exit 3"}})
	if err == nil || !strings.Contains(err.Error(), "went wrong") {
		t.Errorf("%v", err)
	}
}

func TestCancelledUpLeavesNothing(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh here")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	// A start that never ends, but that ends with its lease.
	_, err := daemon.Up(ctx, daemon.Options{Dir: t.TempDir(), Exe: "sh", Args: []string{"-c", "cat >/dev/null"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestStrangersCannotStopIt(t *testing.T) {
	needWorkerd(t)
	dir := t.TempDir()
	handle := up(t, options(dir))
	text, err := os.ReadFile(filepath.Join(dir, "local.json"))
	if err != nil {
		t.Fatal(err)
	}
	state := struct {
		ControlURL string `json:"control_url"`
	}{}
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "Bearer ", "Bearer " + handle.Info.Token} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, state.ControlURL+"/stop", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("key %q: %s", key, response.Status)
		}
	}
	if !answers(t, handle.Info) {
		t.Error("it stopped")
	}
}

func TestFaultsFromAFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := daemon.ShowFaults(t.Context(), dir); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("without a daemon: %v", err)
	}
	needWorkerd(t)
	handle, err := daemon.Up(t.Context(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close(context.WithoutCancel(t.Context()))
	file := filepath.Join(t.TempDir(), "faults.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("seed: 3\ncalls:\n  - {call: GET /zones, status: 503, times: 1}\n  - {call: \"* /**\", delay: 1ms}\npropagation: {delay: 2s}\ncertificates: {validityDays: 5}\n")
	said, err := daemon.SetFaults(t.Context(), dir, file)
	if err != nil || said.Seed != 3 || len(said.Calls) != 2 || said.Calls[1].Delay != "1ms" || said.Propagation["delay"] != "2s" || said.Certificates.ValidityDays != 5 {
		t.Errorf("%+v, %v", said, err)
	}
	write("calls: [{call: nothing}]")
	if _, err := daemon.SetFaults(t.Context(), dir, file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a bad file: %v", err)
	}
	if said, err := daemon.ShowFaults(t.Context(), dir); err != nil || len(said.Calls) != 2 {
		t.Errorf("after a bad file: %+v, %v", said, err)
	}
	if said, err := daemon.SetFaults(t.Context(), dir, ""); err != nil || len(said.Calls) != 0 {
		t.Errorf("off: %+v, %v", said, err)
	}
}
