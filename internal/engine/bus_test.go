package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
)

func TestBusKeepsOrder(t *testing.T) {
	t.Parallel()
	r := &recorder{t: t}
	bus := engine.NewBus("r", r)
	var emitting sync.WaitGroup
	for g := range 4 {
		emitting.Go(func() {
			for i := range 1000 {
				bus.Observe(event.Event{Type: event.Note, Text: fmt.Sprintf("%d %d", g, i)})
			}
		})
	}
	emitting.Wait()
	if err := bus.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	next := [4]int{}
	for _, e := range r.events {
		var g, i int
		if _, err := fmt.Sscan(e.Text, &g, &i); err != nil || next[g] != i {
			t.Fatalf("after %v came %q", next, e.Text)
		}
		next[g]++
	}
	if len(r.events) != 4000 {
		t.Errorf("%d events of 4000", len(r.events))
	}
}

func TestObserverThatPanics(t *testing.T) {
	t.Parallel()
	calls := 0
	o, err := engine.Run(context.Background(), engine.Options{
		Pipeline: pipeline(stage("a"), stage("b")), Session: &scripted{t: t},
		Observer: event.ObserverFunc(func(event.Event) { calls++; panic("boom") }),
	})
	if err != nil || !o.Passed() || calls != 1 {
		t.Errorf("%v, %v, %d calls", o.Outcome, err, calls)
	}
	bus := engine.NewBus("r", event.ObserverFunc(func(event.Event) { panic("boom") }))
	bus.Observe(event.Event{Type: event.Note})
	if err := bus.Close(context.Background()); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("close says %v", err)
	}
}

func TestObserverThatHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	s := &scripted{t: t, answer: func(_ context.Context, job engine.Job, _ int) (engine.Result, error) {
		for i := range 20_000 {
			job.Output(fmt.Sprint("line ", i), false)
		}
		return engine.Result{Outcome: event.Passed}, nil
	}}
	started := time.Now()
	o, err := engine.Run(context.Background(), engine.Options{
		Pipeline: pipeline(stage("a")), Session: s, Observer: event.ObserverFunc(func(event.Event) { <-release }),
	})
	if err != nil || !o.Passed() {
		t.Errorf("%v, %v", o.Outcome, err)
	}
	if took := time.Since(started); took > time.Minute { // a pause for each line would be an hour
		t.Errorf("a hanging observer held the run up for %s", took)
	}
}

// A slow observer loses lines of output, hears that it did, and loses nothing else.
func TestObserverThatIsSlow(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	r := &recorder{t: t}
	bus := engine.NewBus("r", event.ObserverFunc(func(e event.Event) {
		<-gate
		r.Observe(e)
	}))
	const lines, notes = 20_000, 10_000
	for i := range lines {
		bus.Observe(event.Event{Type: event.StageOutput, Stage: &event.Stage{Name: "s"}, Text: fmt.Sprint(i)})
	}
	for range notes {
		bus.Observe(event.Event{Type: event.StageFinished, Stage: &event.Stage{Name: "s"}})
	}
	close(gate)
	if err := bus.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := map[event.Type]int{}
	for _, e := range r.events {
		got[e.Type]++
	}
	if got[event.StageFinished] != notes || got[event.StageOutput] >= lines || got[event.StageOutput] < 8000 || got[event.Note] != 1 {
		t.Errorf("got %v", got)
	}
}
