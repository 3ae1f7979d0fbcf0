package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
)

// TestRunStages runs one stage with what it needs, and no other, and hands out what it left.
func TestRunStages(t *testing.T) {
	m := newMachine(t, "e2e/testdata/tiny")
	config := `stages:
  first:
    image: "node:20.20.2-bookworm-slim"
    run: ["echo one > made"]
    outputs: [made]
  second:
    image: "node:20.20.2-bookworm-slim"
    run: ["mkdir out", "cat made made > out/twice", "echo '{}' > lint.json"]
    needs: [first]
    outputs: [out]
    reports: [{kind: eslint, path: lint.json}]
  bystander:
    image: "node:20.20.2-bookworm-slim"
    run: ["exit 1"]
`
	if err := os.WriteFile(filepath.Join(m.app, "penstock.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	executors := []string{"host"}
	if os.Getenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST") != "" {
		executors = append(executors, "dagger")
	} else {
		t.Log("no Dagger engine: nothing was played on a real one (set _EXPERIMENTAL_DAGGER_RUNNER_HOST)")
	}
	for _, executor := range executors {
		t.Run(executor, func(t *testing.T) {
			m := m.in(t)
			into := filepath.Join(t.TempDir(), "into")
			if o := m.must(0, "run", "second", "--into", into, "--executor", executor); strings.Contains(o.out+o.err, "bystander") {
				t.Errorf("a stage ran that nobody asked for: %s", o)
			}
			for path, want := range map[string]string{"outputs/second/out/twice": "one\none\n", "reports/second/0-lint.json": "{}\n"} {
				if content, err := os.ReadFile(filepath.Join(into, filepath.FromSlash(path))); err != nil || string(content) != want {
					t.Errorf("%s: %q, %v; want %q", path, content, err, want)
				}
			}
			if entries, err := os.ReadDir(filepath.Join(into, "outputs")); err != nil || len(entries) != 1 {
				t.Errorf("outputs of %v, %v; want those of the stage that was named", entries, err)
			}
			if o := m.must(2, "run", "second", "--into", into, "--executor", executor); !strings.Contains(o.out+o.err, "is not empty") {
				t.Errorf("a folder with something in it: %s", o)
			}
			if o := m.must(3, "run", "bystander", "--executor", executor); !strings.Contains(o.out+o.err, "failed: bystander") {
				t.Errorf("a stage that fails: %s", o)
			}
		})
	}
	for says, args := range map[string][]string{
		"the stages are":                       {"run", "secnod"},
		"--executor host or --executor dagger": {"run", "first", "--executor", "docker"},
	} {
		if o := m.must(2, args...); !strings.Contains(o.out+o.err, says) {
			t.Errorf("penstock %v does not say %q: %s", args, says, o)
		}
	}
}

// TestExecutorsAgree builds the example's bundle in processes and in containers: it must be the same to the bit.
func TestExecutorsAgree(t *testing.T) {
	if os.Getenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST") == "" {
		t.Skip("no Dagger engine: nothing was played on a real one (set _EXPERIMENTAL_DAGGER_RUNNER_HOST)")
	}
	m := newMachine(t, "examples/atomic-guide")
	digests := map[string]string{}
	for _, executor := range []string{"host", "dagger"} {
		o := m.must(0, "check", "--json", "--executor", executor)
		for line := range strings.Lines(o.out) {
			var e event.Event
			if err := json.Unmarshal([]byte(line), &e); err == nil && e.Bundle != nil {
				digests[executor] = e.Bundle.Digest
			}
		}
	}
	if digests["host"] == "" || digests["host"] != digests["dagger"] {
		t.Errorf("bundles: %v", digests)
	}
}
