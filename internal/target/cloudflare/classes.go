package cloudflare

import (
	"context"
	"fmt"
	"slices"

	"github.com/penstock-ci/penstock/internal/wrangler"
)

// classChanges are the Durable Object migrations that a PUT of the Worker carries.
type classChanges struct {
	OldTag string      `json:"old_tag,omitempty"`
	NewTag string      `json:"new_tag"`
	Steps  []classStep `json:"steps"`
}

// classStep is one migration of the config without its tag.
type classStep struct {
	NewClasses         []string          `json:"new_classes,omitempty"`
	NewSQLiteClasses   []string          `json:"new_sqlite_classes,omitempty"`
	DeletedClasses     []string          `json:"deleted_classes,omitempty"`
	RenamedClasses     []wrangler.Rename `json:"renamed_classes,omitempty"`
	TransferredClasses any               `json:"transferred_classes,omitempty"`
}

// allClassChanges are those of a Worker that does not exist yet; nil when the config has none.
func (t *Target) allClassChanges() *classChanges {
	if len(t.Worker.Migrations) == 0 {
		return nil
	}
	changes := &classChanges{NewTag: t.Worker.Migrations[len(t.Worker.Migrations)-1].Tag}
	for _, migration := range t.Worker.Migrations {
		step := classStep{
			NewClasses: migration.NewClasses, NewSQLiteClasses: migration.NewSQLiteClasses,
			DeletedClasses: migration.DeletedClasses, RenamedClasses: migration.RenamedClasses,
		}
		if len(migration.TransferredClasses) > 0 {
			step.TransferredClasses = migration.TransferredClasses
		}
		changes.Steps = append(changes.Steps, step)
	}
	return changes
}

// checkClasses makes sure that an existing Worker's Durable Object classes are what the config says. A migration can only
// be applied together with code, by a deployment that takes all traffic at once, so Penstock does not do it to a Worker
// that is in use.
func (t *Target) checkClasses(ctx context.Context) error {
	if len(t.Worker.Migrations) == 0 {
		return nil
	}
	script, err := t.api.Script(ctx, t.Worker.Name)
	if err != nil {
		return fmt.Errorf("read the Durable Object migrations of Worker %s: %w", t.Worker.Name, err)
	}
	last := t.Worker.Migrations[len(t.Worker.Migrations)-1].Tag
	if script.MigrationTag == last {
		return nil
	}
	at := slices.IndexFunc(t.Worker.Migrations, func(m wrangler.DurableObjectMigration) bool { return m.Tag == script.MigrationTag })
	if script.MigrationTag != "" && at < 0 {
		return fmt.Errorf("Worker %s stands at the Durable Object migration %q, which %s does not have; bring its migrations back in line with what was deployed", t.Worker.Name, script.MigrationTag, t.ConfigFile)
	}
	return fmt.Errorf("the Durable Object migration %q is pending on Worker %s; Cloudflare applies it only in a deployment that takes all traffic at once: run `wrangler deploy --env=%q` once, then deploy with Penstock again", t.Worker.Migrations[at+1].Tag, t.Worker.Name, t.Worker.Environment)
}

// finalClasses are the classes that exist once all of the config's migrations were applied.
func (t *Target) finalClasses() []string {
	var classes []string
	drop := func(name string) { classes = slices.DeleteFunc(classes, func(c string) bool { return c == name }) }
	for _, migration := range t.Worker.Migrations {
		classes = append(classes, slices.Concat(migration.NewClasses, migration.NewSQLiteClasses)...)
		for _, renamed := range migration.RenamedClasses {
			drop(renamed.From)
			classes = append(classes, renamed.To)
		}
		for _, transferred := range migration.TransferredClasses {
			classes = append(classes, transferred.To)
		}
		for _, class := range migration.DeletedClasses {
			drop(class)
		}
	}
	return classes
}
