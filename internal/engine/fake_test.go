package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// scripted is an executor's session that does what a test says and complains when the engine misuses it.
type scripted struct {
	t     testing.TB
	limit int // stages at once; 0 does not count
	// answer is asked for each attempt, from 1; nil passes everything.
	answer func(ctx context.Context, job engine.Job, attempt int) (engine.Result, error)

	mu       sync.Mutex
	running  int
	attempts map[string]int
	passed   map[string]bool
	order    []string
}

func (s *scripted) Run(ctx context.Context, job engine.Job) (engine.Result, error) {
	name := job.Stage.Name
	s.mu.Lock()
	if s.attempts == nil {
		s.attempts, s.passed = map[string]int{}, map[string]bool{}
	}
	s.attempts[name]++
	attempt := s.attempts[name]
	s.running++
	s.order = append(s.order, name)
	if s.limit > 0 && s.running > s.limit {
		s.t.Errorf("%d stages at once, at most %d are allowed", s.running, s.limit)
	}
	if s.passed[name] {
		s.t.Errorf("stage %s runs again after it passed", name)
	}
	given := map[string]bool{}
	for _, need := range job.Needs {
		if given[need.Stage] {
			s.t.Errorf("stage %s was given the result of %s twice", name, need.Stage)
		}
		given[need.Stage] = true
		if need.Outcome != event.Passed {
			s.t.Errorf("stage %s was started although %s %s", name, need.Stage, need.Outcome)
		}
	}
	for _, need := range job.Stage.Needs {
		if !given[need] {
			s.t.Errorf("stage %s was not given the result of %s", name, need)
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()
	result, err := engine.Result{Outcome: event.Passed}, error(nil)
	if s.answer != nil {
		result, err = s.answer(ctx, job, attempt)
	}
	s.mu.Lock()
	s.passed[name] = err == nil && result.Outcome == event.Passed && result.ExitCode == 0
	s.mu.Unlock()
	return result, err
}

func (s *scripted) Close(context.Context) error { return nil }

// waiting answers Cancelled once ctx ends, as an executor does.
func waiting(ctx context.Context, _ engine.Job, _ int) (engine.Result, error) {
	<-ctx.Done()
	return engine.Result{Outcome: event.Cancelled, ExitCode: -1}, nil
}

func stage(name string, needs ...string) pipelines.Stage {
	return pipelines.Stage{Name: name, Needs: needs, Run: []string{"true"}, Timeout: time.Minute}
}

func pipeline(stages ...pipelines.Stage) *pipelines.Pipeline {
	return &pipelines.Pipeline{Name: "app", Stages: stages}
}

// recorder keeps events and complains when it is called from two goroutines at once.
type recorder struct {
	t      testing.TB
	busy   sync.Mutex
	events []event.Event
}

func (r *recorder) Observe(e event.Event) {
	if !r.busy.TryLock() {
		r.t.Error("the observer is called from two goroutines at once")
		return
	}
	defer r.busy.Unlock()
	r.events = append(r.events, e)
}

// told is one short word for each event.
func (r *recorder) told() []string {
	var words []string
	for _, e := range r.events {
		switch {
		case e.Stage != nil && e.Type == event.StageOutput:
			words = append(words, e.Stage.Name+": "+e.Text)
		case e.Stage != nil:
			words = append(words, fmt.Sprintf("%s %s %s", e.Type, e.Stage.Name, e.Stage.Outcome))
		case e.Gate != nil:
			words = append(words, fmt.Sprintf("%s %s", e.Type, e.Gate.Name))
		default:
			words = append(words, string(e.Type)+" "+e.Text)
		}
	}
	return words
}
