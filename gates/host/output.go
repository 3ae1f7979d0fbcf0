package host

import "sync"

// output keeps the beginning and the end of what was written to it: a Go program that dies tells the reason first and
// then much else, any other program tells it last. It never fails and never blocks, so a process that prints without end
// costs no more than one that prints little. It is safe for concurrent use.
type output struct {
	mu    sync.Mutex
	limit int // bytes of each end
	start []byte
	end   []byte
	lost  bool
}

// newOutput returns an output that keeps limit bytes.
func newOutput(limit int) *output { return &output{limit: limit / 2} }

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := min(len(text), o.limit-len(o.start))
	o.start = append(o.start, text[:first]...)
	o.end = append(o.end, text[first:]...)
	// Cut only now and then: cutting at each write would copy the whole end each time.
	if len(o.end) > 2*o.limit {
		o.end = append(o.end[:0], o.end[len(o.end)-o.limit:]...)
		o.lost = true
	}
	return len(text), nil
}

// String returns what is kept, and shows where something was left out.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	end, lost := o.end, o.lost
	if len(end) > o.limit {
		end, lost = end[len(end)-o.limit:], true
	}
	if lost {
		return string(o.start) + "\n[…]\n" + string(end)
	}
	return string(o.start) + string(end)
}
