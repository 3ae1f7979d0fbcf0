package promotion

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

// ErrBusy is wrapped when another promotion holds the environment: exit code 7.
var ErrBusy = errors.New("environment busy")

// Journal is the durable record that a promotion writes as it goes; package ledger implements it. A call that returns nil
// is on disk. An error stops the promotion: what cannot be recorded is not done.
type Journal interface {
	// Record appends one event.
	Record(ctx context.Context, e event.Event) error
	// Acquire takes the environment's lease. A lease whose holder is dead is taken over and the state of the promotion
	// that it guarded is returned. Held by a living one: [*BusyError].
	Acquire(ctx context.Context, app, environment, promotion string) (Lease, error)
	// Checkpoint stores where the promotion stands, fenced by the lease's token: an outdated token is an error.
	Checkpoint(ctx context.Context, lease Lease, state Checkpoint) error
	// Release gives the lease back. It is idempotent.
	Release(ctx context.Context, lease Lease) error
}

// Lease is the right to change an environment.
type Lease struct {
	App, Environment, Promotion string
	Token                       int64 // grows with every lease of this environment
	// Abandoned is the checkpoint of a promotion whose process died while it held the lease, nil when there was none.
	Abandoned *Checkpoint
}

// Checkpoint is where a promotion stands. It is written before each step begins and after it ends.
type Checkpoint struct {
	Promotion string    `json:"promotion"`
	State     Phase     `json:"state"`
	Previous  []Share   `json:"previous"` // deployment to go back to
	Version   string    `json:"version,omitempty"`
	Bookmark  string    `json:"bookmark,omitempty"`
	Plan      string    `json:"plan"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// BusyError says who holds the environment.
type BusyError struct {
	Environment, Promotion, Holder string
	Since                          time.Time
}

// Error says who is at work and since when.
func (e *BusyError) Error() string {
	return "environment " + e.Environment + " is being changed by promotion " + e.Promotion + " (" + e.Holder + ", since " +
		e.Since.Format(time.RFC3339) + "); wait for it, or stop that process"
}

// Unwrap makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Unwrap() error { return ErrBusy }
