package cloudflare

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/sqldump"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// Trial can put the live version of the app, or a next one, on another Cloudflare, with copies of the data in the databases
// and with nothing in everything else that is bound. The environment itself is only read. Put may be called for several versions at once, everything else one at a time.
type Trial struct {
	target *Target
	dir    string // holds the exports

	keeping sync.Mutex
	dumps   map[string]dumped // by a database's binding
}

// dumped is an export of a database, and what it holds.
type dumped struct {
	path string
	sqldump.Dump
}

// NewTrial makes a trial that keeps exports of the databases in dir, which is the caller's to make and to remove.
func (t *Target) NewTrial(dir string) *Trial {
	return &Trial{target: t, dir: dir, dumps: map[string]dumped{}}
}

// keep exports a database, once.
func (tr *Trial) keep(ctx context.Context, id, binding, name string) (dumped, error) {
	tr.keeping.Lock()
	defer tr.keeping.Unlock()
	if kept, done := tr.dumps[binding]; done {
		return kept, nil
	}
	export, dump, err := tr.target.export(ctx, id, name, filepath.Join(tr.dir, safeName(binding)))
	if err != nil {
		return dumped{}, err
	}
	tr.dumps[binding] = dumped{export.File, dump}
	return tr.dumps[binding], nil
}

// TrialVersion is a version as it was, or would be, uploaded to the environment.
type TrialVersion struct {
	code     bundle.Bundle
	metadata map[string]json.RawMessage // without bindings
	bindings []binding
}

// ErrNothingLive says that no version of the Worker takes traffic.
var ErrNothingLive = errors.New("no version is live")

// Live reads the version with the largest share of the traffic.
func (tr *Trial) Live(ctx context.Context) (TrialVersion, error) {
	t := tr.target
	state, err := t.Inspect(ctx)
	if err != nil {
		return TrialVersion{}, err
	}
	id := state.Live()
	if id == "" {
		return TrialVersion{}, ErrNothingLive
	}
	content, err := t.api.Content(ctx, t.Worker.Name, id)
	if err != nil {
		return TrialVersion{}, err
	}
	version, err := t.api.Version(ctx, t.Worker.Name, id)
	if err != nil {
		return TrialVersion{}, fmt.Errorf("read version %s: %w", id, err)
	}
	live := TrialVersion{metadata: map[string]json.RawMessage{
		"main_module": encode(content.Main), "compatibility_date": encode(version.Resources.ScriptRuntime.CompatibilityDate),
		"compatibility_flags": encode(append([]string{}, version.Resources.ScriptRuntime.CompatibilityFlags...)),
	}}
	for _, module := range content.Modules {
		if strings.ContainsAny(module.Name, "\"\r\n") { // it becomes part of a header
			return TrialVersion{}, fmt.Errorf("its module %q has a name that cannot be uploaded again", module.Name)
		}
		live.code.Modules = append(live.code.Modules, bundle.Module{Name: module.Name, ContentType: module.Type, Body: module.Content})
	}
	for _, raw := range version.Resources.Bindings {
		var one binding
		if err := json.Unmarshal(raw, &one); err != nil {
			return TrialVersion{}, fmt.Errorf("read the bindings of version %s: %w", id, err)
		}
		live.bindings = append(live.bindings, one)
	}
	return live, nil
}

// Next is the version that the bundle would become. Secrets that the Worker has and nobody gives again are its own, too.
func (tr *Trial) Next(ctx context.Context, b *bundle.Bundle) (TrialVersion, error) {
	t := tr.target
	found, err := t.findResources(ctx)
	if err != nil {
		return TrialVersion{}, err
	}
	u, err := t.prepareUpload(b, found)
	if err != nil {
		return TrialVersion{}, err
	}
	kept, err := t.api.Secrets(ctx, t.Worker.Name)
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return TrialVersion{}, fmt.Errorf("list the secrets of Worker %s: %w", t.Worker.Name, err)
	}
	for _, name := range kept {
		if u.index(name) < 0 {
			u.set(newBinding(name, "secret_text"))
		}
	}
	next := TrialVersion{code: *b, bindings: u.bindings, metadata: map[string]json.RawMessage{}}
	if b.Assets != nil {
		return TrialVersion{}, errors.New("it has static assets, which are not copied for a trial")
	}
	for _, key := range []string{"main_module", "compatibility_date", "compatibility_flags"} {
		if value, there := u.rest[key]; there {
			next.metadata[key] = value
		}
	}
	return next, nil
}

// OnTrial is a version that answers on another Cloudflare.
type OnTrial struct {
	Version string
	Address promotion.Address
	// StandIns are the secrets whose values nobody could give; they have random ones.
	StandIns []string
}

// Put gives the version all traffic on the Cloudflare of at (its BaseURL, Token, AccountID and PublicURL), which must not have
// the Worker yet, with copies of the databases, migrated or as they are. Routes, crons and consumers of queues are left out. A
// version that is bound to what cannot be had there is refused with the reason.
func (tr *Trial) Put(ctx context.Context, at Options, version TrialVersion, migrated bool) (OnTrial, error) {
	options := tr.target.Options
	options.BaseURL, options.Token, options.AccountID, options.PublicURL, options.Resources = at.BaseURL, at.Token, at.AccountID, at.PublicURL, ByName
	there, err := New(options)
	if err != nil {
		return OnTrial{}, err
	}
	place := trialPlace{trial: tr, there: there, migrated: migrated, databases: map[string]string{}}
	bound := make([]binding, 0, len(version.bindings))
	for _, one := range version.bindings {
		one, err := place.bind(ctx, one)
		if err != nil {
			return OnTrial{}, fmt.Errorf("binding %s: %w", one.text("name"), err)
		}
		bound = append(bound, one)
	}
	whole := map[string]json.RawMessage{"bindings": encode(bound)}
	for key, value := range version.metadata {
		whole[key] = value
	}
	if len(place.classes) > 0 {
		whole["migrations"] = encode(map[string]any{"new_tag": "trial", "steps": []any{map[string]any{"new_sqlite_classes": place.classes}}})
	}
	var body bytes.Buffer
	contentType, err := version.code.Encode(&body, encode(whole))
	if err != nil {
		return OnTrial{}, err
	}
	name := there.Worker.Name
	if err := there.api.PutScript(ctx, name, contentType, body.Bytes()); err != nil {
		return OnTrial{}, fmt.Errorf("upload it: %w", err)
	}
	state, err := there.Inspect(ctx)
	if err != nil {
		return OnTrial{}, err
	}
	url := ""
	if there.PublicURL != nil {
		url = there.PublicURL(name)
	}
	if state.Live() == "" || url == "" {
		return OnTrial{}, errors.New("it was uploaded and does not serve")
	}
	return OnTrial{Version: state.Live(), Address: promotion.Address{URL: url}, StandIns: place.standIns}, nil
}

// trialPlace is where one version is put.
type trialPlace struct {
	trial     *Trial
	there     *Target
	migrated  bool
	databases map[string]string // id there, by the config's binding
	classes   []string
	standIns  []string
}

// bind returns the binding as it must be there.
func (p *trialPlace) bind(ctx context.Context, of binding) (binding, error) {
	name := of.text("name")
	switch kind := of.text("type"); kind {
	case "plain_text", "json", "version_metadata":
		return of, nil
	case "secret_text":
		value, given := p.trial.target.Secrets[name]
		if !given {
			value = rand.Text() + rand.Text() // as long as keys are asked to be
			p.standIns = append(p.standIns, name)
		}
		return newBinding(name, kind, "text", value), nil
	case "d1":
		id, err := p.database(ctx, of)
		return newBinding(name, kind, "id", id), err
	case "kv_namespace":
		made, err := p.there.api.CreateNamespace(ctx, "trial-"+name)
		return newBinding(name, kind, "namespace_id", made.ID), err
	case "r2_bucket":
		bucket := of.text("bucket_name")
		exists, err := p.there.api.HasBucket(ctx, bucket, "")
		if err == nil && !exists {
			err = p.there.api.CreateBucket(ctx, bucket, "")
		}
		return newBinding(name, kind, "bucket_name", bucket), err
	case "queue":
		queue := of.text("queue_name")
		queues, err := p.there.api.Queues(ctx)
		if err == nil && !slices.ContainsFunc(queues, func(one api.Queue) bool { return one.Name == queue }) {
			_, err = p.there.api.CreateQueue(ctx, queue)
		}
		return newBinding(name, kind, "queue_name", queue), err
	case "durable_object_namespace":
		if script := of.text("script_name"); script != "" && script != p.there.Worker.Name {
			return of, fmt.Errorf("it is to a Durable Object of Worker %s, which has no copy", script)
		}
		class := of.text("class_name")
		if !slices.Contains(p.classes, class) {
			p.classes = append(p.classes, class)
		}
		return newBinding(name, kind, "class_name", class), nil
	default:
		return of, fmt.Errorf("it is of the type %s, of which there is no copy", kind)
	}
}

// database makes the copy that stands for the database of the environment.
func (p *trialPlace) database(ctx context.Context, of binding) (string, error) {
	t := p.trial.target
	wanted := of.text("id")
	if wanted == "" {
		wanted = of.text("database_id")
	}
	for _, database := range t.Worker.D1Databases {
		source, err := t.findDatabase(ctx, database)
		if err != nil {
			return "", err
		}
		// One that is not there yet has the id of the config, or none.
		if source != wanted && (source != "" || database.Binding != of.text("name")) {
			continue
		}
		if id := p.databases[database.Binding]; id != "" {
			return id, nil
		}
		made, err := p.there.api.CreateDatabase(ctx, t.databaseName(database))
		if err != nil {
			return "", fmt.Errorf("make a database for the copy: %w", err)
		}
		p.databases[database.Binding] = made.ID
		if source != "" {
			kept, err := p.trial.keep(ctx, source, database.Binding, t.databaseName(database))
			if err != nil {
				return "", err
			}
			if err := p.there.importDump(ctx, made.ID, kept.path, kept.Dump); err != nil {
				return "", fmt.Errorf("import the copy of database %s: %w", t.databaseName(database), err)
			}
		}
		if !p.migrated {
			return made.ID, nil
		}
		files, err := t.migrationFiles(database)
		if err != nil {
			return "", err
		}
		var done []promotion.Migration
		m := &migration{target: p.there, database: database, id: made.ID, applied: func(promotion.Migration) {}}
		return made.ID, m.run(ctx, files, &done)
	}
	return "", fmt.Errorf("it is to a database that %s does not name", t.ConfigFile)
}
