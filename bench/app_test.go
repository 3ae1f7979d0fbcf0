package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/pipelines"
)

// TestPipelineIsOne loads what is generated as penstock does: nothing else would show a benchmark of an error message.
func TestPipelineIsOne(t *testing.T) {
	t.Parallel()
	for _, chain := range []bool{true, false} {
		work := workload{stages: 1000, chain: chain, run: "true", gates: []string{"bench-0/gate-1"}}
		file, problems := pipelines.Load(pipelines.FileName, []byte(work.pipeline()))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		pipeline, problems := pipelines.Build(pipelines.Pipeline{Name: "bench"}, file)
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		if got := len(pipeline.Stages); got != 1001 {
			t.Errorf("%d stages, want 1000 and the one that makes the bundle", got)
		}
		if got := len(pipeline.Stage("s999").Needs); got != map[bool]int{true: 1, false: 0}[chain] {
			t.Errorf("chain %t: the last stage needs %d", chain, got)
		}
	}
}

// TestMakefileRunsEveryTargetOnce counts what make really does, and in which order when there is one.
func TestMakefileRunsEveryTargetOnce(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make on this machine")
	}
	const n = 30
	for _, chain := range []bool{true, false} {
		folder := t.TempDir()
		work := workload{stages: n, chain: chain, run: "echo $@"}
		file := filepath.Join(folder, "Makefile")
		if err := os.WriteFile(file, []byte(work.makefile()), 0o644); err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), "make", "-f", file, "-j2")
		command.Env = withoutMake(os.Environ())
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(string(out))
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("s%d", i))
		}
		if !chain {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("chain %t: make ran %v", chain, got)
		}
	}
}
