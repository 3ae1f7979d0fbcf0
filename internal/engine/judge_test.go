package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// keeper is a gatekeeper that answers as a test says, by the gate's name.
type keeper struct {
	mu      sync.Mutex
	asked   map[string]int
	running int
	configs []string
	answer  func(ctx context.Context, gate string, request gates.Request, attempt int) gates.Verdict
}

// advice is an error of a gatekeeper that knows what to do.
type advice struct{ error }

func (advice) NextStep() string { return "correct the name" }

func (k *keeper) Describe(_ context.Context, gate string) (engine.GateInfo, error) {
	if gate == "unknown/advised" {
		return engine.GateInfo{}, advice{errors.New("no set has it")}
	}
	if strings.HasPrefix(gate, "unknown/") {
		return engine.GateInfo{}, errors.New("no plugin serves it")
	}
	return engine.GateInfo{Description: gates.Description{Title: "Title of " + gate}, SetVersion: "1.0.0"}, nil
}

func (k *keeper) Evaluate(ctx context.Context, gate string, request gates.Request, progress func(string)) gates.Verdict {
	k.mu.Lock()
	if k.asked == nil {
		k.asked = map[string]int{}
	}
	k.asked[gate]++
	attempt := k.asked[gate]
	k.running++
	k.configs = append(k.configs, string(request.Config))
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.running--
		k.mu.Unlock()
	}()
	progress("asking")
	return k.answer(ctx, gate, request, attempt)
}

func says(outcome gates.Outcome) func(context.Context, string, gates.Request, int) gates.Verdict {
	return func(context.Context, string, gates.Request, int) gates.Verdict {
		v := gates.Verdict{Outcome: outcome, Summary: "said " + string(outcome)}
		if outcome == gates.Pending {
			v.Pending = &gates.Clearance{By: "somebody", AskAgain: time.Minute}
		}
		return v
	}
}

func ref(gate string, enforcement pipelines.Enforcement) pipelines.GateRef {
	return pipelines.GateRef{Gate: gate, Phase: gates.PhaseBuild, Enforcement: enforcement, Timeout: 10 * time.Second}
}

// TestWhatBlocks is the whole table: only pass and warn let anything through, and advisory never blocks.
func TestWhatBlocks(t *testing.T) {
	t.Parallel()
	outcomes := []gates.Outcome{gates.Pass, gates.Warn, gates.Fail, gates.Inconclusive, gates.Error, gates.Pending, "", "ok", "passed"}
	for _, enforcement := range []pipelines.Enforcement{pipelines.Advisory, pipelines.Overridable, pipelines.Mandatory, "", "Advisory", "none"} {
		for _, outcome := range outcomes {
			j, err := engine.Judge(context.Background(), engine.JudgeOptions{
				Gatekeeper: &keeper{answer: says(outcome)}, Gates: []pipelines.GateRef{ref("q/g", enforcement)}, Phase: gates.PhaseBuild,
			})
			if err != nil {
				t.Fatal(err)
			}
			allowed := outcome == gates.Pass || outcome == gates.Warn
			want := !allowed && enforcement != pipelines.Advisory
			if j.Blocked() != want {
				t.Errorf("%q at %q: blocked %v, want %v", outcome, enforcement, j.Blocked(), want)
			}
			if j.Waiting() != (want && outcome == gates.Pending) {
				t.Errorf("%q at %q: waiting %v", outcome, enforcement, j.Waiting())
			}
			if !outcome.Known() && j.Gates[0].Verdict.Outcome != gates.Error {
				t.Errorf("%q became %q", outcome, j.Gates[0].Verdict.Outcome)
			}
		}
	}
}

// TestADryRunNeverBlocks: it is asked and told, and counts as soon as one reference to the gate is no dry run.
func TestADryRunNeverBlocks(t *testing.T) {
	t.Parallel()
	dry := ref("q/g", pipelines.Mandatory)
	dry.DryRun = true
	other := ref("q/g", pipelines.Advisory)
	other.Config = map[string]any{"limit": 1}
	for _, outcome := range []gates.Outcome{gates.Pass, gates.Fail, gates.Error, gates.Pending, "nonsense"} {
		judge := func(refs ...pipelines.GateRef) engine.Judgement {
			j, err := engine.Judge(context.Background(), engine.JudgeOptions{Gatekeeper: &keeper{answer: says(outcome)}, Gates: refs, Phase: gates.PhaseBuild})
			if err != nil {
				t.Fatal(err)
			}
			return j
		}
		if j := judge(dry); j.Blocked() || len(j.Gates) != 1 || !j.Gates[0].Ref.DryRun || j.Gates[0].Verdict.Summary == "" {
			t.Errorf("%s: %+v", outcome, j)
		}
		if j := judge(dry, other); j.Blocked() == outcome.Allows() || j.Gates[0].Ref.DryRun || j.Gates[1].Ref.Enforcement != pipelines.Mandatory {
			t.Errorf("%s, referred to twice: %+v", outcome, j)
		}
	}
}

// TestTwentyGatesRunAtOnce: each waits until all are asked, so they pass only when nobody is kept waiting for another.
func TestTwentyGatesRunAtOnce(t *testing.T) {
	t.Parallel()
	const n = 20
	var asked sync.WaitGroup
	asked.Add(n)
	k := &keeper{answer: func(ctx context.Context, _ string, _ gates.Request, _ int) gates.Verdict {
		asked.Done()
		all := make(chan struct{})
		go func() { asked.Wait(); close(all) }()
		select {
		case <-all:
			return gates.Verdict{Outcome: gates.Pass, Summary: "all were there"}
		case <-ctx.Done():
			return gates.Verdict{Outcome: gates.Fail, Summary: "alone"}
		}
	}}
	var refs []pipelines.GateRef
	for i := range n {
		refs = append(refs, ref(fmt.Sprintf("q/g%d", i), pipelines.Mandatory))
	}
	j, err := engine.Judge(context.Background(), engine.JudgeOptions{Gatekeeper: k, Gates: refs, Phase: gates.PhaseBuild})
	if err != nil || j.Blocked() {
		t.Errorf("%v: %+v", err, j.Blocking())
	}
}

// TestCouldNotFindOut: nothing that keeps a gate from answering is a pass.
func TestCouldNotFindOut(t *testing.T) {
	t.Parallel()
	short := ref("q/g", pipelines.Mandatory)
	short.Timeout = 30 * time.Millisecond
	for name, c := range map[string]struct {
		ref    pipelines.GateRef
		answer func(context.Context, string, gates.Request, int) gates.Verdict
		want   string
	}{
		"panics":      {ref("q/g", pipelines.Mandatory), func(context.Context, string, gates.Request, int) gates.Verdict { panic("boom") }, "boom"},
		"unknown set": {ref("unknown/g", pipelines.Mandatory), says(gates.Pass), "no plugin serves it"},
		"says nothing": {ref("q/g", pipelines.Mandatory), func(context.Context, string, gates.Request, int) gates.Verdict {
			return gates.Verdict{}
		}, "no outcome"},
		"pending without a word": {ref("q/g", pipelines.Mandatory), func(context.Context, string, gates.Request, int) gates.Verdict {
			return gates.Verdict{Outcome: gates.Pending}
		}, "who or what can clear it"},
		"passes too late": {short, func(ctx context.Context, _ string, _ gates.Request, _ int) gates.Verdict {
			<-ctx.Done()
			return gates.Verdict{Outcome: gates.Pass}
		}, "30ms"},
		"bad config": {func() pipelines.GateRef {
			r := ref("q/g", pipelines.Mandatory)
			r.Config = map[string]any{"x": "y"}
			r.Phase = "biuld" // belongs to no phase: must be asked in the first one, not never
			return r
		}(), says(gates.Fail), "said fail"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := engine.Judge(context.Background(), engine.JudgeOptions{
				Gatekeeper: &keeper{answer: c.answer}, Gates: []pipelines.GateRef{c.ref}, Phase: gates.PhaseBuild,
			})
			if err != nil || !j.Blocked() || len(j.Gates) != 1 {
				t.Fatalf("%+v, %v", j, err)
			}
			if v := j.Gates[0].Verdict; !strings.Contains(v.Summary, c.want) {
				t.Errorf("%s: %s", v.Outcome, v.Summary)
			}
		})
	}
	if _, err := engine.Judge(context.Background(), engine.JudgeOptions{Gates: []pipelines.GateRef{ref("q/g", pipelines.Advisory)}, Phase: gates.PhaseBuild}); err == nil {
		t.Error("no gatekeeper, and no error")
	}
}

// A gatekeeper that does not come back is not waited for for ever.
func TestGatekeeperThatHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	short := ref("q/g", pipelines.Mandatory)
	short.Timeout = 10 * time.Millisecond
	started := time.Now()
	j, err := engine.Judge(context.Background(), engine.JudgeOptions{
		Gatekeeper: &keeper{answer: func(context.Context, string, gates.Request, int) gates.Verdict {
			<-release
			return gates.Verdict{Outcome: gates.Pass}
		}},
		Gates: []pipelines.GateRef{short}, Phase: gates.PhaseBuild,
	})
	if err != nil || !j.Blocked() || time.Since(started) > 20*time.Second {
		t.Errorf("%+v, %v after %s", j, err, time.Since(started))
	}
}

func TestErrorsAreAskedAgainAndAnswersAreNot(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[gates.Outcome]int{gates.Error: 2, gates.Fail: 1, gates.Inconclusive: 1, gates.Pending: 1, gates.Pass: 1} {
		k := &keeper{answer: says(outcome)}
		if _, err := engine.Judge(context.Background(), engine.JudgeOptions{Gatekeeper: k, Gates: []pipelines.GateRef{ref("q/g", pipelines.Mandatory)}, Phase: gates.PhaseBuild}); err != nil {
			t.Fatal(err)
		}
		if k.asked["q/g"] != want {
			t.Errorf("%s: asked %d times, want %d", outcome, k.asked["q/g"], want)
		}
	}
	k := &keeper{answer: func(ctx context.Context, gate string, request gates.Request, attempt int) gates.Verdict {
		if attempt == 1 {
			return says(gates.Error)(ctx, gate, request, attempt)
		}
		return says(gates.Pass)(ctx, gate, request, attempt)
	}}
	j, err := engine.Judge(context.Background(), engine.JudgeOptions{Gatekeeper: k, Gates: []pipelines.GateRef{ref("q/g", pipelines.Mandatory)}, Phase: gates.PhaseBuild})
	if err != nil || j.Blocked() {
		t.Errorf("an error that went away: %+v, %v", j, err)
	}
}

func TestDuplicatesTheMostRestrictiveWins(t *testing.T) {
	t.Parallel()
	k := &keeper{answer: says(gates.Fail)}
	strict := ref("q/g", pipelines.Mandatory)
	other := ref("q/g", pipelines.Advisory)
	other.Config = map[string]any{"limit": 90}
	j, err := engine.Judge(context.Background(), engine.JudgeOptions{
		Gatekeeper: k, Gates: []pipelines.GateRef{ref("q/g", pipelines.Advisory), strict, other}, Phase: gates.PhaseBuild, Parallelism: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"{}", `{"limit":90}`}, k.configs); diff != "" {
		t.Errorf("asked with: %s", diff)
	}
	for _, judged := range j.Gates {
		if !judged.Blocks || judged.Ref.Enforcement != pipelines.Mandatory {
			t.Errorf("%+v", judged)
		}
	}
}

func TestPhasesAndEnvironments(t *testing.T) {
	t.Parallel()
	everywhere := pipelines.GateRef{Gate: "h/all", Phase: gates.PhasePromote, Enforcement: pipelines.Mandatory}
	production := pipelines.GateRef{Gate: "h/prod", Phase: gates.PhasePromote, Enforcement: pipelines.Mandatory, Environments: []string{"production"}}
	build := ref("q/build", pipelines.Mandatory)
	build.Environments = []string{"production"} // has no meaning for a build gate, and must not make it disappear
	nowhere := pipelines.GateRef{Gate: "q/phaseless", Enforcement: pipelines.Mandatory}
	planned := pipelines.GateRef{Gate: "r/plan", Phase: gates.PhasePlan, Enforcement: pipelines.Mandatory, Environments: []string{"production"}}
	all := []pipelines.GateRef{everywhere, production, build, nowhere, planned}
	for _, c := range []struct {
		phase       gates.Phase
		environment string
		want        string
	}{
		{gates.PhaseBuild, "staging", "q/build q/phaseless"},
		{gates.PhasePlan, "staging", ""},
		{gates.PhasePlan, "production", "r/plan"},
		{gates.PhasePromote, "staging", "h/all"},
		{gates.PhasePromote, "production", "h/all h/prod"},
		{gates.PhasePromote, "", "h/all h/prod"},
		{gates.PhaseBake, "production", ""},
	} {
		j, err := engine.Judge(context.Background(), engine.JudgeOptions{Gatekeeper: &keeper{answer: says(gates.Pass)}, Gates: all, Phase: c.phase, Environment: c.environment})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, judged := range j.Gates {
			names = append(names, judged.Ref.Gate)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s in %q: %s, want %s", c.phase, c.environment, got, c.want)
		}
	}
}

func TestGatesRunSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, atOnce = 20, 4
		var refs []pipelines.GateRef
		for i := range n {
			refs = append(refs, ref(fmt.Sprint("q/g", i), pipelines.Mandatory))
		}
		turn := make(chan struct{})
		k := &keeper{answer: func(context.Context, string, gates.Request, int) gates.Verdict {
			<-turn
			return gates.Verdict{Outcome: gates.Pass}
		}}
		go func() {
			for left := n; left > 0; left-- {
				synctest.Wait() // whatever could be asked has been asked
				k.mu.Lock()
				running := k.running
				k.mu.Unlock()
				if running != min(atOnce, left) {
					t.Errorf("%d are asked at once with %d left, want %d", running, left, min(atOnce, left))
				}
				turn <- struct{}{}
			}
		}()
		events := &recorder{t: t}
		j, err := engine.Judge(t.Context(), engine.JudgeOptions{Gatekeeper: k, Gates: refs, Phase: gates.PhaseBuild, Parallelism: atOnce, Observer: events})
		if err != nil || j.Blocked() || len(j.Gates) != n {
			t.Fatalf("%+v, %v", j, err)
		}
		if len(events.events) != 3*n {
			t.Errorf("%d events, want started, progress and finished for each", len(events.events))
		}
	})
}

func TestStoppedJudgementBlocks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	j, err := engine.Judge(ctx, engine.JudgeOptions{Gatekeeper: &keeper{answer: says(gates.Pass)}, Gates: []pipelines.GateRef{ref("q/g", pipelines.Mandatory)}, Phase: gates.PhaseBuild})
	if !errors.Is(err, context.Canceled) || !j.Blocked() {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestPromotionJudge(t *testing.T) {
	t.Parallel()
	var got gates.Run
	judge := engine.PromotionJudge{Options: engine.JudgeOptions{
		Gatekeeper: &keeper{answer: func(_ context.Context, _ string, request gates.Request, _ int) gates.Verdict {
			got = request.Run
			return gates.Verdict{Outcome: gates.Fail, Summary: "too slow"}
		}},
		Gates: []pipelines.GateRef{{Gate: "h/x", Phase: gates.PhaseBake, Enforcement: pipelines.Mandatory}},
	}}
	ruling, err := judge.Judge(context.Background(), gates.PhaseBake, promotion.Address{URL: "http://x"}, "v1")
	want := promotion.Ruling{Blocking: []string{"h/x"}, Summary: "h/x: too slow"}
	if err != nil || !cmp.Equal(want, ruling) || got.URL != "http://x" || got.VersionID != "v1" {
		t.Errorf("%+v, %v, asked about %+v", ruling, err, got)
	}
}

// The promotion asks because its plan names gates, so that to find none is no consent.
func TestNoGateAskedIsNoConsent(t *testing.T) {
	t.Parallel()
	keeper := &keeper{answer: says(gates.Pass)}
	judge := engine.PromotionJudge{Options: engine.JudgeOptions{
		Gatekeeper: keeper, Environment: "production",
		Gates: []pipelines.GateRef{
			{Gate: "a/early", Phase: gates.PhaseBuild},
			{Gate: "a/elsewhere", Phase: gates.PhasePromote, Environments: []string{"staging"}},
		},
	}}
	ruling, err := judge.Judge(t.Context(), gates.PhasePromote, promotion.Address{URL: "http://app.test"}, "v2")
	if err == nil || ruling.Allowed || !strings.Contains(err.Error(), "no gate of phase promote was asked") {
		t.Errorf("%+v, %v", ruling, err)
	}
	if len(keeper.asked) != 0 {
		t.Errorf("asked %v", keeper.asked)
	}
}

// TestTheGatekeepersAdviceIsKept: whoever could not describe a gate may know what to do about it.
func TestTheGatekeepersAdviceIsKept(t *testing.T) {
	t.Parallel()
	j, err := engine.Judge(t.Context(), engine.JudgeOptions{
		Gatekeeper: &keeper{answer: says(gates.Pass)}, Gates: []pipelines.GateRef{ref("unknown/advised", pipelines.Mandatory)}, Phase: gates.PhaseBuild,
	})
	if err != nil || len(j.Blocking()) != 1 || j.Blocking()[0].Verdict.NextStep != "correct the name" {
		t.Errorf("%v: %+v", err, j.Blocking())
	}
}
