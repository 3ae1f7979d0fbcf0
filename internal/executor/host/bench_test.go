package host_test

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// benchStages runs n stages of one command, without the cache, through the engine and this executor. To beat on the
// machine of docs/performance.md: GNU make 0.6 ms a stage, a bare Go fork and exec 0.9 ms.
func benchStages(b *testing.B, n int, command string, chained bool) {
	w := newWorld(b)
	p := &pipelines.Pipeline{Name: "bench"}
	for i := range n {
		s := script(fmt.Sprint("s", i), command)
		if chained && i > 0 {
			s.Needs = []string{fmt.Sprint("s", i-1)}
		}
		p.Stages = append(p.Stages, s)
	}
	source := w.snapshot()
	for b.Loop() {
		session, err := w.executor().Open(context.Background(), p, source)
		if err != nil {
			b.Fatal(err)
		}
		outcome, err := engine.Run(context.Background(), engine.Options{Pipeline: p, Session: session, NoCache: true})
		if err != nil || !outcome.Passed() {
			b.Fatal(outcome.Outcome, err)
		}
		if err := session.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/stage")
}

func BenchmarkNoopIndependent(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchStages(b, n, "true", false) })
	}
}

func BenchmarkNoopChain(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchStages(b, n, "true", true) })
	}
}

func BenchmarkProgramIndependent(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchStages(b, n, "/bin/true", false) })
	}
}

// BenchmarkWarmRun is a run with nothing changed: five stages with reports and outputs, an app of 60 files. The snapshot
// is part of it in "with-snapshot" only.
func BenchmarkWarmRun(b *testing.B) {
	w := newWorld(b)
	for i := range 60 {
		w.write(fmt.Sprintf("src/file%d.ts", i), fmt.Sprintf("export const n = %d\n", i))
	}
	install := script("install", "mkdir -p node_modules", "i=0; while [ $i -lt 500 ]; do echo $i > node_modules/$i.js; i=$((i+1)); done")
	install.Outputs = []string{"node_modules"}
	p := &pipelines.Pipeline{Name: "bench", Stages: []pipelines.Stage{install}}
	for _, name := range []string{"test", "lint", "typecheck", "build"} {
		s := script(name, "echo "+name, `echo report > "$PENSTOCK_REPORTS/r.xml"`, "mkdir -p out", "echo out > out/"+name)
		s.Needs, s.Inputs, s.Outputs = []string{"install"}, []string{"src/**"}, []string{"out/" + name}
		s.Reports = []pipelines.Report{{Kind: "junit", Path: "$PENSTOCK_REPORTS/r.xml"}}
		p.Stages = append(p.Stages, s)
	}
	run := func(source *snapshot.Snapshot, cached bool) {
		session, err := w.executor().Open(context.Background(), p, source)
		if err != nil {
			b.Fatal(err)
		}
		outcome, err := engine.Run(context.Background(), engine.Options{Pipeline: p, Session: session})
		if err != nil || !outcome.Passed() {
			b.Fatal(outcome.Outcome, err)
		}
		for _, r := range outcome.Results {
			if r.Cached != cached {
				b.Fatalf("stage %s: cached %v because %s", r.Stage, r.Cached, r.Why)
			}
		}
		if err := session.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(2100 * time.Millisecond) // so that the snapshot may trust the files' times
	source := w.snapshot()
	run(source, false)
	b.Run("engine", func(b *testing.B) {
		for b.Loop() {
			run(source, true)
		}
	})
	b.Run("with-snapshot", func(b *testing.B) {
		for b.Loop() {
			run(w.snapshot(), true)
		}
	})
}

// BenchmarkMaterialise is what a stage pays for a workspace with node_modules of 10,000 files.
func BenchmarkMaterialise(b *testing.B) {
	w := newWorld(b)
	install := script("install", "mkdir -p node_modules", `seq 10000 | (cd node_modules && xargs -n 500 touch)`)
	install.Outputs = []string{"node_modules"}
	use := script("use", "/bin/true")
	use.Needs = []string{"install"}
	session, err := w.executor().Open(context.Background(), &pipelines.Pipeline{}, w.snapshot())
	if err != nil {
		b.Fatal(err)
	}
	installed, err := session.Run(context.Background(), engine.Job{Stage: &install})
	if err != nil || installed.ExitCode != 0 {
		b.Fatal(installed, err)
	}
	for b.Loop() {
		if _, err := session.Run(context.Background(), engine.Job{Stage: &use, Needs: []*engine.Result{&installed}, NoCache: true}); err != nil {
			b.Fatal(err)
		}
	}
	if err := session.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBareProgram is what a program costs without Penstock: Go's fork and exec, two at a time.
func BenchmarkBareProgram(b *testing.B) {
	b.SetParallelism(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Error(err)
			}
		}
	})
}
