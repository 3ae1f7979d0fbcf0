package runtime

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Observer hears what the Workers did. Its methods are called by many goroutines at once and must not block.
type Observer interface {
	// Invocation is one call of a version, after it ended.
	Invocation(Invocation)
	// Trace is what workerd tells of one call: a trace item as tail sessions show it.
	Trace(script, version string, item json.RawMessage)
	// Query is one batch of statements that a Worker sent to a database.
	Query(Query)
}

// Invocation is one call of a version, of its fetch, scheduled or queue handler.
type Invocation struct {
	Script, Version string
	At              time.Time // when it began
	// Duration is from the request's arrival to the last byte of its answer.
	Duration time.Duration
	Status   int // of the answer; 0 when it was no request
	Bytes    int64
	// Outcome is workerd's own word: ok, exception, canceled, exceededCpu, …; OutcomeBroken when its process did not answer,
	// empty when workerd told nothing.
	Outcome string
	// ClientGone says that the client did not wait for the answer's end.
	ClientGone bool
}

// OutcomeBroken is the outcome of a call whose process died.
const OutcomeBroken = "broken"

// Query is one batch of statements.
type Query struct {
	Database   string
	At         time.Time
	Duration   time.Duration
	Statements []Statement
	Results    []D1Result // none when it failed
	Failed     bool
}

// silent is the observer of a Runtime that nobody watches.
type silent struct{}

func (silent) Invocation(Invocation)                 {}
func (silent) Trace(string, string, json.RawMessage) {}
func (silent) Query(Query)                           {}

// outcomes joins what the edge saw of a request with what workerd says became of it. The two come in any order, by the
// request's Cf-Ray; one that stays alone is told as it is.
type outcomes struct {
	observer Observer

	mu      sync.Mutex
	waiting map[string]half
}

type half struct {
	invocation *Invocation // nil: the edge has not told yet
	outcome    string      // empty: workerd has not told yet
	until      time.Time
}

const (
	// outcomePatience is how long one report waits for the other. An answer that takes longer than this after its outcome is
	// told as a stream that was still open: see edgeSaw.
	outcomePatience = 2 * time.Second
	outcomesMost    = 20_000
)

// edgeSaw takes the edge's report.
func (o *outcomes) edgeSaw(ray string, invocation Invocation) {
	o.mu.Lock()
	other, known := o.waiting[ray]
	if known {
		invocation.Outcome = other.outcome
		delete(o.waiting, ray)
	}
	told := known || invocation.Outcome != "" || len(o.waiting) >= outcomesMost
	if !told {
		o.waiting[ray] = half{invocation: &invocation, until: time.Now().Add(outcomePatience)}
	}
	o.mu.Unlock()
	if told {
		o.observer.Invocation(invocation)
	}
}

// workerdSaw takes workerd's report. One that comes before the edge's is kept longer: the edge still sends the answer.
func (o *outcomes) workerdSaw(ray, outcome string) {
	o.mu.Lock()
	other, known := o.waiting[ray]
	if known && other.invocation != nil {
		delete(o.waiting, ray)
	} else if len(o.waiting) < outcomesMost {
		o.waiting[ray] = half{outcome: outcome, until: time.Now().Add(time.Minute)}
	}
	o.mu.Unlock()
	if known && other.invocation != nil {
		other.invocation.Outcome = outcome
		o.observer.Invocation(*other.invocation)
	}
}

// expire tells those that waited long enough, all of them when now is zero.
func (o *outcomes) expire(now time.Time) {
	var alone []Invocation
	o.mu.Lock()
	for ray, one := range o.waiting {
		if now.IsZero() || now.After(one.until) {
			delete(o.waiting, ray)
			if one.invocation != nil {
				alone = append(alone, *one.invocation)
			}
		}
	}
	o.mu.Unlock()
	for _, invocation := range alone {
		o.observer.Invocation(invocation)
	}
}

// keepTelling runs until the Runtime ends.
func (r *Runtime) keepTelling() {
	ticker := time.NewTicker(outcomePatience / 8)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			r.outcomes.expire(now)
		case <-r.life.Done():
			return
		}
	}
}

// traceLimit bounds one batch of trace items, in bytes; workerd itself cuts a call's logs at 256 KB.
const traceLimit = 64 << 20

// serveTrace takes what the trace worker of a script sends.
func (d *dataPlane) serveTrace(w http.ResponseWriter, r *http.Request, script string) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, traceLimit))
	if err != nil {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
		return
	}
	var batch []struct {
		Version string          `json:"version"`
		Event   json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(text, &batch); err != nil {
		d.fail(w, "trace", err)
		return
	}
	for _, one := range batch {
		var item struct {
			Outcome        string `json:"outcome"`
			ExecutionModel string `json:"executionModel"`
			Event          struct {
				Request struct {
					Headers map[string]string `json:"headers"`
				} `json:"request"`
			} `json:"event"`
		}
		// An item of another form has no request to join it to.
		_ = json.Unmarshal(one.Event, &item)
		if ray := item.Event.Request.Headers["cf-ray"]; ray != "" && item.ExecutionModel == "stateless" {
			d.runtime.outcomes.workerdSaw(ray, item.Outcome)
		}
		d.runtime.observer.Trace(script, one.Version, one.Event)
	}
	w.WriteHeader(http.StatusNoContent)
}

// traceService is the worker that sends the traces of a script's versions.
func traceService(sink string) string {
	return "(name = \"trace\", worker = (\n" +
		"      modules = [(name = \"trace.js\", esModule = embed \"trace.js\")],\n" +
		"      compatibilityDate = " + capnpText(entryDate) + ",\n" +
		"      bindings = [(name = \"SINK\", service = " + sink + ")]))"
}

// tailsOf tells a version's worker to whom its traces go, and in whose name.
func tailsOf(version string) string {
	return fmt.Sprintf("tails = [(name = \"trace\", props = (json = %s))]",
		capnpText(fmt.Sprintf(`{"version":%q}`, version)))
}
