package cloudflare_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// looks is what the target says of a seed.
func (p *place) looks(file string) promotion.Seeding {
	p.t.Helper()
	found, err := p.target().LookAtSeed(p.t.Context(), file)
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

func TestSeedsInARealDatabase(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE); CREATE VIRTUAL TABLE words USING fts5(text);")
	p.write("seed/by minimal.sql", "INSERT INTO users (name) VALUES ('ada');\nINSERT INTO users (name) VALUES ('it''s; bob');\n-- the end")
	const file = "seed/by minimal.sql"
	if found := p.looks(file); found.Holds != "" || found.Done != "" || found.Breaks != "" || found.Database == "" {
		t.Errorf("before there is a database: %+v", found)
	}
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	before := p.looks(file)
	if before.Holds != "" || before.Done != "" {
		t.Errorf("what an FTS table keeps for itself passes for data: %+v", before)
	}
	seed := func(id, digest string) error { return p.target().Seed(t.Context(), id, file, digest) }
	if err := seed("p2", "sha256:other"); err == nil || !strings.Contains(err.Error(), "was changed since it was planned") {
		t.Errorf("another text: %v", err)
	}
	if err := seed("p2", before.Digest); err != nil {
		t.Fatal(err)
	}
	if err := seed("p2", before.Digest); err != nil { // its reply was lost
		t.Errorf("asked twice under one promotion: %v", err)
	}
	if got := p.get("/"); got != "200 one 2" {
		t.Error(got)
	}
	if found := p.looks(file); found.Done != "p2" || found.Holds != "users" {
		t.Errorf("afterwards: %+v", found)
	}

	// All of it or nothing: the second row is there already, and the note must not say that the file was executed.
	p.write("seed/half.sql", "INSERT INTO users (name) VALUES ('cyd');\nINSERT INTO users (name) VALUES ('ada');")
	half := p.looks("seed/half.sql")
	err := p.target().Seed(t.Context(), "p3", "seed/half.sql", half.Digest)
	var refused *promotion.MigrationError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "UNIQUE") {
		t.Errorf("a seed that the database refuses: %v", err)
	}
	if got := p.get("/"); got != "200 one 2" {
		t.Errorf("half of a seed: %s", got)
	}
	if found := p.looks("seed/half.sql"); found.Done != "" {
		t.Errorf("it passes for done: %+v", found)
	}

	// An edited file is another seed.
	p.write(file, "INSERT INTO users (name) VALUES ('dan');")
	if found := p.looks(file); found.Done != "" || found.Digest == before.Digest {
		t.Errorf("edited: %+v", found)
	}
	p.write("seed/reset.sql", "DELETE FROM users; INSERT INTO users (name) VALUES ('eve');")
	if found := p.looks("seed/reset.sql"); !strings.Contains(found.Breaks, "deletes rows") {
		t.Errorf("a seed that deletes: %+v", found)
	}
	// Notes are no migrations: the next deployment is not surprised by them.
	live, err := p.target().Inspect(t.Context())
	if err != nil || len(live.Migrations) != 1 {
		t.Errorf("%v, %v", live.Migrations, err)
	}
}
