package promotion

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// Rewinder is a target that can also answer the data question of a rollback.
type Rewinder interface {
	Target
	// InMaintenance reports whether the app is out of service, so that people do not get what is deployed.
	InMaintenance(ctx context.Context) (bool, error)
	// AppliedSince lists the migrations that the databases' own tables say were applied at that moment or later, in order.
	// Breaks is judged by the files as they are now; a file that is gone cannot be judged, and Breaks says so.
	AppliedSince(ctx context.Context, moment time.Time) ([]Applied, error)
	// BookmarkBefore names the state of the databases just before that moment.
	BookmarkBefore(ctx context.Context, moment time.Time) (string, error)
	// BeyondTimeTravel says why the databases cannot be put back to what they held at that moment; "" when they can.
	BeyondTimeTravel(ctx context.Context, moment time.Time) (why string, err error)
	// Written counts, table by table, the rows that are above the marks.
	Written(ctx context.Context, marks []Mark) ([]Written, error)
	// RestoreData puts the databases back to a bookmark, in place, and returns the bookmark of what it replaced.
	RestoreData(ctx context.Context, promotion, bookmark string) (undo string, err error)
}

// Applied is a migration that was applied.
type Applied struct {
	Migration
	At time.Time `json:"at"`
}

// Written are rows of one table that were written later. Rows that were changed or deleted are not among them.
type Written struct {
	Database string `json:"database"`
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`
	// Uncounted says why Rows is not known.
	Uncounted string `json:"uncounted,omitempty"`
}

// Rollback is a return to an earlier version, with its data question answered. MakeRollback makes it.
type Rollback struct {
	App         string                `json:"app"`
	Environment pipelines.Environment `json:"-"`
	Live        State                 `json:"-"`
	// From is what is live, To what is to be.
	From Version `json:"from"`
	To   Version `json:"to"`
	// Since are the migrations that were applied after To was made, Breaking those of them that its code cannot be expected
	// to work with.
	Since    []Applied `json:"since,omitempty"`
	Breaking []Applied `json:"breaking,omitempty"`
	// Bookmark is the databases' state before the first breaking migration, and Lost what was written since; Source says
	// where the bookmark is from.
	Bookmark string    `json:"bookmark,omitempty"`
	Source   string    `json:"source,omitempty"`
	Lost     []Written `json:"lost,omitempty"`
	// Taken is when the bookmark was taken; zero when it was looked up just now.
	Taken time.Time `json:"taken,omitzero"`
	// Gone says why there was a bookmark that is of no use any more, and Instead are the exports that are nearest to it.
	Gone    string   `json:"gone,omitempty"`
	Instead []Export `json:"instead,omitempty"`
}

// DataChoice is a person's answer to what becomes of the data.
type DataChoice string

// The choices.
const (
	DataUndecided DataChoice = ""             // code only where that is safe; a refusal where it is not
	DataKept      DataChoice = "code-only"    // the old code meets the new schema
	DataRestored  DataChoice = "restore-data" // what was written since the bookmark is lost
)

// DataError says that the old code cannot be expected to run on the data as it is, and that nobody has said what to do.
type DataError struct{ Rollback Rollback }

// Error names the migrations and what a restore would lose.
func (e *DataError) Error() string {
	r := e.Rollback
	text := fmt.Sprintf("version %s may not work with the data as it is:", short(r.To.ID))
	for _, migration := range r.Breaking {
		text += fmt.Sprintf("\n  %s on %s: %s", migration.Name, migration.Database, migration.Breaks)
	}
	return text + "\n" + r.LossText()
}

// LossText says in words what a restore of the data would lose.
func (r Rollback) LossText() string {
	if r.Gone != "" {
		return "the data cannot be put back by a bookmark: " + r.Gone + "; " + InsteadText(r.Environment.Name, r.Instead)
	}
	if r.Bookmark == "" {
		return "no bookmark of the data before them is known, so that it cannot be restored"
	}
	var counted, uncounted []string
	for _, table := range r.Lost {
		switch {
		case table.Uncounted != "":
			uncounted = append(uncounted, table.Table+" ("+table.Uncounted+")")
		case table.Rows > 0:
			counted = append(counted, fmt.Sprintf("%d of %s", table.Rows, table.Table))
		}
	}
	text := "going back to bookmark " + r.Bookmark + " (" + r.Source + ") loses everything written since: "
	if len(counted) > 0 {
		text += "new rows, at least " + strings.Join(counted, ", ") + "; "
	} else {
		text += "no new rows were counted; "
	}
	if len(uncounted) > 0 {
		text += "uncounted: " + strings.Join(uncounted, ", ") + "; "
	}
	return text + "rows that were changed or deleted since cannot be counted"
}

// InsteadText says which exports there are where a bookmark is of no use.
func InsteadText(environment string, exports []Export) string {
	if len(exports) == 0 {
		return "promotions kept no export from before (`backup: export` would); `penstock restore --env " + environment + " --into NAME` makes a new database of the newest `penstock backup`"
	}
	var files []string
	for _, export := range exports {
		files = append(files, fmt.Sprintf("`penstock restore --env %s --from '%s' --into NAME`", environment, export.File))
	}
	return "the nearest export from before makes a new database: " + strings.Join(files, ", ")
}

// NextStep says how a person answers.
func (e *DataError) NextStep() string {
	keep := "`--code-only` goes back with the data as it is, if you know that the old code can live with it"
	if e.Rollback.Bookmark == "" {
		return keep
	}
	return keep + "; `--restore-data --confirm-loss` puts the data back as well"
}

// ErrNoSuchVersion is wrapped when what to go back to is not there, or not clear.
var ErrNoSuchVersion = errors.New("no version to go back to")

// MakeRollback finds the version to go back to and answers the data question. past are the environment's promotions on
// record, newest first. to is a version's id or the beginning of one, its number, a promotion's or a run's id; "" is what
// was live before the live version, unless that came by a rollback itself: where to go from there only a person knows.
func MakeRollback(ctx context.Context, target Rewinder, past []Checkpoint, app string, environment pipelines.Environment, to string) (Rollback, error) {
	live, err := target.Inspect(ctx)
	if err != nil {
		return Rollback{}, fmt.Errorf("inspect what is live in %s: %w", environment.Name, err)
	}
	maintained, err := target.InMaintenance(ctx)
	if err != nil {
		return Rollback{}, fmt.Errorf("find out whether %s is in maintenance: %w", environment.Name, err)
	}
	if maintained {
		return Rollback{}, &MaintenanceError{Environment: environment.Name}
	}
	r := Rollback{App: app, Environment: environment, Live: live, From: versionOf(live, live.Live())}
	if r.To, err = chooseVersion(live, past, to); err != nil {
		return Rollback{}, err
	}
	if sameShares(live.Shares, []Share{{Version: r.To.ID, Percentage: 100}}) {
		return Rollback{}, fmt.Errorf("%w: version %s has all traffic already", ErrNoSuchVersion, short(r.To.ID))
	}
	return r, r.answerData(ctx, target, past)
}

// answerData fills in the migrations since, and for breaking ones what a restore would mean.
func (r *Rollback) answerData(ctx context.Context, target Rewinder, past []Checkpoint) error {
	applied, err := target.AppliedSince(ctx, r.To.CreatedAt.Truncate(time.Second))
	if err != nil {
		return fmt.Errorf("read the migrations since version %s: %w", short(r.To.ID), err)
	}
	var breaker *Checkpoint // that applied the first breaking migration
	for _, migration := range applied {
		by := appliedBy(past, migration.Migration)
		if by != nil && by.Promotion == r.To.Tag {
			continue // its own: applied just before it was uploaded
		}
		if by != nil {
			at := slices.IndexFunc(by.Migrations, func(m Migration) bool { return sameMigration(m, migration.Migration) })
			migration.Migration = by.Migrations[at] // what was applied, not what its file has become
		}
		r.Since = append(r.Since, migration)
		if migration.Breaks == "" {
			continue
		}
		if len(r.Breaking) == 0 {
			breaker = by
		}
		r.Breaking = append(r.Breaking, migration)
	}
	if lacking := r.lacking(past); len(lacking) > 0 {
		// What the version needs was taken away with the data, so that no bookmark before a migration helps.
		r.Breaking = append(r.Breaking, lacking...)
		return nil
	}
	if len(r.Breaking) == 0 {
		return nil
	}
	var marks []Mark
	if breaker != nil && breaker.Bookmark != "" {
		r.Bookmark, r.Source, r.Taken, marks = breaker.Bookmark, "taken by promotion "+breaker.Promotion+" before it migrated", breaker.UpdatedAt, breaker.Marks
		if r.Gone, err = target.BeyondTimeTravel(ctx, r.Taken); err != nil {
			return fmt.Errorf("find out whether bookmark %s can still be gone back to: %w", r.Bookmark, err)
		}
		if r.Gone != "" {
			r.Gone = "bookmark " + r.Bookmark + ", " + r.Source + ": " + r.Gone
			r.Bookmark, r.Instead = "", ExportsBefore(past, r.Taken)
			return nil
		}
	} else {
		before := r.Breaking[0].At
		r.Bookmark, err = target.BookmarkBefore(ctx, before)
		if err != nil && (ctx.Err() != nil || errors.Is(err, ErrUnreachable)) {
			return fmt.Errorf("find a bookmark of the data before %s: %w", before.UTC().Format(time.RFC3339), err)
		}
		if err != nil {
			// A bookmark that cannot be had is an answer too: the data cannot be put back.
			r.Bookmark, r.Gone, r.Instead = "", err.Error(), ExportsBefore(past, before)
			return nil
		}
		r.Source = "time travel to before " + before.UTC().Format(time.RFC3339)
	}
	if r.Lost, err = target.Written(ctx, marks); err != nil {
		return fmt.Errorf("count what was written since: %w", err)
	}
	return nil
}

// lacking are migrations that were applied by the version's promotion or before it, and are not applied now: the data was put
// back since.
func (r *Rollback) lacking(past []Checkpoint) []Applied {
	made := slices.IndexFunc(past, func(c Checkpoint) bool { return c.Promotion == r.To.Tag })
	if made < 0 {
		return nil
	}
	var lacking []Applied
	for _, earlier := range past[made:] {
		for _, migration := range earlier.Migrations {
			if !slices.Contains(r.Live.Migrations, migration.Name) {
				migration.Breaks = "the version needs it, and it is not applied any more: the data was put back since"
				lacking = append(lacking, Applied{Migration: migration})
			}
		}
	}
	return lacking
}

func sameMigration(a, b Migration) bool { return a.Database == b.Database && a.Name == b.Name }

// appliedBy finds the promotion on record that applied a migration.
func appliedBy(past []Checkpoint, migration Migration) *Checkpoint {
	for i := range past {
		if slices.ContainsFunc(past[i].Migrations, func(m Migration) bool { return sameMigration(m, migration) }) {
			return &past[i]
		}
	}
	return nil
}

func versionOf(live State, id string) Version {
	for _, version := range live.Versions {
		if version.ID == id {
			return version
		}
	}
	return Version{ID: id}
}

// placeholderMark begins the message of the version that holds the place of a Worker's first one.
const placeholderMark = "penstock placeholder"

// IsPlaceholder reports whether a version only holds the place of a Worker's first one.
func IsPlaceholder(version Version) bool { return strings.HasPrefix(version.Message, placeholderMark) }

// MaintenanceMessage is the message of a version that answers in the app's place while it is out of service.
const MaintenanceMessage = "penstock maintenance"

func chooseVersion(live State, past []Checkpoint, to string) (Version, error) {
	if !live.Exists || len(live.Shares) == 0 {
		return Version{}, fmt.Errorf("%w: the Worker has none", ErrNoSuchVersion)
	}
	id := to
	if to == "" {
		var err error
		if id, err = before(live.Live(), past); err != nil {
			return Version{}, err
		}
	}
	for _, done := range past {
		if to != "" && (begins(done.Promotion, strings.ToLower(to)) || begins(done.Run, strings.ToUpper(to))) {
			if done.Kind == KindMigration {
				return Version{}, fmt.Errorf("%w: promotion %s changed the data alone and brought none", ErrNoSuchVersion, done.Promotion)
			}
			if done.State != Completed {
				return Version{}, fmt.Errorf("%w: promotion %s ended as %s, so that its version was never good for everybody", ErrNoSuchVersion, done.Promotion, done.State)
			}
			id = done.Version
			break
		}
	}
	var found []Version
	for _, version := range live.Versions {
		number := fmt.Sprint(version.Number)
		if version.ID == id || (len(id) >= 6 && strings.HasPrefix(version.ID, id)) || (to != "" && version.Number > 0 && (number == to || "v"+number == to)) {
			found = append(found, version)
		}
	}
	switch {
	case len(found) == 0:
		return Version{}, fmt.Errorf("%w: %q is neither one of the %d newest versions, which are those that can be deployed, nor a run or promotion on record", ErrNoSuchVersion, id, len(live.Versions))
	case len(found) > 1:
		return Version{}, fmt.Errorf("%w: %q begins the ids of %d versions; give more of it", ErrNoSuchVersion, id, len(found))
	case found[0].Message == MaintenanceMessage:
		return Version{}, fmt.Errorf("%w: version %s only says that the app is out of service; `penstock maintenance on` does that", ErrNoSuchVersion, short(found[0].ID))
	case IsPlaceholder(found[0]):
		return Version{}, fmt.Errorf("%w: before it there was only the placeholder that answers 503; `penstock maintenance on` takes the app out of service", ErrNoSuchVersion)
	}
	return found[0], neverGood(found[0], past)
}

// begins reports whether id is that of a run or promotion which was asked for: the whole, or as much of it as lists show, which is its
// time to the millisecond.
func begins(id, asked string) bool {
	return id == asked || (len(asked) >= 10 && strings.HasPrefix(id, asked))
}

// neverGood refuses a version that a promotion made and did not take to its end, by whatever name it is asked for: what gates
// or smoke tests stopped must not become live as something to go back to. The tag counts as well, since a promotion that died
// between the upload and its record does not say what it uploaded.
func neverGood(version Version, past []Checkpoint) error {
	var stopped *Checkpoint
	for i, done := range past {
		switch {
		case done.Version != version.ID && done.Promotion != version.Tag:
		case done.State == Completed:
			return nil
		case done.Kind != KindRollback && stopped == nil:
			stopped = &past[i]
		}
	}
	if stopped == nil {
		return nil
	}
	return fmt.Errorf("%w: promotion %s ended as %s, so that its version %s was never good for everybody", ErrNoSuchVersion, stopped.Promotion, stopped.State, short(version.ID))
}

// before is the version that was live before the live one.
func before(live string, past []Checkpoint) (string, error) {
	for _, done := range past {
		if done.State != Completed || done.Version != live {
			continue
		}
		if done.Kind == KindRollback {
			return "", fmt.Errorf("%w by itself: version %s came by a rollback (promotion %s); say with --to which version you want", ErrNoSuchVersion, short(live), done.Promotion)
		}
		old := State{Shares: done.Previous}.Live()
		if old == "" || old == live {
			continue // it found its version live already
		}
		return old, nil
	}
	return "", fmt.Errorf("%w by itself: no promotion on record made version %s live (a secret that is put makes a version too); say with --to which version you want (`wrangler versions list` shows them)", ErrNoSuchVersion, short(live))
}

// digest names the rollback like a plan.
func (r Rollback) digest() (string, error) {
	data, err := json.Marshal(struct {
		Rollback
		Environment string  `json:"environment"`
		Live        []Share `json:"live"`
		Lost        []Written
	}{Rollback: r, Environment: r.Environment.Name, Live: sortedShares(r.Live.Shares)}) // Lost grows by the minute
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// The steps of a rollback beside those that it shares with a promotion.
const (
	StepReturn  = "return"
	StepRestore = "restore"
)

// RollbackSteps lists the steps that a rollback takes.
func RollbackSteps(choice DataChoice) []event.Step {
	steps := []event.Step{
		{Name: StepLease, Title: "take the environment's lease"},
		{Name: StepCheck, Title: "check that the plan still holds"},
		{Name: StepBookmark, Title: "back the database up"},
		{Name: StepReturn, Title: "give the earlier version all traffic"},
	}
	if choice == DataRestored {
		steps = append(steps, event.Step{Name: StepRestore, Title: "put the data back"})
	}
	return append(steps, event.Step{Name: StepVerify, Title: "smoke what everybody gets"})
}

// Return makes a rollback real: lease, put back what a dead promotion left, check that nothing changed since, back the
// databases up, give the earlier version all traffic, put the data back where that was chosen, smoke.
//
// The data is put back after the traffic: what the newer code writes in between is lost anyway, while the other way round it
// would go into the restored data. Nothing here is put back when it fails: there is no rollback of a rollback. The result
// says what is live then. The error is not nil under the same conditions as that of [Promote].
func Return(ctx context.Context, options Options, target Rewinder, r Rollback, choice DataChoice) (Result, error) {
	options.Target = target
	refused := func(err error) (Result, error) {
		return Result{Promotion: options.Promotion, Phase: Failed, Cause: err, Version: r.From.ID, NextStep: nextAfter(err)}, err
	}
	if options.Target == nil || options.Journal == nil || options.Prober == nil || options.Run == "" || options.Promotion == "" {
		return refused(errors.New("a rollback needs a target, a journal, a prober, the run's id and its own"))
	}
	if choice == DataUndecided && len(r.Breaking) > 0 {
		return refused(&DataError{r})
	}
	if choice == DataRestored && r.Bookmark == "" {
		return refused(errors.New("no bookmark of the data is known, so that it cannot be put back; `--code-only` leaves it as it is"))
	}
	digest, err := r.digest()
	if err != nil {
		return refused(err)
	}
	a := &attempt{Options: options.withDefaults(), plan: Plan{Digest: digest, Basis: Basis{App: r.App, Environment: r.Environment}, Live: r.Live}}
	a.state = Checkpoint{
		Promotion: options.Promotion, Run: options.Run, State: Planned, Plan: digest, Bundle: r.To.Bundle, Version: r.To.ID,
		Kind: KindRollback,
	}
	a.goesBackTo(r.Live)
	if err := a.acquire(ctx); err != nil {
		return refused(err)
	}
	back := &returning{attempt: a, target: target, rollback: r, choice: choice}
	if cause := back.forward(ctx); cause != nil {
		if stopped := ctx.Err(); stopped != nil && !errors.Is(cause, stopped) {
			cause = fmt.Errorf("%w: %w", stopped, cause)
		}
		return back.stop(ctx, cause)
	}
	result, err := a.complete(ctx)
	result.Bookmark = a.state.Undo
	return result, err
}

// returning is a rollback under way.
type returning struct {
	*attempt
	target   Rewinder
	rollback Rollback
	choice   DataChoice
}

func (b *returning) forward(ctx context.Context) error {
	recovered, err := b.recover(ctx)
	if err != nil {
		return err
	}
	if err := b.step(ctx, StepCheck, Leased, func(ctx context.Context) (done, error) { return b.check(ctx, recovered) }); err != nil {
		return err
	}
	if err := b.step(ctx, StepBookmark, BackedUp, b.bookmark); err != nil {
		return err
	}
	if err := b.step(ctx, StepReturn, Shifting, b.giveTraffic); err != nil {
		return err
	}
	if b.choice == DataRestored {
		if err := b.step(ctx, StepRestore, Shifting, b.restoreData); err != nil {
			return err
		}
	}
	return b.step(ctx, StepVerify, Baking, func(ctx context.Context) (done, error) {
		report, err := b.probe(ctx, StepVerify, "after-rollback", "", b.state.Version)
		return done{detail: report.Summary}, err
	})
}

// check looks again under the lease. Traffic may differ only by what was put back just now.
func (b *returning) check(ctx context.Context, recovered bool) (done, error) {
	var live State
	var applied []Applied
	err := b.ask(ctx, StepCheck, func(ctx context.Context) (err error) {
		if live, err = b.target.Inspect(ctx); err == nil {
			applied, err = b.target.AppliedSince(ctx, b.rollback.To.CreatedAt.Truncate(time.Second))
		}
		return err
	})
	if err != nil {
		return done{}, err
	}
	if b.choice == DataRestored && !b.rollback.Taken.IsZero() {
		var gone string
		err := b.ask(ctx, StepCheck, func(ctx context.Context) (err error) {
			gone, err = b.target.BeyondTimeTravel(ctx, b.rollback.Taken)
			return err
		})
		if err == nil && gone != "" {
			err = fmt.Errorf("bookmark %s: %s", b.rollback.Bookmark, gone)
		}
		if err != nil {
			return done{}, err // before the traffic moves
		}
	}
	stale := &StaleError{Environment: b.environment().Name, Planned: b.plan.Digest}
	if !recovered && !slices.Equal(sortedShares(live.Shares), sortedShares(b.rollback.Live.Shares)) {
		stale.Why = describeShares(live.Shares) + " is live now, the rollback was planned from " + describeShares(b.rollback.Live.Shares)
		return done{}, stale
	}
	for _, migration := range applied {
		known := func(m Applied) bool { return sameMigration(m.Migration, migration.Migration) }
		if migration.Breaks != "" && migration.At.After(b.rollback.To.CreatedAt) && !slices.ContainsFunc(b.rollback.Since, known) {
			stale.Why = "migration " + migration.Name + " was applied since"
			return done{}, stale
		}
	}
	b.state.URL = live.URL
	b.goesBackTo(live)
	return done{detail: "as planned, " + describeShares(live.Shares) + " is live"}, nil
}

func (b *returning) giveTraffic(ctx context.Context) (done, error) {
	b.state.Touched = true
	shares := []Share{{Version: b.state.Version, Percentage: 100}}
	if err := b.route(ctx, StepReturn, shares); err != nil {
		return done{}, err
	}
	return done{detail: describeShares(shares)}, nil
}

// restoreData is asked for once: a restore that was repeated would take the state after the first one for the one to keep.
func (b *returning) restoreData(ctx context.Context) (done, error) {
	undo, err := b.target.RestoreData(ctx, b.Promotion, b.rollback.Bookmark)
	b.state.Undo = undo
	if err != nil {
		return done{}, fmt.Errorf("put the data back to bookmark %s: %w", b.rollback.Bookmark, err)
	}
	return done{detail: "bookmark " + b.rollback.Bookmark + "; what it replaced is bookmark " + undo}, nil
}

// stop ends a rollback that did not get through, and leaves everything where it is.
func (b *returning) stop(ctx context.Context, cause error) (Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.CleanUp)
	defer cancel()
	defer b.release(ctx)
	if errors.Is(cause, ErrLeaseLost) {
		return b.tookOver(cause)
	}
	phase := Failed
	if _, ok := errors.AsType[*StaleError](cause); ok {
		phase = Superseded
	} else if errors.Is(cause, context.Canceled) && !b.state.Touched {
		phase = Cancelled
	}
	result := b.result(phase, cause)
	result.Bookmark = b.state.Undo
	result.NextStep = nextAfter(cause)
	if b.state.Touched {
		result.NextStep = "look at the app now; `penstock rollback --to VERSION` goes to another version, `penstock deploy` goes forward, `penstock maintenance on` takes it out of service"
	}
	live, err := b.target.Inspect(ctx)
	if err != nil {
		result.NotUndone = append(result.NotUndone, "traffic: what is live could not be found out: "+err.Error())
		result.Version = ""
	} else {
		result.Version = live.Live()
		if b.state.Touched {
			result.NotUndone = append(result.NotUndone, "traffic: "+describeShares(live.Shares)+" is live and stays: a rollback is never rolled back by itself")
		}
	}
	unsure := b.state.Step == StepRestore && !b.state.Done
	if unsure && b.state.Undo != "" { // of several databases
		result.NotUndone = append(result.NotUndone, fmt.Sprintf("data: whether all of it was put back is not known; what is known to have been replaced is bookmark %s, the state before is bookmark %s",
			b.state.Undo, b.state.Bookmark))
	} else if b.state.Undo != "" {
		result.NotUndone = append(result.NotUndone, "data: it was put back; what it replaced is bookmark "+b.state.Undo)
	} else if b.choice == DataRestored && b.state.Step == StepReturn && (b.state.Done || result.Version == b.state.Version) {
		result.NotUndone = append(result.NotUndone, fmt.Sprintf("data: it was not put back, and version %s may not work with it; `penstock restore --env %s --bookmark '%s' --confirm-loss` puts it back",
			short(b.state.Version), b.environment().Name, b.rollback.Bookmark))
	} else if unsure {
		result.NotUndone = append(result.NotUndone, "data: whether it was put back is not known; the state before is bookmark "+b.state.Bookmark)
	}
	if err := b.end(ctx, phase, cause.Error()); err != nil {
		return result, fmt.Errorf("record the end of rollback %s after: %w; and that failed: %w", b.Promotion, cause, err)
	}
	return result, nil
}
