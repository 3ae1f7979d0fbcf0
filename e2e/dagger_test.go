package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// daggerLimit bounds one call: the first one may build Penstock in an engine that knows nothing.
const daggerLimit = 20 * time.Minute

// caller calls functions of the module in ci/ on a real engine, on the app of a machine, with a ledger that nobody else has.
type caller struct {
	*machine
	cli, module, ledger string
	common              []string // arguments before every function
	called              map[string]bool
}

// needEngine finds Dagger's CLI. Where nobody names an engine, as in CI, whose machines have none, the test says in one line that it
// did not run; an engine without a CLI is a failure, since whoever names one wants it tried.
func needEngine(t *testing.T) (cli string) {
	t.Helper()
	if os.Getenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST") == "" {
		t.Skip("no Dagger engine: no function of the module was called (set _EXPERIMENTAL_DAGGER_RUNNER_HOST)")
	}
	if cli = os.Getenv("_EXPERIMENTAL_DAGGER_CLI_BIN"); cli != "" {
		return cli
	}
	cli, err := exec.LookPath("dagger")
	if err != nil {
		t.Fatal("an engine is named and there is no Dagger CLI to reach it: set _EXPERIMENTAL_DAGGER_CLI_BIN")
	}
	return cli
}

func newCaller(t *testing.T, app string, called map[string]bool) *caller {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return &caller{machine: copyOf(t, app), cli: needEngine(t), module: root, ledger: "e2e-" + strings.ToLower(rand.Text()), called: called}
}

// cliCommand is Dagger's CLI in the app's folder; the end of ctx interrupts it.
func (c *caller) cliCommand(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, c.cli, append([]string{"--progress", "plain"}, args...)...)
	command.Dir = c.app
	command.Env = append(os.Environ(), "NO_COLOR=1", "DO_NOT_TRACK=1")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	return command
}

// dagger runs Dagger's CLI to its end.
func (c *caller) dagger(args ...string) outcome {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), daggerLimit)
	defer cancel()
	var out, progress bytes.Buffer
	command := c.cliCommand(ctx, args...)
	command.Stdout, command.Stderr = &out, &progress
	began := time.Now()
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("dagger %v: %v", args, err)
	}
	return outcome{command.ProcessState.ExitCode(), out.String(), progress.String(), time.Since(began)}
}

// words are the command line of a call.
func (c *caller) words(shared []string, function string, args ...string) []string {
	return slices.Concat([]string{"call", "-m", c.module, "--ledger", c.ledger}, c.common, shared, []string{function}, args)
}

// interrupts calls a function and sends Ctrl-C when its progress says something.
func (c *caller) interrupts(sign, function string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), daggerLimit)
	defer cancel()
	command := c.cliCommand(ctx, c.words(nil, function)...)
	progress, err := command.StderrPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	found := false
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		if !found && strings.Contains(lines.Text(), sign) {
			found = true
			cancel()
		}
	}
	if err := command.Wait(); !found || err == nil {
		c.t.Fatalf("dagger call %s was to be interrupted at %q (seen: %t) and ended with %v", function, sign, found, err)
	}
}

// call calls a function as people do; shared are the arguments before its name.
func (c *caller) call(shared []string, function string, args ...string) outcome {
	c.t.Helper()
	c.called[function] = true
	o := c.dagger(c.words(shared, function, args...)...)
	c.t.Logf("dagger call %s: %s, exit code %d", function, o.took.Round(100*time.Millisecond), o.code)
	return o
}

// answers calls a function, wants it to answer, and wants all the parts in its answer.
func (c *caller) answers(shared []string, parts []string, function string, args ...string) string {
	c.t.Helper()
	o := c.call(shared, function, args...)
	if o.code != 0 {
		c.t.Errorf("dagger call %s: %s", function, o)
		return o.out
	}
	for _, part := range parts {
		if !strings.Contains(o.out, part) {
			c.t.Errorf("dagger call %s does not say %q:\n%s", function, part, o.out)
		}
	}
	return o.out
}

// refuses calls a function and wants it to fail with all the parts in what it says.
func (c *caller) refuses(shared []string, parts []string, function string, args ...string) string {
	c.t.Helper()
	o := c.call(shared, function, args...)
	if o.code == 0 {
		c.t.Fatalf("dagger call %s went well: %s", function, o)
	}
	at := strings.LastIndex(o.err, "\nError: ")
	if at < 0 {
		c.t.Fatalf("dagger call %s says no error: %s", function, o)
	}
	for _, part := range parts {
		if !strings.Contains(o.err[at:], part) {
			c.t.Errorf("dagger call %s does not say %q:\n%s", function, part, o.err[at:])
		}
	}
	return o.err[at:]
}

var (
	toldBundle   = regexp.MustCompile(`bundle (sha256:[0-9a-f]+) \(`)
	promotedRun  = regexp.MustCompile("`dagger call promote --run ([0-9A-Z]+)`")
	newestRun    = regexp.MustCompile(`(?m)^(0[0-9A-Z]{25}) `)
	functionLine = regexp.MustCompile(`(?m)^([a-z]+)  +\S`)
)

// found is the first group of what a pattern finds.
func (c *caller) found(pattern *regexp.Regexp, in string) string {
	c.t.Helper()
	match := pattern.FindStringSubmatch(in)
	if match == nil {
		c.t.Fatalf("no %s in:\n%s", pattern, in)
	}
	return match[1]
}

// TestDagger calls every function of the module on a real engine.
func TestDagger(t *testing.T) {
	needEngine(t)
	called := map[string]bool{}
	t.Run("guide", func(t *testing.T) { playGuide(newCaller(t, "examples/atomic-guide", called)) })
	t.Run("people", func(t *testing.T) { playPeople(newCaller(t, "e2e/testdata/assets", called)) })
	t.Run("interrupted", func(t *testing.T) { playInterrupted(newCaller(t, "e2e/testdata/assets", called)) })
	t.Run("functions", func(t *testing.T) {
		c := newCaller(t, "e2e/testdata/tiny", called)
		offered := functionLine.FindAllStringSubmatch(c.dagger("functions", "-m", c.module).out, -1)
		if len(offered) == 0 {
			t.Fatal("the module offers no function")
		}
		for _, function := range offered {
			if !called[function[1]] {
				t.Errorf("nobody called %s", function[1])
			}
		}
	})
}

// playGuide takes the example through all that needs no second person.
func playGuide(c *caller) {
	t := c.t
	c.write(".dev.vars", "JWT_SECRET=only-for-this-test-and-long-enough-0123456789\n")
	vars := []string{"--dev-vars", "file:.dev.vars"}
	c.answers(nil, []string{"quality/tests", "cloudflare/d1"}, "gates")
	c.answers(nil, []string{"done in"}, "typecheck")
	c.answers(nil, []string{"done in"}, "lint")
	c.answers(nil, []string{"coverage", "junit"}, "test", "glob", "--pattern", "**")
	c.answers(nil, []string{"json"}, "bench", "glob", "--pattern", "**")
	c.answers(nil, nil, "audit", "glob", "--pattern", "**")
	c.answers(nil, []string{"formdata"}, "build", "contents")
	inEngine := c.found(toldBundle, c.answers(nil, []string{"done in"}, "check"))
	c.answers(vars, []string{"create"}, "plan")
	c.answers(vars, []string{"live: version", inEngine}, "deploy", "--env", "local")
	second := c.call(vars, "deploy", "--env", "local")
	second.says(t, "nothing to deploy", "from cache")
	if strings.Contains(second.err, "withEnvVariable HUSKY") {
		t.Error("what the engine does for a stage is not folded below its line")
	}
	for _, span := range []string{"stage bundle DONE", "gates of build DONE", "step verify DONE"} {
		if !strings.Contains(second.err, span) {
			t.Errorf("there is no span %q", span)
		}
	}
	if strings.Contains(second.err, "with local changes") {
		t.Error("the engine got less or more than git tracks")
	}
	c.answers(vars, []string{"atomic-guide → local", "live:", inEngine}, "console", "with-exec", "--args", "penstock,status", "stdout")
	c.refuses(vars, []string{"exit code 2", `no environment "nowhere"`, "it has local"}, "plan", "--env", "nowhere")
	c.refuses([]string{"--app", "nowhere"}, []string{"exit code 2", "name the app's folder with --app"}, "plan")
	c.answers(vars, []string{"pending"}, "migrate")
	c.answers(vars, []string{"done in"}, "smoke")
	newest := c.found(newestRun, c.answers(nil, []string{"atomic-guide", "done"}, "history"))
	c.answers(nil, []string{newest}, "history", "--run", newest)
	// The guide's list has a line that no engine without the registry's advisories can know, so either answer will do.
	if told := c.call(vars, "doctor"); !strings.Contains(told.out+told.err, "D1 database created and migrated") {
		t.Errorf("doctor shows no checklist: %s", told)
	}
	c.refuses(vars, []string{"penstock rollback", "next: "}, "rollback") // there is nothing before the first version

	if os.Getenv("PENSTOCK_SLOW") != "" {
		if onHost := c.found(toldBundle, c.must(0, "check").out); onHost != inEngine {
			t.Errorf("the bundle is %s on the host and %s in the engine", onHost, inEngine)
		}
	}
}

// playPeople has people decide about a Worker with static files, and takes it to a further environment.
func playPeople(c *caller) {
	t := c.t
	c.common = []string{"--programs", filepath.Dir(c.binary)}
	c.write("penstock.yaml", "environments:\n  local:\n    approvers: [ann@example.com, bea@example.com]\n  next:\n    target: local\n")
	ann, bea := []string{"--as", "ann@example.com"}, []string{"--as", "bea@example.com"}
	told := c.refuses(ann, []string{"exit code 5", "dagger call approve --run"}, "deploy")
	run, inEngine := c.found(promotedRun, told), c.found(toldBundle, told)
	c.answers(nil, []string{run, "approval: 0 of 1 given"}, "why")
	c.refuses(nil, []string{"exit code 5"}, "promote", "--run", run)
	c.refuses(ann, []string{"exit code"}, "approve", "--run", run, "--reason", "my own")
	c.answers(bea, []string{"approved by bea@example.com"}, "approve", "--run", run, "--reason", "seen")
	c.answers(nil, []string{"live: version", inEngine}, "promote", "--run", run)
	c.answers(nil, []string{"live: version", inEngine}, "promote", "--run", run, "--env", "next")

	putBack := c.edit("src/index.js", "fetch: ()", "seek: (request, env) => env.DB.prepare('SELECT * FROM t WHERE a = ' + request.url).all(), fetch: ()")
	told = c.refuses(ann, []string{"exit code 4", "dagger call waive --run", "--gate security/sql"}, "deploy")
	run = c.found(promotedRun, told)
	c.answers(bea, []string{"waived by bea@example.com"}, "waive", "--run", run, "--gate", "security/sql", "--reason", "hot fix")
	c.refuses(nil, []string{"exit code 5"}, "promote", "--run", run)
	c.answers(bea, []string{"rejected by bea@example.com"}, "reject", "--run", run, "--reason", "not like this")
	c.refuses(nil, []string{"rejected"}, "promote", "--run", run)
	putBack()

	if os.Getenv("PENSTOCK_SLOW") != "" {
		for _, executor := range []string{"host", "dagger"} {
			if digest := c.found(toldBundle, c.must(0, "check", "--executor", executor).out); digest != inEngine {
				t.Errorf("the bundle with its static files is %s with --executor %s and %s in the engine", digest, executor, inEngine)
			}
		}
	}
}

// playInterrupted kills a deployment before its switch: when its heartbeat is a minute old, the next one goes on.
func playInterrupted(c *caller) {
	t := c.t
	c.common = []string{"--programs", filepath.Dir(c.binary)}
	c.answers(nil, []string{"live: version"}, "deploy")
	c.write("src/index.js", "export default { fetch() { return new Response('the second code\\n') } };\n")
	c.interrupts("[upload] done", "deploy")
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Second) {
		o := c.call(nil, "deploy")
		if o.code == 0 {
			o.says(t, "live: version")
			break
		}
		if !strings.Contains(o.err, "being changed by promotion") || time.Now().After(deadline) {
			t.Fatalf("the deployment after the interrupted one: %s", o)
		}
	}
	c.answers(nil, []string{"what everybody gets is sound"}, "smoke")
}
