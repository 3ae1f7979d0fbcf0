package pipelines

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
)

// TestGatesThatAreNot: what is misspelt is told with its place and the word that was meant, all of it at once; of a set that
// could not be asked nothing is said.
func TestGatesThatAreNot(t *testing.T) {
	file, problems := Load("penstock.yaml", []byte(`gates:
  quality/covrage: {phase: build}
  qualty/tests: {phase: build}
  acme/tests: {phase: build}
  other/thing: {phase: build}
  quality/tests:
    phase: bake
    config:
      limt: 3
      deep: {wrong: 1}
  silent/anything: {phase: build}
  quality/coverage: {phase: build, config: {limit: 3}}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p, problems := file.Apply(Pipeline{Name: "app"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	accepts := func(json.RawMessage) []Misfit { return nil }
	served := map[string][]Served{"quality": {
		{Name: "coverage", Phases: []gates.Phase{gates.PhaseBuild}, Config: accepts},
		{Name: "tests", Phases: []gates.Phase{gates.PhaseBuild, gates.PhasePlan}, Config: func(config json.RawMessage) []Misfit {
			if !strings.Contains(string(config), `"limt":3`) {
				t.Errorf("it is given %s", config)
			}
			return []Misfit{
				{Path: []string{"limt"}, What: `unknown key "limt"`, Unknown: "limt", Known: []string{"limit", "skip"}},
				{Path: []string{"deep", "wrong"}, What: "must be a text"},
			}
		}},
	}}
	var got []string
	for _, problem := range AgreeWithGates(p, file, []string{"quality", "silent"}, served) {
		if problem.Severity != SeverityError {
			t.Errorf("%s stops nothing", problem)
		}
		got = append(got, problem.String())
	}
	want := []string{
		`penstock.yaml:2:3: the set quality has no gate "covrage", did you mean "coverage"?; it has coverage, tests`,
		"penstock.yaml:3:3: there is no gate set \"qualty\", did you mean \"quality\"?; write quality/tests; a set of your own is pinned by `penstock gates lock BINARY`",
		"penstock.yaml:4:3: there is no gate set \"acme\"; write quality/tests; a set of your own is pinned by `penstock gates lock BINARY`",
		"penstock.yaml:5:3: there is no gate set \"other\"; `penstock gates list` shows the gates that there are; a set of your own is pinned by `penstock gates lock BINARY`",
		`penstock.yaml:7:5: quality/tests cannot be asked in the phase bake; use build or plan`,
		`penstock.yaml:9:7: quality/tests: unknown key "limt", did you mean "limit"?; the keys here are limit, skip`,
		"penstock.yaml:10:14: quality/tests: deep.wrong: must be a text; `penstock gates info quality/tests` shows what it takes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
