package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// Diff compares what is live with the bundle and the config, without changing anything.
func (t *Target) Diff(ctx context.Context, live promotion.State, b *bundle.Bundle) (promotion.Diff, error) {
	if err := t.unsupported(); err != nil {
		return promotion.Diff{}, err
	}
	found, err := t.findResources(ctx)
	if err != nil {
		return promotion.Diff{}, err
	}
	u, err := t.prepareUpload(b, found)
	if err != nil {
		return promotion.Diff{}, err
	}
	var classes []event.Change
	for _, version := range live.Versions {
		if version.ID == live.Live() && version.Message == promotion.MaintenanceMessage {
			return promotion.Diff{}, &promotion.MaintenanceError{Environment: t.Environment.Name}
		}
	}
	if live.Exists {
		if classes, err = t.diffClasses(ctx); err != nil {
			return promotion.Diff{}, err
		}
	}
	d := promotion.Diff{Missing: found.missing, Changes: slices.Clone(found.missing)}
	versionChanges, err := t.versionChanges(ctx, live, b, u)
	if err != nil {
		return promotion.Diff{}, err
	}
	d.Changes = append(append(d.Changes, classes...), versionChanges...)
	if err := t.diffMigrations(ctx, found, &d); err != nil {
		return promotion.Diff{}, err
	}
	if d.MissingSecrets, err = t.missingSecrets(ctx, live); err != nil {
		return promotion.Diff{}, err
	}
	triggers, err := t.triggers(ctx, live.Exists)
	if err != nil {
		return promotion.Diff{}, err
	}
	for _, trigger := range triggers {
		d.Changes = append(d.Changes, trigger.change)
	}
	same := !slices.ContainsFunc(d.Changes, func(c event.Change) bool { return c.Action != "keep" })
	settled := len(live.Shares) == 1 && live.Shares[0].Percentage == 100
	d.UpToDate = same && settled && len(d.MissingSecrets) == 0
	return d, nil
}

// versionChanges are those that a new version brings: code, bindings, variables, secrets, how it runs.
func (t *Target) versionChanges(ctx context.Context, live promotion.State, b *bundle.Bundle, u *upload) ([]event.Change, error) {
	change := event.Change{Action: "create", Kind: "version", Name: t.Worker.Name, To: b.Digest}
	present := api.Version{}
	if id := live.Live(); id != "" {
		var err error
		if present, err = t.api.Version(ctx, t.Worker.Name, id); err != nil {
			return nil, fmt.Errorf("read version %s of Worker %s: %w", id, t.Worker.Name, err)
		}
		change.Action = "update"
		change.From, _ = readMessage(present.Annotations.Message)
		if change.From == "" {
			change.From = "version " + id + ", which no promotion made"
		}
	}
	var changes []event.Change
	if change.From != change.To {
		changes = append(changes, change)
	}
	bindings, err := t.diffBindings(present, u)
	if err != nil {
		return nil, err
	}
	waiting, err := t.secretsToCome(ctx, live)
	if err != nil {
		return nil, err
	}
	for _, change := range waiting {
		same := func(other event.Change) bool { return other.Kind == change.Kind && other.Name == change.Name }
		if !slices.ContainsFunc(bindings, same) {
			bindings = append(bindings, change)
		}
	}
	return slices.Concat(changes, bindings, diffRuntime(present, u), t.diffAssets(present, b.Assets)), nil
}

// diffBindings compares by name. A secret's value is not readable; the mark in the version's message tells whether the
// values that this run was given are those of the live version.
func (t *Target) diffBindings(live api.Version, u *upload) ([]event.Change, error) {
	present := map[string]binding{}
	for _, raw := range live.Resources.Bindings {
		var b binding
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, fmt.Errorf("read the bindings of version %s: %w", live.ID, err)
		}
		present[b.text("name")] = b
	}
	_, mark := readMessage(live.Annotations.Message)
	var changes []event.Change
	for _, wanted := range u.bindings {
		name := wanted.text("name")
		old, exists := present[name]
		delete(present, name)
		change := event.Change{Action: action(exists), Kind: bindingKind(wanted), Name: name, To: describe(wanted)}
		if exists {
			change.From = describe(old)
		}
		switch {
		case !exists:
			if isSecret(wanted) {
				change.To += t.valueMark(name)
			}
			changes = append(changes, change)
		case isSecret(wanted) && isSecret(old):
			if mark != t.secretsMark() {
				change.From, change.To = "", "a value that may differ"+t.valueMark(name)
				changes = append(changes, change)
			}
		case wanted.text("type") != "inherit" && !covers(old, wanted):
			changes = append(changes, change)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(present)) {
		if old := present[name]; !isSecret(old) { // secrets that nobody mentions are kept
			changes = append(changes, event.Change{Action: "remove", Kind: bindingKind(old), Name: name, From: describe(old)})
		}
	}
	return changes, nil
}

// covers reports whether the live binding has everything that is wanted. Cloudflare may add keys to what was uploaded
// (a Durable Object's namespace_id) and calls a database's id by a newer name too.
func covers(live, wanted binding) bool {
	for key, value := range wanted {
		got := live[key]
		if got == nil && key == "id" && wanted.text("type") == "d1" {
			got = live["database_id"]
		}
		if !sameJSON(value, got) {
			return false
		}
	}
	return true
}

func isSecret(b binding) bool {
	kind := b.text("type")
	return kind == "secret_text" || kind == "secret_key"
}

func bindingKind(b binding) string {
	switch b.text("type") {
	case "plain_text", "json":
		return "var"
	case "secret_text", "secret_key":
		return "secret"
	default:
		return "binding"
	}
}

// describe says for people what a binding is; never a secret's text.
func describe(b binding) string {
	switch kind := b.text("type"); kind {
	case "plain_text":
		return b.text("text")
	case "json":
		return string(b["json"])
	case "secret_text", "secret_key":
		return "(secret)"
	default:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(b)) {
			if key != "type" && key != "name" {
				parts = append(parts, strings.Trim(string(b[key]), `"`))
			}
		}
		return strings.TrimSpace(kind + " " + strings.Join(parts, " "))
	}
}

// diffRuntime compares how the version runs. Limits, placement and the like are part of the bundle's digest.
func diffRuntime(live api.Version, u *upload) []event.Change {
	var wanted struct {
		Date  string   `json:"compatibility_date"`
		Flags []string `json:"compatibility_flags"`
	}
	// What is not a text or a list is Cloudflare's to refuse.
	_ = json.Unmarshal(encode(u.rest), &wanted)
	var changes []event.Change
	compare := func(name, from, to string) {
		if from != to && live.ID != "" {
			changes = append(changes, event.Change{Action: "update", Kind: "setting", Name: name, From: from, To: to})
		}
	}
	runtime := live.Resources.ScriptRuntime
	compare("compatibility_date", runtime.CompatibilityDate, wanted.Date)
	compare("compatibility_flags", flags(runtime.CompatibilityFlags), flags(wanted.Flags))
	return changes
}

// flags are a set: their order means nothing.
func flags(list []string) string {
	return strings.Join(slices.Sorted(slices.Values(list)), " ")
}

// diffMigrations adds the pending migrations. A migration that was applied and whose file is gone is told, since a
// database made anew would lack it.
func (t *Target) diffMigrations(ctx context.Context, found resources, d *promotion.Diff) error {
	for _, database := range t.Worker.D1Databases {
		files, err := t.migrationFiles(database)
		if err != nil {
			return err
		}
		h := history{}
		if id := found.databases[database.Binding]; id != "" {
			if h, err = t.history(ctx, id, database); err != nil {
				return err
			}
		}
		for _, file := range h.pending(files) {
			d.Migrations = append(d.Migrations, file.Migration)
			d.Changes = append(d.Changes, event.Change{Action: "create", Kind: promotion.ChangeMigration, Name: file.Name, To: file.Database + " " + file.Digest})
		}
		for _, name := range h.gone(files) {
			d.Changes = append(d.Changes, event.Change{Action: "keep", Kind: promotion.ChangeMigration, Name: name, From: "applied to " + t.databaseName(database), To: "its file no longer exists"})
		}
	}
	return nil
}

// missingSecrets are the required names that neither the live version nor this run has.
func (t *Target) missingSecrets(ctx context.Context, live promotion.State) ([]string, error) {
	required := slices.Concat(t.Environment.Secrets, t.Worker.Secrets.Required)
	if len(required) == 0 {
		return nil, nil
	}
	var present []string
	if live.Exists {
		var err error
		if present, err = t.api.Secrets(ctx, t.Worker.Name); err != nil && !errors.Is(err, api.ErrNotFound) {
			return nil, fmt.Errorf("list the secrets of Worker %s: %w", t.Worker.Name, err)
		}
	}
	var missing []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(required))) {
		if _, given := t.Secrets[name]; !given && !slices.Contains(present, name) {
			missing = append(missing, name)
		}
	}
	return missing, nil
}
