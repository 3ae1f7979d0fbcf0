package host_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// keptIn returns the one file in a folder of what sets said.
func keptIn(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	return filepath.Join(folder, entries[0].Name())
}

func TestWhatASetSaidIsKnownAtTheNextRun(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	options := host.Options{Sets: []host.PluginRef{refTo(t, "good")}, KnownDir: folder}
	first, err := newHost(t, options).Describe(t.Context(), "good/pass")
	if err != nil {
		t.Fatal(err)
	}
	keptIn(t, folder)

	// No process is started for it: with no start allowed it is known all the same, and a question cannot be put.
	options.Limits.Starts = -1
	frugal := newHost(t, options)
	second, err := frugal.Describe(t.Context(), "good/pass")
	if err != nil || second.SetDigest != first.SetDigest || second.SetVersion != first.SetVersion || second.Description.Config != first.Description.Config {
		t.Errorf("%+v, %v", second, err)
	}
	if verdict := ask(t, frugal, "good/pass", gates.Request{}); verdict.Outcome != gates.Error {
		t.Errorf("%+v", verdict)
	}
	options.Limits.Starts = 0
	if verdict := ask(t, newHost(t, options), "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
		t.Errorf("%+v", verdict)
	}
}

// TestWhatIsKnownIsNotBelieved: who can write to the state folder can make a gate ask for more, and is found out.
func TestWhatIsKnownIsNotBelieved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	options := host.Options{Sets: []host.PluginRef{refTo(t, "good")}, KnownDir: folder}
	if _, err := newHost(t, options).Describe(t.Context(), "good/pass"); err != nil {
		t.Fatal(err)
	}
	kept := keptIn(t, folder)
	text, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	// The first gate is called "pass": now it is called "psst", in as many bytes.
	if err := os.WriteFile(kept, bytes.Replace(text, []byte("pass"), []byte("psst"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, options)
	if verdict := ask(t, h, "good/fail", gates.Request{}); verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "another thing of itself") {
		t.Errorf("%+v", verdict)
	}
	if verdict := ask(t, h, "good/fail", gates.Request{}); verdict.Outcome != gates.Fail {
		t.Errorf("once it is found out, the set is asked anew: %+v", verdict)
	}

	if err := os.WriteFile(kept, []byte("\xffgarbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if verdict := ask(t, newHost(t, options), "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
		t.Errorf("what cannot be read is as if it were not known: %+v", verdict)
	}
}

// TestServed: what a pinned binary serves is known without a look at the binary, and nobody else's word counts for it.
func TestServed(t *testing.T) {
	t.Parallel()
	ref := refTo(t, "good")
	options := host.Options{Sets: []host.PluginRef{ref}, KnownDir: t.TempDir()}
	first, err := newHost(t, options).Served(t.Context(), "good") // asked
	if err != nil || first.Digest != "sha256:"+ref.Pin.SHA256 || len(first.Gates) == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := os.Remove(ref.Path); err != nil {
		t.Fatal(err)
	}
	again, err := newHost(t, options).Served(t.Context(), "good")
	if err != nil || len(again.Gates) != len(first.Gates) {
		t.Errorf("known of its checksum: %d gates, want %d: %v", len(again.Gates), len(first.Gates), err)
	}
	options.Sets[0].Pin.SHA256 = strings.Repeat("ab", 32)
	if info, err := newHost(t, options).Served(t.Context(), "good"); err == nil {
		t.Errorf("another binary is known as %+v", info)
	}
	options.Sets[0].Pin.SHA256 = ""
	if info, err := newHost(t, options).Served(t.Context(), "good"); err == nil {
		t.Errorf("a binary that nothing pins is known as %+v", info)
	}
	if _, err := newHost(t, options).Served(t.Context(), "none"); !errors.Is(err, host.ErrUnknownGate) {
		t.Error(err)
	}
}

// TestConfigProblems: each has its place, and an unknown key the keys that there are.
func TestConfigProblems(t *testing.T) {
	t.Parallel()
	const schema = `{"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
		"name": {"type": "string"}, "limits": {"type": "object", "additionalProperties": false, "properties": {"lines": {"type": "integer"}}}}}`
	for config, want := range map[string]string{
		`{"name": "a"}`:              `[]`,
		``:                           `[{[] missing property 'name'  []}]`,
		`{"name": "a", "limit": {}}`: `[{[limit] unknown key "limit" limit [limits name]}]`,
		`{"name": 1, "limits": {"lines": "two"}}`: `[{[limits lines] got string, want integer  []} {[name] got number, want string  []}]`,
		`{"name": "a", "limits": {"line": 2}}`:    `[{[limits line] unknown key "line" line []}]`,
		`{"name": "a"`:                            `it is not JSON`,
	} {
		problems, err := host.ConfigProblems(schema, []byte(config))
		slices.SortFunc(problems, func(a, b host.ConfigProblem) int { return slices.Compare(a.Path, b.Path) })
		if got := fmt.Sprint(problems); err != nil || (got != want && !strings.Contains(got, want)) || (want == "[]" && got != want) {
			t.Errorf("%s: %s, want %s (%v)", config, got, want, err)
		}
	}
	if _, err := host.ConfigProblems("{}", nil); err == nil {
		t.Error("a schema that refuses nothing is accepted")
	}
}

// TestPreparedSetsAreVerified: what Prepare copied is what is executed, and it hides no refusal.
func TestPreparedSetsAreVerified(t *testing.T) {
	t.Parallel()
	ref, changed := refTo(t, "good"), refTo(t, "other")
	changed.Pin.SHA256 = strings.Repeat("ab", 32)
	h := newHost(t, host.Options{Sets: []host.PluginRef{ref, changed}})
	h.Prepare(t.Context(), "good", "other", "nowhere")
	if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
		t.Errorf("%+v", verdict)
	}
	if verdict := ask(t, h, "other/pass", gates.Request{}); verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "checksum") {
		t.Errorf("%+v", verdict)
	}
}
