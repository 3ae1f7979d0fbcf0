package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// source gathers as a test says, and counts.
type source struct {
	mu     sync.Mutex
	asked  []string
	gather func(ctx context.Context, kind gates.ReportKind, times int) (string, error)
}

func (s *source) Gather(ctx context.Context, phase gates.Phase, kind gates.ReportKind) (string, error) {
	s.mu.Lock()
	s.asked = append(s.asked, string(phase)+" "+string(kind))
	times := len(s.asked)
	s.mu.Unlock()
	return s.gather(ctx, kind, times)
}

func files(_ context.Context, kind gates.ReportKind, times int) (string, error) {
	return fmt.Sprintf("%d-%s.json", times, kind), nil
}

// judges is a gatekeeper whose gates judge the given kinds.
type judges struct {
	keeper
	kinds map[string][]gates.ReportKind
}

func (j *judges) Describe(ctx context.Context, gate string) (engine.GateInfo, error) {
	info, err := j.keeper.Describe(ctx, gate)
	for _, kind := range j.kinds[gate] {
		info.Description.Reports = append(info.Description.Reports, gates.Report{Kind: kind})
	}
	return info, err
}

func TestEvidenceIsGatheredForWhomJudgesIt(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	given := map[string]string{}
	keeper := &judges{kinds: map[string][]gates.ReportKind{
		"a/live": {gates.ReportEnvironment}, "b/live": {gates.ReportJUnit, gates.ReportEnvironment}, "c/tests": {gates.ReportJUnit},
	}}
	keeper.answer = func(_ context.Context, gate string, request gates.Request, attempt int) gates.Verdict {
		mu.Lock()
		defer mu.Unlock()
		for _, report := range request.ReportsOf(gates.ReportEnvironment, gates.ReportMetrics) {
			given[gate] += report.Path + report.Stage + " "
		}
		if gate == "a/live" && attempt == 1 {
			return gates.Verdict{Outcome: gates.Error, Summary: "once more"}
		}
		return gates.Verdict{Outcome: gates.Pass, Summary: "fine"}
	}
	evidence := &source{gather: files}
	var refs []pipelines.GateRef
	for _, gate := range []string{"a/live", "b/live", "c/tests"} {
		refs = append(refs, pipelines.GateRef{Gate: gate, Phase: gates.PhaseBake, Enforcement: pipelines.Mandatory})
	}
	judge := engine.PromotionJudge{Options: engine.JudgeOptions{
		Gatekeeper: keeper, Gates: refs, Evidence: evidence,
		// A stage that puts its own word in the place of the target's.
		Request: gates.Request{Reports: []gates.Report{{Kind: gates.ReportEnvironment, Stage: "forged", Path: "forged.json"}}},
	}}
	for range 2 { // a bake asks again
		if ruling, err := judge.Judge(t.Context(), gates.PhaseBake, promotion.Address{}, "v1"); err != nil || !ruling.Allowed {
			t.Fatalf("%+v, %v", ruling, err)
		}
	}
	if got := strings.Join(evidence.asked, ", "); got != "bake environment, bake environment" {
		t.Errorf("gathered %s", got)
	}
	if want := "1-environment.json 1-environment.json 2-environment.json "; given["a/live"] != want {
		t.Errorf("a/live was given %q, want %q", given["a/live"], want)
	}
	if given["c/tests"] != "" {
		t.Errorf("c/tests judges no evidence and was given %s", given["c/tests"])
	}
}

// TestAFailingSourceNeverPasses: the gate would pass whatever it is given, so it is not asked.
func TestAFailingSourceNeverPasses(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	t.Cleanup(func() { close(hanging) })
	for name, row := range map[string]struct {
		source engine.EvidenceSource
		want   gates.Outcome
		says   string
	}{
		"an error": {&source{gather: func(context.Context, gates.ReportKind, int) (string, error) {
			return "", errors.New("cloudflare answered 403")
		}}, gates.Inconclusive, "cloudflare answered 403"},
		"a panic": {&source{gather: func(context.Context, gates.ReportKind, int) (string, error) { panic("boom") }}, gates.Inconclusive, "boom"},
		"no file": {&source{gather: func(context.Context, gates.ReportKind, int) (string, error) { return "", nil }}, gates.Inconclusive, "gave no file"},
		"a hang": {&source{gather: func(context.Context, gates.ReportKind, int) (string, error) {
			<-hanging
			return "late.json", nil
		}}, gates.Error, "50ms"},
		"nobody": {nil, gates.Inconclusive, "nobody here can gather"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keeper := &judges{kinds: map[string][]gates.ReportKind{"a/live": {gates.ReportEnvironment}}}
			keeper.answer = says(gates.Pass)
			ref := pipelines.GateRef{Gate: "a/live", Phase: gates.PhaseBuild, Enforcement: pipelines.Mandatory, Timeout: 10 * time.Second}
			if name == "a hang" {
				ref.Timeout = 50 * time.Millisecond
			}
			judged, err := engine.Judge(t.Context(), engine.JudgeOptions{
				Gatekeeper: keeper, Gates: []pipelines.GateRef{ref}, Phase: gates.PhaseBuild, Evidence: row.source,
			})
			if err != nil || !judged.Blocked() {
				t.Fatalf("%+v, %v", judged, err)
			}
			verdict := judged.Gates[0].Verdict
			if verdict.Outcome != row.want || !strings.Contains(verdict.Summary, row.says) || verdict.NextStep == "" {
				t.Errorf("%+v", verdict)
			}
			if keeper.asked["a/live"] != 0 {
				t.Error("the gate was asked without what it judges")
			}
		})
	}
}
