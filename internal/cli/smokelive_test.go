package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestVersionsToSmoke(t *testing.T) {
	t.Parallel()
	live := promotion.State{
		Worker: "app", Exists: true,
		Shares:   []promotion.Share{{Version: "aaaaaaaa-1", Percentage: 90}, {Version: "bbbbbbbb-2", Percentage: 10}, {Version: "bbbbbbbc-3", Percentage: 0}},
		Versions: []promotion.Version{{ID: "bbbbbbbc-3", Number: 9}, {ID: "bbbbbbbb-2", Number: 8}, {ID: "aaaaaaaa-1", Number: 7}, {ID: "cccccccc-4", Number: 6}},
	}
	single := promotion.State{Worker: "app", Exists: true, Shares: []promotion.Share{{Version: "aaaaaaaa-1", Percentage: 100}}}
	placeholder := promotion.State{
		Worker: "app", Exists: true, Shares: []promotion.Share{{Version: "p", Percentage: 100}},
		Versions: []promotion.Version{{ID: "p", Message: "penstock placeholder for promotion x"}},
	}
	maintained := single
	maintained.Suspended = true
	for name, tc := range map[string]struct {
		state promotion.State
		named string
		want  []string
		alone bool
		code  ExitCode
		says  string
	}{
		"what everybody gets":                {state: single, want: []string{"aaaaaaaa-1"}, alone: true},
		"each that takes traffic":            {state: live, want: []string{"aaaaaaaa-1", "bbbbbbbb-2"}},
		"one without traffic":                {state: live, named: "bbbbbbbc", want: []string{"bbbbbbbc-3"}},
		"by its number":                      {state: live, named: "v8", want: []string{"bbbbbbbb-2"}},
		"the live one, named, by override":   {state: single, named: "aaaaaaaa-1", want: []string{"aaaaaaaa-1"}},
		"a beginning of two":                 {state: live, named: "bbbbbbb", code: ExitUsage, says: "begins the ids of 2 versions"},
		"too short a beginning":              {state: live, named: "a", code: ExitUsage, says: "not of the current deployment"},
		"uploaded, and in no deployment":     {state: live, named: "cccccccc-4", code: ExitUsage, says: "nothing leads to it"},
		"no Worker":                          {state: promotion.State{Worker: "app"}, code: ExitStageFailed, says: "nothing is live"},
		"a Worker without a deployment":      {state: promotion.State{Worker: "app", Exists: true}, code: ExitStageFailed, says: "nothing is live"},
		"in maintenance":                     {state: maintained, code: ExitBusy, says: "environment production is in maintenance"},
		"a first deployment that failed":     {state: placeholder, code: ExitStageFailed, says: "placeholder"},
		"the placeholder, asked for by name": {state: placeholder, named: "p", code: ExitStageFailed, says: "placeholder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := chooseSmoked(tc.state, "production", tc.named)
			if code, _ := classify(err); code != tc.code || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Fatalf("exit code %d, %v", code, err)
			}
			var ids []string
			for _, one := range found {
				ids = append(ids, one.ID)
				if one.alone != tc.alone {
					t.Errorf("%s is asked as everybody asks: %v", one.ID, one.alone)
				}
			}
			if !slices.Equal(ids, tc.want) {
				t.Errorf("found %v, want %v", ids, tc.want)
			}
		})
	}
}

// What is asked on demand must be answerable without a change under way.
func TestGatesThatJudgeWhatRuns(t *testing.T) {
	t.Parallel()
	of := func(kinds ...gates.ReportKind) gates.Description {
		var d gates.Description
		for _, kind := range kinds {
			d.Reports = append(d.Reports, gates.Report{Kind: kind})
		}
		return d
	}
	for name, tc := range map[string]struct {
		asks gates.Description
		want bool
	}{
		"asks the version":             {gates.Description{Needs: gates.Needs{Version: true}}, true},
		"asks the public address":      {gates.Description{Needs: gates.Needs{Hosts: []string{gates.PublicHost}}}, true},
		"reads what was smoked":        {of(gates.ReportSmoke), true},
		"reads analytics":              {of(gates.ReportMetrics), false},
		"reads the plan":               {of(gates.ReportPlan), false},
		"reads the environment":        {of(gates.ReportEnvironment), false},
		"asks somebody else":           {gates.Description{Needs: gates.Needs{Hosts: []string{"api.example"}}}, false},
		"judges nothing in particular": {gates.Description{}, false},
	} {
		for _, phase := range []gates.Phase{gates.PhasePromote, gates.PhaseBake} {
			if _, got := gateOfSmoke(pipelines.GateRef{Phase: phase}, tc.asks); got != tc.want {
				t.Errorf("%s: %v", name, got)
			}
		}
		if _, got := gateOfSmoke(pipelines.GateRef{Phase: gates.PhasePlan}, tc.asks); got {
			t.Errorf("%s, in the phase plan", name)
		}
	}
}

func TestStagesThatSmokeNeeds(t *testing.T) {
	t.Parallel()
	p := &pipelines.Pipeline{Stages: []pipelines.Stage{
		{Name: "install"}, {Name: "test", Needs: []string{"install"}},
		{Name: "smoke", When: pipelines.WhenSmoke, Needs: []string{"install"}}, {Name: "deep", When: pipelines.WhenSmoke, Needs: []string{"smoke", "install"}},
	}}
	if got := neededBySmoke(p); !slices.Equal(got, []string{"install"}) {
		t.Error(got)
	}
	none := neededBySmoke(&pipelines.Pipeline{Stages: []pipelines.Stage{{Name: "install"}}})
	if none == nil || len(none) > 0 {
		t.Errorf("%#v would be all stages", none)
	}
	if (&runFlags{only: none}).asked(p, "install") {
		t.Error("a stage is shown that will not run")
	}
}

func TestSmokeExitCodes(t *testing.T) {
	t.Parallel()
	for want, err := range map[ExitCode]error{
		ExitBlocked:     &promotion.BlockedError{Phase: "promote", Blocking: []string{"health/endpoint"}},
		ExitStageFailed: &promotion.SmokeError{Moment: promotion.OnDemand, Version: "v", Summary: "GET /health → 500"},
		ExitUnreachable: errors.Join(errors.New("probe"), promotion.ErrUnreachable),
		ExitDone:        nil,
	} {
		if code, _ := classify(smokeFailure(err)); code != want {
			t.Errorf("%v: exit code %d, want %d", err, code, want)
		}
	}
}
