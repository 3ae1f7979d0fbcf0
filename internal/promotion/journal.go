package promotion

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

// ErrBusy is wrapped when another promotion holds the environment: exit code 7.
var ErrBusy = errors.New("environment busy")

// ErrLeaseLost is wrapped when the journal refuses a checkpoint because somebody else holds the lease by now. Who gets it
// must not touch the target any more, not even to put things back: the new holder has done that.
var ErrLeaseLost = errors.New("lease lost")

// Journal is the durable record that a promotion writes as it goes; package ledger implements it. A call that returns nil
// is on disk. An error stops the promotion: what cannot be recorded is not done.
type Journal interface {
	// Record appends one event.
	Record(ctx context.Context, e event.Event) error
	// Acquire takes the environment's lease. A lease whose holder is dead is taken over. Held by a living one:
	// [*BusyError]. Asked again by the same process for the same promotion it gives a new lease, with a new token.
	Acquire(ctx context.Context, app, environment, promotion string) (Lease, error)
	// Checkpoint stores where a promotion stands, and appends the events that say so, in one transaction, fenced by the
	// lease's token: an outdated one is an error that wraps [ErrLeaseLost]. state.Promotion may be an earlier promotion of
	// the environment, which this one puts to its end. A promotion that has ended accepts only the same end again.
	Checkpoint(ctx context.Context, lease Lease, state Checkpoint, told ...event.Event) error
	// Release gives the lease back. It is idempotent; a lease that was lost is left alone.
	Release(ctx context.Context, lease Lease) error
}

// Lease is the right to change an environment.
type Lease struct {
	App, Environment, Promotion string
	Token                       int64 // grows with every lease of this environment
	// Abandoned are the checkpoints of earlier promotions of the environment that never reached an end (their process
	// died, or they could not put back what they had changed), newest first.
	Abandoned []Checkpoint
}

// Checkpoint is where a promotion stands. It is written before each step begins and after it ends.
type Checkpoint struct {
	Promotion string `json:"promotion"`
	Run       string `json:"run,omitempty"`
	State     Phase  `json:"state"`
	// Step is the step that is being taken, or was taken last when Done.
	Step     string  `json:"step,omitempty"`
	Done     bool    `json:"done,omitempty"`
	Previous []Share `json:"previous"` // deployment to go back to
	// Touched says that traffic may differ from Previous: a route was begun.
	Touched  bool   `json:"touched,omitempty"`
	Version  string `json:"version,omitempty"`
	Bundle   string `json:"bundle,omitempty"`
	Bookmark string `json:"bookmark,omitempty"`
	// Kind is "" for a promotion, [KindRollback] for a return to an earlier version, [KindMigration] for a promotion's data half.
	Kind Kind `json:"kind,omitempty"`
	// Migrations are those that this promotion is known to have applied, in order; Marks and Exports are of before them.
	Migrations []Migration `json:"migrations,omitempty"`
	Marks      []Mark      `json:"marks,omitempty"`
	Exports    []Export    `json:"exports,omitempty"`
	// Seed is the seed file that was executed, or may have been; the plan has its digest.
	Seed string `json:"seed,omitempty"`
	// Undo is the bookmark of the data that a rollback replaced.
	Undo      string    `json:"undo,omitempty"`
	URL       string    `json:"url,omitempty"`
	Plan      string    `json:"plan"`
	Reason    string    `json:"reason,omitempty"` // why it ended as it did
	Died      bool      `json:"died,omitempty"`   // it ended because its process did, and the one after it put things back
	UpdatedAt time.Time `json:"updatedAt"`
}

// Kind is what a promotion is besides a promotion.
type Kind string

const (
	// KindRollback is a return to an earlier version. It is never put back by anybody but a person.
	KindRollback Kind = "rollback"
	// KindMigration changes the data alone. It brings no version and touches no traffic, so that there is never anything to put
	// back after it; Version and Bundle of its checkpoints are empty.
	KindMigration Kind = "migration"
)

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
