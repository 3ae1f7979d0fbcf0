package runtime

import (
	"context"
	"sync"
	"time"
)

// doorbells wake consumers when a message was sent to their queue, so that they need not poll fast. The zero value is
// ready; methods are safe for concurrent use.
type doorbells struct {
	mu    sync.Mutex
	bells map[string]chan struct{}
}

func (d *doorbells) bell(name string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bells == nil {
		d.bells = map[string]chan struct{}{}
	}
	if d.bells[name] == nil {
		d.bells[name] = make(chan struct{}, 1)
	}
	return d.bells[name]
}

// notify rings; rings that nobody has heard yet count as one.
func (d *doorbells) notify(name string) {
	select {
	case d.bell(name) <- struct{}{}:
	default:
	}
}

// wait returns at the next ring, when ctx ends, or after limit.
func (d *doorbells) wait(ctx context.Context, name string, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-d.bell(name):
	case <-timer.C:
	case <-ctx.Done():
	}
}
