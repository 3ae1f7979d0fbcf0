package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
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

	// turn is held while the fields below are read or changed, which includes verifying the binary. It is a channel, not a
	// mutex, so that one who waits for it can be cancelled.
	turn      chan struct{}
	image     *image
	info      *SetInfo
	schemas   map[string]*schema
	processes map[grant]*process
	starting  map[grant]chan struct{} // closed once the start is over, well or not
	retired   []*process              // no longer asked; killed once nobody waits for them
	starts    map[grant]int
	closed    bool
}

func newSet(host *Host, ref PluginRef) *set {
	return &set{host: host, ref: ref, turn: make(chan struct{}, 1), schemas: map[string]*schema{}, processes: map[grant]*process{}, starting: map[grant]chan struct{}{}, starts: map[grant]int{}}
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
	if known, err := s.described(ctx); known != nil || err != nil {
		return value(known), err
	}
	return s.describeStarted(ctx)
}

// described returns what is known of the set without starting it; nil when nothing is.
func (s *set) described(ctx context.Context) (*SetInfo, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	if err := s.verified(); err != nil {
		return nil, err
	}
	if s.info == nil {
		s.info = s.host.known.recall(s.ref, s.image.digest)
	}
	return s.info, nil
}

// describeStarted is describe with a report on how the set is confined, which only a start shows.
func (s *set) describeStarted(ctx context.Context) (SetInfo, error) {
	running, err := s.acquire(ctx, grant{})
	if err != nil {
		return SetInfo{}, err
	}
	info := value(running.info)
	info.Sandbox = running.runner.sandbox
	s.release(running, false)
	return info, nil
}

// value copies a description, so that its reader may change it.
func value(info *SetInfo) SetInfo {
	if info == nil {
		return SetInfo{}
	}
	copied := *info
	copied.Gates = slices.Clone(info.Gates)
	return copied
}

// prepare verifies the binary ahead of the first question.
func (s *set) prepare(ctx context.Context) {
	if s.broken != nil || s.lock(ctx) != nil {
		return
	}
	defer s.unlock()
	_ = s.verified() // which is told to whoever asks
}

// acquire returns a running process with that grant, which the caller must release. It starts one if need be; processes
// with different grants start side by side.
func (s *set) acquire(ctx context.Context, granted grant) (*process, error) {
	for {
		running, started, err := s.look(ctx, granted)
		switch {
		case running != nil || err != nil:
			return running, err
		case started == nil:
			return s.start(ctx, granted)
		}
		select {
		case <-started:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the gate set %s to start: %w", s.ref.Set, ctx.Err())
		}
	}
}

// look returns a live process with that grant, or what tells when the one that somebody starts is there. With neither the
// caller has announced a start, which it must now make.
func (s *set) look(ctx context.Context, granted grant) (*process, <-chan struct{}, error) {
	if err := s.lock(ctx); err != nil {
		return nil, nil, err
	}
	defer s.unlock()
	if running := s.processes[granted]; running != nil {
		if !running.hasExited() {
			running.waiting++
			return running, nil, nil
		}
		s.retire(running)
		s.sweep()
	}
	if started := s.starting[granted]; started != nil {
		return nil, started, nil
	}
	if s.starts[granted] >= s.host.limits.Starts {
		return nil, nil, fmt.Errorf("%w: the gate set %s was started %d times in this run and is not started again: report it to its author",
			ErrMisbehaved, s.ref.Set, s.starts[granted])
	}
	if err := s.verified(); err != nil {
		return nil, nil, err
	}
	s.starts[granted]++
	s.starting[granted] = make(chan struct{})
	return nil, nil, nil
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

// start starts the process that look announced. Its result waits for the caller alone.
func (s *set) start(ctx context.Context, granted grant) (*process, error) {
	limits := s.host.limits
	starting, cancel := context.WithTimeout(ctx, limits.Start)
	defer cancel()
	running, err := s.launch(starting, granted)
	var said *wire.DescribeResponse
	if err == nil {
		said, running.info, err = running.describe(starting, s.ref)
	}

	s.turn <- struct{}{}
	defer s.unlock()
	close(s.starting[granted])
	delete(s.starting, granted)
	switch {
	case running == nil:
		return nil, err
	case err == nil && s.closed:
		err = ErrClosed
	case err == nil:
		err = s.introduce(running, said)
	}
	if err != nil {
		stopping, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), limits.Stop)
		defer cancelStop()
		return nil, errors.Join(err, running.stop(stopping))
	}
	running.waiting++
	s.processes[granted] = running
	return running, nil
}

// launch starts a process of the verified image, which is there until the announced start is over.
func (s *set) launch(ctx context.Context, granted grant) (*process, error) {
	scratch, err := s.host.scratch()
	if err != nil {
		return nil, err
	}
	return launch(ctx, s.ref.Set, s.image, scratch, granted, s.host.limits)
}

// introduce takes what a new process said of itself. The first one's word is kept, and every other must say the same: what
// was granted rests on it. The caller holds the turn.
func (s *set) introduce(running *process, said *wire.DescribeResponse) error {
	running.info.Digest = s.image.digest
	if s.info == nil {
		s.info = running.info
		s.host.known.remember(s.image.digest, said)
		return nil
	}
	if !s.info.says(running.info) {
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
	late := func() error { return fmt.Errorf("stop the gate set %s: %w", s.ref.Set, ctx.Err()) }
	var starting []chan struct{}
	select {
	case s.turn <- struct{}{}:
		s.closed = true // so that no start is announced any more
		starting = slices.Collect(maps.Values(s.starting))
		s.unlock()
	case <-ctx.Done():
		return late()
	}
	for _, started := range starting {
		select {
		case <-started:
		case <-ctx.Done():
			return late()
		}
	}

	s.turn <- struct{}{}
	defer s.unlock()
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
