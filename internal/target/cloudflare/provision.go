package cloudflare

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// Provision creates what d says is missing. A name that exists by now is not created again: it was made by an earlier
// call whose reply was lost, or by somebody else.
func (t *Target) Provision(ctx context.Context, _ string, d promotion.Diff) ([]event.Change, error) {
	var done []event.Change
	for _, change := range d.Missing {
		if change.To != "" {
			return done, t.nothingMissing(resources{missing: []event.Change{change}})
		}
		missing := func() (bool, error) {
			found, err := t.findResources(ctx)
			if err != nil {
				return false, err
			}
			for _, other := range found.missing {
				if other == change {
					return true, nil
				}
			}
			return false, nil
		}
		still, err := missing()
		if err != nil {
			return done, err
		}
		if !still {
			continue
		}
		err = t.lookBeforeRepeating(ctx, func() error { return t.create(ctx, change) }, func() (bool, error) {
			still, err := missing()
			return !still, err
		})
		if err != nil {
			return done, fmt.Errorf("create %s %s: %w", change.Kind, change.Name, err)
		}
		done = append(done, change)
	}
	return done, nil
}

func (t *Target) create(ctx context.Context, change event.Change) error {
	var err error
	switch change.Kind {
	case kindDatabase:
		_, err = t.api.CreateDatabase(ctx, change.Name)
	case kindNamespace:
		_, err = t.api.CreateNamespace(ctx, change.Name)
	case kindBucket:
		jurisdiction := ""
		for _, bucket := range t.Worker.R2Buckets {
			if t.bucketName(bucket) == change.Name {
				jurisdiction = bucket.Jurisdiction
			}
		}
		err = t.api.CreateBucket(ctx, change.Name, jurisdiction)
	case kindQueue:
		_, err = t.api.CreateQueue(ctx, change.Name)
	case kindIndex:
		err = fmt.Errorf("%w; create it with `penstock provision --env %s --index %s=768:cosine`, as the embedding model has it", ErrNoShape, t.Environment.Name, change.Name)
	default:
		err = fmt.Errorf("nobody knows how to create a %s", change.Kind)
	}
	return err
}

// nothingMissing is the error that names every resource that the config binds and the account lacks.
func (t *Target) nothingMissing(found resources) error {
	if len(found.missing) == 0 {
		return nil
	}
	var names []string
	for _, change := range found.missing {
		name := change.Kind + " " + change.Name
		if change.To != "" {
			name += " (" + change.To + ")"
		}
		names = append(names, name)
	}
	return fmt.Errorf("the account of environment %s lacks what %s binds: %s; create it with `penstock provision`, or allow it with `provision: true`; what the config gives an id cannot be created: correct the id, or take it out", t.Environment.Name, t.ConfigFile, strings.Join(names, ", "))
}
