package runtime

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
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
	// Observer hears what the Workers did. Nil: nobody does.
	Observer Observer
	// Drain bounds how long a replaced process may finish its requests. Default 10 s.
	Drain time.Duration
	// Start bounds how long a new process may take until it answers. Default 20 s.
	Start time.Duration
}

// Runtime runs the current deployment of every script in workerd processes, and the D1 databases in one more. Its methods
// are safe for concurrent use.
type Runtime struct {
	dir, workerd string
	store        Store
	log          *slog.Logger
	drain, start time.Duration
	lock         *flock.Flock
	plane        *dataPlane
	d1           *D1
	queues       doorbells
	observer     Observer
	outcomes     outcomes
	folders      atomic.Int64

	closing    context.Context // ends when Close is called: nothing is started any more
	beginClose context.CancelFunc
	life       context.Context // of what runs in the background; ends when Close begins to force
	endLife    context.CancelFunc
	background sync.WaitGroup

	mu      sync.Mutex
	scripts map[string]*script
	closed  bool
}

var errClosed = errors.New("the local runtime is closed")

// New prepares Dir, starts the data plane and returns an idle Runtime; no worker runs until Apply.
//
// It fails when the platform has no workerd, when the binary does not run, when another Runtime uses Dir, and when Dir
// was last used by a newer workerd: state folders are not downgrade-safe.
func New(o Options) (*Runtime, error) {
	if err := platformError(); err != nil {
		return nil, err
	}
	version, err := workerdVersion(o.Workerd)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("locate the state folder: %w", err)
	}
	for _, sub := range []string{"", "objects", "d1"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("create the state folder: %w", err)
		}
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("the state folder %s is in use by another penstock; stop that one or choose another folder", dir)
	}
	r := &Runtime{
		dir: dir, workerd: o.Workerd, store: o.Store, log: o.Log, lock: lock,
		drain: cmp.Or(o.Drain, 10*time.Second), start: cmp.Or(o.Start, 20*time.Second),
		scripts: map[string]*script{}, observer: o.Observer,
	}
	if r.observer == nil {
		r.observer = silent{}
	}
	r.outcomes = outcomes{observer: r.observer, waiting: map[string]half{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.closing, r.beginClose = context.WithCancel(context.Background())
	r.life, r.endLife = context.WithCancel(context.Background())
	if err := r.open(version); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return r, nil
}

func (r *Runtime) open(version string) error {
	if err := acceptStateVersion(filepath.Join(r.dir, "workerd-version"), version); err != nil {
		return err
	}
	// Configurations of an earlier run are of no use: the addresses in them are gone.
	if err := os.RemoveAll(filepath.Join(r.dir, "run")); err != nil {
		return fmt.Errorf("clear old configurations: %w", err)
	}
	if err := os.Mkdir(filepath.Join(r.dir, "run"), 0o700); err != nil {
		return fmt.Errorf("create a folder for configurations: %w", err)
	}
	plane, err := newDataPlane(r)
	if err != nil {
		return err
	}
	r.plane = plane
	r.d1 = newD1(r)
	r.background.Go(r.keepTelling)
	return nil
}

// Apply makes a deployment real and returns once new requests reach it. Calls for one script run one after the other.
//
// When only the shares differ from what runs, no process is touched. Otherwise a new process is started and takes over
// without losing a request. When the new one does not start, the error is a *StartError with workerd's own words, and
// the previous deployment keeps serving untouched. A binding that cannot be provided here is an error (an
// *UnsupportedError), never skipped.
func (r *Runtime) Apply(ctx context.Context, next Script) error {
	if err := next.validate(); err != nil {
		return err
	}
	events, err := eventsOf(next)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.closing, cancel)()
	for {
		s, err := r.scriptToApply(next.Name)
		if err != nil {
			return err
		}
		s.applying.Lock()
		if s.removed { // while we waited: take the name's next life, if there is one
			s.applying.Unlock()
			continue
		}
		defer s.applying.Unlock()
		return s.apply(ctx, next, events)
	}
}

func (r *Runtime) scriptToApply(name string) (*script, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed
	}
	if r.scripts[name] == nil {
		r.scripts[name] = newScript(r, name)
	}
	return r.scripts[name], nil
}

// script returns a script that was applied or is about to be, else nil.
func (r *Runtime) script(name string) *script {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scripts[name]
}

// Remove stops a script's process and forgets the script and its logs. Durable Object storage stays on disk. To
// remove an absent script is no error.
func (r *Runtime) Remove(ctx context.Context, scriptName string) error {
	s := r.script(scriptName)
	if s == nil {
		return nil
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.removed {
		return nil
	}
	s.remove(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.scripts, scriptName)
	return nil
}

// Close stops every process, draining requests no longer than ctx and Options.Drain allow. All processes are gone when it
// returns, whatever the error. The Runtime cannot be used afterwards.
func (r *Runtime) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.beginClose()
	scripts := slices.Collect(maps.Values(r.scripts))
	r.mu.Unlock()

	stopForcing := context.AfterFunc(ctx, r.endLife)
	defer stopForcing()
	var removals sync.WaitGroup
	for _, s := range scripts {
		removals.Go(func() {
			s.applying.Lock()
			defer s.applying.Unlock()
			s.remove(ctx)
		})
	}
	removals.Wait()
	r.endLife()
	r.background.Wait()
	r.d1.close()
	r.outcomes.expire(time.Time{})
	return errors.Join(r.plane.close(), r.lock.Unlock())
}

// Handler is the edge for one script: it chooses a version for each request and proxies to it, streaming, with WebSocket
// upgrades. It may be asked for before the script exists and stays valid across deployments and removal; while there is
// no such script it answers 404 and Cloudflare's code 1042. X-Forwarded-Proto decides the scheme that the worker sees. A
// ResponseWriter that wraps the server's must have Unwrap, or streaming and WebSockets do not work.
//
// The version is chosen by, in this order: the Cloudflare-Workers-Version-Overrides header, if it names a version of the
// current deployment (otherwise it is ignored silently, as Cloudflare does); the hash of Cloudflare-Workers-Version-Key;
// chance, by percentage.
func (r *Runtime) Handler(scriptName string) http.Handler {
	return edge{runtime: r, name: scriptName}
}

// Logs returns the last lines of a script, oldest first, at most 500.
func (r *Runtime) Logs(scriptName string) []LogLine {
	if s := r.script(scriptName); s != nil {
		return s.logs.last()
	}
	return nil
}

// Trigger calls the scheduled() handler of the script's current deployment now, as if cron had fired at the given time,
// and returns when it has ended. A handler that fails is an error.
func (r *Runtime) Trigger(ctx context.Context, scriptName, cron string, at time.Time) error {
	s := r.script(scriptName)
	if s == nil {
		return errNotDeployed
	}
	return s.trigger(ctx, cron, at)
}

// NotifyQueue wakes the consumer of a queue that got messages by another way than a worker's binding. Without it they are
// found a quarter of a second later.
func (r *Runtime) NotifyQueue(queue string) { r.queues.notify(queue) }

// D1 gives access to the databases.
func (r *Runtime) D1() *D1 { return r.d1 }

func (r *Runtime) wiring() wiring {
	return wiring{dataPlane: r.plane.address, secret: r.plane.secret, objects: filepath.Join(r.dir, "objects")}
}

// newFolder names a folder for one process's configuration.
func (r *Runtime) newFolder() string {
	return filepath.Join(r.dir, "run", strconv.FormatInt(r.folders.Add(1), 10))
}

func randomSecret() string {
	// crypto/rand.Text never fails: the program would end.
	return rand.Text() + rand.Text()
}

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
