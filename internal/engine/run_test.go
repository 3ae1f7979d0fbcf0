package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

func outcomes(o engine.Outcome) string {
	var words []string
	for _, r := range o.Results {
		words = append(words, r.Stage+"="+string(r.Outcome))
	}
	return strings.Join(words, " ")
}

func run(t *testing.T, options engine.Options) engine.Outcome {
	t.Helper()
	outcome, err := engine.Run(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestFailureSkipsDependentsOnly(t *testing.T) {
	t.Parallel()
	s := &scripted{t: t, answer: func(_ context.Context, job engine.Job, _ int) (engine.Result, error) {
		if job.Stage.Name == "test" {
			return engine.Result{Outcome: event.Failed, ExitCode: 1}, nil
		}
		return engine.Result{Outcome: event.Passed}, nil
	}}
	p := pipeline(stage("install"), stage("test", "install"), stage("lint", "install"), stage("build", "install", "test"), stage("ship", "build"))
	events := &recorder{t: t}
	o := run(t, engine.Options{Run: "r1", Pipeline: p, Session: s, KeepGoing: true, Parallelism: 1, Observer: events})
	if got, want := outcomes(o), "install=passed test=failed lint=passed build=skipped ship=skipped"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if o.Outcome != event.Failed || o.Passed() {
		t.Errorf("outcome %s", o.Outcome)
	}
	if why := o.Result("build").Why; why != "needs test, which failed" {
		t.Errorf("build: %q", why)
	}
	if why := o.Result("ship").Why; why != "needs build, which was skipped" {
		t.Errorf("ship: %q", why)
	}
	want := []string{
		"stage.started install ", "stage.finished install passed", "stage.started test ", "stage.finished test failed",
		"stage.finished build skipped", "stage.started lint ", "stage.finished lint passed", "stage.finished ship skipped",
	}
	if diff := cmp.Diff(want, events.told()); diff != "" {
		t.Error(diff)
	}
	for _, e := range events.events {
		if e.Run != "r1" || e.Time.IsZero() {
			t.Errorf("event without run or time: %+v", e)
		}
	}
}

func TestWithoutKeepGoingNothingNewIsStarted(t *testing.T) {
	t.Parallel()
	s := &scripted{t: t, answer: func(context.Context, engine.Job, int) (engine.Result, error) {
		return engine.Result{Outcome: event.Failed, ExitCode: 2}, nil
	}}
	o := run(t, engine.Options{Pipeline: pipeline(stage("a"), stage("b"), stage("c")), Session: s, Parallelism: 1})
	if got, want := outcomes(o), "a=failed b=skipped c=skipped"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	p := pipeline(stage("install"), stage("test", "install"), stage("lint", "install"))
	o := run(t, engine.Options{Pipeline: p, Session: &scripted{t: t}, Only: []string{"lint"}})
	if got, want := outcomes(o), "install=passed lint=passed"; got != want {
		t.Errorf("got %s", got)
	}
	_, err := engine.Run(context.Background(), engine.Options{Pipeline: p, Session: &scripted{t: t}, Only: []string{"lintt"}})
	if err == nil || !strings.Contains(err.Error(), "install, test, lint") {
		t.Errorf("a stage that is not there: %v", err)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*pipelines.Pipeline{
		"cycle":   pipeline(stage("a", "b"), stage("b", "a"), stage("c")),
		"self":    pipeline(stage("a", "a")),
		"unknown": pipeline(stage("a", "nobody")),
		"twice":   pipeline(stage("a"), stage("a")),
	} {
		s := &scripted{t: t}
		if _, err := engine.Run(context.Background(), engine.Options{Pipeline: p, Session: s}); err == nil || len(s.order) > 0 {
			t.Errorf("%s: error %v, ran %v", name, err, s.order)
		}
	}
}

func TestExecutorThatLiesOrDies(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(context.Context, engine.Job, int) (engine.Result, error){
		"passed with 1": func(context.Context, engine.Job, int) (engine.Result, error) {
			return engine.Result{Outcome: event.Passed, ExitCode: 1}, nil
		},
		"no answer": func(context.Context, engine.Job, int) (engine.Result, error) { return engine.Result{}, nil },
		"made-up word": func(context.Context, engine.Job, int) (engine.Result, error) {
			return engine.Result{Outcome: "ok"}, nil
		},
		"skipped": func(context.Context, engine.Job, int) (engine.Result, error) {
			return engine.Result{Outcome: event.Skipped}, nil
		},
		"panic": func(context.Context, engine.Job, int) (engine.Result, error) { panic("boom") },
		"error and pass": func(context.Context, engine.Job, int) (engine.Result, error) {
			return engine.Result{Outcome: event.Passed}, errors.New("disk full")
		},
	} {
		o := run(t, engine.Options{Pipeline: pipeline(stage("a"), stage("b", "a")), Session: &scripted{t: t, answer: answer}})
		if got := outcomes(o); got != "a=error b=skipped" || o.Outcome != event.Errored {
			t.Errorf("%s: %s, %s", name, got, o.Outcome)
		}
		if a := o.Result("a"); a.Why == "" || (name == "panic" && !strings.Contains(a.Why, "stage a panicked: boom")) {
			t.Errorf("%s: why %q", name, a.Why)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	s := &scripted{t: t, answer: func(_ context.Context, _ engine.Job, attempt int) (engine.Result, error) {
		if attempt < 2 {
			return engine.Result{Outcome: event.Failed, ExitCode: 1}, nil
		}
		return engine.Result{Outcome: event.Passed}, nil
	}}
	flaky := stage("flaky")
	flaky.Retries = 2
	events := &recorder{t: t}
	o := run(t, engine.Options{Pipeline: pipeline(flaky), Session: s, Observer: events})
	if o.Outcome != event.Passed || s.attempts["flaky"] != 2 {
		t.Errorf("%s after %d attempts", o.Outcome, s.attempts["flaky"])
	}
	if last := events.events[len(events.events)-1].Stage; last.Attempt != 2 || last.Outcome != event.Passed {
		t.Errorf("last event %+v", last)
	}
}

func TestTimeoutIsAFailure(t *testing.T) {
	t.Parallel()
	slow := stage("slow")
	slow.Timeout = 20 * time.Millisecond
	// An executor that says "passed" when its time is up is not believed either.
	for name, answer := range map[string]func(context.Context, engine.Job, int) (engine.Result, error){
		"cancelled": waiting,
		"passed": func(ctx context.Context, _ engine.Job, _ int) (engine.Result, error) {
			<-ctx.Done()
			return engine.Result{Outcome: event.Passed}, nil
		},
	} {
		o := run(t, engine.Options{Pipeline: pipeline(slow, stage("next", "slow")), Session: &scripted{t: t, answer: answer}})
		r := o.Result("slow")
		if r.Outcome != event.Failed || !r.TimedOut || r.ExitCode != -1 || !strings.Contains(r.Why, "20ms") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	flaky := stage("a")
	flaky.Retries = 5
	s := &scripted{t: t, answer: waiting}
	o, err := engine.Run(ctx, engine.Options{Pipeline: pipeline(flaky, stage("b", "a"), stage("c")), Session: s, Parallelism: 1, KeepGoing: true})
	if err != nil || outcomes(o) != "a=cancelled b=cancelled c=cancelled" || o.Outcome != event.Cancelled {
		t.Errorf("%s, %v", outcomes(o), err)
	}
	if len(s.order) != 1 {
		t.Errorf("ran %v", s.order)
	}
}

func TestSecretsGoOnlyWhereTheyAreNamed(t *testing.T) {
	t.Parallel()
	got := map[string]map[string]string{}
	s := &scripted{t: t, answer: func(_ context.Context, job engine.Job, _ int) (engine.Result, error) {
		got[job.Stage.Name] = job.Secrets
		return engine.Result{Outcome: event.Passed}, nil
	}}
	named := stage("named")
	named.Secrets = []string{"TOKEN", "NOT_GIVEN"}
	run(t, engine.Options{
		Pipeline: pipeline(named, stage("other")), Session: s, Parallelism: 1, Secrets: map[string]string{"TOKEN": "t", "MORE": "m"},
	})
	if diff := cmp.Diff(map[string]map[string]string{"named": {"TOKEN": "t"}, "other": nil}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRandomGraphs: whatever the graph and whatever fails, every stage settles once, nothing starts before what it needs
// has passed (the scripted session watches that), no more run at once than allowed, and exactly the stages that reach a
// failed one are skipped.
func TestRandomGraphs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		n := 1 + random.IntN(30)
		var stages []pipelines.Stage
		bad := map[string]bool{}
		for i := range n {
			s := stage(fmt.Sprint("s", i))
			for j := range i {
				if random.IntN(6) == 0 {
					s.Needs = append(s.Needs, fmt.Sprint("s", j))
				}
			}
			bad[s.Name] = random.IntN(8) == 0
			stages = append(stages, s)
		}
		reaches := map[string]bool{} // a failed one, through others
		allNeeds := map[string]map[string]bool{}
		for _, s := range stages {
			allNeeds[s.Name] = map[string]bool{}
			for _, need := range s.Needs {
				reaches[s.Name] = reaches[s.Name] || bad[need] || reaches[need]
				allNeeds[s.Name][need] = true
				for far := range allNeeds[need] {
					allNeeds[s.Name][far] = true
				}
			}
		}
		shuffled := slices.Clone(stages)
		random.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		limit := 1 + random.IntN(5)
		pauses := random.IntN(2) == 0
		s := &scripted{t: t, limit: limit, answer: func(_ context.Context, job engine.Job, _ int) (engine.Result, error) {
			if len(job.Needs) != len(allNeeds[job.Stage.Name]) {
				t.Errorf("seed %d: stage %s was given %d results, and needs %d", seed, job.Stage.Name, len(job.Needs), len(allNeeds[job.Stage.Name]))
			}
			if pauses {
				time.Sleep(time.Duration(len(job.Needs)%3) * 100 * time.Microsecond)
			}
			if bad[job.Stage.Name] {
				return engine.Result{Outcome: event.Failed, ExitCode: 1}, nil
			}
			return engine.Result{Outcome: event.Passed}, nil
		}}
		events := &recorder{t: t}
		o, err := engine.Run(context.Background(), engine.Options{
			Pipeline: pipeline(shuffled...), Session: s, Parallelism: limit, KeepGoing: true, Observer: events,
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(o.Results) != n {
			t.Fatalf("seed %d: %d results of %d stages", seed, len(o.Results), n)
		}
		for i, r := range o.Results {
			want := event.Passed
			switch {
			case reaches[r.Stage]:
				want = event.Skipped
			case bad[r.Stage]:
				want = event.Failed
			}
			if r.Outcome != want || r.Stage != shuffled[i].Name {
				t.Errorf("seed %d: stage %s is %s, want %s", seed, r.Stage, r.Outcome, want)
			}
		}
		ended := map[string]int{}
		for _, e := range events.events {
			if e.Type == event.StageFinished {
				ended[e.Stage.Name]++
			}
		}
		for name, times := range ended {
			if times != 1 {
				t.Errorf("seed %d: stage %s was told finished %d times", seed, name, times)
			}
		}
		if len(ended) != n {
			t.Errorf("seed %d: %d of %d stages were told finished", seed, len(ended), n)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestLongestWayFirst(t *testing.T) {
	t.Parallel()
	s := &scripted{t: t}
	run(t, engine.Options{
		Pipeline: pipeline(stage("short"), stage("long1"), stage("long2", "long1"), stage("long3", "long2"), stage("mid1"), stage("mid2", "mid1")),
		Session:  s, Parallelism: 1,
	})
	if diff := cmp.Diff([]string{"long1", "long2", "mid1", "short", "long3", "mid2"}, s.order); diff != "" {
		t.Error(diff)
	}
}
