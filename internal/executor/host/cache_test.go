package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/host"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/pipelines"
)

// twoStages is an app with a stage that makes something and one that uses it.
func twoStages() (build, use pipelines.Stage) {
	build = script("build", "mkdir -p dist", "/bin/cat src/*.ts > dist/out.js", "echo built", `echo '<x/>' > "$PENSTOCK_REPORTS/r.xml"`)
	build.Inputs, build.Outputs = []string{"src"}, []string{"dist"}
	build.Reports = []pipelines.Report{{Kind: gates.ReportJUnit, Path: "$PENSTOCK_REPORTS/r.xml"}}
	use = script("use", "/bin/cat dist/out.js")
	use.Inputs, use.Needs = []string{"use"}, []string{"build"}
	return build, use
}

// once runs both stages in a run of their own.
func (w *world) once(build, use pipelines.Stage) (engine.Result, engine.Result, *session) {
	w.t.Helper()
	s := w.open(build, use)
	built := s.pass(build)
	used := s.pass(use, built)
	return built, used, s
}

func appOfTwo(t *testing.T) *world {
	w := newWorld(t)
	w.write("src/a.ts", "a1")
	w.write("src/b.ts", "b1")
	w.write("use/u.ts", "u1")
	w.write("README.md", "no input of anything")
	return w
}

func wantCached(t *testing.T, result engine.Result, cached bool, why string) {
	t.Helper()
	if result.Cached != cached || !strings.Contains(result.Why, why) {
		t.Errorf("stage %s: cached %v because %q; want %v because %q", result.Stage, result.Cached, result.Why, cached, why)
	}
}

func TestCacheStory(t *testing.T) {
	t.Parallel()
	w := appOfTwo(t)
	build, use := twoStages()
	run := func() (engine.Result, engine.Result) {
		built, used, s := w.once(build, use)
		s.close()
		return built, used
	}
	first, used := run()
	wantCached(t, first, false, "first run")
	wantCached(t, used, false, "first run")

	again, used := run()
	wantCached(t, again, true, "inputs unchanged since ")
	wantCached(t, used, true, "inputs unchanged since ")
	if again.OutputDigest != first.OutputDigest || again.Key != first.Key || again.Root != first.Root {
		t.Errorf("a cached result differs: %+v, %+v", first, again)
	}
	if got := read(t, again.Log); got != "built\n" {
		t.Errorf("log of a cached result: %q", got)
	}
	if len(again.Reports) != 1 || read(t, again.Reports[0].Path) != "<x/>\n" {
		t.Errorf("reports of a cached result: %v", again.Reports)
	}

	w.write("README.md", "changed, and nobody's input")
	built, used := run()
	wantCached(t, built, true, "unchanged")
	wantCached(t, used, true, "unchanged")

	w.write("src/a.ts", "a2")
	built, used = run()
	wantCached(t, built, false, "src/a.ts changed")
	wantCached(t, used, false, "what build made changed")

	// The same outputs from other inputs: whoever needs them need not run again.
	w.write("src/a.ts", "a")
	w.write("src/b.ts", "2b1")
	built, used = run()
	wantCached(t, built, false, "2 files changed: src/a.ts, src/b.ts")
	wantCached(t, used, true, "unchanged")

	w.write("src/new.ts", "")
	built, _ = run()
	wantCached(t, built, false, "src/new.ts was added")
	if err := os.Remove(filepath.Join(w.app, "src/new.ts")); err != nil {
		t.Fatal(err)
	}
	built, _ = run()
	wantCached(t, built, true, "unchanged") // back to what was

	use.Env = map[string]string{"X": "1"}
	use.Run = append(use.Run, "true")
	built, used = run()
	wantCached(t, built, true, "unchanged")
	wantCached(t, used, false, "stage definition changed (env, run)")

	use.Timeout, use.Title, use.Retries = time.Hour, "another title", 3
	_, used = run()
	wantCached(t, used, true, "unchanged")
}

func TestOrderAloneIsACause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	first, second := script("first", "true"), script("second", "true")
	second.Needs, second.Inputs = []string{"first"}, []string{"nothing"}
	run := func() engine.Result {
		s := w.open(first, second)
		defer s.close()
		return s.pass(second, s.pass(first))
	}
	run()
	w.write("a", "2")
	wantCached(t, run(), false, "what it waits for was different: first")
	wantCached(t, run(), true, "unchanged")
}

func TestFailuresAreNotCached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	stage := script("flaky", "echo ran", "exit 1")
	for i := range 2 {
		s := w.open(stage)
		result := s.run(stage)
		if result.Outcome != event.Failed || result.Cached || !strings.Contains(s.said(), "ran") {
			t.Errorf("run %d: %+v", i, result)
		}
		if i == 1 && result.Why != "nothing changed, but the last run did not pass" {
			t.Errorf("why: %q", result.Why)
		}
		s.close()
	}
}

func TestWhatIsNeverCached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.open()
	smoke := script("smoke", "true")
	smoke.When = pipelines.WhenSmoke
	plain := script("plain", "true")
	half := script("half", "/bin/true")
	half.Outputs = []string{"not-there"}
	withEnv := s.job(&plain)
	withEnv.Env = map[string]string{"PENSTOCK_URL": "x"}
	noCache := s.job(&plain)
	noCache.NoCache = true
	for name, job := range map[string]engine.Job{"smoke": s.job(&smoke), "env": withEnv, "no-cache": noCache, "half": s.job(&half)} {
		for range 2 {
			result, err := s.Run(context.Background(), job)
			if err != nil || result.Cached || result.Outcome != event.Passed {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
		}
	}
}

func TestTamperedOutputsAreMadeAgain(t *testing.T) {
	t.Parallel()
	tamper := map[string]func(path string) error{
		"written": func(path string) error { return os.WriteFile(path, []byte("evil, and longer"), 0o644) },
		"same size": func(path string) error {
			return os.WriteFile(path, []byte("EVIL"), 0o644)
		},
		"removed":    os.Remove,
		"executable": func(path string) error { return os.Chmod(path, 0o755) },
		"manifest": func(path string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(path), "..", "..", "manifest"), []byte("garbage"), 0o644)
		},
	}
	for name, change := range tamper {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := appOfTwo(t)
			build, use := twoStages()
			_, _, s := w.once(build, use)
			s.close()
			stored, err := filepath.Glob(filepath.Join(w.state, "cache/trees/*/files/dist/out.js"))
			if err != nil || len(stored) != 1 {
				t.Fatal(stored, err)
			}
			time.Sleep(10 * time.Millisecond) // one tick of the file system's clock
			if err := change(stored[0]); err != nil {
				t.Fatal(err)
			}
			w.write("use/u.ts", "changed, so that the outputs are needed")
			_, used, s := w.once(build, use)
			wantCached(t, used, false, "use/u.ts changed")
			if said := s.said(); !strings.Contains(said, "a1b1") || !strings.Contains(said, "so build runs again") {
				t.Errorf("said:\n%s", said)
			}
		})
	}
}

// TestDamagedOutputsAreMadeAgainOnce: a stage that makes the very same again leaves a tree of the same name, which others that found
// the old one damaged must not take for it and remove.
func TestDamagedOutputsAreMadeAgainOnce(t *testing.T) {
	t.Parallel()
	w := appOfTwo(t)
	build, use := twoStages()
	_, _, s := w.once(build, use)
	s.close()
	stored, err := filepath.Glob(filepath.Join(w.state, "cache/trees/*/files/dist/out.js"))
	if err != nil || len(stored) != 1 {
		t.Fatal(stored, err)
	}
	if err := os.Remove(stored[0]); err != nil {
		t.Fatal(err)
	}
	all := []pipelines.Stage{build}
	for i := range 8 {
		use.Name = fmt.Sprintf("use-%d", i)
		all = append(all, use)
	}
	s = w.open(all...)
	built := s.pass(build)
	wantCached(t, built, true, "")
	var atOnce sync.WaitGroup
	for _, stage := range all[1:] {
		atOnce.Go(func() {
			if result, err := s.Run(context.Background(), s.job(&stage, built)); err != nil || result.Outcome != event.Passed {
				t.Errorf("%s: %+v, %v", stage.Name, result, err)
			}
		})
	}
	atOnce.Wait()
	if again := strings.Count(s.said(), "so build runs again"); again != 1 {
		t.Errorf("build ran %d more times:\n%s", again, s.said())
	}
}

// A program that writes through the hard link in its workspace changes the store; that must not reach the next stage.
func TestWritingThroughALinkIsFound(t *testing.T) {
	t.Parallel()
	w := appOfTwo(t)
	build, use := twoStages()
	s := w.open(build, use)
	built := s.pass(build)
	vandal := script("vandal", "sleep 0.02; echo spoilt >> dist/out.js")
	vandal.Needs = []string{"build"}
	s.pass(vandal, built)
	s.pass(use, built)
	if strings.Contains(s.said(), "spoilt") || !strings.Contains(s.said(), "dist/out.js was written to") {
		t.Errorf("said:\n%s", s.said())
	}
	path, err := s.Session.(engine.OutputReader).OutputPath(context.Background(), built, "dist/out.js")
	if err != nil || read(t, path) != "a1b1" {
		t.Errorf("%s: %v", path, err)
	}
}

func TestTamperedReportsAndEntries(t *testing.T) {
	t.Parallel()
	w := appOfTwo(t)
	build, use := twoStages()
	first, _, s := w.once(build, use)
	s.close()
	// The kept report shares its file with the cache: evidence that was edited must not come back.
	if err := os.WriteFile(first.Reports[0].Path, []byte("<!-- all passed -->"), 0o644); err != nil {
		t.Fatal(err)
	}
	built, _, s := w.once(build, use)
	s.close()
	wantCached(t, built, false, "r.xml was changed, so it runs again")
	entries, err := filepath.Glob(filepath.Join(w.state, "cache/stages/*/*"))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, entry := range entries {
		text := read(t, entry)
		if err := os.WriteFile(entry, []byte(strings.Replace(text, `"name"`, `"nome"`, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	built, used, _ := w.once(build, use)
	wantCached(t, built, false, "damaged, so it runs again")
	wantCached(t, used, false, "")
}

func TestToolVersionsAreInTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bin := t.TempDir()
	node := func(version string) {
		if err := os.WriteFile(filepath.Join(bin, "node"), []byte("#!/bin/sh\necho "+version+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.extra = func(o *host.Options) { o.Environ = []string{"PATH=" + bin + ":/bin:/usr/bin"} }
	stage := script("test", "true")
	stage.Tools = []pipelines.Tool{{Name: "node", Version: ">=20"}}
	node("v20.1.0")
	for _, cached := range []bool{false, true} {
		s := w.open(stage)
		wantCached(t, s.pass(stage), cached, "")
		s.close()
	}
	node("v22.2.0-rc.1+long")
	// npm's rule: a prerelease does not satisfy a range without one.
	if _, err := w.executor().Open(context.Background(), &pipelines.Pipeline{Stages: []pipelines.Stage{stage}}, w.snapshot()); err == nil {
		t.Error("a prerelease satisfied >=20")
	}
	node("v22.2.0 and more")
	wantCached(t, w.open(stage).pass(stage), false, "node 20.1.0→22.2.0")
}

func TestExplain(t *testing.T) {
	t.Parallel()
	w := appOfTwo(t)
	build, use := twoStages()
	_, _, s := w.once(build, use)
	s.close()
	w.write("src/a.ts", "changed")
	s = w.open(build, use)
	e, err := s.Session.(lastrun.Explainer).Explain(context.Background(), &build, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.Cached || e.Why != "src/a.ts changed" {
		t.Errorf("%+v", e)
	}
	changed := 0
	for _, part := range e.Parts {
		if part.Changed() {
			changed++
			if part.Name != "inputs" {
				t.Errorf("%s changed too", part.Name)
			}
		}
	}
	if changed != 1 {
		t.Errorf("%d parts changed", changed)
	}
	if built := s.pass(build); built.Key != e.Key {
		t.Errorf("explained %s, ran %s", e.Key, built.Key)
	}
	if e, err = s.Session.(lastrun.Explainer).Explain(context.Background(), &build, nil); err != nil || !e.Cached {
		t.Errorf("once it has run: %+v, %v", e, err)
	}
}

func TestEviction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.extra = func(o *host.Options) { o.CacheSize = 3 << 20 }
	trees := func() int {
		found, err := filepath.Glob(filepath.Join(w.state, "cache/trees/*/manifest"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	var last pipelines.Stage
	for _, name := range []string{"a", "b", "c", "d"} {
		last = script(name, "head -c 1048576 /dev/zero > big", "echo "+name+" >> big")
		last.Outputs = []string{"big"}
		s := w.open(last)
		s.pass(last)
		// While another run is open nothing may go.
		other := w.open(last)
		s.close()
		other.close()
		if err := os.Remove(filepath.Join(w.state, "cache/measured")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	s := w.open(last)
	if n := trees(); n < 2 || n > 4 {
		t.Errorf("%d trees of 1 MiB", n)
	}
	if !s.pass(last).Cached {
		t.Error("the last result was evicted")
	}
	s.close()
	if n := trees(); n != 2 {
		t.Errorf("%d trees of 1 MiB (and a little) in a cache of 3 MiB", n)
	}
}

func TestRunsSideBySide(t *testing.T) {
	t.Parallel()
	w := appOfTwo(t)
	build, use := twoStages()
	var running sync.WaitGroup
	for range 6 {
		s := w.open(build, use)
		running.Go(func() {
			built, err := s.Run(context.Background(), s.job(&build))
			if err != nil || built.Outcome != event.Passed {
				t.Errorf("build: %+v, %v", built, err)
				return
			}
			used, err := s.Run(context.Background(), s.job(&use, built))
			if err != nil || used.Outcome != event.Passed || (!used.Cached && !strings.Contains(s.said(), "a1b1")) {
				t.Errorf("use: %+v, %v", used, err)
			}
		})
	}
	running.Wait()
}
