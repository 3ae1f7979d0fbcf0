package runtime

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	firstRestartDelay = 50 * time.Millisecond
	longRestartDelay  = 5 * time.Second
	// steadyAfter is how long a process must have run for its next crash to count as the first one.
	steadyAfter = 10 * time.Second
	// restartPatience is how long a request waits for a crashed process to come back.
	restartPatience = 5 * time.Second
)

var (
	errRetired  = errors.New("workerd was stopped")
	errNoWorker = errors.New("workerd crashed and did not come back in time; see the worker's log")
)

// kept is a workerd that is started again when it crashes, until it is retired. It counts who uses it. Its methods are
// safe for concurrent use.
type kept struct {
	launch    launch
	log       *slog.Logger
	transport *http.Transport
	stop      context.CancelFunc // ends supervision and any start under way
	ended     chan struct{}      // closed when supervision has ended and no process is left

	mu       sync.Mutex
	proc     *process // nil between a crash and the restart
	retired  bool
	users    int
	upgraded int           // users whose connection became a WebSocket; they may last for ever
	changed  chan struct{} // closed and replaced at every change of the above that someone may wait for
}

// keep starts a workerd and supervises it. A first start that fails is the caller's to handle; nothing is kept then.
func keep(ctx context.Context, l launch, log *slog.Logger) (*kept, error) {
	p, err := l.start(ctx)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	k := &kept{
		launch:    l,
		log:       log,
		transport: newTransport(),
		stop:      stop,
		ended:     make(chan struct{}),
		proc:      p,
		changed:   make(chan struct{}),
	}
	go k.supervise(life, p)
	return k, nil
}

func (k *kept) supervise(life context.Context, p *process) {
	defer close(k.ended)
	delay := firstRestartDelay
	for {
		select {
		case <-p.exited:
		case <-life.Done():
			p.stop()
			return
		}
		if life.Err() != nil {
			return
		}
		if time.Since(p.started) > steadyAfter {
			delay = firstRestartDelay
		}
		k.setProcess(nil)
		k.log.Warn("workerd crashed; it will be started again", "worker", k.launch.name, "in", delay)
		p = k.restart(life, &delay)
		if p == nil {
			return
		}
		k.setProcess(p)
		k.log.Info("workerd is back", "worker", k.launch.name)
	}
}

// restart tries until a process runs, or returns nil when life ends.
func (k *kept) restart(life context.Context, delay *time.Duration) *process {
	for {
		timer := time.NewTimer(*delay)
		select {
		case <-timer.C:
		case <-life.Done():
			timer.Stop()
			return nil
		}
		*delay = min(*delay*2, longRestartDelay)
		p, err := k.launch.start(life)
		if err == nil {
			return p
		}
		if life.Err() == nil {
			k.log.Warn("workerd does not come back", "worker", k.launch.name, "error", err, "next try in", *delay)
		}
	}
}

func (k *kept) setProcess(p *process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.proc = p
	k.signal()
}

// signal wakes all waiters. The caller holds mu.
func (k *kept) signal() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// enter counts the caller as a user, so that a drain waits for it; leave must follow.
func (k *kept) enter() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.retired {
		return errRetired
	}
	k.users++
	return nil
}

func (k *kept) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.users--
	k.signal()
}

// upgrade marks one user's connection as long-lived; downgrade takes it back before leave.
func (k *kept) upgrade(by int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.upgraded += by
	k.signal()
}

// running returns the live process, waiting for a restart no longer than restartPatience. A user that found the process
// dead passes it as not, to wait for another one.
func (k *kept) running(ctx context.Context, not *process) (*process, error) {
	patience := time.NewTimer(restartPatience)
	defer patience.Stop()
	for {
		k.mu.Lock()
		p, retired, changed := k.proc, k.retired, k.changed
		k.mu.Unlock()
		switch {
		case p != nil && p != not && p.alive():
			return p, nil
		case retired && p == nil:
			return nil, errRetired
		}
		select {
		case <-changed:
		case <-patience.C:
			return nil, errNoWorker
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// drain waits until the users have left, those with WebSockets only if asked to, or until ctx ends.
func (k *kept) drain(ctx context.Context, webSocketsToo bool) {
	for {
		k.mu.Lock()
		rest, changed := k.users, k.changed
		if !webSocketsToo {
			rest -= k.upgraded
		}
		k.mu.Unlock()
		if rest <= 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// retire stops the process for good and returns when it is gone. It may be called more than once.
func (k *kept) retire() {
	k.mu.Lock()
	k.retired = true
	k.mu.Unlock()
	k.stop()
	<-k.ended
	k.setProcess(nil)
	k.transport.CloseIdleConnections()
}

func newTransport() *http.Transport {
	return &http.Transport{
		DisableCompression:  true, // the worker's own encoding must reach the client as it is
		MaxIdleConnsPerHost: 64,
		// workerd closes a connection that was idle for 5 s (kj::HttpServerSettings::pipelineTimeout); stay clear of the
		// race between its close and our next request.
		IdleConnTimeout: 3 * time.Second,
	}
}
