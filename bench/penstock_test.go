package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mixedRun = `{"type":"stage.finished","stage":{"name":"a","outcome":"passed"}}
{"type":"stage.finished","stage":{"name":"b","outcome":"passed","cached":true}}
{"type":"gate.finished","gate":{"name":"q/t","verdict":{"outcome":"pass"}}}
`

func TestStoryCountsWhatPassed(t *testing.T) {
	t.Parallel()
	told, err := readStory([]byte(mixedRun + `{"type":"run.finished","result":{"outcome":"done"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expectation{stages: 1, cached: 1, gates: 1}, told.counts(), cmp.AllowUnexported(expectation{})); diff != "" {
		t.Error(diff)
	}
}

// TestRunThatDidSomethingElseDoesNotCount: a contender that failed early would otherwise be the fastest.
func TestRunThatDidSomethingElseDoesNotCount(t *testing.T) {
	t.Parallel()
	want := expectation{stages: 1, cached: 1, gates: 1}
	for name, lines := range map[string]string{
		"blocked":     mixedRun + `{"type":"run.finished","result":{"outcome":"blocked"}}`,
		"cut off":     mixedRun,
		"nothing":     "",
		"fewer":       strings.SplitN(mixedRun, "\n", 2)[1] + `{"type":"run.finished","result":{"outcome":"done"}}`,
		"not JSON":    "penstock: no",
		"failed gate": strings.Replace(mixedRun, `"outcome":"pass"`, `"outcome":"warn"`, 1) + `{"type":"run.finished","result":{"outcome":"done"}}`,
	} {
		if err := want.met([]byte(lines)); err == nil {
			t.Errorf("%s: it was counted", name)
		}
	}
}

func TestWhatStoppedARunIsItsReason(t *testing.T) {
	t.Parallel()
	err := whatStopped([]byte(mixedRun + `{"type":"run.finished","result":{"outcome":"blocked","reason":"blocked by q/t"}}`))
	if err == nil || !strings.Contains(err.Error(), "blocked by q/t") {
		t.Errorf("got %v", err)
	}
	if err := whatStopped([]byte("panic: no JSON")); err != nil {
		t.Errorf("of output that is no run came %v", err)
	}
}
