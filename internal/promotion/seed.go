package promotion

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-ci/penstock/internal/event"
)

// Seed asks for a SQL file to be executed once on the app's first database, behind the migrations.
type Seed struct {
	File string `json:"file"` // relative to the app's folder, with slashes
	// Again executes a file also when this very text was executed before.
	Again bool `json:"again,omitempty"`
	// BesideData executes it also where there are rows already.
	BesideData bool `json:"besideData,omitempty"`
}

// Seeding is what a target knows of a seed file and its database.
type Seeding struct {
	Database string
	Digest   string // "sha256:…" of the file
	SQL      string
	// Done is the promotion that executed this very text last; "" when none did.
	Done string
	// Holds is a table of the database that has rows, "" when none has.
	Holds string
	// Breaks says why the file is no seed, because it does more than add; "" when it only adds.
	Breaks string
}

// Seeder is a target whose databases can be seeded. The database itself keeps what was executed on it: a restored one has
// exactly the seeds that its rows are from.
type Seeder interface {
	Target
	// LookAtSeed says what is to be known before the file is executed. It changes nothing.
	LookAtSeed(ctx context.Context, file string) (Seeding, error)
	// Seed executes the file, and notes in the same breath that this promotion did: all of it, or nothing. Under the id of a
	// promotion that did it already it does nothing. A file whose digest is not the given one is an error.
	Seed(ctx context.Context, promotion, file, digest string) error
}

// ChangeSeed is the kind of change that a seed is in a plan.
const ChangeSeed = "seed"

// StepSeed executes a seed.
const StepSeed = "seed"

// due reports whether the seed is to be executed.
func (s Seed) due(found Seeding) bool { return found.Done == "" || s.Again }

// seedOf adds the seed that the basis asks for to what would change.
func seedOf(ctx context.Context, target Target, basis Basis, diff *Diff) error {
	if basis.Seed == nil {
		return nil
	}
	seeder, ok := target.(Seeder)
	if !ok {
		return errors.New("the databases of this environment cannot be seeded")
	}
	found, err := seeder.LookAtSeed(ctx, basis.Seed.File)
	if err != nil {
		return fmt.Errorf("look at seed %s: %w", basis.Seed.File, err)
	}
	diff.Seed = &found
	if basis.Seed.due(found) {
		diff.UpToDate = false
		diff.Changes = append(diff.Changes, event.Change{Action: "create", Kind: ChangeSeed, Name: basis.Seed.File, To: found.Database + " " + found.Digest})
	}
	return nil
}

// SeedDue reports whether the plan would execute a seed.
func (p Plan) SeedDue() bool { return p.Diff.Seed != nil && p.Basis.Seed.due(*p.Diff.Seed) }

// RefusesSeed says why the plan's seed must not be executed ([*RefusedError]): it does more than add, or it would go beside
// rows that are there, and nobody said that it may.
func (p Plan) RefusesSeed() error {
	if !p.SeedDue() {
		return nil
	}
	seed, found := p.Basis.Seed, p.Diff.Seed
	switch {
	case found.Breaks != "":
		return &RefusedError{fmt.Sprintf("%s is no seed: %s", seed.File, found.Breaks), "let it only insert; what changes or removes rows that are there belongs into a migration"}
	case found.Holds != "" && !seed.BesideData && found.Done == "":
		return &RefusedError{fmt.Sprintf("database %s has data already: there are rows in table %s", found.Database, found.Holds), "add --beside-data when the seed is meant for a database that is in use"}
	default:
		return nil
	}
}

func (a *attempt) seed(ctx context.Context) (done, error) {
	seeder, ok := a.Target.(Seeder)
	if !ok || a.plan.Diff.Seed == nil { // MakePlan found both
		return done{}, errors.New("the databases of this environment cannot be seeded")
	}
	asked, found := *a.plan.Basis.Seed, *a.plan.Diff.Seed
	// The first migrations of an empty database bring the environment's own seed, which may be this very file.
	err := a.ask(ctx, StepSeed, func(ctx context.Context) (err error) {
		found, err = seeder.LookAtSeed(ctx, asked.File)
		return err
	})
	if err != nil {
		return done{}, fmt.Errorf("look at seed %s: %w", asked.File, err)
	}
	if found.Done == a.Promotion || !asked.due(found) {
		if found.Done == a.Promotion {
			a.state.Seed = asked.File
		}
		return done{detail: asked.File + " was executed already, by promotion " + found.Done, skipped: true}, nil
	}
	a.state.Seed = asked.File // also when the reply is lost: it may be there
	err = a.ask(ctx, StepSeed, func(ctx context.Context) error {
		return seeder.Seed(ctx, a.Promotion, asked.File, a.plan.Diff.Seed.Digest)
	})
	if err != nil {
		return done{}, fmt.Errorf("execute seed %s: %w", asked.File, err)
	}
	return done{detail: asked.File + " on " + found.Database}, nil
}

// seedLeft says that a seed stays; it is asked of the target, because the reply that would have told may be lost.
func (a *attempt) seedLeft(ctx context.Context) string {
	seeder, ok := a.Target.(Seeder)
	if !ok || a.state.Seed == "" {
		return ""
	}
	file := a.state.Seed
	found, err := seeder.LookAtSeed(ctx, file)
	switch {
	case err != nil:
		return "seed " + file + " may stay executed: the target did not say"
	case found.Done != a.Promotion:
		return ""
	default:
		return "seed " + file + " stays executed; the database before it is bookmark " + a.state.Bookmark + " (going back to it loses what was written since)"
	}
}
