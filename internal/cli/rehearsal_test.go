package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestWhenSmokeTestsAreRehearsed(t *testing.T) {
	t.Parallel()
	probed := pipelines.Environment{Name: "staging", Smoke: pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/"}}}}
	tried := evidence.RehearsedDatabase{Name: "main", State: evidence.Present, Copied: true}
	idle := evidence.RehearsedDatabase{Name: "idle", State: evidence.Missing}
	refused, empty, untried := tried, tried, tried
	refused.Failed = &evidence.RehearsalFailure{Migration: "0002.sql", Message: "no"}
	empty.Copied = false
	untried.State = evidence.Unknown
	for name, one := range map[string]struct {
		environment pipelines.Environment
		databases   []evidence.RehearsedDatabase
		want        evidence.State
		says        string
	}{
		"a migration for data":       {probed, []evidence.RehearsedDatabase{idle, tried}, evidence.Present, ""},
		"nothing is pending":         {probed, []evidence.RehearsedDatabase{idle}, evidence.Missing, "no migration is pending"},
		"there is no data yet":       {probed, []evidence.RehearsedDatabase{empty}, evidence.Missing, "no migration is pending for data"},
		"a migration was refused":    {probed, []evidence.RehearsedDatabase{refused}, evidence.Unknown, "main refuses 0002.sql"},
		"a copy could not be made":   {probed, []evidence.RehearsedDatabase{tried, untried}, evidence.Unknown, "could not be tried"},
		"nobody asks anything there": {pipelines.Environment{Name: "staging"}, []evidence.RehearsedDatabase{tried}, evidence.Missing, "staging has no probes"},
	} {
		trials := smokeTrials{run: &run{environment: &one.environment, pipeline: &pipelines.Pipeline{}}}
		if state, reason := trials.worthwhile(evidence.Rehearsal{Databases: one.databases}); state != one.want || !strings.Contains(reason, one.says) {
			t.Errorf("%s: %s, %q", name, state, reason)
		}
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	words := &lastWords{}
	for n := range maxWords + 2 {
		if _, err := fmt.Fprintf(words, "line %d\n", n); err != nil {
			t.Fatal(err)
		}
	}
	if got := words.lines(); len(got) != maxWords || got[0] != "line 2" || !slices.Contains(got, fmt.Sprintf("line %d", maxWords+1)) {
		t.Errorf("%q", got)
	}
}
