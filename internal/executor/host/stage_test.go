package host_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/host"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestShellSemantics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.open()
	for name, c := range map[string]struct {
		commands []string
		want     int
	}{
		"builtin":          {[]string{"true"}, 0},
		"program":          {[]string{"/bin/sh -c 'exit 3'"}, 3},
		"errexit":          {[]string{"false", "exit 0"}, 1},
		"errexit within":   {[]string{"false; exit 0"}, 1},
		"pipefail":         {[]string{"sh -c 'exit 4' | cat"}, 4},
		"unset variable":   {[]string{`echo "$NOT_THERE"`}, 1},
		"or":               {[]string{"false || true"}, 0},
		"state goes on":    {[]string{"x=1", `test "$x" = 1`}, 0},
		"not found":        {[]string{"no-such-program-anywhere"}, 127},
		"signal":           {[]string{"sh -c 'kill -9 $$'"}, 137},
		"background":       {[]string{"sh -c 'exit 5' & wait $!"}, 5},
		"command subst":    {[]string{`test "$(/bin/echo hi)" = hi`}, 0},
		"process subst":    {[]string{"cat <(echo hi)"}, 0},
		"nothing":          {nil, 0},
		"redirect":         {[]string{"/bin/echo hi > out.txt", `test "$(cat out.txt)" = hi`}, 0},
		"no shebang":       {[]string{"printf 'exit 6\\n' > x; chmod +x x", "./x"}, 6},
		"exit ends it all": {[]string{"exit 0", "false"}, 0},
	} {
		result := s.run(script("s-"+name, c.commands...))
		want := event.Passed
		if c.want != 0 {
			want = event.Failed
		}
		if result.ExitCode != c.want || result.Outcome != want {
			t.Errorf("%s: %s with %d, want %d\n%s", name, result.Outcome, result.ExitCode, c.want, s.said())
		}
	}
	bad := script("bad", "true", "if true; then")
	if _, err := s.Run(context.Background(), s.job(&bad)); err == nil || !strings.Contains(err.Error(), "command 2 of stage bad") {
		t.Errorf("a script that is none: %v", err)
	}
}

func TestUndeclaredFilesAreNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("src/a.ts", "a")
	w.write("src/deep/b.ts", "b")
	w.write("test/c.ts", "c")
	w.write("package.json", "{}")
	s := w.open()
	for _, c := range []struct {
		inputs []string
		want   string
	}{
		{nil, "package.json src/a.ts src/deep/b.ts test/c.ts"},
		{[]string{"src"}, "src/a.ts src/deep/b.ts"},
		{[]string{"./src/"}, "src/a.ts src/deep/b.ts"},
		{[]string{"**/*.ts", "!src/deep"}, "src/a.ts test/c.ts"},
		{[]string{"!test/**"}, "package.json src/a.ts src/deep/b.ts"},
		{[]string{"src/*.ts", "package.json"}, "package.json src/a.ts"},
		{[]string{"nothing/**"}, ""},
	} {
		stage := script("look", `echo "found:" $(find . -type f | sed 's#^\./##' | LC_ALL=C sort)`)
		stage.Inputs = c.inputs
		before := len(s.said())
		s.pass(stage)
		if got := strings.TrimSpace(s.said()[before:]); got != strings.TrimSpace("found: "+c.want) {
			t.Errorf("inputs %v: %q, want %q", c.inputs, got, c.want)
		}
	}
}

func TestSourceIsNeverWrittenTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a.txt", "before")
	s := w.open()
	s.pass(script("vandal", "echo after > a.txt", "/bin/sh -c 'echo more >> a.txt'"))
	if got := read(t, filepath.Join(w.app, "a.txt")); got != "before" {
		t.Errorf("the developer's file is now %q", got)
	}
	s.pass(script("next", `test "$(cat a.txt)" = before`))
}

func TestEditsDuringTheRunDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a.txt", "one")
	s := w.open()
	s.pass(script("first", "cat a.txt"))
	w.write("a.txt", "two")
	s.pass(script("second", `test "$(cat a.txt)" = one`))
	// Before the copy was made, an edit cannot be hidden, and must not be taken for the snapshot.
	late := w.open()
	w.write("a.txt", "three")
	stage := script("third", "cat a.txt")
	if _, err := late.Run(context.Background(), late.job(&stage)); err == nil || !strings.Contains(err.Error(), "a.txt changed") {
		t.Errorf("got %v", err)
	}
}

func TestOutputsTravel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a.txt", "source")
	s := w.open()
	install := script("install", "mkdir -p node_modules/.bin node_modules/x", "echo lib > node_modules/x/index.js",
		"printf '#!/bin/sh\\necho tool says $1\\n' > node_modules/x/cli; chmod +x node_modules/x/cli",
		"ln -s ../x/cli node_modules/.bin/tool", `ln -s "$PWD/node_modules/x" node_modules/absolute`, "echo built > dist.txt",
		"mkdir node_modules/empty")
	install.Outputs = []string{"node_modules", "dist.txt", "not-there"}
	installed := s.pass(install)
	if diff := cmp.Diff([]string{"not-there"}, installed.Missing); diff != "" {
		t.Errorf("missing: %s", diff)
	}
	use := script("use", "tool hello", "cat dist.txt node_modules/absolute/index.js", "test -d node_modules/empty", "test ! -e stray")
	use.Needs = []string{"install"}
	s.pass(use, installed)
	for _, want := range []string{"tool says hello", "built", "lib"} {
		if !strings.Contains(s.said(), want) {
			t.Errorf("%q was not said:\n%s", want, s.said())
		}
	}
	path, err := s.Session.(engine.OutputReader).OutputPath(context.Background(), installed, "dist.txt")
	if err != nil || read(t, path) != "built\n" {
		t.Errorf("output path %s: %v", path, err)
	}
	for _, output := range []string{"not-there", "../x", "."} {
		if _, err := s.Session.(engine.OutputReader).OutputPath(context.Background(), installed, output); err == nil {
			t.Errorf("output %q has a path", output)
		}
	}
	// A program that removes and recreates, or edits, the copy in its workspace does not reach the stage before it.
	edit := script("edit", "rm dist.txt", "echo other > dist.txt")
	edit.Needs = []string{"install"}
	s.pass(edit, installed)
	s.pass(use, installed)
}

func TestOutputsOutsideTheAppAreRefused(t *testing.T) {
	t.Parallel()
	s := newWorld(t).open()
	for _, output := range []string{"..", "../x", "/etc", "."} {
		stage := script("out", "/bin/true")
		stage.Outputs = []string{output}
		if _, err := s.Run(context.Background(), s.job(&stage)); err == nil {
			t.Errorf("output %q was accepted", output)
		}
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.open()
	stage := script("test", `echo '<testsuites/>' > "$PENSTOCK_REPORTS/junit.xml"`, "mkdir coverage", "echo '{}' > coverage/final.json",
		"ln -s /etc/passwd leak.json", "exit 1")
	stage.Reports = []pipelines.Report{
		{Kind: gates.ReportJUnit, Path: "$PENSTOCK_REPORTS/junit.xml"},
		{Kind: gates.ReportIstanbul, Path: "coverage/final.json"},
		{Kind: gates.ReportLCOV, Path: "coverage/lcov.info"},
		{Kind: gates.ReportSARIF, Path: "x.sarif", Optional: true},
	}
	result := s.run(stage)
	if result.Outcome != event.Failed || len(result.Reports) != 2 {
		t.Fatalf("%s with reports %v", result.Outcome, result.Reports)
	}
	if got := read(t, result.Reports[0].Path); got != "<testsuites/>\n" || result.Reports[0].Kind != gates.ReportJUnit {
		t.Errorf("junit: %q", got)
	}
	if diff := cmp.Diff([]string{"coverage/lcov.info"}, result.Missing); diff != "" {
		t.Errorf("missing: %s", diff)
	}
	stage.Reports = []pipelines.Report{{Kind: gates.ReportESLint, Path: "leak.json"}}
	if _, err := s.Run(context.Background(), s.job(&stage)); err == nil || !strings.Contains(err.Error(), "leads out") {
		t.Errorf("a report that is a link to a file outside: %v", err)
	}
	s.close()
	if _, err := os.Stat(result.Reports[0].Path); err != nil {
		t.Errorf("reports are gone with the run: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(w.state, "work")); len(left) != 0 {
		t.Errorf("workspaces are left: %v", left)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.extra = func(o *host.Options) {
		o.Environ = []string{
			"PATH=" + os.Getenv("PATH") + ":relative:" + filepath.Join(w.app, "node_modules/.bin"), "HOME=/home/somebody",
			"AWS_SECRET_ACCESS_KEY=leak", "CLOUDFLARE_API_TOKEN=leak", "LANG=C.UTF-8", "HTTPS_PROXY=http://me:proxypass@proxy:1",
			"npm_config_registry=https://registry.example", "npm_config_user_agent=npm/leak", "npm_package_name=leak", "GITHUB_TOKEN=leak",
		}
	}
	s := w.open()
	stage := script("env", "env | sort")
	stage.Env = map[string]string{"MINE": "yes"}
	stage.Caches = []string{"npm", "my-tool"}
	job := s.job(&stage)
	job.Env = map[string]string{"PENSTOCK_URL": "http://localhost"}
	result, err := s.Run(context.Background(), job)
	if err != nil || result.Outcome != event.Passed {
		t.Fatal(result, err)
	}
	said := s.said()
	for _, want := range []string{
		"MINE=yes", "PENSTOCK_URL=http://localhost", "LANG=C.UTF-8", "CI=true", "NO_COLOR=1", "npm_config_registry=https://registry.example",
		"npm_config_cache=" + filepath.Join(w.state, "caches", "npm"), "PENSTOCK_CACHE_MY_TOOL=", "HTTPS_PROXY=http://me:***@proxy:1",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in the environment:\n%s", want, said)
		}
	}
	for _, never := range []string{"leak", "/home/somebody", "proxypass", ":relative", filepath.Join(w.app, "node_modules")} {
		if strings.Contains(said, never) {
			t.Errorf("%q is in the environment:\n%s", never, said)
		}
	}
}

func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-ÿ/+secret"
	w := newWorld(t)
	s := w.open()
	stage := script("deploy", `echo "token is $TOKEN"`, `printf %s "$TOKEN" | base64`, `/bin/sh -c 'printf "cut: %s" "${TOKEN%secret}"; sleep 0.05; printf "%s\n" "${TOKEN#*+}"'`,
		`echo "<e>$TOKEN</e>" > "$PENSTOCK_REPORTS/junit.xml"`, `echo "$TOKEN" >&2`, `echo "other: ${OTHER:-unset} short: $PIN"`)
	stage.Secrets = []string{"TOKEN", "PIN"}
	stage.Reports = []pipelines.Report{{Kind: gates.ReportJUnit, Path: "$PENSTOCK_REPORTS/junit.xml"}}
	job := s.job(&stage)
	job.Secrets = map[string]string{"TOKEN": secret, "PIN": "12", "OTHER": "not named by this stage"}
	result, err := s.Run(context.Background(), job)
	if err != nil || result.Outcome != event.Passed {
		t.Fatalf("%v %v\n%s", result, err, s.said())
	}
	if !strings.Contains(s.said(), "token is ***") || !strings.Contains(s.said(), "other: unset") || !strings.Contains(s.said(), "PIN is shorter") {
		t.Errorf("said:\n%s", s.said())
	}
	if got := read(t, result.Reports[0].Path); got != "<e>***</e>\n" {
		t.Errorf("report: %q", got)
	}
	broken := script("broken", "/bin/true")
	broken.Secrets, broken.Outputs = stage.Secrets, []string{"../x"}
	job = s.job(&broken)
	job.Secrets = map[string]string{"TOKEN": "../x"}
	if _, err := s.Run(context.Background(), job); err == nil || strings.Contains(err.Error(), "../x") {
		t.Errorf("an error that holds a secret: %v", err)
	}
	s.close()
	if strings.Contains(s.said(), "hunter2") {
		t.Errorf("said:\n%s", s.said())
	}
	err = filepath.WalkDir(w.state, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.Contains(read(t, path), "hunter2") {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.extra = func(o *host.Options) { o.LogLimit = 1000 }
	s := w.open()
	if quiet := s.pass(script("quiet", "true")); quiet.Log != "" {
		t.Errorf("a stage that says nothing has the log %s", quiet.Log)
	}
	result := s.pass(script("loud", "echo one; /bin/echo two; echo three", `i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done`))
	log := read(t, result.Log)
	if !strings.HasPrefix(log, "one\ntwo\nthree\n") || !strings.Contains(log, "the log ends here") || len(log) > 1200 {
		t.Errorf("log of %d bytes:\n%s", len(log), log)
	}
	if said := s.said(); !strings.Contains(said, "line 199") {
		t.Error("lines after the log's limit were not streamed")
	}
}

func TestMissingTools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "node"), []byte("#!/bin/sh\necho v18.3.0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.extra = func(o *host.Options) { o.Environ = []string{"PATH=" + bin + ":/bin:/usr/bin"} }
	need := func(name, version string) pipelines.Stage {
		stage := script("needs-"+name, "true")
		stage.Tools = []pipelines.Tool{{Name: name, Version: version}}
		return stage
	}
	p := &pipelines.Pipeline{Name: "app", Stages: []pipelines.Stage{
		need("node", ">=20 <23"), need("no-such-tool", ""), need("node", "^18 || 20"), need("node", "not a range!"), need("sh", ""),
	}}
	_, err := w.executor().Open(context.Background(), p, w.snapshot())
	missing, ok := err.(*engine.MissingToolsError)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, m := range missing.Missing {
		got = append(got, m.Tool.Name+" "+m.Tool.Version+" found "+m.Found)
		if m.NextStep == "" || len(m.Stages) == 0 {
			t.Errorf("%+v says too little", m)
		}
	}
	want := []string{"node >=20 <23 found 18.3.0", "no-such-tool  found ", "node not a range! found 18.3.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
