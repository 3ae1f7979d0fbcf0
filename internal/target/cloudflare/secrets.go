package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// SecretName is a secret by its name; its value can be read nowhere.
type SecretName struct {
	Name     string `json:"name"`
	Required bool   `json:"required"` // by the environment or the wrangler config
	Present  bool   `json:"present"`
	NextStep string `json:"nextStep,omitempty"` // what puts it there, when it is not
}

// SecretNames lists the Worker's secrets and those that it should have, by name.
func (t *Target) SecretNames(ctx context.Context) ([]SecretName, error) {
	present, err := t.api.Secrets(ctx, t.Worker.Name)
	none := errors.Is(err, api.ErrNotFound)
	if err != nil && !none {
		return nil, fmt.Errorf("list the secrets of Worker %s: %w", t.Worker.Name, err)
	}
	required := slices.Concat(t.Environment.Secrets, t.Worker.Secrets.Required)
	list := []SecretName{}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(present, required)))) {
		secret := SecretName{Name: name, Required: slices.Contains(required, name), Present: slices.Contains(present, name)}
		switch {
		case none:
			secret.NextStep = t.noWorkerForSecret(name).NextStep
		case !secret.Present:
			secret.NextStep = "`penstock secrets put " + name + " --env " + t.Environment.Name + "`"
		}
		list = append(list, secret)
	}
	return list, nil
}

// SecretNamed says why a name cannot be that of a secret, which the app's code reads as env.NAME; nil when it can.
func SecretNamed(name string) error {
	if !identifiers.MatchString(name) {
		return fmt.Errorf("%q cannot be the name of a secret", name)
	}
	return nil
}

// SecretPut is what putting a secret came to.
type SecretPut struct {
	Version  string // that has it
	Base     string // of which Version is a copy, but for the secret
	Deployed bool   // Version takes all traffic, in the place of Base
}

// PutSecret gives the Worker a secret. Cloudflare deploys an edited secret at once, with all traffic, but only while the newest
// version is the one that is live. Otherwise, as in the middle of a gradual deployment, a version of the live code with the
// secret is made that takes no traffic; the next deployment has it.
func (t *Target) PutSecret(ctx context.Context, id, name, value string) (SecretPut, error) {
	fails := func(err error) (SecretPut, error) {
		return SecretPut{}, fmt.Errorf("put secret %s of Worker %s: %w", name, t.Worker.Name, err)
	}
	if err := SecretNamed(name); err != nil {
		return fails(err)
	}
	deployments, err := t.api.Deployments(ctx, t.Worker.Name)
	if errors.Is(err, api.ErrNotFound) {
		return fails(t.noWorkerForSecret(name))
	}
	if err != nil {
		return fails(err)
	}
	versions, err := t.api.Versions(ctx, t.Worker.Name)
	if err != nil {
		return fails(err)
	}
	if len(deployments) == 0 || len(versions) == 0 {
		return fails(t.noWorkerForSecret(name))
	}
	if strings.HasPrefix(deployments[0].Annotations.Message, maintenanceMark) {
		// It would make a deployment that does not say what was live before, and keep those versions from being deployed again.
		return fails(&promotion.MaintenanceError{Environment: t.Environment.Name})
	}
	live := shares(deployments[0])
	if len(live) == 1 && live[0].Version == versions[0].ID {
		// Twice the same secret is the same secret, on one version more.
		err := t.repeatHarmless(ctx, func() error { return t.api.PutSecret(ctx, t.Worker.Name, name, value) })
		var refused *api.Error
		if !errors.As(err, &refused) || !(refused.Has(api.CodeSecretEditLatest) || refused.Has(api.CodeSecretEditDeployed)) {
			if err != nil {
				return fails(err)
			}
			now, err := t.Inspect(ctx)
			return SecretPut{Version: now.Live(), Base: live[0].Version, Deployed: true}, err
		}
	}
	version, err := t.secretVersion(ctx, id, live[0].Version, newBinding(name, "secret_text", "text", value))
	if err != nil {
		return fails(err)
	}
	return SecretPut{Version: version, Base: live[0].Version}, nil
}

// noWorkerForSecret says how the first deployment gets a secret: there is nothing before it that could hold one.
func (t *Target) noWorkerForSecret(name string) *AbsentError {
	absent := t.noWorker()
	absent.NextStep = "give it to the first deployment, in its process's environment: `" + name + "=… penstock deploy --env " + t.Environment.Name + "`"
	if !slices.Contains(t.Environment.Secrets, name) {
		absent.NextStep = "name " + name + " under `secrets` of environment " + t.Environment.Name + " in penstock.yaml; then " + absent.NextStep
	}
	return absent
}

// The tag and the message of a version that was made for a secret begin so; the promotion's id and the secret's name follow.
const (
	secretTag     = "secret-"
	secretMessage = "penstock secret "
)

// wranglerSecret is what `wrangler versions secret put|delete` calls the version that it makes, unless it is given other words.
var wranglerSecret = regexp.MustCompile(`^(Updated|Deleted) secret "(.+)"$`)

// secretChange is what a version that was made for one secret says of it; ok is false for every other version.
func secretChange(version promotion.Version) (change event.Change, ok bool) {
	change = event.Change{Action: "update", Kind: "secret"}
	if name, ours := strings.CutPrefix(version.Message, secretMessage); ours && strings.HasPrefix(version.Tag, secretTag) {
		change.Name, change.To = name, "a value that was put since, in version "+version.ID
		return change, true
	}
	by := wranglerSecret.FindStringSubmatch(version.Message)
	if by == nil {
		return event.Change{}, false
	}
	change.Name, change.To = by[2], "a value that was put by wrangler since, in version "+version.ID
	if by[1] == "Deleted" {
		change.Action, change.To = "remove", "deleted by wrangler since, in version "+version.ID
	}
	return change, true
}

// waitingSecrets are those that were put or deleted since the live version was made and that no traffic has yet, as far as
// versions say so, each by the newest. Every new version has them, since it inherits from the newest one.
func waitingSecrets(live promotion.State) []event.Change {
	var changes []event.Change
	for _, version := range newerThanLive(live) {
		if change, ok := secretChange(version); ok && secretAmong(changes, change.Name) < 0 {
			changes = append(changes, change)
		}
	}
	return changes
}

func secretAmong(changes []event.Change, name string) int {
	return slices.IndexFunc(changes, func(change event.Change) bool { return change.Name == name })
}

// newerThanLive are the versions that were made after the live one, newest first: all that are listed where that one is so old
// that it is not.
func newerThanLive(live promotion.State) []promotion.Version {
	if live.Live() == "" {
		return nil
	}
	at := slices.IndexFunc(live.Versions, func(v promotion.Version) bool { return v.ID == live.Live() })
	if at < 0 {
		return live.Versions
	}
	return live.Versions[:at]
}

// secretsToCome are all that waits: what versions say of themselves, and what one that says nothing and was not made by Penstock
// may have changed. What the newest version has no more is gone, whatever an older one says.
func (t *Target) secretsToCome(ctx context.Context, live promotion.State) ([]event.Change, error) {
	changes := waitingSecrets(live)
	newer := newerThanLive(live)
	at := slices.IndexFunc(newer, func(version promotion.Version) bool {
		_, says := secretChange(version)
		return !says && !ours(version)
	})
	if at < 0 {
		return changes, nil
	}
	more, err := t.foreignSecrets(ctx, live, newer[at].ID)
	for _, change := range more {
		if at := secretAmong(changes, change.Name); at < 0 {
			changes = append(changes, change)
		} else if change.Action == "remove" {
			changes[at] = change
		}
	}
	return changes, err
}

// ours reports whether Penstock made the version, and so knows what it did to secrets.
func ours(version promotion.Version) bool {
	return version.Bundle != "" || version.Message == promotion.MaintenanceMessage
}

// foreignSecrets are the secrets that a version made by other means may have changed. Their values can be read nowhere, so that
// of each one that the next version would inherit only this is known.
func (t *Target) foreignSecrets(ctx context.Context, live promotion.State, foreign string) ([]event.Change, error) {
	names := func(id string) ([]string, error) {
		version, err := t.api.Version(ctx, t.Worker.Name, id)
		if err != nil {
			return nil, fmt.Errorf("read version %s of Worker %s: %w", id, t.Worker.Name, err)
		}
		var found []string
		for _, raw := range version.Resources.Bindings {
			var b binding
			if err := json.Unmarshal(raw, &b); err != nil {
				return nil, fmt.Errorf("read the bindings of version %s: %w", id, err)
			}
			if isSecret(b) {
				found = append(found, b.text("name"))
			}
		}
		return found, nil
	}
	newest, err := names(live.Versions[0].ID)
	if err != nil {
		return nil, err
	}
	serving, err := names(live.Live())
	if err != nil {
		return nil, err
	}
	var changes []event.Change
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(newest, serving)))) {
		change := event.Change{Action: "update", Kind: "secret", Name: name, To: "a value that may differ: version " + foreign + " was made since, not by Penstock"}
		switch {
		case !slices.Contains(newest, name):
			change.Action, change.To = "remove", "version "+live.Versions[0].ID+", from which the next one inherits, has it no more"
		case !slices.Contains(serving, name):
			change.Action = "create"
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// secretVersion makes a version of the live one's code and bindings with one secret more.
func (t *Target) secretVersion(ctx context.Context, id, base string, secret binding) (string, error) {
	if err := t.withoutAssets(ctx); err != nil {
		return "", fmt.Errorf("%w; finish the deployment that is under way, then put the secret again", err)
	}
	live, err := t.api.Version(ctx, t.Worker.Name, base)
	if err != nil {
		return "", err
	}
	content, err := t.api.Content(ctx, t.Worker.Name, base)
	if err != nil {
		return "", fmt.Errorf("read the code of version %s: %w", base, err)
	}
	bindings := slices.DeleteFunc(bindingsOf(live), func(raw json.RawMessage) bool {
		var b binding
		return json.Unmarshal(raw, &b) == nil && b.text("name") == secret.text("name")
	})
	tag := secretTag + id
	metadata := map[string]any{
		"main_module": content.Main, "bindings": append(bindings, encode(secret)),
		"compatibility_date": live.Resources.ScriptRuntime.CompatibilityDate, "compatibility_flags": live.Resources.ScriptRuntime.CompatibilityFlags,
		"annotations": map[string]string{"workers/message": secretMessage + secret.text("name"), "workers/tag": tag},
	}
	contentType, body, err := encodeUpload(metadata, content.Modules)
	if err != nil {
		return "", err
	}
	version := ""
	create := func() error {
		created, err := t.api.CreateVersion(ctx, t.Worker.Name, contentType, body)
		version = created.ID
		return err
	}
	uploaded := func() (bool, error) {
		var err error
		version, err = t.taggedVersion(ctx, tag)
		return version != "", err
	}
	err = t.lookBeforeRepeating(ctx, create, uploaded)
	return version, err
}
