package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

const (
	// maxQueued bounds the events that wait for a slow observer.
	maxQueued = 8192
	// maxWait is how long a line of output waits for a full bus to move before lines are left out.
	maxWait = 200 * time.Millisecond
	// drain is how long the end of a run waits for its observer.
	drain = 2 * time.Second
)

// Bus hands events to one observer, in order, from one goroutine, so that whoever emits never waits for a terminal and
// never dies of an observer's panic. Safe for concurrent use.
//
// The queue is bounded: while it is full, lines of output are left out (and counted in a note); every other event waits
// in it regardless, since a run has few of them.
type Bus struct {
	observer event.Observer
	run      string

	mu      sync.Mutex
	moved   chan struct{} // closed and replaced whenever the observer took a batch
	wake    chan struct{} // capacity 1
	queue   []event.Event
	dropped int // lines left out since the last note
	lossy   bool
	closed  bool
	broken  error // the observer's panic

	done chan struct{}
}

// NewBus starts a bus in front of observer, which may be nil. Events without a run id get this one.
func NewBus(run string, observer event.Observer) *Bus {
	b := &Bus{observer: observer, run: run, wake: make(chan struct{}, 1), moved: make(chan struct{}), done: make(chan struct{})}
	if observer == nil {
		close(b.done)
		b.closed = true
		return b
	}
	go b.deliver()
	return b
}

// Observe queues e. Events after Close are left out.
func (b *Bus) Observe(e event.Event) {
	if b.observer == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Run == "" {
		e.Run = b.run
	}
	b.mu.Lock()
	if e.Type == event.StageOutput && len(b.queue) >= maxQueued && !b.makeRoom() {
		b.dropped++
		b.mu.Unlock()
		return
	}
	if b.closed || b.broken != nil {
		b.mu.Unlock()
		return
	}
	idle := len(b.queue) == 0 // deliver may be waiting
	if b.dropped > 0 {
		b.queue = append(b.queue, event.Event{
			Type: event.Note, Time: e.Time, Run: e.Run, Level: "warning",
			Text: fmt.Sprintf("%d lines of output were left out here because this observer was too slow; the stages' logs have them", b.dropped),
		})
		b.dropped = 0
	}
	b.queue = append(b.queue, e)
	b.mu.Unlock()
	if idle {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// makeRoom waits a little for the observer when the queue is full. Once it waited in vain it does not wait again until
// the observer has moved: an observer that hangs costs a run maxWait, not maxWait for each line. b.mu is held.
func (b *Bus) makeRoom() bool {
	if b.lossy || b.closed || b.broken != nil {
		return false
	}
	moved := b.moved
	b.mu.Unlock()
	timer := time.NewTimer(maxWait)
	select {
	case <-moved:
	case <-timer.C:
	}
	timer.Stop()
	b.mu.Lock()
	if len(b.queue) >= maxQueued {
		b.lossy = true
		return false
	}
	return true
}

// Close waits until the observer has been told of everything, or until ctx ends. It returns the observer's panic, or that
// it was given up on; neither is a reason to fail a run. It is idempotent.
func (b *Bus) Close(ctx context.Context) error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	b.mu.Unlock()
	select {
	case <-b.done:
	case <-ctx.Done():
		return errors.New("the observer of this run did not take its events in time")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

func (b *Bus) deliver() {
	defer close(b.done)
	for {
		b.mu.Lock()
		batch, closed := b.queue, b.closed
		b.queue = nil
		b.lossy = false
		close(b.moved)
		b.moved = make(chan struct{})
		b.mu.Unlock()
		if err := b.tell(batch); err != nil {
			b.mu.Lock()
			b.broken, b.queue = err, nil
			b.mu.Unlock()
			return
		}
		if len(batch) > 0 {
			continue
		}
		if closed {
			return
		}
		<-b.wake
	}
}

// tell hands over a batch. An observer that panicked may be in any state, so it is not called again.
func (b *Bus) tell(batch []event.Event) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the observer of this run panicked: %v", cause)
		}
	}()
	for _, e := range batch {
		b.observer.Observe(e)
	}
	return nil
}

// ownBus returns observer itself when it is a bus already, so that events of several parts of a run stay in one order;
// else a new one, which the caller closes.
func ownBus(run string, observer event.Observer) (bus *Bus, closeBus func(context.Context) error) {
	if bus, ok := observer.(*Bus); ok {
		return bus, func(context.Context) error { return nil }
	}
	bus = NewBus(run, observer)
	return bus, func(ctx context.Context) error {
		// What is wrong with an observer is no business of the run's.
		_ = bus.Close(ctx)
		return nil
	}
}
