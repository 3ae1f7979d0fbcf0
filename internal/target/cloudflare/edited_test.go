package cloudflare_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// People edit on while a promotion runs. What is applied is what was planned, judged and approved, or nothing.
func TestAMigrationThatIsEditedInTheMiddleIsNotApplied(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(p *place){
		"edited": func(p *place) { p.write("migrations/0002_nick.sql", "DROP TABLE users;") },
		"added":  func(p *place) { p.write("migrations/0003_drop.sql", "DROP TABLE users;") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, rowsConfig, pipelines.Environment{Backup: pipelines.BackupExport})
			p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
			p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
			p.write("migrations/0002_nick.sql", "ALTER TABLE users ADD COLUMN nick TEXT;")
			options := p.promotionOptions("p2")
			options.Observer = event.ObserverFunc(func(e event.Event) {
				if e.Type == event.StepFinished && e.Step.Name == promotion.StepBookmark {
					meanwhile(p)
				}
			})
			plan, err := promotion.MakePlan(t.Context(), options.Target, promotion.Basis{App: "rows", Environment: p.options.Environment, Bundle: rowsBundle(t, "two", "users")})
			if err != nil {
				t.Fatal(err)
			}
			result, err := promotion.Promote(t.Context(), options, plan)
			var stale *promotion.StaleError
			if err != nil || result.Phase != promotion.Superseded || !errors.As(result.Cause, &stale) {
				t.Errorf("%s, %v, %v", result.Phase, result.Cause, err)
			}
			if got := p.get("/"); got != fmt.Sprintf("200 one %d", 0) {
				t.Errorf("what is live answers %s", got)
			}
			if state, err := p.target().Inspect(t.Context()); err != nil || len(state.Migrations) != 1 {
				t.Errorf("%v, %v", state.Migrations, err)
			}
		})
	}
}
