package cloudflare_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// SQLite lets the last comment of a text be open. The note that a migration was applied comes behind the migration, and would be
// part of that comment: the migration would be applied again and again.
func TestAMigrationThatEndsInAnOpenCommentIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);\n/* INSERT INTO users (name) VALUES ('x');\n")
	target := p.target()
	lacks, err := target.Furnishing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := target.Provision(t.Context(), "p1", promotion.Diff{Missing: lacks.Missing}); err != nil {
		t.Fatal(err)
	}
	err = target.Migrate(t.Context(), "p1", nil, func(promotion.Migration) {})
	state, inspectErr := target.Inspect(t.Context())
	if inspectErr != nil {
		t.Fatal(inspectErr)
	}
	if err == nil && !slices.Contains(state.Migrations, "0001_users.sql") {
		t.Errorf("it was applied, and nobody noted that")
	}
	if err == nil || !strings.Contains(err.Error(), "0001_users.sql") || !strings.Contains(err.Error(), "comment") {
		t.Errorf("%v", err)
	}
}
