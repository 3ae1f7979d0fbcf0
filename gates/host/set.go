package host

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// SetInfo is what a set says of itself, and what the host made of it.
type SetInfo struct {
	Name       string
	Version    string
	SDKVersion string
	Digest     string // "sha256:…" of the executed file
	Gates      []gates.Description
	Sandbox    SandboxReport // only from DescribeSet
}

func (i SetInfo) gate(name string) (gates.Description, error) {
	names := make([]string, 0, len(i.Gates))
	for _, description := range i.Gates {
		if description.Name == name {
			return description, nil
		}
		names = append(names, i.Name+"/"+description.Name)
	}
	return gates.Description{}, fmt.Errorf("%w: set %s %s has no gate %q; it has: %s", ErrUnknownGate, i.Name, i.Version, name, strings.Join(names, ", "))
}

// grant is what one process may reach beyond its own folders. Processes are never shared between different grants.
type grant struct {
	source  string // folder that may be read; "" none
	history string // bare repository that may be read with git; "" none
	hosts   string // sorted and joined by a comma; "" none
	version string // "address:port" of the running version, an address and no name; "" none
}

// set is one gate set of a run: its verified binary and its processes.
type set struct {
	host   *Host
	ref    PluginRef
	broken error // why it is never to be started

	// turn is held while the fields below are read or changed, which includes starting a process. It is a channel, not a
	// mutex, so that one who waits for it can be cancelled.
	turn      chan struct{}
	image     *image
	info      *SetInfo
	schemas   map[string]*schema
	processes map[grant]*process
	retired   []*process // no longer asked; killed once nobody waits for them
	starts    map[grant]int
	closed    bool
}

func newSet(host *Host, ref PluginRef) *set {
	return &set{host: host, ref: ref, turn: make(chan struct{}, 1), schemas: map[string]*schema{}, processes: map[grant]*process{}, starts: map[grant]int{}}
}

func (s *set) lock(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		if s.closed {
			s.unlock()
			return ErrClosed
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the gate set %s to start: %w", s.ref.Set, ctx.Err())
	}
}

func (s *set) unlock() { <-s.turn }

// describe returns what the set says of itself. A failed attempt is not remembered, so that a cancelled one is not.
func (s *set) describe(ctx context.Context) (SetInfo, error) {
	if err := s.lock(ctx); err != nil {
		return SetInfo{}, err
	}
	defer s.unlock()
	if err := s.verified(); err != nil {
		return SetInfo{}, err
	}
	if s.info == nil {
		s.info = s.host.known.recall(s.ref, s.image.digest)
	}
	if s.info == nil {
		if _, err := s.start(ctx, grant{}); err != nil {
			return SetInfo{}, err
		}
	}
	info := *s.info
	info.Gates = slices.Clone(info.Gates)
	return info, nil
}

// describeStarted is describe with a report on how the set is confined, which only a start shows.
func (s *set) describeStarted(ctx context.Context) (SetInfo, error) {
	if err := s.lock(ctx); err != nil {
		return SetInfo{}, err
	}
	defer s.unlock()
	running, err := s.start(ctx, grant{})
	if err != nil {
		return SetInfo{}, err
	}
	info := *s.info
	info.Gates, info.Sandbox = slices.Clone(info.Gates), running.runner.sandbox
	return info, nil
}

// prepare verifies the binary ahead of the first question.
func (s *set) prepare(ctx context.Context) {
	if s.broken != nil || s.lock(ctx) != nil {
		return
	}
	defer s.unlock()
	_ = s.verified() // which is told to whoever asks
}

// acquire returns a running process with that grant, which the caller must release. It starts one if need be.
func (s *set) acquire(ctx context.Context, granted grant) (*process, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	running, err := s.start(ctx, granted)
	if err != nil {
		return nil, err
	}
	running.waiting++
	return running, nil
}

// release gives a process back. One that misbehaved is not asked again: it is killed as soon as no other gate waits for
// it, so that one gate that hangs does not take its neighbours' answers with it. Nor is one that was granted a version:
// who asks gives each question an address of its own, so nobody would come back for the process.
func (s *set) release(running *process, misbehaved bool) {
	s.turn <- struct{}{}
	defer s.unlock()
	running.waiting--
	if misbehaved || (running.runner.granted.version != "" && running.waiting == 0) {
		s.retire(running)
	}
	s.sweep()
}

func (s *set) retire(running *process) {
	for granted, candidate := range s.processes {
		if candidate == running {
			delete(s.processes, granted)
			s.retired = append(s.retired, running)
		}
	}
}

func (s *set) sweep() {
	s.retired = slices.DeleteFunc(s.retired, func(running *process) bool {
		if running.waiting > 0 {
			return false
		}
		// What goes wrong while a useless process is killed is told by Close, if its folder is still there.
		ctx, cancel := context.WithTimeout(context.Background(), s.host.limits.Stop)
		defer cancel()
		return running.stop(ctx) == nil
	})
}

// start returns a live process with that grant. The caller holds the turn.
func (s *set) start(ctx context.Context, granted grant) (*process, error) {
	if running := s.processes[granted]; running != nil {
		if !running.hasExited() {
			return running, nil
		}
		s.retire(running)
		s.sweep()
	}
	limits := s.host.limits
	if s.starts[granted] >= limits.Starts {
		return nil, fmt.Errorf("%w: the gate set %s was started %d times in this run and is not started again: report it to its author",
			ErrMisbehaved, s.ref.Set, s.starts[granted])
	}
	scratch, err := s.host.scratch()
	if err != nil {
		return nil, err
	}
	if err := s.verified(); err != nil {
		return nil, err
	}

	s.starts[granted]++
	ctx, cancel := context.WithTimeout(ctx, limits.Start)
	defer cancel()
	running, err := launch(ctx, s.ref.Set, s.image, scratch, granted, limits)
	if err != nil {
		return nil, err
	}
	err = s.introduce(ctx, running)
	if err != nil {
		stopCtx, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), limits.Stop)
		defer cancelStop()
		return nil, errors.Join(err, running.stop(stopCtx))
	}
	s.processes[granted] = running
	return running, nil
}

// introduce asks a new process what it is. The first one's word is kept, and every other must say the same: what was
// granted rests on it. The caller holds the turn.
func (s *set) introduce(ctx context.Context, running *process) error {
	message, info, err := running.describe(ctx, s.ref)
	if err != nil {
		return err
	}
	info.Digest = s.image.digest
	if s.info == nil {
		s.info = info
		s.host.known.remember(s.image.digest, message)
		return nil
	}
	if !s.info.says(info) {
		s.host.known.forget(s.image.digest)
		s.info = nil
		clear(s.schemas)
		return running.blame(fmt.Errorf("the gate set %s says another thing of itself than it did at an earlier start", s.ref.Set))
	}
	return nil
}

// says reports whether other is the same description.
func (i SetInfo) says(other *SetInfo) bool {
	return i.Name == other.Name && i.Version == other.Version && i.SDKVersion == other.SDKVersion && reflect.DeepEqual(i.Gates, other.Gates)
}

// verified makes the verified copy of the binary, once per run. The caller holds the turn.
func (s *set) verified() error {
	if s.image != nil {
		return nil
	}
	scratch, err := s.host.scratch()
	if err != nil {
		return err
	}
	s.image, err = verify(s.ref, scratch, s.host.limits.Binary)
	return err
}

// schemaOf returns the compiled config schema of a gate, compiled once per run.
func (s *set) schemaOf(ctx context.Context, description gates.Description) (*schema, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	if known := s.schemas[description.Name]; known != nil {
		return known, nil
	}
	compiled, err := compileSchema(description.Config)
	if err != nil {
		return nil, fmt.Errorf("%w: the config schema of gate %s/%s: %w", ErrMisbehaved, s.ref.Set, description.Name, err)
	}
	s.schemas[description.Name] = compiled
	return compiled, nil
}

func (s *set) close(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("stop the gate set %s: %w", s.ref.Set, ctx.Err())
	}
	defer s.unlock()
	s.closed = true
	var problems []error
	for _, running := range s.processes {
		problems = append(problems, running.stop(ctx))
	}
	for _, running := range s.retired {
		problems = append(problems, running.stop(ctx))
	}
	clear(s.processes)
	s.retired = nil
	if s.image != nil {
		problems = append(problems, s.image.close())
		s.image = nil
	}
	return errors.Join(problems...)
}
