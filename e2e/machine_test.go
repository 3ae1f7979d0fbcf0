package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
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
	env    []string // what commands find in their environment beside the machine's own
}

// newMachine copies an app's tracked files. npm's package cache may be shared between machines: packages are checked by
// their checksums, and a cold one for each test would only measure the network.
func newMachine(t *testing.T, app string) *machine {
	t.Helper()
	if os.Getenv("PENSTOCK_SLOW") == "" {
		t.Skip("slow tier: run `make test-slow`")
	}
	return copyOf(t, app)
}

// copyOf is newMachine in whatever tier.
func copyOf(t *testing.T, app string) *machine {
	t.Helper()
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
		m.keepStages(app)
	})
	return m
}

// newWarmMachine is newMachine for a test that is not about stages: it has the results of the stages of the last machine that
// had the app, so that what did not change is not installed and built again.
func newWarmMachine(t *testing.T, app string) *machine {
	t.Helper()
	m := newMachine(t, app)
	if kept := keptStages(app); exists(kept) {
		if err := copyKept(filepath.Join(m.state, "cache"), kept); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// keptStages is where the results of an app's stages are kept for the machines that come after.
func keptStages(app string) string { return filepath.Join(installFolder, "stages", app) }

// keepStages keeps them, unless an earlier machine did. They are copied: a test may change what is on its machine.
func (m *machine) keepStages(app string) {
	from, to := filepath.Join(m.state, "cache"), keptStages(app)
	if m.t.Failed() || !exists(from) || exists(to) {
		return
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), copyKept(to, from)); err != nil {
		m.t.Error(err)
	}
}

// copyKept copies a cache with the times of its files, by which the cache knows that nobody wrote to them.
func copyKept(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(to, relative), info.ModTime(), info.ModTime())
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
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

// TestMain checks the register and removes what installed made.
func TestMain(m *testing.M) {
	code := checkRegister(m.Run())
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
	command.Env = append(command.Env, m.env...)
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

// moment is a place in a run: the first event of a type about something of a name ("" for any).
type moment struct {
	kind event.Type
	name string
}

func (at moment) is(e event.Event) bool {
	if e.Type != at.kind {
		return false
	}
	switch {
	case e.Stage != nil:
		return e.Stage.Name == at.name
	case e.Step != nil:
		return e.Step.Name == at.name
	default:
		return at.name == ""
	}
}

// betweenSignals is how fast a person presses Ctrl-C again.
const betweenSignals = 200 * time.Millisecond

// stopAt starts penstock and sends it signals at a moment of its run, which it must reach. took is from the first signal to
// the end of the process.
func (m *machine) stopAt(at moment, with []syscall.Signal, args ...string) outcome {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command, _, complaints := m.command(ctx, append(args, "--json")...)
	var signalled time.Time
	told := &eventReader{tell: func(e event.Event) {
		if !signalled.IsZero() || !at.is(e) {
			return
		}
		signalled = time.Now()
		for i, signal := range with {
			if i > 0 {
				time.Sleep(betweenSignals)
			}
			_ = command.Process.Signal(signal) // after the first it may have ended, which is what the caller looks for
		}
	}}
	command.Stdout = told
	command.WaitDelay = limit // whoever holds the pipe that long is left behind
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	_ = command.Wait() // the exit code tells
	o := outcome{command.ProcessState.ExitCode(), told.all.String(), complaints.String(), time.Since(signalled)}
	if signalled.IsZero() {
		m.t.Fatalf("penstock %v came to its end without %s %s: %s", args, at.kind, at.name, o)
	}
	return o
}

// eventReader tells of each event as `--json` writes it.
type eventReader struct {
	all  bytes.Buffer
	rest []byte
	tell func(event.Event)
}

func (r *eventReader) Write(p []byte) (int, error) {
	r.all.Write(p)
	r.rest = append(r.rest, p...)
	for {
		line, rest, found := bytes.Cut(r.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		r.rest = rest
		var e event.Event
		if err := json.Unmarshal(line, &e); err == nil { // an error of the command line is JSON of another shape
			r.tell(e)
		}
	}
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

// url is where the app is served, as `local status` tells it: of several Workers the one whose name begins those of all others,
// which are of the app's other environments.
func (m *machine) url() string {
	m.t.Helper()
	var told struct {
		Scripts []struct{ Name, URL string } `json:"scripts"`
	}
	status := m.must(0, "local", "status", "--json")
	if err := json.Unmarshal([]byte(status.out), &told); err != nil || len(told.Scripts) == 0 {
		m.t.Fatalf("local status tells no Worker: %v\n%s", err, status)
	}
	app := slices.MinFunc(told.Scripts, func(a, b struct{ Name, URL string }) int { return len(a.Name) - len(b.Name) })
	for _, script := range told.Scripts {
		if !strings.HasPrefix(script.Name, app.Name) {
			m.t.Fatalf("%s is no environment of %s: the test must say which it means\n%s", script.Name, app.Name, status)
		}
	}
	return app.URL
}

// serving is the id of the version that answers, with a healthy page.
func (m *machine) serving() string {
	m.t.Helper()
	client := &http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get(m.url() + "/health")
	if err != nil {
		m.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		m.t.Errorf("GET /health: %s", answer.Status)
	}
	return answer.Header.Get("x-version-id")
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

// expectNobodyLeft fails when a process of this machine still lives, its Cloudflare included.
func (m *machine) expectNobodyLeft() {
	m.t.Helper()
	m.expectLeft(func(process, map[int]process) bool { return false })
}

// expectOnlyCloudLeft fails when a process of this machine still lives that is not of its Cloudflare, which outlives runs.
func (m *machine) expectOnlyCloudLeft() {
	m.t.Helper()
	m.expectLeft(func(p process, all map[int]process) bool {
		for found := true; found; p, found = all[p.parent] {
			if strings.Contains(p.line, " local serve --dir "+m.state) {
				return true
			}
		}
		return false
	})
}

// process is one that was started with the machine's state folder in its environment, on its command line, or as its folder.
type process struct {
	parent int
	line   string
}

// expectLeft fails when a process lives that may not. Ending takes a moment, so it looks for a while.
func (m *machine) expectLeft(may func(p process, all map[int]process) bool) {
	m.t.Helper()
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		m.t.Log("NOT CHECKED that no process is left behind: this system has no /proc to find them in")
		return
	}
	var left []string
	for range 50 {
		left = nil
		all := m.processes()
		for id, p := range all {
			if !may(p, all) {
				left = append(left, fmt.Sprint(id, " ", p.line))
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	m.t.Errorf("processes are left behind:\n%s", strings.Join(left, "\n"))
}

func (m *machine) processes() map[int]process {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		m.t.Fatal(err)
	}
	found := map[int]process{}
	for _, folder := range folders {
		// What cannot be read is gone, or not ours: then it is not one of these.
		environment, _ := os.ReadFile(filepath.Join(folder, "environ"))
		line, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(folder, "cwd"))
		stat, _ := os.ReadFile(filepath.Join(folder, "stat"))
		if !bytes.Contains(environment, []byte(m.state)) && !bytes.Contains(line, []byte(m.state)) && !strings.HasPrefix(cwd, m.state) {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		p := process{line: strings.ReplaceAll(string(line), "\x00", " ")}
		// proc(5): "pid (name) state parent …", and the name may hold anything.
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 {
			p.parent, _ = strconv.Atoi(fields[1])
		}
		found[id] = p
	}
	return found
}

// fetch gets an address, and is the answer's body.
func (m *machine) fetch(url string) string {
	m.t.Helper()
	client := &http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		m.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(body)
}
