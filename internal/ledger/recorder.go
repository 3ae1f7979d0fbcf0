package ledger

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

// flushEvery is how long an observed event may wait for others to share a transaction with: a commit costs a disk sync,
// whatever it holds.
const flushEvery = 200 * time.Millisecond

// Recorder is an observer that writes a run's events to the ledger, several in one transaction.
type Recorder struct {
	ledger *Ledger
	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}

	mu  sync.Mutex
	err error
}

// Observer returns a recorder. It must be closed. The steps of a promotion are left out, because the promotion writes them
// itself, durably and with its checkpoints; so are output and progress.
//
// Observed events keep their order among each other and before everything that is written durably after them.
func (l *Ledger) Observer() *Recorder {
	r := &Recorder{ledger: l, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go r.run()
	return r
}

// Observe takes the event; it never waits for the disk.
func (r *Recorder) Observe(e event.Event) {
	if e.Type != event.StepStarted && e.Type != event.StepFinished {
		r.Keep(e)
	}
}

// Keep takes the event like Observe, and a step too: that of an operation, such as a backup, which no promotion writes.
func (r *Recorder) Keep(e event.Event) {
	if !recorded(e) {
		return
	}
	made, err := r.ledger.eventEntry(e)
	if err != nil {
		r.fail(err)
		return
	}
	r.ledger.pendingMu.Lock()
	r.ledger.pending = append(r.ledger.pending, made)
	r.ledger.pendingMu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // already awake
	}
}

// Close writes what is pending and returns the first error that writing met since the beginning: what is missing from the
// record then must be said, since an observer cannot fail a run.
func (r *Recorder) Close(ctx context.Context) error {
	close(r.quit)
	<-r.done
	if err := r.ledger.flush(ctx); err != nil {
		r.fail(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Recorder) run() {
	defer close(r.done)
	for {
		select {
		case <-r.quit:
			return
		case <-r.wake:
		}
		select {
		case <-r.quit:
			return
		case <-time.After(r.ledger.flushEvery()):
		}
		// Of a shared ledger what could not be sent now is sent later, and is missing only when it cannot be sent at the end.
		if err := r.ledger.flush(context.Background()); err != nil && r.ledger.line == nil {
			r.fail(err)
		}
	}
}

func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// flush writes what is pending.
func (l *Ledger) flush(ctx context.Context) error {
	if len(l.observed()) == 0 {
		return nil
	}
	return l.write(ctx, func(*sql.Tx) ([]entry, error) { return nil, nil })
}

func (l *Ledger) observed() []entry {
	l.pendingMu.Lock()
	defer l.pendingMu.Unlock()
	return l.pending
}

// due is as much of what is pending as one write takes: all of it, but for a shared ledger.
func (l *Ledger) due() []entry {
	pending := l.observed()
	if l.line == nil {
		return pending
	}
	size := 0
	for i, e := range pending {
		if size += len(e.body); size > maxAppend && i > 0 {
			return pending[:i]
		}
	}
	return pending
}

func (l *Ledger) flushEvery() time.Duration {
	if l.line != nil {
		return flushLineEvery
	}
	return flushEvery
}

// forget drops the first n pending entries: they are written.
func (l *Ledger) forget(n int) {
	l.pendingMu.Lock()
	defer l.pendingMu.Unlock()
	l.pending = append([]entry(nil), l.pending[n:]...)
}
