package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// resources are what the config's bindings need, as far as it exists in the account.
type resources struct {
	databases  map[string]string // binding to id
	namespaces map[string]string // binding to id
	// missing are those that do not exist; Kind and Name say which.
	missing []event.Change
}

// The kinds of resources, as they appear in a plan.
const (
	kindDatabase  = promotion.ChangeDatabase
	kindNamespace = "kv-namespace"
	kindBucket    = "bucket"
	kindQueue     = "queue"
	kindIndex     = "vectorize-index"
)

// findResources looks up everything that the config binds.
func (t *Target) findResources(ctx context.Context) (resources, error) {
	found := resources{databases: map[string]string{}, namespaces: map[string]string{}}
	for _, database := range t.Worker.D1Databases {
		id, err := t.findDatabase(ctx, database)
		if err != nil {
			return resources{}, err
		}
		found.keep(kindDatabase, t.databaseName(database), t.wantedID(database.DatabaseID), id, found.databases, database.Binding)
	}
	for _, namespace := range t.Worker.KVNamespaces {
		id, err := t.findNamespace(ctx, namespace)
		if err != nil {
			return resources{}, err
		}
		found.keep(kindNamespace, t.namespaceTitle(namespace), t.wantedID(namespace.ID), id, found.namespaces, namespace.Binding)
	}
	for _, bucket := range t.Worker.R2Buckets {
		exists, err := t.api.HasBucket(ctx, t.bucketName(bucket), bucket.Jurisdiction)
		if err != nil {
			return resources{}, fmt.Errorf("look for bucket %s: %w", t.bucketName(bucket), err)
		}
		if !exists {
			found.miss(kindBucket, t.bucketName(bucket), "")
		}
	}
	queues, err := t.queues(ctx)
	if err != nil {
		return resources{}, err
	}
	for _, name := range t.queueNames() {
		if queues[name] == "" {
			found.miss(kindQueue, name, "")
		}
	}
	for _, index := range t.Worker.Vectorize {
		_, err := t.api.Index(ctx, index.IndexName)
		switch {
		case t.Resources == ByName && api.NoSuchCall(err): // the local Cloudflare has none, and says so at the upload
		case errors.Is(err, api.ErrNotFound):
			found.miss(kindIndex, index.IndexName, "")
		case err != nil:
			return resources{}, fmt.Errorf("look for Vectorize index %s: %w", index.IndexName, err)
		}
	}
	return found, nil
}

// keep notes the id of a resource that exists, or that it is missing. wanted is the id from the config.
func (r *resources) keep(kind, name, wanted, id string, into map[string]string, binding string) {
	if id == "" {
		r.miss(kind, name, wanted)
		return
	}
	into[binding] = id
}

// miss notes a missing resource once, however many bindings need it.
func (r *resources) miss(kind, name, wanted string) {
	change := event.Change{Action: "create", Kind: kind, Name: name}
	if wanted != "" {
		change.To = "id " + wanted
	}
	for _, already := range r.missing {
		if already == change {
			return
		}
	}
	r.missing = append(r.missing, change)
}

// wantedID is the config's id where ids count.
func (t *Target) wantedID(id string) string {
	if t.Resources == ByName {
		return ""
	}
	return id
}

// findDatabase returns the id of the config's database in this account, "" when it does not exist.
func (t *Target) findDatabase(ctx context.Context, database wrangler.D1Database) (string, error) {
	databases, err := t.api.Databases(ctx)
	if err != nil {
		return "", fmt.Errorf("look for database %s: %w", t.databaseName(database), err)
	}
	wanted := t.wantedID(database.DatabaseID)
	for _, candidate := range databases {
		if candidate.ID == wanted || (wanted == "" && candidate.Name == t.databaseName(database)) {
			return candidate.ID, nil
		}
	}
	return "", nil
}

// findNamespace returns the id of the config's KV namespace in this account, "" when it does not exist.
func (t *Target) findNamespace(ctx context.Context, namespace wrangler.KVNamespace) (string, error) {
	namespaces, err := t.api.Namespaces(ctx)
	if err != nil {
		return "", fmt.Errorf("look for KV namespace %s: %w", namespace.Binding, err)
	}
	wanted := t.wantedID(namespace.ID)
	for _, candidate := range namespaces {
		if candidate.ID == wanted || (wanted == "" && candidate.Title == t.namespaceTitle(namespace)) {
			return candidate.ID, nil
		}
	}
	return "", nil
}

// queues maps the account's queues' names to their ids.
func (t *Target) queues(ctx context.Context) (map[string]string, error) {
	if len(t.queueNames()) == 0 {
		return nil, nil
	}
	list, err := t.api.Queues(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for queues: %w", err)
	}
	ids := map[string]string{}
	for _, queue := range list {
		ids[queue.Name] = queue.ID
	}
	return ids, nil
}

// queueNames are all queues that the Worker sends to, receives from, or leaves dead letters in.
func (t *Target) queueNames() []string {
	var names []string
	add := func(name string) {
		for _, already := range names {
			if already == name {
				return
			}
		}
		if name != "" {
			names = append(names, name)
		}
	}
	for _, producer := range t.Worker.Queues.Producers {
		add(producer.Queue)
	}
	for _, consumer := range t.Worker.Queues.Consumers {
		add(consumer.Queue)
		add(consumer.DeadLetterQueue)
	}
	return names
}

// databaseName and bucketName fall back to the name under which wrangler creates what the config leaves unnamed.
func (t *Target) databaseName(database wrangler.D1Database) string {
	if database.DatabaseName != "" {
		return database.DatabaseName
	}
	return t.ownName(database.Binding)
}

func (t *Target) bucketName(bucket wrangler.R2Bucket) string {
	if bucket.BucketName != "" {
		return bucket.BucketName
	}
	return t.ownName(bucket.Binding)
}

func (t *Target) ownName(binding string) string {
	return t.Worker.Name + "-" + strings.ReplaceAll(strings.ToLower(binding), "_", "-")
}

func (t *Target) namespaceTitle(namespace wrangler.KVNamespace) string {
	return t.Worker.Name + "-" + namespace.Binding
}
