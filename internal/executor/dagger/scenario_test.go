package dagger_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dagger.io/dagger/engineconn"
	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/dagger"
	"github.com/penstock-ci/penstock/internal/executor/host"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// scenario is a few stages that every executor must run with the same results.
type scenario struct {
	name     string
	files    map[string]string
	stages   []pipelines.Stage
	secrets  map[string]string
	sessions []session
	part     string // a folder below an output, which is asked for too
	server   bool   // a server on this machine whose address the stages get in PENSTOCK_URL
	refuses  string
}

// session runs the named stages one after the other; a name may come twice.
type session struct {
	run     []string
	noCache bool
	want    []outcome
}

// outcome is what counts of a result, whatever ran it.
type outcome struct {
	Stage    string
	Outcome  event.Outcome
	ExitCode int
	Cached   bool
	Missing  []string
	Reports  map[string]string // content by kind
	Outputs  map[string]string // content of the files among the outputs
	Said     []string          // lines that were told, standard output first
}

const image = "node:20.20.2-bookworm-slim"

func stage(name string, run ...string) pipelines.Stage {
	return pipelines.Stage{Name: name, Image: image, Run: run, Timeout: time.Minute}
}

func with(s pipelines.Stage, change func(*pipelines.Stage)) pipelines.Stage {
	change(&s)
	return s
}

var scenarios = []scenario{
	{
		name:  "passes",
		files: map[string]string{"src/a.txt": "hello\n", "other/b.txt": "not an input\n", "run me.sh": "echo ran; echo of trouble >&2\n"},
		stages: []pipelines.Stage{with(stage("make", "cd src", "cat a.txt", "ls -A ..", "sh '../run me.sh'", "mkdir -p ../dist/deep", "cat a.txt > ../dist/deep/a", `echo '<testsuites/>' > "$PENSTOCK_REPORTS/junit.xml"`, "echo '{}' > ../lint.json"), func(s *pipelines.Stage) {
			s.Inputs = []string{"src", "run me.sh"}
			s.Outputs = []string{"dist"}
			s.Reports = []pipelines.Report{{Kind: "junit", Path: "$PENSTOCK_REPORTS/junit.xml"}, {Kind: "eslint", Path: "lint.json"}, {Kind: "osv", Path: "none", Optional: true}}
		})},
		sessions: []session{
			{run: []string{"make"}, want: []outcome{{
				Stage: "make", Outcome: event.Passed, Reports: map[string]string{"junit": "<testsuites/>\n", "eslint": "{}\n"},
				Outputs: map[string]string{"dist/deep/a": "hello\n"}, Said: []string{"hello", "run me.sh", "src", "ran", "of trouble"},
			}}},
			{run: []string{"make"}, want: []outcome{{
				Stage: "make", Outcome: event.Passed, Cached: true, Reports: map[string]string{"junit": "<testsuites/>\n", "eslint": "{}\n"},
				Outputs: map[string]string{"dist/deep/a": "hello\n"},
			}}},
			{run: []string{"make"}, noCache: true, want: []outcome{{
				Stage: "make", Outcome: event.Passed, Reports: map[string]string{"junit": "<testsuites/>\n", "eslint": "{}\n"},
				Outputs: map[string]string{"dist/deep/a": "hello\n"}, Said: []string{"hello", "run me.sh", "src", "ran", "of trouble"},
			}}},
		},
	},
	{
		name:  "gets what it needs",
		files: map[string]string{"gen/kept.txt": "source\n"},
		stages: []pipelines.Stage{
			with(stage("packages", "mkdir -p node_modules/.bin gen", "printf '#!/bin/sh\\necho tool\\n' > node_modules/.bin/tool", "chmod +x node_modules/.bin/tool", "echo generated > gen/made.txt", "echo one > version"), func(s *pipelines.Stage) {
				s.Outputs, s.Inputs, s.Caches = []string{"node_modules", "gen", "./version"}, []string{"none"}, []string{"npm", "own.cache"}
			}),
			with(stage("use", "tool", "cat gen/kept.txt gen/made.txt version", "echo changed > gen/made.txt"), func(s *pipelines.Stage) { s.Needs = []string{"packages"} }),
			with(stage("use again", "cat gen/made.txt"), func(s *pipelines.Stage) { s.Needs = []string{"packages"} }),
		},
		sessions: []session{{run: []string{"packages", "use", "use again"}, want: []outcome{
			{Stage: "packages", Outcome: event.Passed, Outputs: map[string]string{"node_modules/.bin/tool": "#!/bin/sh\necho tool\n", "gen/made.txt": "generated\n", "version": "one\n"}},
			{Stage: "use", Outcome: event.Passed, Said: []string{"tool", "source", "generated", "one"}},
			{Stage: "use again", Outcome: event.Passed, Said: []string{"generated"}},
		}}},
	},
	{
		// As the local Cloudflare does with its runtime. What the first session copied the second one finds.
		name: "hands out a part",
		part: "node_modules/runtime",
		stages: []pipelines.Stage{with(stage("packages", "mkdir -p node_modules/runtime/bin node_modules/other", "echo runs > node_modules/runtime/bin/it", "echo other > node_modules/other/it"), func(s *pipelines.Stage) {
			s.Outputs, s.Inputs = []string{"node_modules"}, []string{"none"}
		})},
		sessions: []session{
			{run: []string{"packages"}, want: []outcome{{Stage: "packages", Outcome: event.Passed, Outputs: map[string]string{
				"node_modules/runtime/bin/it": "runs\n", "node_modules/other/it": "other\n", "part of it: bin/it": "runs\n",
			}}}},
			{run: []string{"packages"}, want: []outcome{{Stage: "packages", Outcome: event.Passed, Cached: true, Outputs: map[string]string{
				"node_modules/runtime/bin/it": "runs\n", "node_modules/other/it": "other\n", "part of it: bin/it": "runs\n",
			}}}},
		},
	},
	{
		name: "fails",
		stages: []pipelines.Stage{
			with(stage("no", `echo '{"found":1}' > report.json`, "echo why >&2", "exit 3"), func(s *pipelines.Stage) {
				s.Reports = []pipelines.Report{{Kind: "eslint", Path: "report.json"}}
				s.Outputs = []string{"report.json"}
			}),
			stage("piped", "false | true", "echo not reached"),
			stage("unset", `echo "$NOBODY_SET_THIS"`, "echo not reached"),
		},
		sessions: []session{
			// Twice in a row, as retries do, and in another session: a failure is never a known result.
			{run: []string{"no", "no", "piped"}, want: []outcome{
				{Stage: "no", Outcome: event.Failed, ExitCode: 3, Reports: map[string]string{"eslint": "{\"found\":1}\n"}, Said: []string{"why"}},
				{Stage: "no", Outcome: event.Failed, ExitCode: 3, Reports: map[string]string{"eslint": "{\"found\":1}\n"}, Said: []string{"why"}},
				{Stage: "piped", Outcome: event.Failed, ExitCode: 1},
			}},
			{run: []string{"no"}, want: []outcome{{Stage: "no", Outcome: event.Failed, ExitCode: 3, Reports: map[string]string{"eslint": "{\"found\":1}\n"}, Said: []string{"why"}}}},
		},
	},
	{
		name: "leaves less than declared",
		stages: []pipelines.Stage{with(stage("less", "echo done"), func(s *pipelines.Stage) {
			s.Outputs = []string{"dist"}
			s.Reports = []pipelines.Report{{Kind: "junit", Path: "junit.xml"}}
		})},
		sessions: []session{
			{run: []string{"less"}, want: []outcome{{Stage: "less", Outcome: event.Passed, Missing: []string{"junit.xml", "dist"}, Said: []string{"done"}}}},
			{run: []string{"less"}, want: []outcome{{Stage: "less", Outcome: event.Passed, Missing: []string{"junit.xml", "dist"}, Said: []string{"done"}}}},
		},
	},
	{
		name:    "keeps secrets",
		secrets: map[string]string{"TOKEN": "tok-0123456789", "OTHER": "other-0123456789"},
		stages: []pipelines.Stage{with(stage("tell", `echo "token $TOKEN"`, `echo "$TOKEN" > "$PENSTOCK_REPORTS/r.json"`, `echo "other ${OTHER-none}"`, `env | grep -c SESSION_WORD || true`), func(s *pipelines.Stage) {
			s.Secrets = []string{"TOKEN"}
			s.Reports = []pipelines.Report{{Kind: "eslint", Path: "$PENSTOCK_REPORTS/r.json"}}
		})},
		sessions: []session{{run: []string{"tell"}, want: []outcome{{
			Stage: "tell", Outcome: event.Passed, Reports: map[string]string{"eslint": "***\n"}, Said: []string{"token ***", "other none", "0"},
		}}}},
	},
	{
		name:   "reaches this machine",
		server: true,
		stages: []pipelines.Stage{with(stage("ask", `curl -sS "$PENSTOCK_URL/x"`), func(s *pipelines.Stage) { s.When = pipelines.WhenSmoke })},
		sessions: []session{{run: []string{"ask", "ask"}, want: []outcome{
			{Stage: "ask", Outcome: event.Passed, Said: []string{"served /x"}}, {Stage: "ask", Outcome: event.Passed, Said: []string{"served /x"}},
		}}},
	},
	{
		name: "refuses a report from elsewhere",
		stages: []pipelines.Stage{with(stage("link", "ln -s /etc/passwd report.json"), func(s *pipelines.Stage) {
			s.Reports = []pipelines.Report{{Kind: "eslint", Path: "report.json"}}
		})},
		sessions: []session{{run: []string{"link"}}},
		refuses:  "is a link that leads out of the stage's folders",
	},
}

// world is where a scenario is played once: a folder with the source and one with the state.
type world struct {
	scenario scenario
	source   string
	state    string
	env      map[string]string
	names    names
	explains []lastrun.Explanation // of each stage before it runs
}

func newWorld(t *testing.T, sc scenario, id string) *world {
	t.Helper()
	w := &world{scenario: sc, source: t.TempDir(), state: t.TempDir(), env: map[string]string{}}
	w.names.pairs = []string{w.state, "/state"}
	write(t, filepath.Join(w.source, ".recording"), id+"\n")
	for name, content := range sc.files {
		write(t, filepath.Join(w.source, filepath.FromSlash(name)), content)
	}
	if sc.server {
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) { fmt.Fprintln(out, "served "+in.URL.Path) }))
		t.Cleanup(server.Close)
		w.env["PENSTOCK_URL"] = server.URL
		port := server.URL[strings.LastIndexByte(server.URL, ':')+1:]
		w.names.pairs = append(w.names.pairs, port, "4242")
	}
	return w
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// play runs one session of the scenario and compares what came of it.
func (w *world) play(t *testing.T, executor engine.Executor, number int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	source, err := snapshot.Take(ctx, w.source, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &pipelines.Pipeline{Name: "scenario", Stages: slices.Clone(w.scenario.stages)}
	for i := range p.Stages {
		if len(p.Stages[i].Inputs) > 0 {
			p.Stages[i].Inputs = append(slices.Clone(p.Stages[i].Inputs), ".recording")
		}
		p.Stages[i].Run = append([]string{"rm -f .recording"}, p.Stages[i].Run...)
	}
	open, err := executor.Open(ctx, p, source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := open.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	var needs []*engine.Result
	var got []outcome
	for _, name := range w.scenario.sessions[number].run {
		at := slices.IndexFunc(p.Stages, func(s pipelines.Stage) bool { return s.Name == name })
		job := engine.Job{Stage: &p.Stages[at], NoCache: w.scenario.sessions[number].noCache, Env: w.env, Secrets: w.scenario.secrets}
		if len(p.Stages[at].Needs) > 0 {
			job.Needs = needs
		}
		var mu sync.Mutex
		var said [2][]string
		job.Output = func(line string, stderr bool) {
			mu.Lock()
			defer mu.Unlock()
			i := 0
			if stderr {
				i = 1
			}
			said[i] = append(said[i], line)
		}
		explained, err := open.(lastrun.Explainer).Explain(ctx, job.Stage, job.Needs)
		if err != nil {
			t.Error(err)
		}
		w.explains = append(w.explains, explained)
		result, err := open.Run(ctx, job)
		if w.scenario.refuses != "" {
			if err == nil || !strings.Contains(err.Error(), w.scenario.refuses) {
				t.Errorf("%s: error %v, want one with %q", name, err, w.scenario.refuses)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		needs = append(needs, &result)
		mu.Lock()
		got = append(got, w.outcomeOf(ctx, t, open, &p.Stages[at], result, slices.Concat(said[0], said[1])))
		mu.Unlock()
	}
	if diff := cmp.Diff(w.scenario.sessions[number].want, got); diff != "" {
		t.Errorf("session %d (-want +got):\n%s", number, diff)
	}
}

func (w *world) outcomeOf(ctx context.Context, t *testing.T, open engine.Session, s *pipelines.Stage, result engine.Result, said []string) outcome {
	t.Helper()
	if result.Why == "" || result.Key == "" || result.Duration <= 0 {
		t.Errorf("%s: why %q, key %q, duration %s", result.Stage, result.Why, result.Key, result.Duration)
	}
	o := outcome{Stage: result.Stage, Outcome: result.Outcome, ExitCode: result.ExitCode, Cached: result.Cached, Missing: result.Missing, Said: said}
	for _, report := range result.Reports {
		content, err := os.ReadFile(report.Path)
		if err != nil {
			t.Fatal(err)
		}
		if o.Reports == nil {
			o.Reports = map[string]string{}
		}
		o.Reports[string(report.Kind)] = string(content)
	}
	if result.Handle != "" {
		o.Outputs = map[string]string{}
		for _, output := range s.Outputs {
			path, err := open.(engine.OutputReader).OutputPath(ctx, result, output)
			if err != nil {
				t.Fatal(err)
			}
			for below, content := range readAll(path) {
				o.Outputs[filepath.ToSlash(filepath.Join(output, below))] = string(content)
			}
		}
		if w.scenario.part != "" {
			path, err := open.(engine.OutputReader).OutputPath(ctx, result, w.scenario.part)
			if err != nil {
				t.Fatal(err)
			}
			for below, content := range readAll(path) {
				o.Outputs["part of it: "+below] = string(content)
			}
			if !strings.HasSuffix(filepath.ToSlash(path), w.scenario.part) {
				t.Errorf("the part %s lies in %s", w.scenario.part, path)
			}
		}
	}
	if len(said) > 0 {
		log, err := os.ReadFile(result.Log)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range said {
			if !strings.Contains(string(log), line+"\n") {
				t.Errorf("%s: the log has no line %q:\n%s", result.Stage, line, log)
			}
		}
		for name, value := range w.scenario.secrets {
			if strings.Contains(string(log), value) {
				t.Errorf("%s: the log has the secret %s", result.Stage, name)
			}
		}
	}
	return o
}

// words are the same in every recording and its replays, and never the same twice.
func words(session int) func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("word-%d-%d", session, n) }
}

func (w *world) dagger(session int, connect func(context.Context) (engineconn.EngineConn, error)) engine.Executor {
	return dagger.New(dagger.Options{StateDir: w.state, Connect: connect, Word: words(session)})
}

func fileOf(sc scenario) string {
	return filepath.Join("testdata", "recorded", strings.ReplaceAll(sc.name, " ", "-")+".json")
}

// TestRecorded plays every scenario against what a real engine answered, and holds each query against its schema.
func TestRecorded(t *testing.T) {
	t.Parallel()
	if os.Getenv(recordVariable) != "" {
		t.Skip("recording")
	}
	schema := loadSchema(t)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			recorded := readRecording(t, fileOf(sc))
			w := newWorld(t, sc, recorded.ID)
			for number := range sc.sessions {
				conn := newReplay(t, schema, w.names, recorded.Sessions[number])
				w.play(t, w.dagger(number, func(context.Context) (engineconn.EngineConn, error) { return conn, nil }), number)
			}
		})
	}
}

// TestHost plays the same scenarios on the host executor: they say what an executor is.
func TestHost(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sc, rand.Text())
			for number := range sc.sessions {
				w.play(t, host.New(host.Options{StateDir: w.state}), number)
			}
		})
	}
}

// liveEngine reports whether a real engine is meant to be used, and says so where none is.
func liveEngine(t *testing.T) {
	t.Helper()
	for _, name := range []string{"_EXPERIMENTAL_DAGGER_RUNNER_HOST", "DAGGER_SESSION_PORT"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	t.Skip("no Dagger engine: nothing was played on a real one (set _EXPERIMENTAL_DAGGER_RUNNER_HOST)")
}

// recordVariable makes TestLive write down what the engine answers.
const recordVariable = "PENSTOCK_RECORD_DAGGER"

// TestLive plays the scenarios on a real engine.
func TestLive(t *testing.T) {
	liveEngine(t)
	if os.Getenv(recordVariable) != "" {
		conn, err := dagger.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		recordSchema(t, conn)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			made := recording{ID: rand.Text()}
			w := newWorld(t, sc, made.ID)
			for number := range sc.sessions {
				var through *recorder
				w.play(t, w.dagger(number, func(ctx context.Context) (engineconn.EngineConn, error) {
					conn, err := dagger.Connect(ctx)
					through = &recorder{EngineConn: conn, names: w.names}
					return through, err
				}), number)
				made.Sessions = append(made.Sessions, through.traffic)
			}
			if os.Getenv(recordVariable) == "" || t.Failed() {
				return
			}
			text, err := json.MarshalIndent(made, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			write(t, fileOf(sc), string(text)+"\n")
		})
	}
}
