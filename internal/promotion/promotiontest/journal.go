package promotiontest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// Journal is a promotion.Journal in memory, for one environment at a time of each app. The zero value is ready for use.
type Journal struct {
	mu      sync.Mutex
	leases  map[[2]string]*held
	states  []promotion.Checkpoint // the last one of each promotion, in the order of their last change
	places  map[string][2]string   // promotion to app and environment
	history []promotion.Checkpoint
	events  []event.Event
}

type held struct {
	lease          promotion.Lease
	released, dead bool
	since          time.Time
}

var _ promotion.Journal = (*Journal)(nil)

// HolderDied makes whoever holds leases now a dead process.
func (j *Journal) HolderDied() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, lease := range j.leases {
		lease.dead = true
	}
}

// Held reports whether any lease is held by a living process.
func (j *Journal) Held() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, lease := range j.leases {
		if !lease.released && !lease.dead {
			return true
		}
	}
	return false
}

// Last returns where a promotion stands; the zero Checkpoint when nothing is on record.
func (j *Journal) Last(id string) promotion.Checkpoint {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, state := range j.states {
		if state.Promotion == id {
			return state
		}
	}
	return promotion.Checkpoint{}
}

// Past returns where every promotion stands, the last change first.
func (j *Journal) Past() []promotion.Checkpoint {
	j.mu.Lock()
	defer j.mu.Unlock()
	past := slices.Clone(j.states)
	slices.Reverse(past)
	return past
}

// History returns every checkpoint in the order in which they were written.
func (j *Journal) History() []promotion.Checkpoint {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.history)
}

// Events returns every recorded event in order.
func (j *Journal) Events() []event.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// Record implements promotion.Journal.
func (j *Journal) Record(ctx context.Context, e event.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	return ctx.Err()
}

// Acquire implements promotion.Journal.
func (j *Journal) Acquire(ctx context.Context, app, environment, id string) (promotion.Lease, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return promotion.Lease{}, err
	}
	place := [2]string{app, environment}
	lease := promotion.Lease{App: app, Environment: environment, Promotion: id, Token: 1}
	if before := j.leases[place]; before != nil {
		if !before.released && !before.dead && before.lease.Promotion != id {
			return promotion.Lease{}, &promotion.BusyError{Environment: environment, Promotion: before.lease.Promotion, Holder: "a test", Since: before.since}
		}
		lease.Token = before.lease.Token + 1
	}
	for _, state := range slices.Backward(j.states) {
		waits := state.State == promotion.Planned || state.State.Waits()
		if j.places[state.Promotion] == place && !state.State.Ended() && !waits {
			lease.Abandoned = append(lease.Abandoned, state)
		}
	}
	if j.leases == nil {
		j.leases, j.places = map[[2]string]*held{}, map[string][2]string{}
	}
	j.leases[place] = &held{lease: lease, since: time.Now()}
	return lease, nil
}

// Checkpoint implements promotion.Journal.
func (j *Journal) Checkpoint(ctx context.Context, lease promotion.Lease, state promotion.Checkpoint, told ...event.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	place := [2]string{lease.App, lease.Environment}
	if now := j.leases[place]; now == nil || now.released || now.lease.Token != lease.Token {
		return fmt.Errorf("token %d: %w", lease.Token, promotion.ErrLeaseLost)
	}
	for i, before := range j.states {
		if before.Promotion != state.Promotion {
			continue
		}
		if before.State.Ended() && before.State != state.State {
			return fmt.Errorf("promotion %s ended as %s", state.Promotion, before.State)
		}
		j.states = slices.Delete(j.states, i, i+1)
		break
	}
	state.Previous = slices.Clone(state.Previous)
	j.states = append(j.states, state)
	j.places[state.Promotion] = place
	j.history = append(j.history, state)
	j.events = append(j.events, told...)
	return nil
}

// Release implements promotion.Journal.
func (j *Journal) Release(ctx context.Context, lease promotion.Lease) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now := j.leases[[2]string{lease.App, lease.Environment}]; now != nil && now.lease.Token == lease.Token {
		now.released = true
	}
	return ctx.Err()
}
