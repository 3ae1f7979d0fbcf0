package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// A migration by itself is judged by as much as a deployment, but for what judges a version that it does not bring.
func TestGatesThatJudgeAMigration(t *testing.T) {
	t.Parallel()
	of := func(kinds ...gates.ReportKind) gates.Description {
		var d gates.Description
		for _, kind := range kinds {
			d.Reports = append(d.Reports, gates.Report{Kind: kind})
		}
		return d
	}
	version := gates.Description{Needs: gates.Needs{Version: true}}
	for name, tc := range map[string]struct {
		gate  string
		phase gates.Phase
		asks  gates.Description
		want  gates.Phase // "" is not asked
	}{
		"of the build":                      {"quality/tests", gates.PhaseBuild, of(gates.ReportJUnit), gates.PhaseBuild},
		"of the plan":                       {"data/rehearsal", gates.PhasePlan, of(gates.ReportRehearsal), gates.PhasePlan},
		"of no phase: it says so":           {"acme/x", "", of(), ""},
		"backups":                           {"data/backup", gates.PhasePromote, of(gates.ReportPlan, gates.ReportBackups), gates.PhasePromote},
		"a window":                          {"release/window", gates.PhasePromote, of(), gates.PhasePromote},
		"a stranger's, which asks nobody":   {"acme/tickets", gates.PhasePromote, gates.Description{Needs: gates.Needs{Hosts: []string{"tickets.example"}}}, gates.PhasePromote},
		"databases, once they are migrated": {"cloudflare/d1", gates.PhasePromote, of(gates.ReportEnvironment), gates.PhaseBake},
		"other resources":                   {"cloudflare/kv", gates.PhasePromote, of(gates.ReportEnvironment), ""},
		"a version's answers":               {"security/headers", gates.PhasePromote, version, ""},
		"a promotion's smoke":               {"health/smoke", gates.PhasePromote, of(gates.ReportSmoke), ""},
		"a version's share":                 {"health/alerts", gates.PhaseBake, of(gates.ReportMetrics), ""},
		"backups, while a version bakes":    {"data/backup", gates.PhaseBake, of(gates.ReportBackups), ""},
	} {
		ref, asked := gateOfMigration(pipelines.GateRef{Gate: tc.gate, Phase: tc.phase}, tc.asks)
		if tc.phase == "" {
			if !asked {
				t.Errorf("%s: it gets lost", name)
			}
			continue
		}
		if asked != (tc.want != "") || (asked && ref.Phase != tc.want) {
			t.Errorf("%s: asked %v, in the phase %q", name, asked, ref.Phase)
		}
	}
}

func TestWhatTheLiveVersionCannotLiveWith(t *testing.T) {
	t.Parallel()
	live := promotion.State{Exists: true, Shares: []promotion.Share{{Version: "v", Percentage: 100}}}
	breaking := promotion.Diff{Migrations: []promotion.Migration{{Name: "0001.sql"}, {Name: "0002.sql", Breaks: "it changes a table that older code uses"}}}
	judged := []pipelines.GateRef{{Gate: gateMigrations, Phase: gates.PhasePlan}}
	elsewhere := []pipelines.GateRef{{Gate: gateMigrations, Phase: gates.PhasePlan, Environments: []string{"staging"}}}
	for name, tc := range map[string]struct {
		plan    promotion.Plan
		gates   []pipelines.GateRef
		refused bool
	}{
		"nobody judges it":           {promotion.Plan{Live: live, Diff: breaking}, nil, true},
		"a gate judges it":           {promotion.Plan{Live: live, Diff: breaking}, judged, false},
		"the gate is not asked here": {promotion.Plan{Live: live, Diff: breaking}, elsewhere, true},
		"nothing is live":            {promotion.Plan{Diff: breaking}, nil, false},
		"it only adds":               {promotion.Plan{Live: live, Diff: promotion.Diff{Migrations: breaking.Migrations[:1]}}, nil, false},
	} {
		r := &run{pipeline: &pipelines.Pipeline{Gates: tc.gates}, environment: &pipelines.Environment{Name: "production"}}
		err := r.standsAlone(tc.plan)
		code, next := classify(err)
		if (err != nil) != tc.refused || (tc.refused && (code != ExitBlocked || next == "" || !strings.Contains(err.Error(), "0002.sql (it changes"))) {
			t.Errorf("%s: exit code %d, %v", name, code, err)
		}
	}
}

func TestWhichSeedIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		asked promotion.Seed
		want  string // "" is none
		code  ExitCode
	}{
		"none":                     {promotion.Seed{}, "", ExitDone},
		"a file":                   {promotion.Seed{File: "./seed//minimal.sql"}, "seed/minimal.sql", ExitDone},
		"again, of nothing":        {promotion.Seed{Again: true}, "", ExitUsage},
		"beside data, of nothing":  {promotion.Seed{BesideData: true}, "", ExitUsage},
		"outside of the app":       {promotion.Seed{File: "seed/../../x.sql"}, "", ExitUsage},
		"somewhere on the machine": {promotion.Seed{File: "/etc/passwd"}, "", ExitUsage},
	} {
		seed, err := seedOf(tc.asked)
		if code, _ := classify(err); code != tc.code || (seed != nil) != (tc.want != "") || (seed != nil && seed.File != tc.want) {
			t.Errorf("%s: %+v, exit code %d, %v", name, seed, code, err)
		}
	}
	r := &run{source: &snapshot.Snapshot{Files: []snapshot.File{{Path: "seed/minimal.sql"}}}, flags: runFlags{seed: &promotion.Seed{File: "seed/minimal.sql"}}}
	if err := r.seedIsSource(); err != nil {
		t.Error(err)
	}
	r.flags.seed = &promotion.Seed{File: "seed/ignored.sql"}
	if code, _ := classify(r.seedIsSource()); code != ExitUsage {
		t.Errorf("a file that is not of the source: exit code %d", code)
	}
	// The source of a workspace's member is the workspace.
	r.place, r.source.Files = "apps/shop", []snapshot.File{{Path: "apps/shop/seed/minimal.sql"}, {Path: "seed/ignored.sql"}}
	if code, _ := classify(r.seedIsSource()); code != ExitUsage {
		t.Errorf("a file of the workspace that is not the app's: exit code %d", code)
	}
	r.flags.seed = &promotion.Seed{File: "seed/minimal.sql"}
	if err := r.seedIsSource(); err != nil {
		t.Error(err)
	}
}

// TestADryRunLeavesNothing: nothing is put back for it, and nothing is kept that `promote` would go on with. There is no ledger
// here that it could touch.
func TestADryRunLeavesNothing(t *testing.T) {
	t.Parallel()
	r := &run{environment: &pipelines.Environment{Name: "production", Approvers: []string{"bea"}}, flags: runFlags{command: commandMigrate, dryRun: true}}
	if err := r.putInOrder(t.Context()); err != nil {
		t.Error(err)
	}
	for _, code := range []ExitCode{ExitWaiting, ExitBlocked} {
		cause := fail(code, "", errors.New("a gate"))
		if result, err := r.unbuilt(t.Context(), built{bundle: &bundle.Bundle{}}, cause); !errors.Is(err, cause) || result.NextStep != "" {
			t.Errorf("%+v, %v", result, err)
		}
	}
	shared, state := heldRun(t)
	inLedger(t, state, func(record *ledger.Ledger) {
		for _, e := range []event.Event{
			{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "small", Environment: "production", Command: commandMigrate, DryRun: true}},
			{Type: event.RunFinished, Result: &event.Result{Outcome: ExitBlocked.Outcome(), ExitCode: int(ExitBlocked)}},
		} {
			e.Run, e.Time = "r2-dry0", time.Now()
			if err := record.Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	})
	if _, err := goOn(t.Context(), shared, "r2-dry0"); err == nil || !strings.Contains(err.Error(), "dry run") {
		t.Errorf("it is gone on with: %v", err)
	}
}

// TestWhatIsForeseen: what is not there is told before a stage runs, and an environment that serves nobody yet stops nobody.
func TestWhatIsForeseen(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := &run{
		source: &snapshot.Snapshot{}, environment: &pipelines.Environment{Name: "local", Target: localTarget},
		shared: &common{streams: &Streams{Env: func(name string) string { return map[string]string{"PENSTOCK_STATE_DIR": state}[name] }}},
	}
	if over, _, err := r.foresee(t.Context()); over || err != nil {
		t.Errorf("a local Cloudflare that does not run: over %t, %v", over, err)
	}
	r.flags.seed = &promotion.Seed{File: "seed/nothing.sql"}
	over, _, err := r.foresee(t.Context())
	if code, _ := classify(err); !over || code != ExitUsage || !strings.Contains(err.Error(), "seed/nothing.sql") {
		t.Errorf("a seed that is not there: over %t, %v", over, err)
	}
	r.flags.seed, r.root = nil, app(t)
	r.environment, r.pipeline = &pipelines.Environment{Name: "production"}, &pipelines.Pipeline{Name: "small"}
	over, _, err = r.foresee(t.Context())
	if code, next := classify(err); !over || code != ExitUsage || !strings.Contains(next, "CLOUDFLARE_API_TOKEN") {
		t.Errorf("an account without a token: over %t, %v", over, err)
	}
}
