// Package promotiontest is for tests of whatever promotes: a target, a journal and a prober that work in memory and
// complain when they are misused, and the contract that every journal must keep.
package promotiontest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// Cloud is a place to deploy to, in memory. Set its exported fields before the first call. It implements
// promotion.Target and promotion.Prober. Misuse goes to Complaints, because an error would be handled and so hidden.
type Cloud struct {
	// Wanted are the migrations that the app has, in order.
	Wanted []promotion.Migration
	// Missing are resources and Secrets names that do not exist.
	Missing []event.Change
	Secrets []string
	// Refuses names a migration that the database refuses; Broken a bundle whose versions do not work.
	Refuses string
	Broken  string
	// Seeds are the seed files that the app has; Done is filled in.
	Seeds map[string]promotion.Seeding
	// Forgets is the moment before which no bookmark can be gone back to.
	Forgets time.Time
	// Held, when set, says whether anybody may change the cloud now.
	Held func() bool

	calls      atomic.Int32 // under way
	mu         sync.Mutex
	exists     bool
	shares     []promotion.Share
	foreign    bool                // the last deployment was somebody else's
	suspended  []promotion.Share   // what was live before the maintenance
	versions   []promotion.Version // newest first
	applied    []string
	appliedAt  map[string]time.Time
	bookmarks  map[string][]string // to what was applied
	restored   []string            // bookmarks that data was put back to
	sown       [][2]string         // seed files, and the promotions that executed them
	clock      int                 // seconds since the cloud's beginning
	complaints []string
}

var (
	_ promotion.Rewinder = (*Cloud)(nil)
	_ promotion.Prober   = (*Cloud)(nil)
	_ promotion.Seeder   = (*Cloud)(nil)
)

// Deploy puts versions live without a promotion, as somebody else's deployment.
func (c *Cloud) Deploy(shares ...promotion.Share) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exists = true
	for _, share := range shares {
		if !c.known(share.Version) {
			c.add(promotion.Version{ID: share.Version})
		}
	}
	c.shares, c.foreign = slices.Clone(shares), true
}

// UploadForeign makes a version without a promotion, as somebody else's.
func (c *Cloud) UploadForeign() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	version := promotion.Version{ID: fmt.Sprintf("other-%d", len(c.versions)+1), Number: len(c.versions) + 1}
	c.add(version)
	return version.ID
}

const secretMessage = "a secret was put"

// PutSecret puts a secret as Cloudflare does: it is live at once when the newest version is, and otherwise waits in a version.
func (c *Cloud) PutSecret() {
	c.mu.Lock()
	defer c.mu.Unlock()
	version := promotion.Version{ID: fmt.Sprintf("secret-%d", len(c.versions)+1), Number: len(c.versions) + 1, Message: secretMessage}
	at := len(c.shares) == 1 && c.shares[0].Version == c.versions[0].ID
	c.add(version)
	if at {
		c.shares = []promotion.Share{{Version: version.ID, Percentage: 100}}
	}
}

// Suspend takes the app out of service.
func (c *Cloud) Suspend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(promotion.Version{ID: fmt.Sprintf("maintenance-%d", len(c.versions)+1), Number: len(c.versions) + 1, Message: promotion.MaintenanceMessage})
	c.suspended, c.shares = c.shares, []promotion.Share{{Version: c.versions[0].ID, Percentage: 100}}
}

// Resume puts the app back into service as it was.
func (c *Cloud) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shares, c.suspended = c.suspended, nil
}

// InMaintenance implements promotion.Rewinder.
func (c *Cloud) InMaintenance(ctx context.Context) (bool, error) {
	defer c.enter("in maintenance", false)()
	return c.suspended != nil, ctx.Err()
}

// Placeholder leaves what a first deployment that failed leaves.
func (c *Cloud) Placeholder() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.placeholder("another")
}

func (c *Cloud) placeholder(id string) {
	c.exists = true
	c.add(promotion.Version{ID: "placeholder", Message: "penstock placeholder for promotion " + id})
	c.shares = []promotion.Share{{Version: "placeholder", Percentage: 100}}
}

// Live returns the current deployment.
func (c *Cloud) Live() []promotion.Share {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.shares)
}

// Applied returns the names of the applied migrations.
func (c *Cloud) Applied() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.applied)
}

// Tagged returns the versions with that tag.
func (c *Cloud) Tagged(tag string) []promotion.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []promotion.Version
	for _, version := range c.versions {
		if version.Tag == tag {
			found = append(found, version)
		}
	}
	return found
}

// Complaints returns what was done wrong, in words.
func (c *Cloud) Complaints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.complaints)
}

// Inspect implements promotion.Target.
func (c *Cloud) Inspect(ctx context.Context) (promotion.State, error) {
	defer c.enter("inspect", false)()
	if err := ctx.Err(); err != nil {
		return promotion.State{}, err
	}
	return promotion.State{
		Worker: "app", Exists: c.exists, Suspended: c.suspended != nil, Shares: slices.Clone(c.shares), Versions: slices.Clone(c.versions),
		Migrations: slices.Clone(c.applied), URL: "http://app.test",
	}, nil
}

// Diff implements promotion.Target.
func (c *Cloud) Diff(ctx context.Context, live promotion.State, b *bundle.Bundle) (promotion.Diff, error) {
	defer c.enter("diff", false)()
	if err := ctx.Err(); err != nil {
		return promotion.Diff{}, err
	}
	if c.suspended != nil {
		return promotion.Diff{}, &promotion.MaintenanceError{Environment: "production"}
	}
	diff := promotion.Diff{Missing: slices.Clone(c.Missing), MissingSecrets: slices.Clone(c.Secrets)}
	diff.Changes = append(diff.Changes, diff.Missing...)
	for _, migration := range c.Wanted {
		if !slices.Contains(c.applied, migration.Name) {
			diff.Migrations = append(diff.Migrations, migration)
			diff.Changes = append(diff.Changes, event.Change{Action: "create", Kind: "migration", Name: migration.Name})
		}
	}
	for _, version := range c.versions {
		if version.ID == live.Live() {
			break
		}
		if version.Message == secretMessage {
			diff.Changes = append(diff.Changes, event.Change{Action: "update", Kind: "secret", Name: "TOKEN", To: version.ID})
		}
	}
	same := len(live.Shares) == 1 && live.Shares[0].Percentage == 100 && c.bundleOf(live.Shares[0].Version) == b.Digest
	if same && len(diff.Changes) == 0 {
		diff.UpToDate = true
		return diff, nil
	}
	diff.Changes = append(diff.Changes, event.Change{Action: "create", Kind: "version", Name: "app", To: b.Digest})
	return diff, nil
}

// Provision implements promotion.Target.
func (c *Cloud) Provision(ctx context.Context, id string, d promotion.Diff) ([]event.Change, error) {
	defer c.enter("provision", true)()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(d.Missing) == 0 {
		c.complain("provision without anything missing")
	}
	c.Missing = nil
	return d.Missing, nil
}

// Prepare implements promotion.Target: the first time it deploys a placeholder.
func (c *Cloud) Prepare(ctx context.Context, id string, live promotion.State, b *bundle.Bundle) (string, error) {
	defer c.enter("prepare", true)()
	if err := ctx.Err(); err != nil || c.exists {
		return "", err
	}
	if live.Exists {
		c.complain("prepare was told of a Worker that does not exist")
	}
	if len(c.Missing) > 0 {
		c.complain("prepare while resources are missing")
	}
	c.placeholder(id)
	return "made the Worker with a placeholder", nil
}

// Backup implements promotion.Target.
func (c *Cloud) Backup(ctx context.Context, id string) (promotion.Backup, error) {
	defer c.enter("backup", true)()
	if err := ctx.Err(); err != nil || len(c.Wanted) == 0 {
		return promotion.Backup{}, err
	}
	return promotion.Backup{Bookmark: c.mark(), Marks: []promotion.Mark{{Database: "db", Table: "users", Row: int64(len(c.applied))}}}, nil
}

// mark names the state of now.
func (c *Cloud) mark() string {
	name := fmt.Sprintf("bookmark-%d", len(c.applied))
	if c.bookmarks == nil {
		c.bookmarks = map[string][]string{}
	}
	c.bookmarks[name] = slices.Clone(c.applied)
	return name
}

// Restored returns the bookmarks that data was put back to, in order.
func (c *Cloud) Restored() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.restored)
}

// Apply applies a migration without a promotion, as somebody else's tool.
func (c *Cloud) Apply(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(name)
}

func (c *Cloud) apply(name string) {
	if c.appliedAt == nil {
		c.appliedAt = map[string]time.Time{}
	}
	c.applied = append(c.applied, name)
	c.appliedAt[name] = c.tick()
}

func (c *Cloud) tick() time.Time {
	c.clock += 10
	return time.Date(2026, 11, 1, 12, 0, c.clock, 0, time.UTC)
}

// AppliedSince implements promotion.Rewinder. What a migration breaks is said by Wanted.
func (c *Cloud) AppliedSince(ctx context.Context, moment time.Time) ([]promotion.Applied, error) {
	defer c.enter("applied since", false)()
	var since []promotion.Applied
	for _, name := range c.applied {
		migration := promotion.Migration{Database: "db", Name: name, Breaks: "its file is gone"}
		if at := slices.IndexFunc(c.Wanted, func(m promotion.Migration) bool { return m.Name == name }); at >= 0 {
			migration = c.Wanted[at]
		}
		if at := c.appliedAt[name]; !at.Before(moment) {
			since = append(since, promotion.Applied{Migration: migration, At: at})
		}
	}
	return since, ctx.Err()
}

// BookmarkBefore implements promotion.Rewinder.
func (c *Cloud) BookmarkBefore(ctx context.Context, moment time.Time) (string, error) {
	defer c.enter("bookmark before", false)()
	return "time-" + moment.Format(time.RFC3339), ctx.Err()
}

// BeyondTimeTravel implements promotion.Rewinder.
func (c *Cloud) BeyondTimeTravel(ctx context.Context, moment time.Time) (string, error) {
	defer c.enter("beyond time travel", false)()
	if moment.Before(c.Forgets) {
		return "it is too old", ctx.Err()
	}
	return "", ctx.Err()
}

// Written implements promotion.Rewinder: one row was written for each migration since the mark.
func (c *Cloud) Written(ctx context.Context, marks []promotion.Mark) ([]promotion.Written, error) {
	defer c.enter("written", false)()
	var written []promotion.Written
	for _, mark := range marks {
		written = append(written, promotion.Written{Database: mark.Database, Table: mark.Table, Rows: int64(len(c.applied)) - mark.Row})
	}
	return written, ctx.Err()
}

// RestoreData implements promotion.Rewinder.
func (c *Cloud) RestoreData(ctx context.Context, id, bookmark string) (string, error) {
	defer c.enter("restore", true)()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	state, known := c.bookmarks[bookmark]
	if !known {
		return "", errors.New("no such bookmark")
	}
	undo := "undo-" + c.mark()
	c.restored = append(c.restored, bookmark)
	c.applied = slices.Clone(state)
	return undo, nil
}

// Migrate implements promotion.Target.
func (c *Cloud) Migrate(ctx context.Context, id string, planned []promotion.Migration, applied func(promotion.Migration)) error {
	defer c.enter("migrate", true)()
	var done []promotion.Migration
	for _, migration := range c.Wanted {
		if err := ctx.Err(); err != nil {
			return err
		}
		if slices.Contains(c.applied, migration.Name) {
			continue
		}
		if !slices.Contains(planned, migration) {
			return &promotion.StaleError{Environment: "production", Why: migration.Name + " is pending"}
		}
		if migration.Name == c.Refuses {
			return &promotion.MigrationError{Migration: migration, Message: "no such table", Applied: done}
		}
		c.apply(migration.Name)
		done = append(done, migration)
		applied(migration)
	}
	return nil
}

// Sown returns the seed files that were executed, in order.
func (c *Cloud) Sown() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var files []string
	for _, one := range c.sown {
		files = append(files, one[0])
	}
	return files
}

// LookAtSeed implements promotion.Seeder.
func (c *Cloud) LookAtSeed(ctx context.Context, file string) (promotion.Seeding, error) {
	defer c.enter("look at seed", false)()
	if err := ctx.Err(); err != nil {
		return promotion.Seeding{}, err
	}
	return c.seeding(file)
}

func (c *Cloud) seeding(file string) (promotion.Seeding, error) {
	found, known := c.Seeds[file]
	if !known {
		return promotion.Seeding{}, errors.New("no such seed")
	}
	for _, one := range c.sown {
		if one[0] == file {
			found.Done = one[1]
		}
	}
	return found, nil
}

// Seed implements promotion.Seeder.
func (c *Cloud) Seed(ctx context.Context, id, file, digest string) error {
	defer c.enter("seed", true)()
	if err := ctx.Err(); err != nil {
		return err
	}
	found, err := c.seeding(file)
	if err != nil || found.Done == id {
		return err
	}
	for _, migration := range c.Wanted {
		if !slices.Contains(c.applied, migration.Name) {
			c.complain("seed before migration " + migration.Name)
		}
	}
	if found.Digest != digest {
		c.complain("seed of another digest")
	}
	c.sown = append(c.sown, [2]string{file, id})
	return nil
}

// Upload implements promotion.Target: a version with the promotion's tag is found again.
func (c *Cloud) Upload(ctx context.Context, id string, b *bundle.Bundle) (string, error) {
	defer c.enter("upload", true)()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if !c.exists {
		c.complain("upload to a Worker that does not exist")
		return "", errors.New("10007: the Worker does not exist")
	}
	for _, migration := range c.Wanted {
		if !slices.Contains(c.applied, migration.Name) {
			c.complain("upload before migration " + migration.Name)
		}
	}
	for _, version := range c.versions {
		if version.Tag == id {
			return version.ID, nil
		}
	}
	version := promotion.Version{ID: fmt.Sprintf("version-%d", len(c.versions)+1), Number: len(c.versions) + 1, Tag: id, Bundle: b.Digest}
	c.add(version)
	return version.ID, nil
}

// Route implements promotion.Target.
func (c *Cloud) Route(ctx context.Context, id string, routing promotion.Routing) error {
	defer c.enter("route", true)()
	if err := ctx.Err(); err != nil {
		return err
	}
	shares := routing.Shares
	sum := 0.0
	for _, share := range shares {
		sum += share.Percentage
		if !c.known(share.Version) {
			c.complain("route to the unknown version " + share.Version)
			return errors.New("unknown version " + share.Version)
		}
		if share.Percentage > 0 && c.broken(share.Version) {
			c.complain("traffic to the broken version " + share.Version)
		}
	}
	if sum != 100 || len(shares) < 1 || len(shares) > 2 {
		c.complain(fmt.Sprintf("route %v: one or two versions, 100 %% together", shares))
		return errors.New("bad deployment")
	}
	c.shares, c.foreign = slices.Clone(shares), false
	return nil
}

// Address implements promotion.Target.
func (c *Cloud) Address(ctx context.Context, version string) (promotion.Address, error) {
	defer c.enter("address", false)()
	if err := ctx.Err(); err != nil {
		return promotion.Address{}, err
	}
	address := promotion.Address{URL: "http://app.test"}
	if version != "" {
		if !c.foreign && !slices.ContainsFunc(c.shares, func(share promotion.Share) bool { return share.Version == version }) {
			c.complain("an override for version " + version + ", which is not in the deployment, would be ignored")
		}
		address.Header = http.Header{"Version": {version}}
	}
	return address, nil
}

// Probe implements promotion.Prober: the version that the address selects answers.
func (c *Cloud) Probe(ctx context.Context, address promotion.Address, version string, smoke pipelines.Smoke) (promotion.Report, error) {
	defer c.enter("probe", false)()
	if err := ctx.Err(); err != nil {
		return promotion.Report{}, err
	}
	answers := address.Header.Get("Version")
	if answers == "" {
		answers = promotion.State{Shares: c.shares}.Live()
	}
	broken := c.broken(answers) || c.health(answers) == Late && c.serves(answers)
	report := promotion.Report{OK: !broken && (version == "" || answers == version), Proven: answers == version}
	report.Summary = "version " + answers + " answered"
	report.Lines = []string{"GET / → " + report.Summary}
	return report, nil
}

func (c *Cloud) enter(call string, changes bool) (leave func()) {
	together := c.calls.Add(1) > 1
	c.mu.Lock()
	if together {
		c.complain(call + " while another call is under way")
	}
	if changes && c.Held != nil && !c.Held() {
		c.complain(call + " without the lease")
	}
	return func() {
		c.mu.Unlock()
		c.calls.Add(-1)
	}
}

func (c *Cloud) complain(text string) { c.complaints = append(c.complaints, text) }

func (c *Cloud) add(version promotion.Version) {
	version.CreatedAt = c.tick()
	c.versions = append([]promotion.Version{version}, c.versions...)
}

// health is that which a bundle's digest names, as a Story's do.
func (c *Cloud) health(version string) Health {
	name, _, _ := strings.Cut(strings.TrimPrefix(c.bundleOf(version), "sha256:"), "-")
	return Health(name)
}

func (c *Cloud) broken(version string) bool {
	return c.health(version) == Bad || c.Broken != "" && c.bundleOf(version) == c.Broken
}

func (c *Cloud) serves(version string) bool {
	return slices.ContainsFunc(c.shares, func(share promotion.Share) bool { return share.Version == version && share.Percentage > 0 })
}

func (c *Cloud) known(id string) bool {
	return slices.ContainsFunc(c.versions, func(version promotion.Version) bool { return version.ID == id })
}

func (c *Cloud) bundleOf(id string) string {
	for _, version := range c.versions {
		if version.ID == id {
			return version.Bundle
		}
	}
	return ""
}
