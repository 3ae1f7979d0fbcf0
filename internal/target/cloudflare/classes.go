package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
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

// pendingClasses are the Durable Object migrations of the config that the existing Worker has not had; empty when it is up
// to date.
func (t *Target) pendingClasses(ctx context.Context) (from string, pending []wrangler.DurableObjectMigration, err error) {
	if len(t.Worker.Migrations) == 0 {
		return "", nil, nil
	}
	script, err := t.api.Script(ctx, t.Worker.Name)
	if err != nil {
		return "", nil, fmt.Errorf("read the Durable Object migrations of Worker %s: %w", t.Worker.Name, err)
	}
	at := slices.IndexFunc(t.Worker.Migrations, func(m wrangler.DurableObjectMigration) bool { return m.Tag == script.MigrationTag })
	if script.MigrationTag != "" && at < 0 {
		return "", nil, fmt.Errorf("Worker %s stands at the Durable Object migration %q, which %s does not have; bring its migrations back in line with what was deployed", t.Worker.Name, script.MigrationTag, t.ConfigFile)
	}
	return script.MigrationTag, t.Worker.Migrations[at+1:], nil
}

// checkClasses refuses migrations that cannot be applied to a Worker in use without harm. New classes can: the code that is
// live gets them and knows nothing of them. What deletes, renames or transfers classes changes objects under the feet of the
// live code, before anything of the new version was seen to work.
func (t *Target) checkClasses(ctx context.Context) (pending []wrangler.DurableObjectMigration, err error) {
	_, pending, err = t.pendingClasses(ctx)
	if err != nil {
		return nil, err
	}
	for _, migration := range pending {
		what := ""
		switch {
		case len(migration.DeletedClasses) > 0:
			what = "deletes classes with all their objects"
		case len(migration.RenamedClasses) > 0:
			what = "renames classes"
		case len(migration.TransferredClasses) > 0:
			what = "transfers classes"
		}
		if what != "" {
			return nil, fmt.Errorf("the Durable Object migration %q %s, which Cloudflare applies at once, to all traffic, and never takes back; "+
				"when you are sure, run `wrangler deploy --env=%q` once, then deploy with Penstock again", migration.Tag, what, t.Worker.Environment)
		}
	}
	if len(pending) > 0 {
		if err := t.withoutAssets(ctx); err != nil {
			return nil, fmt.Errorf("the Durable Object migration %q is applied by an upload of the code that is live, and %w; "+
				"run `wrangler deploy --env=%q` once, then deploy with Penstock again", pending[0].Tag, err, t.Worker.Environment)
		}
	}
	return pending, nil
}

// diffClasses tells of pending migrations, and what they mean for a rollback.
func (t *Target) diffClasses(ctx context.Context) ([]event.Change, error) {
	pending, err := t.checkClasses(ctx)
	if err != nil {
		return nil, err
	}
	var changes []event.Change
	for _, migration := range pending {
		classes := strings.Join(slices.Concat(migration.NewClasses, migration.NewSQLiteClasses), ", ")
		changes = append(changes, event.Change{
			Action: "create", Kind: "durable-object-migration", Name: migration.Tag,
			To: "classes " + classes + "; applied first, to the code that is live; no version from before it can be deployed again",
		})
	}
	return changes, nil
}

// applyClasses gives the live code the new classes, by a PUT of that very code: Cloudflare applies a migration only so. The
// classes are empty until the new version brings its own. It says what it did; "" when nothing was pending.
func (t *Target) applyClasses(ctx context.Context, id string) (string, error) {
	pending, err := t.checkClasses(ctx)
	if err != nil || len(pending) == 0 {
		return "", err
	}
	from, _, err := t.pendingClasses(ctx)
	if err != nil {
		return "", err
	}
	contentType, body, err := t.withClasses(ctx, id, from, pending)
	if err != nil {
		return "", fmt.Errorf("apply Durable Object migrations to Worker %s: %w", t.Worker.Name, err)
	}
	applied := func() (bool, error) {
		_, left, err := t.pendingClasses(ctx)
		return len(left) == 0, err
	}
	if err := t.lookBeforeRepeating(ctx, func() error { return t.api.PutScript(ctx, t.Worker.Name, contentType, body) }, applied); err != nil {
		return "", fmt.Errorf("apply Durable Object migrations to Worker %s: %w", t.Worker.Name, err)
	}
	var tags []string
	for _, migration := range pending {
		tags = append(tags, migration.Tag)
	}
	return "applied the Durable Object migrations " + strings.Join(tags, ", ") + " to the code that is live; no version from before them can be deployed again", nil
}

// withClasses is the upload body of the live version with the new classes.
func (t *Target) withClasses(ctx context.Context, id, from string, pending []wrangler.DurableObjectMigration) (contentType string, body []byte, err error) {
	deployments, err := t.api.Deployments(ctx, t.Worker.Name)
	if err != nil {
		return "", nil, err
	}
	if len(deployments) == 0 || len(deployments[0].Versions) != 1 {
		return "", nil, errors.New("it must have one version with all traffic; finish what is being shifted first")
	}
	live, err := t.api.Version(ctx, t.Worker.Name, deployments[0].Versions[0].VersionID)
	if err != nil {
		return "", nil, err
	}
	entry := "penstock-classes-" + safeName(pending[len(pending)-1].Tag) + ".js" // before the live code's own
	content, err := t.api.Content(ctx, t.Worker.Name, live.ID)
	if err != nil {
		return "", nil, fmt.Errorf("read the code of version %s: %w", live.ID, err)
	}
	code := "import { DurableObject } from \"cloudflare:workers\";\n" +
		"export * from " + string(encode("./"+content.Main)) + ";\nexport { default } from " + string(encode("./"+content.Main)) + ";\n"
	changes := classChanges{OldTag: from, NewTag: pending[len(pending)-1].Tag}
	for _, migration := range pending {
		changes.Steps = append(changes.Steps, classStep{NewClasses: migration.NewClasses, NewSQLiteClasses: migration.NewSQLiteClasses})
		for _, class := range slices.Concat(migration.NewClasses, migration.NewSQLiteClasses) {
			if !identifiers.MatchString(class) {
				return "", nil, fmt.Errorf("%s: %q cannot be the name of a Durable Object class", t.ConfigFile, class)
			}
			// The live code may have a class of that name already, without a migration; then this one hides it.
			code += "export class " + class + " extends DurableObject {}\n"
		}
	}
	metadata := map[string]any{
		"main_module": entry, "bindings": bindingsOf(live), "migrations": changes,
		"compatibility_date": live.Resources.ScriptRuntime.CompatibilityDate, "compatibility_flags": live.Resources.ScriptRuntime.CompatibilityFlags,
		"annotations": map[string]string{"workers/message": "penstock Durable Object migrations for promotion " + id},
	}
	// A PUT sets these too, and what is not sent falls back to Cloudflare's default.
	if settings, said := t.settings(); said {
		metadata["logpush"], metadata["observability"], metadata["tail_consumers"] = settings.Logpush, settings.Observability, settings.TailConsumers
		for _, key := range []string{"observability", "tail_consumers"} {
			if raw, _ := metadata[key].(json.RawMessage); len(raw) == 0 {
				delete(metadata, key)
			}
		}
	}
	modules := append([]api.Module{{Name: entry, Type: "application/javascript+module", Content: []byte(code)}}, content.Modules...)
	return encodeUpload(metadata, modules)
}

// encodeUpload is the upload body of modules that were read from Cloudflare.
func encodeUpload(metadata map[string]any, modules []api.Module) (contentType string, body []byte, err error) {
	var out bytes.Buffer
	form := multipart.NewWriter(&out)
	if err := formPart(form, `form-data; name="metadata"`, "application/json", encode(metadata)); err != nil {
		return "", nil, err
	}
	for _, module := range modules {
		name := string(encode(module.Name))
		if err := formPart(form, "form-data; name="+name+"; filename="+name, module.Type, module.Content); err != nil {
			return "", nil, err
		}
	}
	if err := form.Close(); err != nil {
		return "", nil, err
	}
	return form.FormDataContentType(), out.Bytes(), nil
}

// bindingsOf are a version's bindings for another upload of the same; the text of a secret is nowhere to be read and is
// inherited from that very version.
func bindingsOf(version api.Version) []json.RawMessage {
	list := make([]json.RawMessage, 0, len(version.Resources.Bindings))
	for _, raw := range version.Resources.Bindings {
		var b binding
		if json.Unmarshal(raw, &b) == nil && isSecret(b) {
			raw = encode(newBinding(b.text("name"), "inherit", "version_id", version.ID))
		}
		list = append(list, raw)
	}
	return list
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
