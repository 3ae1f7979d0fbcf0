package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// IndexShape is what a Vectorize index is made of, which no wrangler config says.
type IndexShape struct {
	Dimensions int    `json:"dimensions"`
	Metric     string `json:"metric"` // cosine, euclidean, dot-product
}

// Furnishing is what an environment lacks of what the config binds and names, and how it differs from it.
type Furnishing struct {
	// Missing can be created.
	Missing []event.Change `json:"missing,omitempty"`
	// Drift are settings of what is there that are not the config's: consumers of queues are brought in line, the rest
	// belongs to a version and comes with the next deployment.
	Drift []event.Change `json:"drift,omitempty"`
	// Later cannot be made before the Worker is there: its first deployment makes it.
	Later []event.Change `json:"later,omitempty"`
	// Impossible is named by an id, which nobody can create.
	Impossible []event.Change `json:"impossible,omitempty"`
}

// Furnishing looks what is missing, and changes nothing.
func (t *Target) Furnishing(ctx context.Context) (Furnishing, error) {
	var f Furnishing
	found, err := t.findResources(ctx)
	if err != nil {
		return f, err
	}
	for _, change := range found.missing {
		if change.To != "" {
			f.Impossible = append(f.Impossible, change)
		} else {
			f.Missing = append(f.Missing, change)
		}
	}
	exists, err := t.exists(ctx)
	if err != nil {
		return f, fmt.Errorf("look for Worker %s: %w", t.Worker.Name, err)
	}
	triggers, err := t.triggers(ctx, exists)
	if err != nil {
		return f, err
	}
	for _, trigger := range triggers {
		switch {
		case trigger.change.Kind == kindCrons || trigger.change.Action == "update":
			f.Drift = append(f.Drift, trigger.change)
		case !exists:
			f.Later = append(f.Later, trigger.change)
		default:
			f.Missing = append(f.Missing, trigger.change)
		}
	}
	return f, nil
}

// Furnish makes one missing thing, or brings one consumer in line; what is there by now is left alone. shapes are those of
// Vectorize indexes, by name.
func (t *Target) Furnish(ctx context.Context, id string, change event.Change, shapes map[string]IndexShape) error {
	switch change.Kind {
	case kindIndex:
		return t.createIndex(ctx, change.Name, shapes)
	case kindRoute, kindDomain, kindConsumer:
		triggers, err := t.triggers(ctx, true)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(triggers, func(due trigger) bool { return due.change == change })
		if at < 0 {
			return nil
		}
		if triggers[at].apply == nil {
			return fmt.Errorf("%s %s needs a queue that is not there", change.Kind, change.Name)
		}
		return t.applyTrigger(ctx, triggers[at])
	default:
		_, err := t.Provision(ctx, id, promotion.Diff{Missing: []event.Change{change}})
		return err
	}
}

// Furnishable reports whether Furnish can remove that drift.
func Furnishable(change event.Change) bool { return change.Kind == kindConsumer }

// AwaitCertificates waits until every custom domain has a certificate that is served. There is none to wait for before the
// Worker is there that they lead to.
func (t *Target) AwaitCertificates(ctx context.Context, told func(string)) error {
	if exists, err := t.exists(ctx); err != nil || !exists {
		return err
	}
	return t.awaitCertificates(ctx, told)
}

// ErrNoShape is wrapped when a Vectorize index is to be created and nobody said of what.
var ErrNoShape = errors.New("the wrangler config does not say its dimensions and metric")

func (t *Target) createIndex(ctx context.Context, name string, shapes map[string]IndexShape) error {
	shape, known := shapes[name]
	if !known {
		return fmt.Errorf("create Vectorize index %s: %w; say --index %s=768:cosine, as the embedding model has it", name, ErrNoShape, name)
	}
	there := func() (bool, error) {
		_, err := t.api.Index(ctx, name)
		if errors.Is(err, api.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	if done, err := there(); err != nil || done {
		return err
	}
	create := func() error { return t.api.CreateIndex(ctx, name, shape.Dimensions, shape.Metric) }
	if err := t.lookBeforeRepeating(ctx, create, there); err != nil {
		return fmt.Errorf("create Vectorize index %s: %w", name, err)
	}
	return nil
}

// ResourceIDs are the ids of databases and KV namespaces that the config leaves out, for whoever wants to write them in.
func (t *Target) ResourceIDs(ctx context.Context) (map[string]string, error) {
	found, err := t.findResources(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, database := range t.Worker.D1Databases {
		if id := found.databases[database.Binding]; id != "" && database.DatabaseID == "" {
			ids[database.Binding] = id
		}
	}
	for _, namespace := range t.Worker.KVNamespaces {
		if id := found.namespaces[namespace.Binding]; id != "" && namespace.ID == "" {
			ids[namespace.Binding] = id
		}
	}
	return ids, nil
}
