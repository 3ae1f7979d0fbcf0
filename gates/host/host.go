package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/penstock-ci/penstock/internal/engine"
)

// Errors that callers branch on. Evaluate never returns them: there they become verdicts.
var (
	// ErrUntrusted says that a set's binary is not the one that was pinned, or that nothing pins it.
	ErrUntrusted = errors.New("untrusted gate set")
	// ErrUnknownGate says that no set, or not this set, has a gate of that name.
	ErrUnknownGate = errors.New("unknown gate")
	// ErrIncompatible says that a set and this host are too far apart in version.
	ErrIncompatible = errors.New("incompatible gate set")
	// ErrMisbehaved says that a set broke the contract: it crashed, hung, or answered something that is no answer.
	ErrMisbehaved = errors.New("gate set broke the contract")
	// ErrNoVersion says that a gate asks the running version where there is none.
	ErrNoVersion = errors.New("no running version")
	// ErrConfig says that a gate's config does not satisfy the gate's own schema.
	ErrConfig = errors.New("invalid gate config")
	// ErrLock says that the text of a lock file is wrong.
	ErrLock = errors.New("the lock file is wrong")
	// ErrClosed says that the host was closed.
	ErrClosed = errors.New("gate host is closed")
)

// Options configure a Host. Only Sets is needed.
type Options struct {
	// Sets are the sets that may be asked; see Shipped and ReadLock. Nothing is started before it is asked.
	Sets []PluginRef
	// ScratchDir is where each process gets its folders; a new folder under the system's temporary one when empty. It is
	// created when missing, and what is put there is removed by Close.
	ScratchDir string
	// KnownDir keeps what sets said of themselves between runs, by checksum, which spares a start; "" keeps nothing.
	KnownDir string
	// Redact removes secrets from every text that a set produces; nil changes nothing. Values of the secrets that were
	// passed to a gate are removed in any case.
	Redact func(string) string
	// Hosts are the network hosts ("host" or "host:port") that gates may be granted if they ask for them.
	Hosts []string
	// Limits replace the defaults where they are not zero.
	Limits Limits
}

// Host keeps the processes of the sets of one run. It is safe for concurrent use.
type Host struct {
	options Options
	limits  Limits
	sets    map[string]*set
	known   known
	scratch func() (string, error)

	mu     sync.Mutex
	closed bool
	// temporary is the scratch folder when it was made here.
	temporary string
}

var _ engine.Gatekeeper = (*Host)(nil)

// New returns a Host that starts nothing yet. Two sets of one name are an error that every later call tells.
func New(options Options) *Host {
	host := &Host{options: options, limits: options.Limits.orDefaults(), known: known{options.KnownDir}, sets: map[string]*set{}}
	host.scratch = sync.OnceValues(host.makeScratch)
	for _, ref := range options.Sets {
		if earlier, twice := host.sets[ref.Set]; twice {
			earlier.broken = fmt.Errorf("%w: there are two sets called %s, %s and %s: remove one of them",
				ErrUntrusted, ref.Set, earlier.ref.Path, ref.Path)
			continue
		}
		host.sets[ref.Set] = newSet(host, ref)
	}
	return host
}

// Sets returns the names of the sets that may be asked, sorted.
func (h *Host) Sets() []string {
	names := make([]string, 0, len(h.sets))
	for name := range h.sets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// DescribeSet starts a set if need be, and returns what it says of itself and how it is confined.
func (h *Host) DescribeSet(ctx context.Context, name string) (SetInfo, error) {
	set, err := h.find(name)
	if err != nil {
		return SetInfo{}, err
	}
	return set.describeStarted(ctx)
}

// Served returns what the pinned binary of a set says of itself. When an earlier run asked it, that is known at once, without a
// look at the binary: one that is not what its pin says is refused when it is to answer, and not here. Else it is asked now.
func (h *Host) Served(ctx context.Context, name string) (SetInfo, error) {
	set, err := h.find(name)
	if err != nil {
		return SetInfo{}, err
	}
	if set.ref.Pin.SHA256 != "" {
		if known := h.known.recall(set.ref, "sha256:"+strings.ToLower(set.ref.Pin.SHA256)); known != nil {
			return *known, nil
		}
	}
	return set.describe(ctx)
}

// Prepare copies and verifies the binaries of these sets in the background, so that this is done by the time that they
// are asked. What goes wrong is told to whoever asks them. Close waits for it.
func (h *Host) Prepare(ctx context.Context, sets ...string) {
	for _, name := range sets {
		if set, err := h.find(name); err == nil {
			go set.prepare(ctx)
		}
	}
}

// Describe implements engine.Gatekeeper.
func (h *Host) Describe(ctx context.Context, gate string) (engine.GateInfo, error) {
	setName, gateName, _ := strings.Cut(gate, "/")
	set, err := h.find(setName)
	if err != nil {
		return engine.GateInfo{}, &undescribed{gate: gate, err: err}
	}
	info, err := set.describe(ctx)
	if err != nil {
		return engine.GateInfo{}, &undescribed{gate: gate, err: err}
	}
	description, err := info.gate(gateName)
	if err != nil {
		return engine.GateInfo{}, &undescribed{gate: gate, err: err}
	}
	return engine.GateInfo{Description: description, SetVersion: info.Version, SetDigest: info.Digest}, nil
}

// Close kills every process with all that it started and removes their folders. It waits until they are gone or ctx ends,
// and is safe to call twice. Calls that are still under way end with a verdict of gates.Error.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	var problems []error
	for _, name := range h.Sets() {
		problems = append(problems, h.sets[name].close(ctx))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.temporary != "" {
		problems = append(problems, os.RemoveAll(h.temporary))
	}
	return errors.Join(problems...)
}

func (h *Host) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

func (h *Host) find(name string) (*set, error) {
	if h.isClosed() {
		return nil, ErrClosed
	}
	found := h.sets[name]
	if found == nil {
		return nil, fmt.Errorf("%w: there is no gate set %q; there are: %s", ErrUnknownGate, name, orNone(h.Sets()))
	}
	if found.broken != nil {
		return nil, found.broken
	}
	return found, nil
}

func (h *Host) makeScratch() (string, error) {
	if dir := h.options.ScratchDir; dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("find the scratch folder of gates: %w", err)
		}
		if err := os.MkdirAll(absolute, 0o700); err != nil {
			return "", fmt.Errorf("make the scratch folder of gates: %w", err)
		}
		return absolute, nil
	}
	dir, err := os.MkdirTemp("", "penstock-gates-")
	if err != nil {
		return "", fmt.Errorf("make the scratch folder of gates: %w", err)
	}
	h.mu.Lock()
	h.temporary = dir
	h.mu.Unlock()
	return dir, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
