package host

import "sync"

// tail keeps the last bytes that were written to it. It never fails and never blocks, so a process that prints without
// end costs no more than one that prints little. It is safe for concurrent use.
type tail struct {
	mu    sync.Mutex
	limit int
	kept  []byte
	lost  bool
}

func newTail(limit int) *tail { return &tail{limit: limit} }

func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, text...)
	// Cut only now and then: cutting at each write would copy the whole tail each time.
	if len(t.kept) > 2*t.limit {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-t.limit:]...)
		t.lost = true
	}
	return len(text), nil
}

// String returns what is kept, and says when something was left out before it.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.kept
	lost := t.lost
	if len(kept) > t.limit {
		kept, lost = kept[len(kept)-t.limit:], true
	}
	if lost {
		return "[…] " + string(kept)
	}
	return string(kept)
}
