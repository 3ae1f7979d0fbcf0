package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
)

// What comes after lines were left out is told at once, and not only when the bus is closed.
func TestBusWakesAfterLinesWereLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, told := make(chan struct{}), 0
		bus := engine.NewBus("r", event.ObserverFunc(func(event.Event) { <-release; told++ }))
		bus.Observe(event.Event{Type: event.StageStarted})
		synctest.Wait() // the observer has it and hangs, so that everything else must wait in the queue
		for i := range 10_000 {
			bus.Observe(event.Event{Type: event.StageOutput, Text: fmt.Sprint("line ", i)})
		}
		close(release)
		synctest.Wait() // the observer has caught up, and the bus waits for more
		before := told
		bus.Observe(event.Event{Type: event.StageFinished})
		synctest.Wait()
		if told != before+2 { // the note of what was left out, and the event
			t.Errorf("%d events were told after the pause, want 2", told-before)
		}
		if err := bus.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
