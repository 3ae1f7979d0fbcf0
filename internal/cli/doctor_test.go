package cli

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestTheGuidesLists holds the lists against the guide's own lines: each has a gate.
func TestTheGuidesLists(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, list := range guideLists {
		for _, line := range list.lines {
			texts = append(texts, line.text)
			if len(line.gates) == 0 {
				t.Errorf("%s has no gate", line.text)
			}
		}
	}
	all := strings.Join(texts, "\n")
	for _, line := range []string{
		"All tests passing", "TypeScript compilation clean", "Lint checks passing", "Security audit clean", "Performance benchmarks met", "Code coverage > 80",
		"All secrets configured", "No hardcoded credentials", "HTTPS enforced", "CORS properly", "Rate limiting", "Input validation", "SQL injection", "XSS protection",
		"D1 database created and migrated", "KV namespaces", "R2 buckets", "Durable Objects", "Queue consumers", "Vectorize index", "Custom domain", "SSL certificate",
	} {
		if !strings.Contains(all, line) {
			t.Errorf("the guide's line %q is missing", line)
		}
	}
}

func TestALineStandsAsItsGatesSay(t *testing.T) {
	t.Parallel()
	heard := answers{
		said: map[string]answered{
			"q/passes": {verdict: gates.Verdict{Outcome: gates.Pass, Summary: "all is well"}, run: "01R"},
			"q/warns":  {verdict: gates.Verdict{Outcome: gates.Warn, Summary: "nearly", NextStep: "look"}},
			"q/fails":  {verdict: gates.Verdict{Outcome: gates.Fail, Summary: "no good", NextStep: "mend it"}},
			"q/asks":   {verdict: gates.Verdict{Outcome: gates.Inconclusive, Summary: "who knows", NextStep: "tell it"}},
			"q/breaks": {verdict: gates.Verdict{Outcome: gates.Error, Summary: "it broke", NextStep: "run again"}},
			"q/waits":  {verdict: gates.Verdict{Outcome: gates.Pending, Summary: "soon", NextStep: "wait"}},
			"q/odd":    {verdict: gates.Verdict{Outcome: "passed", Summary: "a new word", NextStep: "update"}},
		},
		asked:     map[string]pipelines.GateRef{"q/later": {Phase: gates.PhasePromote}, "q/not-reached": {Phase: gates.PhasePlan}},
		elsewhere: map[string][]string{"q/there": {"production"}},
		known: func(gate string) error {
			if gate == "q/unknown" {
				return errors.New("no set serves it")
			}
			return nil
		},
		unasked: "the target could not be reached",
	}
	for _, row := range []struct {
		gates  []string
		want   lineState
		detail string
	}{
		{[]string{"q/passes"}, linePass, "all is well"},
		{[]string{"q/warns"}, lineWarn, "nearly"},
		{[]string{"q/fails"}, lineFail, "no good"},
		{[]string{"q/asks"}, lineUnknown, "inconclusive: who knows"},
		{[]string{"q/breaks"}, lineUnknown, "error: it broke"},
		{[]string{"q/waits"}, lineUnknown, "pending: soon"},
		{[]string{"q/odd"}, lineUnknown, "a new word"},
		{[]string{"q/later"}, lineUnknown, "could not be reached"},
		{[]string{"q/not-reached"}, lineUnknown, "could not be reached"},
		{[]string{"q/nowhere"}, lineUnknown, "is not asked in local"},
		{[]string{"q/unknown"}, lineUnknown, "no set serves it"},
		{[]string{"q/there"}, lineAbsent, "asked in production only"},
		{[]string{"q/passes", "q/fails"}, lineFail, "no good"},
		{[]string{"q/fails", "q/passes"}, lineFail, "no good"},
		{[]string{"q/passes", "q/later"}, lineUnknown, "could not be reached"},
	} {
		told := heard.line(guideLine{text: "line", gates: row.gates}, wrangler.Worker{}, "local")
		if told.State != row.want || !strings.Contains(told.Detail, row.detail) || len(told.Gates) != len(row.gates) {
			t.Errorf("%v: %+v", row.gates, told)
		}
		if (row.want == lineFail || row.want == lineUnknown) && told.Do == "" {
			t.Errorf("%v: nothing to do: %+v", row.gates, told)
		}
	}
	absent := heard.line(guideLine{text: "line", gates: []string{"q/fails"}, absent: func(wrangler.Worker) string { return "there is none" }}, wrangler.Worker{}, "local")
	if absent.State != lineAbsent || absent.Detail != "there is none" {
		t.Errorf("%+v", absent)
	}
}

func TestWhatDoesNotApplyIsSaid(t *testing.T) {
	t.Parallel()
	for _, line := range guideLists[2].lines {
		if line.absent != nil && line.absent(wrangler.Worker{}) == "" {
			t.Errorf("%s applies to a Worker without resources", line.text)
		}
	}
	if why := guideLists[2].lines[0].absent(wrangler.Worker{D1Databases: make([]wrangler.D1Database, 1)}); why != "" {
		t.Errorf("a Worker with a database: %s", why)
	}
}

func TestTheWorstOfSeveralAnswersCounts(t *testing.T) {
	t.Parallel()
	heard := answers{said: map[string]answered{}}
	for _, outcome := range []gates.Outcome{gates.Pass, gates.Fail, gates.Warn} {
		heard.hear("q/g", answered{verdict: gates.Verdict{Outcome: outcome}})
	}
	if said := heard.said["q/g"]; said.verdict.Outcome != gates.Fail {
		t.Errorf("%+v", said)
	}
}

func TestServedVersion(t *testing.T) {
	t.Parallel()
	for want, shares := range map[string][]promotion.Share{
		"": nil, "old": {{Version: "old", Percentage: 90}, {Version: "new", Percentage: 10}}, "new": {{Version: "old"}, {Version: "new", Percentage: 100}},
	} {
		if got := servedVersion(shares); got != want {
			t.Errorf("%v: %s", shares, got)
		}
	}
	if !inChecklists("cloudflare/d1") || inChecklists("release/window") {
		t.Error("the checklists' gates are others")
	}
}

func TestDoctorShowsAges(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	told := diagnosis{App: "a", Environment: "e", Counts: map[lineState]int{linePass: 1, lineUnknown: 1}, Lists: []diagnosedList{{"List", []doctorLine{
		{Line: "old", State: linePass, Detail: "was well", Gates: []doctored{{Gate: "q/g", Run: "01R", At: time.Now().Add(-73 * time.Hour)}}},
		{Line: "asked", State: lineUnknown, Detail: "who knows", Do: "ask"},
	}}}}
	if err := showDiagnosis(&Streams{Out: &out}, told); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"✓ old", "was well (3 d ago)", "? asked", "→ ask", "1 pass, 0 warn, 0 fail, 1 unknown"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

// TestDoctorLooksForTheAppsTools: those of its lock file, and what is missing is a line and no reason to show no checklist.
func TestDoctorLooksForTheAppsTools(t *testing.T) {
	t.Parallel()
	stages := []pipelines.Stage{{Name: "install", Tools: []pipelines.Tool{{Name: "node", Version: ">=99"}, {Name: "pnpm"}}}, {Name: "test", Tools: []pipelines.Tool{{Name: "pnpm"}}}}
	if got := toolsOf(pipelines.Pipeline{Stages: stages}); !slices.Equal(got, []string{"node", "pnpm"}) {
		t.Errorf("tools %v", got)
	}
	for _, row := range []struct {
		missing engine.MissingTool
		want    string
	}{
		{engine.MissingTool{Tool: pipelines.Tool{Name: "pnpm"}, NextStep: "run `corepack enable pnpm`"}, "it is not on the PATH"},
		{engine.MissingTool{Tool: pipelines.Tool{Name: "node", Version: ">=99"}, Found: "20.1.0", NextStep: "install"}, "it is 20.1.0, and the app wants >=99"},
	} {
		if line := lackedTool(row.missing); line.State != lineFail || line.Detail != row.want || line.Do != row.missing.NextStep {
			t.Errorf("%+v", line)
		}
	}
}

func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"doctor", "--troubleshooting"}, {"doctor", "--troubleshooting", "--json"}} {
		got := say(t, app(t), args...)
		for _, issue := range []string{"high latency", "memory errors", "rate limiting", "database locks", "queue backlog"} {
			if got.code != ExitDone || !strings.Contains(got.out, issue) {
				t.Errorf("%v does not tell of %q: %+v", args, issue, got)
			}
		}
	}
}

func TestBacktestNeedsAGateForAConfig(t *testing.T) {
	t.Parallel()
	folder := app(t)
	config := folder + "/config.yaml"
	if err := os.WriteFile(config, []byte("limit: 90\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := say(t, folder, "gates", "backtest", "--config", config); got.code != ExitUsage || !strings.Contains(got.err, "one gate") {
		t.Errorf("%+v", got)
	}
	made, err := readGateConfig(config, "q/g")
	if err != nil || !json.Valid(made) || string(made) != `{"limit":90}` {
		t.Errorf("%s, %v", made, err)
	}
	if _, err := readGateConfig(folder+"/nowhere", "q/g"); err == nil {
		t.Error("a file that is not there")
	}
}
