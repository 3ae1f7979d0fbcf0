package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// limit bounds one command: a cold deploy installs a few hundred packages.
const limit = 5 * time.Minute

// machine is a developer's machine as far as Penstock sees it: a copy of an app in a git repository, and a state folder
// that nobody else uses.
type machine struct {
	t      *testing.T
	binary string
	app    string
	state  string
}

// newMachine copies an app's tracked files. npm's package cache may be shared between machines: packages are checked by
// their checksums, and a cold one for each test would only measure the network.
func newMachine(t *testing.T, app string) *machine {
	t.Helper()
	if os.Getenv("PENSTOCK_SLOW") == "" {
		t.Skip("slow tier: run `make test-slow`")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, binary: filepath.Join(installed(t, filepath.Join(root, "bin")), "penstock"), app: filepath.Join(t.TempDir(), "app"), state: t.TempDir()}
	copyTracked(t, filepath.Join(root, app), m.app)
	m.git("init", "--quiet")
	m.git("add", "-A")
	m.git("-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "commit", "--quiet", "-m", "the app")
	t.Cleanup(func() {
		m.run("local", "down")
		m.expectNobodyLeft()
	})
	return m
}

// in is the same machine for a subtest.
func (m *machine) in(t *testing.T) *machine {
	same := *m
	same.t = t
	return &same
}

// installed copies penstock and its gate sets, once, so that a build beside the tests does not change what they run.
func installed(t *testing.T, bin string) string {
	t.Helper()
	install.Do(func() {
		if installFolder, installProblem = os.MkdirTemp("", "penstock-e2e-"); installProblem != nil { //nolint:usetesting // it outlives the test that comes first
			return
		}
		installProblem = copyBinaries(bin, installFolder)
	})
	if installProblem != nil {
		t.Fatalf("%v: run `make build` first", installProblem)
	}
	return installFolder
}

func copyBinaries(from, to string) error {
	built, err := filepath.Glob(filepath.Join(from, "penstock*"))
	if err != nil {
		return err
	}
	if len(built) < 2 {
		return errors.New("there is no penstock with its gate sets in bin")
	}
	for _, path := range built {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), content, 0o755); err != nil {
			return err
		}
	}
	return nil
}

var (
	install        sync.Once
	installFolder  string
	installProblem error
)

// TestMain removes what installed made.
func TestMain(m *testing.M) {
	code := m.Run()
	if installFolder != "" {
		os.RemoveAll(installFolder)
	}
	os.Exit(code)
}

func copyTracked(t *testing.T, from, to string) {
	t.Helper()
	listed, err := exec.Command("git", "-C", from, "ls-files", "-z", "-co", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("list %s: %v", from, err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *machine) git(args ...string) {
	m.t.Helper()
	command := exec.Command("git", append([]string{"-C", m.app}, args...)...)
	if out, err := command.CombinedOutput(); err != nil {
		m.t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

// outcome is what a person sees of one command.
type outcome struct {
	code     int
	out, err string
	took     time.Duration
}

func (o outcome) String() string {
	return fmt.Sprintf("exit code %d after %s\n--- out\n%s--- err\n%s", o.code, o.took.Round(time.Millisecond), o.out, o.err)
}

func (m *machine) command(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	var out, complaints bytes.Buffer
	command := exec.CommandContext(ctx, m.binary, args...)
	command.Dir = m.app
	command.Env = append(os.Environ(), "PENSTOCK_STATE_DIR="+m.state, "NO_COLOR=1")
	command.Stdout, command.Stderr = &out, &complaints
	return command, &out, &complaints
}

// run runs penstock to its end.
func (m *machine) run(args ...string) outcome {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command, out, complaints := m.command(ctx, args...)
	began := time.Now()
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("penstock %v: %v", args, err)
	}
	return outcome{command.ProcessState.ExitCode(), out.String(), complaints.String(), time.Since(began)}
}

// must runs penstock and wants one exit code.
func (m *machine) must(code int, args ...string) outcome {
	m.t.Helper()
	o := m.run(args...)
	if o.code != code {
		m.t.Fatalf("penstock %v: want exit code %d, got %s", args, code, o)
	}
	return o
}

// stopAfter starts penstock, waits, and sends it a signal. It returns when the process has ended.
func (m *machine) stopAfter(wait time.Duration, with syscall.Signal, args ...string) outcome {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command, out, complaints := m.command(ctx, args...)
	began := time.Now()
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	time.Sleep(wait)
	_ = command.Process.Signal(with) // it may have ended by itself, which the caller sees
	_ = command.Wait()
	return outcome{command.ProcessState.ExitCode(), out.String(), complaints.String(), time.Since(began)}
}

// edit replaces text in one file of the app and returns a function that puts it back.
func (m *machine) edit(name, old, replacement string) (putBack func()) {
	m.t.Helper()
	path := filepath.Join(m.app, name)
	before, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	if !bytes.Contains(before, []byte(old)) {
		m.t.Fatalf("%s does not contain %q", name, old)
	}
	if err := os.WriteFile(path, bytes.Replace(before, []byte(old), []byte(replacement), 1), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, before, 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

// url is where the app is served, as `local status` tells it.
func (m *machine) url() string {
	m.t.Helper()
	var told struct {
		Scripts []struct{ Name, URL string } `json:"scripts"`
	}
	status := m.must(0, "local", "status", "--json")
	if err := json.Unmarshal([]byte(status.out), &told); err != nil || len(told.Scripts) != 1 {
		m.t.Fatalf("local status tells no single Worker: %v\n%s", err, status)
	}
	return told.Scripts[0].URL
}

func (m *machine) get(path string) (int, string) {
	m.t.Helper()
	client := &http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get(m.url() + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// expectNobodyLeft fails when a process of this machine still lives: one that was started with this state folder in its
// environment or on its command line. Ending takes a moment, so it looks for a while.
func (m *machine) expectNobodyLeft() {
	m.t.Helper()
	var left []string
	for range 50 {
		if left = m.processes(); len(left) == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	m.t.Errorf("processes are left behind:\n%s", strings.Join(left, "\n"))
}

func (m *machine) processes() []string {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		m.t.Fatal(err)
	}
	var found []string
	for _, folder := range folders {
		environment, _ := os.ReadFile(filepath.Join(folder, "environ")) // gone, or not ours: then it is not one of ours
		line, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(folder, "cwd"))
		if bytes.Contains(environment, []byte(m.state)) || bytes.Contains(line, []byte(m.state)) || strings.HasPrefix(cwd, m.state) {
			found = append(found, filepath.Base(folder)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
