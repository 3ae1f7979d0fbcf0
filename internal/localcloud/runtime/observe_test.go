package runtime

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

// watcher remembers what it hears.
type watcher struct {
	mu          sync.Mutex
	invocations []Invocation
	traces      []string // version, space, item
	batches     []Query
}

func (w *watcher) Invocation(i Invocation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.invocations = append(w.invocations, i)
}

func (w *watcher) Trace(_, version string, item json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traces = append(w.traces, version+" "+string(item))
}

func (w *watcher) Query(q Query) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = append(w.batches, q)
}

func (w *watcher) count(fits func(Invocation) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.invocations {
		if fits(i) {
			n++
		}
	}
	return n
}

func (w *watcher) traced(version, text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, trace := range w.traces {
		if strings.HasPrefix(trace, version) && strings.Contains(trace, text) {
			return true
		}
	}
	return false
}

// queries counts those of a database, or of all.
func (w *watcher) queries(database string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.batches {
		if database == "" || q.Database == database {
			n++
		}
	}
	return n
}

func TestOutcomesAreJoinedInAnyOrder(t *testing.T) {
	t.Parallel()
	watched := &watcher{}
	o := outcomes{observer: watched, waiting: map[string]half{}}
	o.edgeSaw("first", Invocation{Version: "edge first"})
	o.workerdSaw("first", "exception")
	o.workerdSaw("second", "ok")
	o.edgeSaw("second", Invocation{Version: "workerd first"})
	o.edgeSaw("third", Invocation{Version: "broken", Outcome: OutcomeBroken})
	o.edgeSaw("fourth", Invocation{Version: "alone"})
	o.workerdSaw("fifth", "ok") // an answer that is still on its way
	o.expire(time.Now())
	for version, outcome := range map[string]string{"edge first": "exception", "workerd first": "ok", "broken": OutcomeBroken} {
		if n := watched.count(func(i Invocation) bool { return i.Version == version && i.Outcome == outcome }); n != 1 {
			t.Errorf("%s was told %d times with outcome %s", version, n, outcome)
		}
	}
	if n := watched.count(func(i Invocation) bool { return i.Version == "alone" }); n != 0 {
		t.Error("one was told before its time")
	}
	o.expire(time.Now().Add(outcomePatience + time.Second))
	o.edgeSaw("fifth", Invocation{Version: "slow"})
	for version, outcome := range map[string]string{"alone": "", "slow": "ok"} {
		if n := watched.count(func(i Invocation) bool { return i.Version == version && i.Outcome == outcome }); n != 1 {
			t.Errorf("%s was told %d times with outcome %q", version, n, outcome)
		}
	}
	if len(watched.invocations) != 5 {
		t.Errorf("%d were told: %+v", len(watched.invocations), watched.invocations)
	}
}
