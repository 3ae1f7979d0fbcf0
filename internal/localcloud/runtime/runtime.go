package runtime

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Options configures a Runtime. Zero durations take the defaults named beside them.
type Options struct {
	// Dir is the folder that holds state: Durable Object storage, D1 databases, and, while running, generated configs. It is
	// created with mode 0700. One Runtime at a time may use it.
	Dir string
	// Workerd is the path of the workerd binary; FindWorkerd finds one.
	Workerd string
	// Store is what KV, R2 and queue bindings read and write.
	Store Store
	// Log receives what the runtime does and, at debug level, what workers print. Nil discards.
	Log *slog.Logger
	// Drain bounds how long a replaced process may finish its requests. Default 10 s.
	Drain time.Duration
	// Start bounds how long a new process may take until it answers. Default 20 s.
	Start time.Duration
}

// Runtime runs the current deployment of every script in workerd processes, and the D1 databases in one more. Its methods
// are safe for concurrent use.
type Runtime struct{}

// New prepares Dir, starts the data plane and returns an idle Runtime; no worker runs until Apply.
//
// It fails when the platform has no workerd, when the binary does not run, and when Dir was last used by a newer workerd:
// state folders are not downgrade-safe.
func New(Options) (*Runtime, error) {
	return nil, errors.New("not implemented yet")
}

// Apply makes a deployment real and returns once new requests reach it. Calls for one script run one after the other.
//
// When only the shares differ from what runs, no process is touched. Otherwise a new process is started and takes over
// without losing a request. When the new one does not start, the error is a *StartError with workerd's own words, and
// the previous deployment keeps serving untouched. A binding that cannot be provided here is an error, never skipped.
func (r *Runtime) Apply(ctx context.Context, script Script) error {
	return errors.New("not implemented yet")
}

// Remove stops a script's process and forgets the script, its counters and logs. Durable Object storage stays on disk. To
// remove an absent script is no error.
func (r *Runtime) Remove(ctx context.Context, scriptName string) error {
	return errors.New("not implemented yet")
}

// Close stops every process, draining requests no longer than ctx and Options.Drain allow. All processes are gone when it
// returns, whatever the error. The Runtime cannot be used afterwards.
func (r *Runtime) Close(ctx context.Context) error {
	return errors.New("not implemented yet")
}

// Handler is the edge for one script: it chooses a version for each request and proxies to it, streaming, with WebSocket
// upgrades. It may be asked for before the script exists and stays valid across deployments and removal; while there is
// no such script it answers 404 with Cloudflare's error 1042-like text.
//
// The version is chosen by, in this order: the Cloudflare-Workers-Version-Overrides header, if it names a version of the
// current deployment (otherwise it is ignored silently, as Cloudflare does); the hash of Cloudflare-Workers-Version-Key;
// chance, by percentage.
func (r *Runtime) Handler(scriptName string) http.Handler {
	return http.NotFoundHandler()
}

// VersionStats counts what one version answered through Handler since this Runtime first served it.
type VersionStats struct {
	VersionID string
	Requests  uint64
	// Errors are answers with a status of 500 or above, those that the edge gave for a dead process included.
	Errors uint64
	// Duration is the sum over all requests, from the request's arrival to the last byte of its answer.
	Duration time.Duration
	// P50 and P99 are of the most recent requests (at most 1,000).
	P50, P99 time.Duration
}

// Stats returns the counters of every version that served the script, in the order in which they first did. Counters live
// in memory only.
func (r *Runtime) Stats(scriptName string) []VersionStats { return nil }

// StatsSince is Stats for requests that ended at or after since, to a resolution of one second and for at most the past hour.
func (r *Runtime) StatsSince(scriptName string, since time.Time) []VersionStats { return nil }

// LogLine is one line that a worker printed, or that workerd printed about it.
type LogLine struct {
	Time time.Time
	Text string
}

// Logs returns the last lines of a script, oldest first, at most 500.
func (r *Runtime) Logs(scriptName string) []LogLine { return nil }

// D1 gives access to the databases.
func (r *Runtime) D1() *D1 { return nil }

// StartError says that workerd refused a deployment: a module that does not parse, an exception at load, a configuration
// that it does not know.
type StartError struct {
	Script string
	Output string // what workerd wrote, trimmed, at most 4 KiB
}

func (e *StartError) Error() string {
	return "script " + e.Script + " does not start: " + e.Output
}

// UnsupportedError says that a version asks for something that cannot be provided on this machine.
type UnsupportedError struct {
	Script  string
	Version string
	Binding string // empty when it is not about a binding
	Type    string // the binding's type
	Reason  string // a full sentence for people, with the next step
}

func (e *UnsupportedError) Error() string {
	if e.Binding == "" {
		return "script " + e.Script + ": " + e.Reason
	}
	return "script " + e.Script + ": binding " + e.Binding + " of type " + e.Type + ": " + e.Reason
}
