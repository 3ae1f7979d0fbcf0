package cloudflare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/bundlesql"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

const (
	// rehearsalPrefix begins the names of the copies: the database and a ULID follow, so that each rehearsal has its own and its
	// age is known.
	rehearsalPrefix = "penstock-rehearsal-"
	// rehearsalLasts is longer than any rehearsal does. A copy that is older was left behind by one that was killed.
	rehearsalLasts = 6 * time.Hour
	// nameLimit is D1's, in bytes.
	nameLimit = 64
)

// rehearsalName is that of a new copy.
func rehearsalName(database string) string {
	return copiesOf(database) + strings.ToLower(ulid.Make().String())
}

// copiesOf begins the names of a database's copies. What is too long for D1 with a ULID behind it is told by its beginning and
// by a digest of the whole.
func copiesOf(database string) string {
	if room := nameLimit - len(rehearsalPrefix) - len("-") - ulid.EncodedSize; len(database) > room {
		sum := sha256.Sum256([]byte(database))
		digest := hex.EncodeToString(sum[:4])
		database = database[:room-len("-")-len(digest)] + "-" + digest
	}
	return rehearsalPrefix + database + "-"
}

// leftBehind reports whether a database is a copy of that one that nobody works with any more.
func leftBehind(name, database string, now time.Time) bool {
	stamp, ours := strings.CutPrefix(name, copiesOf(database))
	id, err := ulid.ParseStrict(strings.ToUpper(stamp))
	return ours && err == nil && now.Sub(id.Timestamp()) > rehearsalLasts
}

// removeTime bounds the removing of a copy, also after the rehearsal was stopped.
const removeTime = 30 * time.Second

// Rehearse tries the pending migrations of every database on a copy of it, made of an export, in the same account, and asks the
// copy whether it still understands the SQL of the version that is live and of next. The databases themselves are only read;
// one answers nobody else while it is exported. Each copy is removed, whatever happens; the exports stay with the trial.
//
// A seed, nil for none, is tried behind the migrations of its database, which is the first.
func (tr *Trial) Rehearse(ctx context.Context, next *bundle.Bundle, seed *promotion.Seed) (evidence.Rehearsal, error) {
	t := tr.target
	told := evidence.Rehearsal{
		Header: evidence.Header{TakenAt: time.Now().UTC()}, Environment: t.Environment.Name, Databases: []evidence.RehearsedDatabase{}, Gaps: []evidence.Gap{},
	}
	code := &codeSQL{next: sqlOfBundle(next)}
	for i, database := range t.Worker.D1Databases {
		one := rehearsal{target: t, trial: tr, database: database, code: code, told: evidence.RehearsedDatabase{
			Binding: database.Binding, Name: t.databaseName(database), State: evidence.Unknown,
			Pending: []string{}, Applied: []string{}, Before: []evidence.TableRows{}, After: []evidence.TableRows{}, Unsound: []string{}, UnsoundBefore: []string{},
			Live: evidence.Statements{State: evidence.Missing, Broken: []evidence.BrokenStatement{}}, Next: evidence.Statements{State: evidence.Missing, Broken: []evidence.BrokenStatement{}},
		}}
		if i == 0 {
			one.seed = seed
		}
		if err := one.run(ctx); err != nil {
			if ctx.Err() != nil {
				return evidence.Rehearsal{}, fmt.Errorf("rehearse the migrations of %s: %w", one.told.Name, context.Cause(ctx))
			}
			one.told.State, one.told.Reason = evidence.Unknown, err.Error()
			told.Gaps = append(told.Gaps, evidence.Gap{What: "the migrations of D1 database " + one.told.Name + " on a copy", Reason: err.Error()})
		}
		told.Databases = append(told.Databases, one.told)
	}
	return told, nil
}

// codeSQL is the SQL of the code on both sides of the promotion.
type codeSQL struct {
	live *sqlOf // nil until it was asked for
	next sqlOf
}

// sqlOf is the SQL of one version's code.
type sqlOf struct {
	state      evidence.State
	reason     string
	statements []string
}

func sqlOfBundle(b *bundle.Bundle) sqlOf {
	modules := make([]api.Module, 0, len(b.Modules))
	for _, module := range b.Modules {
		modules = append(modules, api.Module{Name: module.Name, Type: module.ContentType, Content: module.Body})
	}
	return sqlOfModules(modules)
}

func sqlOfModules(modules []api.Module) sqlOf {
	found := sqlOf{state: evidence.Present}
	for _, module := range modules {
		if !strings.Contains(module.Type, "javascript") {
			continue
		}
		statements, err := bundlesql.Find(module.Name, module.Content)
		if err != nil {
			return sqlOf{state: evidence.Unknown, reason: err.Error()}
		}
		found.statements = append(found.statements, statements...)
	}
	return found
}

// liveSQL is the SQL of the version with the largest share.
func (t *Target) liveSQL(ctx context.Context) (sqlOf, error) {
	state, err := t.Inspect(ctx)
	if err != nil {
		return sqlOf{}, err
	}
	if state.Live() == "" {
		return sqlOf{state: evidence.Missing}, nil
	}
	content, err := t.api.Content(ctx, t.Worker.Name, state.Live())
	if err != nil {
		if ctx.Err() != nil {
			return sqlOf{}, err
		}
		return sqlOf{state: evidence.Unknown, reason: err.Error()}, nil
	}
	return sqlOfModules(content.Modules), nil
}

// rehearsal is that of one database.
type rehearsal struct {
	target   *Target
	trial    *Trial
	database wrangler.D1Database
	code     *codeSQL
	seed     *promotion.Seed // nil for none
	told     evidence.RehearsedDatabase
	copy     string // id
}

func (r *rehearsal) run(ctx context.Context) (err error) {
	t := r.target
	files, err := t.migrationFiles(r.database)
	if err != nil {
		return err
	}
	source, err := t.findDatabase(ctx, r.database)
	if err != nil {
		return err
	}
	h := history{}
	if source != "" {
		if h, err = t.history(ctx, source, r.database); err != nil {
			return err
		}
	}
	sowing, err := r.sowing(h)
	if err != nil {
		return err
	}
	files = append(files, sowing...)
	for _, file := range h.pending(files) {
		r.told.Pending = append(r.told.Pending, file.Name)
	}
	if len(r.told.Pending) == 0 {
		r.told.State = evidence.Missing
		return nil
	}
	if r.code.live == nil {
		live, err := t.liveSQL(ctx)
		if err != nil {
			return err
		}
		r.code.live = &live
	}
	name := rehearsalName(r.told.Name)
	if err := r.removeLeft(ctx); err != nil {
		return err
	}
	made, err := t.api.CreateDatabase(ctx, name)
	if err != nil {
		return fmt.Errorf("make database %s for a copy: %w", name, err)
	}
	r.copy = made.ID
	defer func() {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
		defer cancel()
		if problem := t.api.DeleteDatabase(removing, made.ID); problem != nil {
			r.told.Left = name
			err = errors.Join(err, fmt.Errorf("remove database %s: %w (remove it with `wrangler d1 delete %s`)", name, problem, name))
		}
	}()
	if source != "" {
		if err := r.fill(ctx, source); err != nil {
			return err
		}
		r.told.Copied = true
	}
	return r.try(ctx, files)
}

// sowing is the seed file as a last migration of the copy; empty when there is none, or when the database has its rows already.
func (r *rehearsal) sowing(h history) ([]migrationFile, error) {
	if r.seed == nil {
		return nil, nil
	}
	text, err := readSQL(filepath.Join(r.target.AppDir, filepath.FromSlash(r.seed.File)))
	if err != nil {
		return nil, err
	}
	digest := digestOf(text)
	if !r.seed.Again && slices.ContainsFunc(h.seeded, func(done seeded) bool { return done.digest == digest }) {
		return nil, nil
	}
	r.told.Seed = r.seed.File
	return []migrationFile{{promotion.Migration{Database: r.told.Name, Name: r.seed.File, Digest: digest}, text}}, nil
}

// removeLeft removes the copies that rehearsals left behind when they were killed. Another one may be at work just now, on this
// machine or elsewhere: its copy is younger.
func (r *rehearsal) removeLeft(ctx context.Context) error {
	databases, err := r.target.api.Databases(ctx)
	if err != nil {
		return fmt.Errorf("look for copies that were left behind: %w", err)
	}
	for _, database := range databases {
		if leftBehind(database.Name, r.told.Name, time.Now()) {
			if err := r.target.api.DeleteDatabase(ctx, database.ID); err != nil {
				return fmt.Errorf("remove database %s, which an earlier rehearsal left: %w", database.Name, err)
			}
		}
	}
	return nil
}

// fill makes the copy hold what the database holds.
func (r *rehearsal) fill(ctx context.Context, source string) error {
	kept, err := r.trial.keep(ctx, source, r.database.Binding, r.told.Name)
	if err != nil {
		return err
	}
	if err := r.target.importDump(ctx, r.copy, kept.path, kept.Dump); err != nil {
		return fmt.Errorf("import the copy of database %s: %w", r.told.Name, err)
	}
	return nil
}

// try applies the migrations to the copy and asks before and after.
func (r *rehearsal) try(ctx context.Context, files []migrationFile) (err error) {
	if r.told.Before, err = r.count(ctx); err != nil {
		return err
	}
	if r.told.UnsoundBefore, err = r.unsound(ctx); err != nil {
		return err
	}
	known, err := r.prepared(ctx, r.code.live.statements)
	if err != nil {
		return err
	}
	var done []promotion.Migration
	began := time.Now()
	m := &migration{target: r.target, database: r.database, id: r.copy, applied: func(applied promotion.Migration) {
		r.told.Applied = append(r.told.Applied, applied.Name)
	}}
	err = m.run(ctx, files, &done)
	r.told.Millis = time.Since(began).Milliseconds()
	var refused *promotion.MigrationError
	if errors.As(err, &refused) {
		r.told.State = evidence.Present
		r.told.Failed = &evidence.RehearsalFailure{Migration: refused.Migration.Name, Message: refused.Message}
		return nil
	}
	if err != nil {
		return err
	}
	if r.told.After, err = r.count(ctx); err != nil {
		return err
	}
	if r.told.Unsound, err = r.unsound(ctx); err != nil {
		return err
	}
	if r.told.Live, err = r.statements(ctx, *r.code.live, func(sql string) bool { return known[sql] == "" }); err != nil {
		return err
	}
	// What the live version's code says too, and the database did not know before, is not this database's.
	if r.told.Next, err = r.statements(ctx, r.code.next, func(sql string) bool { return known[sql] == "" }); err != nil {
		return err
	}
	r.told.State = evidence.Present
	return nil
}

// maxStatements bounds how many statements are asked about, one request each.
const maxStatements = 300

// unknownName is how SQLite refuses a statement that means something elsewhere. Other refusals are those of a text that is no
// SQL at all.
var unknownName = regexp.MustCompile(`no such (?:table|column)|has no column named|no column named`)

// statements asks the copy about those statements that matter.
func (r *rehearsal) statements(ctx context.Context, of sqlOf, matters func(sql string) bool) (evidence.Statements, error) {
	told := evidence.Statements{State: of.state, Reason: of.reason, Broken: []evidence.BrokenStatement{}}
	var asked []string
	for _, sql := range of.statements {
		if matters(sql) {
			asked = append(asked, sql)
		}
	}
	answers, err := r.prepared(ctx, asked)
	if err != nil {
		return told, err
	}
	told.Tried = len(answers)
	for _, sql := range asked {
		if message := answers[sql]; unknownName.MatchString(message) {
			told.Broken = append(told.Broken, evidence.BrokenStatement{SQL: sql, Message: message})
		}
	}
	return told, nil
}

// prepared lets the copy prepare statements and returns what it says against each, "" for nothing.
func (r *rehearsal) prepared(ctx context.Context, statements []string) (map[string]string, error) {
	said := map[string]string{}
	for _, sql := range statements {
		text := strings.TrimRight(sql, "; \t\r\n")
		if len(said) == maxStatements || strings.Contains(text, ";") { // EXPLAIN covers one statement, and the next would run
			continue
		}
		results, err := r.target.api.Select(ctx, r.copy, "EXPLAIN "+text)
		var answer *api.Error
		switch {
		case errors.As(err, &answer) && answer.Status == http.StatusBadRequest: // how D1 refuses SQL
			said[sql] = answer.Message()
		case err != nil:
			return nil, fmt.Errorf("ask the copy about a statement: %w", err)
		case len(results) != 1 || !results[0].Success:
			said[sql] = "it gives no result"
		default:
			said[sql] = ""
		}
	}
	return said, nil
}

// count counts the rows of the app's own tables.
func (r *rehearsal) count(ctx context.Context) ([]evidence.TableRows, error) {
	counted := []evidence.TableRows{}
	var tables []struct{ Name string }
	err := r.target.rows(ctx, r.copy, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*' ORDER BY name`, &tables)
	if err != nil {
		return nil, fmt.Errorf("read the tables of the copy: %w", err)
	}
	for _, table := range tables {
		if strings.EqualFold(table.Name, migrationsTable(r.database)) {
			continue
		}
		var rows []struct{ N int64 }
		if err := r.target.rows(ctx, r.copy, "SELECT count(*) AS n FROM "+quoteName(table.Name), &rows); err != nil {
			return nil, fmt.Errorf("count the rows of the copy: %w", err)
		}
		if len(rows) == 1 {
			counted = append(counted, evidence.TableRows{Table: table.Name, Rows: rows[0].N})
		}
	}
	return counted, nil
}

// unsound is what the database's own checks complain of.
func (r *rehearsal) unsound(ctx context.Context) ([]string, error) {
	found := []string{}
	var checked []map[string]any
	if err := r.target.rows(ctx, r.copy, "PRAGMA quick_check", &checked); err != nil {
		return nil, fmt.Errorf("check the copy: %w", err)
	}
	for _, row := range checked {
		for _, said := range row {
			if said != "ok" {
				found = append(found, fmt.Sprint(said))
			}
		}
	}
	var orphans []struct {
		Table  string
		Parent string
		RowID  json.Number
	}
	if err := r.target.rows(ctx, r.copy, "PRAGMA foreign_key_check", &orphans); err != nil {
		return nil, fmt.Errorf("check the copy's foreign keys: %w", err)
	}
	for _, orphan := range orphans {
		found = append(found, fmt.Sprintf("row %s of %s refers to a row of %s that is not there", orphan.RowID, orphan.Table, orphan.Parent))
	}
	return found, nil
}
