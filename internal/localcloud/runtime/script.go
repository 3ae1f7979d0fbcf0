package runtime

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"time"
)

// gate says whether new requests may enter a script.
type gate int

const (
	open     gate = iota
	draining      // requests from outside wait; calls that belong to running requests still enter
	closed        // all wait
)

// script is one deployed Worker.
type script struct {
	name    string
	runtime *Runtime
	logs    logTail

	applying sync.Mutex // held by whoever changes what runs

	mu          sync.Mutex
	worker      *kept
	fingerprint string
	keys        []string // unique keys of the storage that worker has open
	folder      string   // holds worker's configuration
	shares      []Share
	assets      map[string]*Assets // by version, of those that serve
	held        gate
	deployed    bool // since the first successful Apply
	removed     bool
	changed     chan struct{} // closed and replaced when any of the above changes

	events     eventSource           // what else calls the worker
	stopEvents func(context.Context) // nil when there are none
}

func newScript(r *Runtime, name string) *script {
	return &script{name: name, runtime: r, changed: make(chan struct{})}
}

// update changes the script's state and wakes all who wait for a change.
func (s *script) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// validate checks what no process would complain about.
func (s Script) validate() error {
	if s.Name == "" {
		return fmt.Errorf("deploy a script: it has no name")
	}
	if len(s.Shares) == 0 {
		return fmt.Errorf("deploy script %s: the deployment names no version", s.Name)
	}
	var total float64
	for _, share := range s.Shares {
		total += share.Percentage
		if share.Percentage < 0 {
			return fmt.Errorf("deploy script %s: version %s has a share of %g %%; use 0 to 100",
				s.Name, share.VersionID, share.Percentage)
		}
		if !slices.ContainsFunc(s.Versions, func(v Version) bool { return v.ID == share.VersionID }) {
			return fmt.Errorf("deploy script %s: the deployment names version %s, which is not given", s.Name, share.VersionID)
		}
	}
	if math.Abs(total-100) > 0.01 {
		return fmt.Errorf("deploy script %s: the shares sum to %g %%, not 100", s.Name, total)
	}
	for _, v := range s.Versions {
		if !slices.ContainsFunc(s.Shares, func(share Share) bool { return share.VersionID == v.ID }) {
			return fmt.Errorf("deploy script %s: version %s is given but has no share; give it 0", s.Name, v.ID)
		}
	}
	return nil
}

// apply makes next real. The caller holds applying.
func (s *script) apply(ctx context.Context, next Script, events eventSource) error {
	p, err := planScript(next, s.runtime.wiring(), false)
	if err != nil {
		return err
	}
	s.holdAssets(next)
	if s.worker == nil || s.fingerprint != p.fingerprint() {
		if err := s.replace(ctx, next, p); err != nil {
			return err
		}
	} else {
		s.update(func() { s.shares = slices.Clone(next.Shares) })
	}
	eventsCtx, cancel := context.WithTimeout(ctx, s.runtime.drain)
	defer cancel()
	s.subscribe(eventsCtx, events)
	return nil
}

// replace starts the plan's process and moves all requests to it, none of which is lost.
func (s *script) replace(ctx context.Context, next Script, p *plan) error {
	storageOpen := s.worker != nil && len(s.keys) > 0
	if storageOpen && len(p.keys) > 0 {
		return s.changeOver(ctx, next, p)
	}
	started := time.Now()
	worker, folder, err := s.runtime.launch(ctx, s.name, p, s.logs.add)
	if err != nil {
		return err
	}
	old, oldFolder := s.worker, s.folder
	s.install(worker, folder, next, p)
	s.runtime.log.Info("deployment is live", "script", s.name, "took", time.Since(started).Round(time.Millisecond))
	switch {
	case old == nil:
	case storageOpen:
		// The next deployment may open this storage again, so nothing may linger.
		s.finish(ctx, old, oldFolder)
	default:
		s.runtime.background.Go(func() { s.finish(s.runtime.life, old, oldFolder) })
	}
	return nil
}

// finish lets a replaced worker's requests end, then stops it.
func (s *script) finish(ctx context.Context, old *kept, folder string) {
	ctx, cancel := context.WithTimeout(ctx, s.runtime.drain)
	defer cancel()
	old.drain(ctx, true)
	old.retire()
	s.runtime.removeFolder(folder)
}

// changeOver replaces a process by one that uses the same Durable Object storage. Two must never have it open, and
// workerd opens it when it starts: it reads the namespace's alarms, and fires them. So the new code is first started
// without storage, to see whether it starts at all; then requests wait while the old process ends and the new one starts.
func (s *script) changeOver(ctx context.Context, next Script, p *plan) error {
	trial, err := planScript(next, s.runtime.wiring(), true)
	if err != nil {
		return err
	}
	worker, folder, err := s.runtime.launch(ctx, s.name, trial, func(string) {})
	if err != nil {
		return err
	}
	worker.retire()
	s.runtime.removeFolder(folder)

	started := time.Now()
	s.update(func() { s.held = draining })
	defer s.update(func() { s.held = open })
	// WebSockets are not waited for: Cloudflare, too, closes those of a Durable Object whose code changes.
	drainCtx, cancel := context.WithTimeout(ctx, s.runtime.drain)
	defer cancel()
	s.worker.drain(drainCtx, false)
	s.update(func() { s.held = closed })
	old, oldFolder := s.worker, s.folder
	old.retire()
	// From here on something must come up again, even if the caller has lost interest.
	ctx = context.WithoutCancel(ctx)
	worker, folder, err = s.runtime.launch(ctx, s.name, p, s.logs.add)
	if err == nil {
		s.install(worker, folder, next, p)
		s.runtime.removeFolder(oldFolder)
		s.runtime.log.Info("deployment is live", "script", s.name,
			"requests waited at most", time.Since(started).Round(time.Millisecond))
		return nil
	}
	back, backErr := keep(ctx, old.launch, s.runtime.log)
	if backErr != nil {
		s.update(func() { s.worker, s.fingerprint, s.keys = nil, "", nil })
		return fmt.Errorf("%w; and the previous deployment does not come back: %w", err, backErr)
	}
	s.update(func() { s.worker = back })
	return err
}

func (s *script) install(worker *kept, folder string, next Script, p *plan) {
	s.update(func() {
		s.worker, s.folder, s.deployed = worker, folder, true
		s.shares = slices.Clone(next.Shares)
		s.keys, s.fingerprint = p.keys, p.fingerprint()
	})
}

// remove stops everything. The caller holds applying. Requests that wait are told.
func (s *script) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.runtime.drain)
	defer cancel()
	s.subscribe(ctx, eventSource{})
	s.update(func() { s.removed = true })
	if s.worker == nil {
		return
	}
	s.worker.drain(ctx, false)
	s.worker.retire()
	s.runtime.removeFolder(s.folder)
}

// launch writes a plan to disk and starts it.
func (r *Runtime) launch(ctx context.Context, name string, p *plan, output func(string)) (*kept, string, error) {
	folder := r.newFolder()
	config, err := p.write(folder)
	if err != nil {
		return nil, "", err
	}
	key := randomSecret()
	worker, err := keep(ctx, launch{
		name:    name,
		binary:  r.workerd,
		config:  config,
		sockets: p.sockets,
		env:     append(slices.Clone(p.env), entryKeyEnv+"="+key),
		key:     key,
		limit:   r.start,
		output: func(line string) {
			output(line)
			r.log.Debug(line, "script", name)
		},
	}, r.log)
	if err != nil {
		r.removeFolder(folder)
		return nil, "", err
	}
	return worker, folder, nil
}

// removeFolder deletes a configuration that no process needs any more; what cannot be deleted now is deleted by the next
// New.
func (r *Runtime) removeFolder(folder string) {
	if err := os.RemoveAll(folder); err != nil {
		r.log.Debug("a configuration folder stays behind", "error", err)
	}
}
