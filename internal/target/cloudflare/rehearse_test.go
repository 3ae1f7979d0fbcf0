package cloudflare_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// rehearse tries what is pending and wants one database.
func (p *place) rehearse(next string) evidence.RehearsedDatabase { return p.rehearseSeed(next, nil) }

func (p *place) rehearseSeed(next string, seed *promotion.Seed) evidence.RehearsedDatabase {
	p.t.Helper()
	told, err := p.target().NewTrial(p.t.TempDir()).Rehearse(p.t.Context(), rowsBundle(p.t, "next", next), seed)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(told.Databases) != 1 || len(told.Gaps) != 0 {
		p.t.Fatalf("%+v", told)
	}
	return told.Databases[0]
}

// TestASeedIsRehearsed behind the migrations, also when there is none; one whose rows are there already is not.
func TestASeedIsRehearsed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE);")
	p.write("seed/first.sql", "INSERT INTO users (name) VALUES ('ada'); INSERT INTO users (name) VALUES ('bob');")
	p.write("seed/twice.sql", "INSERT INTO users (name) VALUES ('ada');")
	first, twice := &promotion.Seed{File: "seed/first.sql"}, &promotion.Seed{File: "seed/twice.sql"}

	fresh := p.rehearseSeed("users", first)
	if fresh.State != evidence.Present || fresh.Seed != "seed/first.sql" || !slices.Equal(fresh.Applied, []string{"0001_users.sql", "seed/first.sql"}) ||
		!slices.Equal(fresh.After, []evidence.TableRows{{Table: "users", Rows: 2}}) {
		t.Errorf("into an empty database: %+v", fresh)
	}
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	if err := p.target().Seed(t.Context(), "p2", first.File, p.looks(first.File).Digest); err != nil {
		t.Fatal(err)
	}
	if done := p.rehearseSeed("users", first); done.State != evidence.Missing || done.Seed != "" {
		t.Errorf("its rows are there: %+v", done)
	}
	refused := p.rehearseSeed("users", twice)
	if refused.Failed == nil || refused.Failed.Migration != "seed/twice.sql" || !strings.Contains(refused.Failed.Message, "UNIQUE") {
		t.Errorf("a row that is there already: %+v", refused)
	}
	if got := p.get("/"); got != "200 one 2" {
		t.Errorf("the database itself: %s", got)
	}
}

// TestARehearsalWithRealData tries migrations on copies in a real D1, and wants the database as it was and no copy left.
func TestARehearsalWithRealData(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id) ON DELETE CASCADE);")

	empty := p.rehearse("users")
	if empty.State != evidence.Present || empty.Copied || empty.Live.State != evidence.Missing || len(empty.Applied) != 1 || empty.Next.Tried == 0 || len(empty.Next.Broken) != 0 {
		t.Errorf("before the first deployment: %+v", empty)
	}
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	for range 3 {
		p.get("/write")
	}
	if nothing := p.rehearse("users"); nothing.State != evidence.Missing || len(nothing.Pending) != 0 {
		t.Errorf("nothing is pending: %+v", nothing)
	}

	p.write("migrations/0002_more.sql", "ALTER TABLE users ADD COLUMN age INTEGER NOT NULL DEFAULT 0; INSERT INTO notes (user_id) SELECT id FROM users;")
	adding := p.rehearse("users")
	wanted := evidence.RehearsedDatabase{
		Binding: "DB", Name: "rows-db", State: evidence.Present, Copied: true,
		Pending: []string{"0002_more.sql"}, Applied: []string{"0002_more.sql"}, Millis: adding.Millis,
		Before: []evidence.TableRows{{Table: "notes", Rows: 0}, {Table: "users", Rows: 3}}, After: []evidence.TableRows{{Table: "notes", Rows: 3}, {Table: "users", Rows: 3}},
		Unsound: []string{}, UnsoundBefore: []string{},
		Live: evidence.Statements{State: evidence.Present, Tried: 2, Broken: []evidence.BrokenStatement{}},
		Next: evidence.Statements{State: evidence.Present, Tried: 2, Broken: []evidence.BrokenStatement{}},
	}
	if diff := cmp.Diff(wanted, adding); diff != "" {
		t.Errorf("it only adds (-want +got):\n%s", diff)
	}

	// Dropping a table deletes its rows first, and the rows that refer to them go with them: no reading of the SQL shows how many.
	p.write("migrations/0003_people.sql", "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people SELECT id, name FROM users; DROP TABLE users;")
	dropping := p.rehearse("people")
	if !slices.Equal(dropping.After, []evidence.TableRows{{Table: "notes", Rows: 0}, {Table: "people", Rows: 3}}) {
		t.Errorf("rows after a drop: %+v", dropping.After)
	}
	if len(dropping.Live.Broken) != 2 || !strings.Contains(dropping.Live.Broken[0].Message, "no such table: users") || len(dropping.Next.Broken) != 0 {
		t.Errorf("statements after a drop: live %+v, next %+v", dropping.Live, dropping.Next)
	}
	if unfit := p.rehearse("nowhere"); len(unfit.Next.Broken) != 2 {
		t.Errorf("new code that asks for what is not there: %+v", unfit.Next)
	}

	p.write("migrations/0003_people.sql", "BEGIN TRANSACTION; CREATE TABLE people (id); COMMIT;")
	refused := p.rehearse("users")
	if refused.State != evidence.Present || refused.Failed == nil || refused.Failed.Migration != "0003_people.sql" || !slices.Equal(refused.Applied, []string{"0002_more.sql"}) {
		t.Errorf("SQL that D1 refuses: %+v", refused)
	}

	if got := p.get("/"); got != "200 one 3" {
		t.Errorf("the database itself: %q", got)
	}
	if left := p.databases(); !slices.Equal(left, []string{"rows-db"}) {
		t.Errorf("databases: %q", left)
	}
}

// databases are the names of those in the account.
func (p *place) databases() []string {
	p.t.Helper()
	var answer struct {
		Result []struct{ Name string }
	}
	p.ask("GET", "/d1/database", nil, &answer)
	var names []string
	for _, database := range answer.Result {
		names = append(names, database.Name)
	}
	return names
}

// ask calls the API past the target.
func (p *place) ask(method, path string, body io.Reader, into any) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.options.BaseURL+"/accounts/"+p.options.AccountID+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.options.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("%s %s: %s, %v", method, path, res.Status, err)
	}
}

// TestACopyThatWasLeftBehind is removed by the next rehearsal; that of one which is at work meanwhile stays.
func TestACopyThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	copyOf := func(age time.Duration) string {
		stamp, err := ulid.New(ulid.Timestamp(time.Now().Add(-age)), ulid.DefaultEntropy())
		if err != nil {
			t.Fatal(err)
		}
		return "penstock-rehearsal-rows-db-" + strings.ToLower(stamp.String())
	}
	atWork := copyOf(time.Hour)
	for _, name := range []string{copyOf(7 * time.Hour), atWork, "penstock-rehearsal-rows-db-notes"} {
		var made struct{ Success bool }
		p.ask("POST", "/d1/database", strings.NewReader(`{"name": "`+name+`"}`), &made)
	}
	if got := p.rehearse("users"); got.State != evidence.Present {
		t.Errorf("%+v", got)
	}
	if left := p.databases(); !slices.Equal(slices.Sorted(slices.Values(left)), slices.Sorted(slices.Values([]string{atWork, "penstock-rehearsal-rows-db-notes"}))) {
		t.Errorf("databases: %q", left)
	}
}

// TestTwoRehearsalsAtOnce do not remove each other's copy.
func TestTwoRehearsalsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	var both sync.WaitGroup
	for range 2 {
		target, next := p.target(), rowsBundle(t, "next", "users")
		both.Go(func() {
			for range 3 {
				told, err := target.NewTrial(t.TempDir()).Rehearse(t.Context(), next, nil)
				if err != nil || len(told.Gaps) > 0 {
					t.Errorf("%+v, %v", told.Gaps, err)
				}
			}
		})
	}
	both.Wait()
	if left := p.databases(); len(left) != 0 {
		t.Errorf("databases: %q", left)
	}
}
