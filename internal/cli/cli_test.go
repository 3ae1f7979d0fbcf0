package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// told is what one command line printed and answered.
type told struct {
	code     ExitCode
	out, err string
}

// say runs one command line in an app's folder, with a state folder of its own and nothing of this process's environment.
func say(t *testing.T, folder string, args ...string) told {
	t.Helper()
	return sayIn(t, t.TempDir(), folder, args...)
}

// sayIn is say with a state folder that others use too.
func sayIn(t *testing.T, state, folder string, args ...string) told {
	t.Helper()
	var out, complaints bytes.Buffer
	code := Run(t.Context(), Streams{
		Args: append(args, "-C", folder), In: strings.NewReader(""), Out: &out, Err: &complaints, Executable: filepath.Join(t.TempDir(), "penstock"),
		Env: func(name string) string {
			if name == "PENSTOCK_STATE_DIR" {
				return state
			}
			return ""
		},
	})
	return told{code, out.String(), complaints.String()}
}

// app writes a small app.
func app(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{
		"package.json":   `{"name": "small", "devDependencies": {"wrangler": "4.86.0"}}`,
		"wrangler.jsonc": `{"name": "small", "main": "index.js", "compatibility_date": "2026-04-01"}`,
		"index.js":       `export default { fetch() { return new Response("hello"); } };`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestWrongWords: every wrong word is exit code 2, says what is wrong and what to type instead.
func TestWrongWords(t *testing.T) {
	t.Parallel()
	folder := app(t)
	for _, row := range []struct {
		args []string
		says []string
	}{
		{[]string{"depoly"}, []string{`unknown command "depoly"`, "next: did you mean `penstock deploy`?"}},
		{[]string{"local", "stauts"}, []string{"next: did you mean `penstock local status`?"}},
		{[]string{"deploy", "--nonsense"}, []string{"unknown flag: --nonsense", "penstock deploy --help"}},
		{[]string{"deploy", "--evn", "local"}, []string{"unknown flag: --evn", "next: did you mean --env?", "penstock deploy --help"}},
		{[]string{"secrets", "put", "bad name"}, []string{`"bad name" cannot be the name of a secret`, "letters, digits and _"}},
		{[]string{"deploy", "extra"}, []string{"`penstock deploy` takes flags only, and got \"extra\"", "next: `penstock deploy --help`"}},
		{[]string{"gates", "info"}, []string{"`penstock gates info` takes GATE, and got nothing", "penstock gates info --help"}},
		{[]string{"waive", "01JD2QK7"}, []string{"`penstock waive` takes RUN GATE, and got \"01JD2QK7\""}},
		{[]string{"history", "--limit", "few"}, []string{`"few" is no value for --limit, which takes a whole number`}},
		{[]string{"history", "--limit", "-1"}, []string{"there are no -1 runs", "--limit 5"}},
		{[]string{"check", "--parallelism", "-1"}, []string{"-1 stages cannot run at once", "--parallelism 4"}},
		{[]string{"gates", "backtest", "--runs", "-1"}, []string{"there are no -1 runs", "--runs 50"}},
		{[]string{"maintenance", "on", "--retry-after", "soon"}, []string{"a time such as 30s, 10m or 1h30m"}},
		{[]string{"run", "nonsense"}, []string{`penstock: there is no build stage "nonsense"`, "next: the stages are install"}},
		{[]string{"check", "--env", "produktion"}, []string{`no environment "produktion"`, "production", "--env"}},
	} {
		got := say(t, folder, row.args...)
		if got.code != ExitUsage {
			t.Errorf("penstock %v: exit code %d", row.args, got.code)
		}
		for _, want := range row.says {
			if !strings.Contains(got.err, want) {
				t.Errorf("penstock %v does not say %q:\n%s", row.args, want, got.err)
			}
		}
	}
}

// TestWrongFlagsAreToldAsJSON: a wrong flag ends the reading of flags, and --json may stand behind it.
func TestWrongFlagsAreToldAsJSON(t *testing.T) {
	t.Parallel()
	got := say(t, t.TempDir(), "deploy", "--nonsense", "--json")
	var told struct{ Outcome, Error string }
	if err := json.Unmarshal([]byte(got.out), &told); err != nil || told.Outcome != "unusable" || !strings.Contains(told.Error, "--nonsense") || got.err != "" {
		t.Errorf("told %q, %q: %v", got.out, got.err, err)
	}
}

// TestTheFolderMustBeOne: -C with a slip in it is told in one line.
func TestTheFolderMustBeOne(t *testing.T) {
	t.Parallel()
	folder := app(t)
	for name, want := range map[string]string{"nowhere": "penstock: there is no folder ", "package.json": "package.json is a file\n"} {
		got := say(t, filepath.Join(folder, name), "check")
		if got.code != ExitUsage || !strings.Contains(got.err, want) || !strings.Contains(got.err, "with -C") {
			t.Errorf("%s: %d %s", name, got.code, got.err)
		}
	}
}

// TestVersionFlag: --version says what the command says.
func TestVersionFlag(t *testing.T) {
	t.Parallel()
	flag, command := say(t, t.TempDir(), "--version"), say(t, t.TempDir(), "version")
	if flag != command || !strings.HasPrefix(flag.out, "penstock ") {
		t.Errorf("%+v, want %+v", flag, command)
	}
}

// TestEveryCommandShowsAnExample holds the rule for what people see: help with an example, and JSON.
func TestEveryCommandShowsAnExample(t *testing.T) {
	t.Parallel()
	root := newRoot(&Streams{Env: func(string) string { return "" }})
	if !strings.Contains(root.Long, exitTable()) {
		t.Error("help does not list the exit codes")
	}
	commands := root.Commands()
	for i := 0; i < len(commands); i++ {
		command := commands[i]
		commands = append(commands, command.Commands()...)
		if !command.Hidden && command.Example == "" {
			t.Errorf("%s has no example", command.CommandPath())
		}
		if command.InheritedFlags().Lookup("json") == nil {
			t.Errorf("%s has no --json", command.CommandPath())
		}
	}
}

// TestAStateFolderThatIsNone: it is the caller's to mend, and they are told how.
func TestAStateFolderThatIsNone(t *testing.T) {
	t.Parallel()
	folder := app(t)
	file := filepath.Join(folder, "package.json")
	for _, command := range []string{"history", "check"} {
		var out, complaints bytes.Buffer
		code := Run(t.Context(), Streams{
			Args: []string{command, "-C", folder}, Out: &out, Err: &complaints, Executable: filepath.Join(folder, "penstock"),
			Env: func(name string) string { return map[string]string{"PENSTOCK_STATE_DIR": file}[name] },
		})
		if code != ExitUsage || !strings.Contains(complaints.String(), "next: let PENSTOCK_STATE_DIR name a folder") || !strings.Contains(complaints.String(), file) {
			t.Errorf("%s: exit code %d\n%s", command, code, complaints.String())
		}
	}
}

// TestHelpFitsThePage: no line of any help is wider than a page, so that no terminal of that width wraps it in the middle of a word.
func TestHelpFitsThePage(t *testing.T) {
	t.Parallel()
	root := newRoot(&Streams{Env: func(string) string { return "" }})
	commands := []*cobra.Command{root}
	for i := 0; i < len(commands); i++ {
		commands = append(commands, commands[i].Commands()...)
		var page bytes.Buffer
		showHelp(&page, commands[i], helpWidth)
		for _, line := range strings.Split(page.String(), "\n") {
			if len([]rune(line)) > helpWidth && !strings.Contains(commands[i].Example, line) { // an example is typed as it is
				t.Errorf("%s has a line of %d columns: %s", commands[i].CommandPath(), len(line), line)
			}
		}
	}
}

// TestTheShellCompletes what only this folder and this machine know.
func TestTheShellCompletes(t *testing.T) {
	t.Parallel()
	folder := app(t)
	state := t.TempDir()
	complete := func(words ...string) string {
		var out bytes.Buffer
		Run(t.Context(), Streams{
			Args: append([]string{"__complete", "-C", folder}, words...), Out: &out, Err: io.Discard, Executable: filepath.Join(folder, "penstock"),
			Env: func(name string) string { return map[string]string{"PENSTOCK_STATE_DIR": state}[name] },
		})
		return out.String()
	}
	if got := complete("deploy", "--env", ""); !strings.Contains(got, "local\ttarget local\n") {
		t.Errorf("environments: %q", got)
	}
	if got := complete("why", ""); !strings.HasPrefix(got, ":") {
		t.Errorf("runs where there are none: %q", got)
	}
	id := "01M89S6NF3RHN62GW6SV3KA710"
	inLedger(t, state, func(record *ledger.Ledger) {
		observer := record.Observer()
		observer.Observe(event.Event{Type: event.RunStarted, Run: id, Time: time.Now(), RunInfo: &event.RunInfo{App: "guide", Environment: "local"}})
		if err := observer.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	for _, words := range [][]string{{"why", ""}, {"approve", "01M"}, {"history", ""}} {
		if got := complete(words...); !strings.HasPrefix(got, id+"\tguide → local") {
			t.Errorf("%v: %q", words, got)
		}
	}
}

// TestEmptyHistory: commands that read must answer before anything was ever run, in both forms.
func TestEmptyHistory(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"history", "status"} {
		if got := say(t, folder, name); got.code != ExitDone || !strings.Contains(got.out, "penstock deploy --env local") {
			t.Errorf("%s: %+v", name, got)
		}
		got := say(t, folder, name, "--json")
		var rows []any
		if err := json.Unmarshal([]byte(got.out), &rows); err != nil || rows == nil || len(rows) != 0 {
			t.Errorf("%s --json is no empty list: %v, %+v", name, err, got)
		}
	}
	if got := say(t, folder, "history", "--env", "nowhere"); got.code != ExitDone {
		t.Errorf("history of an environment that is not there: %+v", got)
	}
	if got := say(t, folder, "verify"); got.code != ExitUsage || !strings.Contains(got.err, "there is no ledger") {
		t.Errorf("verify approves a ledger that is not there: %+v", got)
	}
	if got := say(t, folder, "verify", "--head", "7:abc"); got.code != ExitUsage || !strings.Contains(got.err, "64 hex digits") {
		t.Errorf("verify --head: %+v", got)
	}
	if got := say(t, folder, "local", "status", "--json"); got.code != ExitDone || !strings.Contains(got.out, `"running": false`) {
		t.Errorf("local status: %+v", got)
	}
}

// TestTheLocalTokenStaysInItsFile: a status is pasted into chats.
func TestTheLocalTokenStaysInItsFile(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.MkdirAll(filepath.Join(state, "local"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, asJSON := range []bool{true, false} {
		var out bytes.Buffer
		shared := common{json: asJSON, streams: &Streams{Out: &out, Env: func(string) string { return state }}}
		if err := shared.showLocal(localcloud.Info{APIURL: "http://127.0.0.1:1", Token: "the-token", AccountID: "a"}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "the-token") || !strings.Contains(out.String(), wranglerEnv) {
			t.Errorf("status tells: %s", out.String())
		}
	}
	file := filepath.Join(state, "local", wranglerEnv)
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "the-token") {
		t.Errorf("wrangler finds no token: %s, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info, err)
	}
}

// TestInit writes the derived pipeline once, and never over a person's file.
func TestInit(t *testing.T) {
	t.Parallel()
	folder := app(t)
	if got := say(t, folder, "init"); got.code != ExitDone || !strings.Contains(got.out, "wrote penstock.yaml") || !strings.Contains(got.out, "no lock file") {
		t.Fatalf("init: %+v", got)
	}
	path := filepath.Join(folder, pipelines.FileName)
	mine := []byte("pipeline: worker\n")
	if err := os.WriteFile(path, mine, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := say(t, folder, "init"); got.code != ExitUsage || !strings.Contains(got.err, "--force") {
		t.Errorf("a second init: %+v", got)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, mine) {
		t.Errorf("a refused init changed the file: %v", err)
	}
	if got := say(t, folder, "init", "--force"); got.code != ExitDone {
		t.Errorf("init --force: %+v", got)
	}
	var printed struct{ Pipeline pipelines.Pipeline }
	if got := say(t, folder, "init", "--json"); json.Unmarshal([]byte(got.out), &printed) != nil || printed.Pipeline.Name != "small" {
		t.Errorf("init --json: %+v", got)
	}
}

// TestUnpinnedBuildTrustsNoGate: a penstock that was not built together with its sets refuses to judge.
func TestUnpinnedBuildTrustsNoGate(t *testing.T) {
	t.Parallel()
	got := say(t, app(t), "gates", "list")
	if got.code == ExitDone || !strings.Contains(got.err, "make build") {
		t.Errorf("gates list: %+v", got)
	}
}

// TestProblemsAreListedAtOnce, with their places, before anything runs.
func TestProblemsAreListedAtOnce(t *testing.T) {
	t.Parallel()
	folder := app(t)
	if err := os.WriteFile(filepath.Join(folder, pipelines.FileName), []byte("stages:\n  bundle:\n    timeot: 5m\n    retries: many\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := say(t, folder, "check")
	for _, want := range []string{"penstock.yaml:3:5", "timeout", "penstock.yaml:4:"} {
		if !strings.Contains(got.err, want) {
			t.Errorf("check does not say %q:\n%s", want, got.err)
		}
	}
	if got.code != ExitUsage {
		t.Errorf("exit code %d", got.code)
	}
	var printed struct {
		ExitCode int
		Problems []struct {
			File string
			Line int
			Fix  string
		}
	}
	got = say(t, folder, "check", "--json")
	if err := json.Unmarshal([]byte(got.out), &printed); err != nil || printed.ExitCode != 2 || len(printed.Problems) < 2 {
		t.Errorf("check --json: %v, %+v", err, got)
	}
	lines := map[int]bool{}
	for _, problem := range printed.Problems {
		if problem.File == pipelines.FileName && problem.Fix != "" {
			lines[problem.Line] = true
		}
	}
	if !lines[3] || !lines[4] {
		t.Errorf("check --json lists %+v", printed.Problems)
	}
}

// TestClassify gives each kind of end its exit code: callers branch on them.
func TestClassify(t *testing.T) {
	t.Parallel()
	stale := promotion.Result{Phase: promotion.Superseded, Cause: errors.New("stale")}
	for _, row := range []struct {
		err  error
		want ExitCode
	}{
		{nil, ExitDone},
		{errors.New("never heard of"), ExitInternal},
		{fmt.Errorf("x: %w", &fs.PathError{Op: "open", Path: "penstock.yaml", Err: syscall.EROFS}), ExitUsage}, // a machine's fault is none of ours
		{fmt.Errorf("x: %w", &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}), ExitUsage},
		{&engine.MissingToolsError{Missing: []engine.MissingTool{{Tool: pipelines.Tool{Name: "node"}}}}, ExitUsage},
		{fmt.Errorf("x: %w", &promotion.BusyError{Environment: "local"}), ExitBusy},
		{fmt.Errorf("x: %w", &cloudflare.UnsupportedError{}), ExitUsage},
		{fmt.Errorf("x: %w", promotion.ErrUnreachable), ExitUnreachable},
		{fmt.Errorf("x: %w", context.Canceled), ExitInterrupted},
		{promotionFailure(promotion.Result{Phase: promotion.RolledBack, Cause: promotion.ErrUnreachable}, nil), ExitRolledBack},
		{promotionFailure(stale, nil), ExitBusy},
		{promotionFailure(promotion.Result{Phase: promotion.Failed}, promotion.ErrLeaseLost), ExitBusy},
		{promotionFailure(promotion.Result{Phase: promotion.Failed}, &promotion.PutBackError{Cause: &promotion.BlockedError{}, Err: promotion.ErrUnreachable}), ExitInternal},
		{promotionFailure(promotion.Result{Phase: promotion.Failed, Cause: &promotion.BlockedError{}}, nil), ExitBlocked},
		{promotionFailure(promotion.Result{Phase: promotion.Failed, Cause: &promotion.MissingError{}}, nil), ExitBlocked},
		{promotionFailure(promotion.Result{Phase: promotion.Failed, Cause: &promotion.MigrationError{}}, nil), ExitStageFailed},
		{promotionFailure(promotion.Result{Phase: promotion.Failed}, &promotion.BusyError{}), ExitBusy},
		{promotionFailure(promotion.Result{Phase: promotion.Failed}, fmt.Errorf("take the lease: %w", &promotion.RefusedError{})), ExitBlocked},
		{promotionFailure(promotion.Result{Phase: promotion.Failed}, nil), ExitStageFailed}, // never 0
	} {
		if got, _ := classify(row.err); got != row.want {
			t.Errorf("%v: exit code %d, want %d", row.err, got, row.want)
		}
	}
}

// TestSecretsComeFromWhereTheyShould: the local environment reads .dev.vars, a real one never does, and the process
// environment wins. An error about the file never quotes it.
func TestSecretsComeFromWhereTheyShould(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, devVars), []byte("# local\nJWT_SECRET=\"from the file\"\nexport OTHER=x=y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	streams := Streams{Env: func(name string) string {
		return map[string]string{"TOKEN": "from the environment", "UNRELATED": "not named by anybody"}[name]
	}}
	pipeline := &pipelines.Pipeline{Stages: []pipelines.Stage{{Name: "a", Secrets: []string{"TOKEN"}}}}
	token := map[string]string{"TOKEN": "from the environment"}
	for target, deployed := range map[string]map[string]string{
		localTarget:  {"JWT_SECRET": "from the file", "OTHER": "x=y"},
		"cloudflare": {},
	} {
		got, err := streams.secrets(folder, pipeline, &pipelines.Environment{Target: target, Secrets: []string{"JWT_SECRET"}})
		if err != nil {
			t.Fatal(err)
		}
		// What a stage needs must never become part of the Worker.
		if diff := cmp.Diff(secretValues{stages: token, deployed: deployed}, got, cmp.AllowUnexported(secretValues{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, devVars), []byte("hunter2 without a name\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := streams.secrets(folder, pipeline, &pipelines.Environment{Target: localTarget})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a broken file: %v", err)
	}
}

// TestKeepWorkerd copies once and takes a changed binary anew.
func TestKeepWorkerd(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	binary := filepath.Join(folder, "workerd")
	kept := filepath.Join(folder, "kept")
	var copies []string
	for _, content := range []string{"one", "one", "another"} {
		if err := os.WriteFile(binary, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		to, err := keepWorkerd(binary, kept)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(to); err != nil || string(now) != content {
			t.Errorf("the copy holds %q, %v", now, err)
		}
		copies = append(copies, to)
	}
	if copies[0] != copies[1] || copies[1] == copies[2] {
		t.Errorf("copies: %v", copies)
	}
	if newestFile(kept) != copies[2] {
		t.Errorf("newest is %s", newestFile(kept))
	}
}

// TestAWrongAccountIsWrongUsage: a slip in a variable is the caller's to mend, and no fault of Penstock.
func TestAWrongAccountIsWrongUsage(t *testing.T) {
	t.Parallel()
	folder, state := app(t), t.TempDir()
	var complaints bytes.Buffer
	code := Run(t.Context(), Streams{
		Args: []string{"secrets", "list", "--env", "production", "-C", folder}, In: strings.NewReader(""), Out: io.Discard, Err: &complaints,
		Env: func(name string) string {
			return map[string]string{"PENSTOCK_STATE_DIR": state, "CLOUDFLARE_API_TOKEN": "t", "CLOUDFLARE_ACCOUNT_ID": "mine"}[name]
		},
	})
	if code != ExitUsage || !strings.Contains(complaints.String(), `"mine" is not 32 hexadecimal digits`) || !strings.Contains(complaints.String(), "next: correct") {
		t.Errorf("%d: %s", code, complaints.String())
	}
}
