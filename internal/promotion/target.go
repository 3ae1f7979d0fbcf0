package promotion

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// ErrUnreachable is wrapped by every error that says the target could not be asked (network, 5xx after retries, timeouts):
// exit code 8. Nothing is known about what the target did.
var ErrUnreachable = errors.New("target unreachable")

// Target knows how to deploy one app to one environment. It is made for one run.
//
// Every changing call carries the promotion's id, is idempotent under it, and may be repeated after a crash or a lost
// reply: the target asks what is there before it does anything again (a version is recognised by its tag, a migration by
// the migrations table). Calls are made one at a time. All of them honour ctx; none retries a change blindly.
type Target interface {
	// Inspect reads what is live. A Worker that does not exist yet is a State with no versions, not an error.
	Inspect(ctx context.Context) (State, error)
	// Diff says what promoting b would change, without changing anything. Everything that b or the wrangler config asks
	// for and this target cannot honour is one error that names each key.
	Diff(ctx context.Context, live State, b *bundle.Bundle) (Diff, error)
	// Provision creates the resources that Diff said are missing. It is only called when the environment allows it.
	Provision(ctx context.Context, promotion string, d Diff) ([]event.Change, error)
	// Prepare makes the Worker exist when this is its first deployment, and applies pending Durable Object migrations,
	// so that a version can be uploaded without traffic. It says what it did; "" means that there was nothing to do.
	Prepare(ctx context.Context, promotion string, live State, b *bundle.Bundle) (string, error)
	// Backup takes down what the databases hold now, as the environment's Backup setting says. The zero Backup when the app
	// has no database, or wants none.
	Backup(ctx context.Context, promotion string) (Backup, error)
	// Migrate applies the pending migrations in order, telling each as it is done, and stops at the first failure with
	// a [*MigrationError]. Nothing is reported applied that is not. What is pending and not among those that were planned,
	// with the same text, is a [*StaleError]: nobody has judged or approved it. Seed runs after the first migrations of an empty
	// database, when the environment names a seed file.
	Migrate(ctx context.Context, promotion string, planned []Migration, applied func(Migration)) error
	// Upload makes the new version, with no traffic, and returns its id.
	Upload(ctx context.Context, promotion string, b *bundle.Bundle) (version string, err error)
	// Route makes the shares the current deployment and waits until the target answers accordingly. After an error, also
	// that of an ended ctx, the deployment may still come: nothing is known until it was looked for some time later.
	Route(ctx context.Context, promotion string, routing Routing) error
	// Address says how to reach the given version, whatever share it has: "" asks for what everybody gets.
	Address(ctx context.Context, version string) (Address, error)
}

// State is what is live.
type State struct {
	Worker string  // script name
	Exists bool    // the Worker exists
	Shares []Share // current deployment, largest share first
	// Suspended says that the deployment is that of a maintenance version, which takes the place of what will be live after it.
	Suspended bool
	// Versions are the known ones, newest first.
	Versions []Version
	// Migrations are the names of the applied database migrations, in order.
	Migrations []string
	URL        string // where people reach it
}

// Live returns the version with the largest share, "" when there is none.
func (s State) Live() string {
	if len(s.Shares) == 0 {
		return ""
	}
	return s.Shares[0].Version
}

// Serves reports whether a version takes traffic that is more than a placeholder.
func (s State) Serves() bool { return len(s.serving()) > 0 }

// serving are the versions that take traffic, without placeholders.
func (s State) serving() []string {
	var serving []string
	for _, share := range sortedShares(s.Shares) {
		if !IsPlaceholder(versionOf(s, share.Version)) {
			serving = append(serving, share.Version)
		}
	}
	return serving
}

// Version is one upload.
type Version struct {
	ID        string    `json:"id"`
	Number    int       `json:"number,omitempty"`
	Tag       string    `json:"tag,omitempty"` // the promotion's id for those that Penstock made
	Message   string    `json:"message,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	// Bundle is the bundle's digest where Penstock recorded it in the message, "" otherwise.
	Bundle string `json:"bundle,omitempty"`
}

// Share is a version's part of the traffic in percent.
type Share struct {
	Version    string  `json:"version"`
	Percentage float64 `json:"percentage"`
}

// Routing is a deployment to make.
type Routing struct {
	Shares  []Share
	Message string // says in the target's own list why it was made
	// Back says that exactly this was live before. Where the target asks whether the earlier secrets are meant, they are.
	Back bool
	// Anew asks for a new deployment even when the shares are the current ones already, so that it comes after another one
	// that may be on its way. Without it, shares that are current are left alone.
	Anew bool
}

// Diff is the exact difference between what is live and a bundle.
type Diff struct {
	Changes []event.Change
	// Missing are resources that must be created first; each is also among Changes.
	Missing []event.Change
	// Migrations are the pending database migrations in order, with the digest of each file.
	Migrations []Migration
	// Seed is what is known of the seed that was asked for; nil when none was.
	Seed *Seeding
	// MissingSecrets are required names that the environment lacks.
	MissingSecrets []string
	// UpToDate: the live version at 100 % was made from this very bundle and nothing else is pending.
	UpToDate bool
}

// The kinds of changes that concern data.
const (
	ChangeDatabase  = "database"
	ChangeMigration = "migration"
)

// dataAlone is what of the difference concerns data.
func (d Diff) dataAlone() Diff {
	data := func(changes []event.Change) []event.Change {
		var kept []event.Change
		for _, change := range changes {
			if change.Kind == ChangeDatabase || change.Kind == ChangeMigration {
				kept = append(kept, change)
			}
		}
		return kept
	}
	alone := Diff{Changes: data(d.Changes), Missing: data(d.Missing), Migrations: d.Migrations}
	alone.UpToDate = len(alone.Migrations) == 0
	return alone
}

// Migration is one database migration file.
type Migration struct {
	Database string `json:"database"`
	Name     string `json:"name"`
	Digest   string `json:"digest"`
	// Breaks says why code that is older than the migration cannot be expected to work after it; "" when it only adds to
	// what is there.
	Breaks string `json:"breaks,omitempty"`
}

// Backup is what there is to go back to when what happens to the databases next turns out to be wrong.
type Backup struct {
	// Bookmark names their state for the target's own time travel; "" when the app has no database.
	Bookmark string
	// Marks tell rows that were written later from those that were there.
	Marks []Mark
	// Exports are verified copies outside the target.
	Exports []Export
}

// Mark is the highest row id of a table. Row ids grow, so that rows above it were written later; what was changed or
// deleted leaves no such trace.
type Mark struct {
	Database string `json:"database"`
	Table    string `json:"table"`
	Row      int64  `json:"row"`
}

// Export is a copy of a database as SQL that was read back and found whole.
type Export struct {
	Database string `json:"database"`
	File     string `json:"file"`
	Digest   string `json:"digest"` // "sha256:…" of the file
	Size     int64  `json:"size"`   // bytes
	Bookmark string `json:"bookmark,omitempty"`
}

// Address is how to reach a version.
type Address struct {
	URL string // base, without a trailing slash
	// Header must be sent with each request to reach this version.
	Header http.Header
}

// MigrationError is a migration that the database refused.
type MigrationError struct {
	Migration Migration
	Statement string // as far as it is known
	Message   string // the database's own words
	Applied   []Migration
}

// Error names the file, the database's message, and what was applied before.
func (e *MigrationError) Error() string {
	text := "migration " + e.Migration.Name + " on " + e.Migration.Database + " failed: " + e.Message
	if len(e.Applied) == 0 {
		return text + " (no migration of this run was applied before it)"
	}
	return text + " (applied before it: " + e.Applied[len(e.Applied)-1].Name + ")"
}

// Prober asks a running version whether it works.
type Prober interface {
	// Probe sends the environment's probes to the address. version is the id that must answer, "" for whichever.
	// The report says what was asked and answered, for people and for the ledger; it is a failure when Report.OK is
	// false, and err is only for "could not ask".
	Probe(ctx context.Context, address Address, version string, smoke pipelines.Smoke) (Report, error)
}

// Report is what a smoke found.
type Report struct {
	OK      bool
	Summary string
	Lines   []string
	// Proven says that the answers carried the wanted version's id.
	Proven bool
}

// SmokeStages runs the pipeline's own smoke stages against an address; package engine does it through the executor.
type SmokeStages interface {
	// RunSmoke returns false with a summary when a stage failed.
	RunSmoke(ctx context.Context, moment string, address Address, version string, log io.Writer) (ok bool, summary string, err error)
}
