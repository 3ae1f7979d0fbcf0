package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

func newProvision(shared *common) *cobra.Command {
	var environment string
	var dryRun bool
	var indexes []string
	command := &cobra.Command{
		Use:   "provision",
		Short: "Create what the environment lacks of what the wrangler config names",
		Long: "Shows what is missing and what differs, then creates D1 databases, KV namespaces, R2 buckets, queues with their consumers,\n" +
			"Vectorize indexes, routes and custom domains, and waits until each custom domain's certificate is active. Nothing is\n" +
			"removed, nothing is taken from another Worker, and what a Worker needs that was never deployed waits for its first\n" +
			"deployment. What is there already is left alone, so that it can be run again.",
		Example: "  penstock provision --env production --dry-run\n  penstock provision --env production --index faq-index=768:cosine",
		RunE: func(command *cobra.Command, _ []string) error {
			shapes, err := indexShapes(indexes)
			if err != nil {
				return err
			}
			ctx := command.Context()
			r, err := fitOperation(ctx, shared, environment)
			if err != nil {
				return err
			}
			target, planned, made, err := r.planFurnishing(ctx, dryRun)
			if err != nil || dryRun {
				return errors.Join(operationFailure(err), r.end(ctx))
			}
			r.announce("provision", nil)
			for _, change := range made {
				r.note("info", "created "+change.Kind+" "+change.Name+" "+change.To)
			}
			result := event.Result{}
			err = r.underLease(ctx, func(id string) error { return r.furnish(ctx, target, id, planned, shapes) })
			if err == nil && r.cloud != nil {
				err = r.cloud.Keep(context.WithoutCancel(ctx))
			}
			if err == nil && len(planned.Later) > 0 {
				result.NextStep = "`penstock deploy --env " + environment + "` makes the rest with the Worker's first deployment"
			}
			return r.finish(ctx, result, operationFailure(err))
		},
	}
	environmentFlag(command, &environment, "to provision")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "show what is missing, and create nothing")
	command.Flags().StringArrayVar(&indexes, "index", nil, "the `NAME=DIMENSIONS:METRIC` of a Vectorize index that is to be created")
	return command
}

// planFurnishing shows what is missing. Unless that is all that was asked for, it creates the shared ledger, if that is missing, so that
// what follows can be on record, and returns what it made for it.
func (r *run) planFurnishing(ctx context.Context, dryRun bool) (target *cloudflare.Target, planned cloudflare.Furnishing, made []event.Change, err error) {
	if target, err = r.openTarget(ctx); err != nil {
		return nil, planned, nil, err
	}
	if planned, err = target.Furnishing(ctx); err != nil {
		return nil, planned, nil, err
	}
	shown := planned
	var options cloudflare.StoreOptions
	var lacks cloudflare.Lacking
	if name := r.environment.Ledger; name != (pipelines.SharedLedger{}) {
		if options, _, err = r.shared.storeOptions(ctx, r.root, *r.environment, r.cloud); err != nil {
			return nil, planned, nil, err
		}
		if lacks, err = cloudflare.StoreLacks(ctx, options); err != nil {
			return nil, planned, nil, err
		}
		made = ledgerChanges(name, lacks)
		shown.Missing = slices.Concat(made, planned.Missing)
	}
	if dryRun || !r.shared.json {
		if err := r.shared.showFurnishing(shown); err != nil {
			return nil, planned, nil, err
		}
	}
	if dryRun {
		return target, planned, nil, nil
	}
	if err := cloudflare.MakeStore(ctx, options, lacks); err != nil {
		return nil, planned, nil, err
	}
	return target, planned, made, r.openRecord(ctx)
}

// ledgerChanges are what is to be created for a shared ledger.
func ledgerChanges(name pipelines.SharedLedger, lacks cloudflare.Lacking) []event.Change {
	var changes []event.Change
	if lacks.Database {
		changes = append(changes, event.Change{Action: "create", Kind: promotion.ChangeDatabase, Name: name.D1, To: "for the shared ledger"})
	}
	if lacks.Bucket {
		changes = append(changes, event.Change{Action: "create", Kind: "bucket", Name: name.R2, To: "for the shared ledger"})
	}
	return changes
}

var metrics = []string{"cosine", "euclidean", "dot-product"}

func indexShapes(texts []string) (map[string]cloudflare.IndexShape, error) {
	shapes := map[string]cloudflare.IndexShape{}
	for _, text := range texts {
		name, rest, _ := strings.Cut(text, "=")
		size, metric, _ := strings.Cut(rest, ":")
		dimensions, err := strconv.Atoi(size)
		if name == "" || err != nil || dimensions < 1 || dimensions > 1536 || !slices.Contains(metrics, metric) {
			return nil, fail(ExitUsage, "for example --index faq-index=768:cosine; metrics are "+list(metrics)+", dimensions from 1 to 1536",
				fmt.Errorf("%q is no shape of an index", text))
		}
		shapes[name] = cloudflare.IndexShape{Dimensions: dimensions, Metric: metric}
	}
	return shapes, nil
}

// furnish makes one thing after the other; the first failure stops it, and what was made is recognised the next time.
func (r *run) furnish(ctx context.Context, target *cloudflare.Target, id string, planned cloudflare.Furnishing, shapes map[string]cloudflare.IndexShape) error {
	if len(planned.Impossible) > 0 {
		return fail(ExitUsage, "correct the ids in the wrangler config, or take them out to have the resources created",
			fmt.Errorf("the account has no %s, and nobody can create what has an id", changesText(planned.Impossible)))
	}
	due := slices.Clone(planned.Missing)
	for _, change := range planned.Drift {
		if cloudflare.Furnishable(change) {
			due = append(due, change)
		}
	}
	for _, change := range due {
		verb := map[string]string{"create": "create", "update": "bring in line"}[change.Action]
		err := r.doStep(change.Kind+"-"+change.Name, verb+" "+change.Kind+" "+change.Name, func() (string, error) {
			return change.To, target.Furnish(ctx, id, change, shapes)
		})
		if err != nil {
			return err
		}
	}
	err := r.doStep("certificates", "wait for certificates", func() (string, error) {
		return "", target.AwaitCertificates(ctx, func(text string) { r.note("info", text) })
	})
	if err != nil {
		return err
	}
	ids, err := target.ResourceIDs(ctx)
	for _, binding := range slices.Sorted(maps.Keys(ids)) {
		r.note("info", fmt.Sprintf("%s is %s; with that id in the wrangler config other tools find it too", binding, ids[binding]))
	}
	return err
}

func changesText(changes []event.Change) string {
	names := make([]string, 0, len(changes))
	for _, change := range changes {
		names = append(names, strings.TrimSpace(change.Kind+" "+change.Name+" "+change.To))
	}
	return list(names)
}

func (c *common) showFurnishing(planned cloudflare.Furnishing) error {
	if c.json {
		return printJSON(c.streams.Out, planned)
	}
	var rows [][]string
	show := func(word string, changes []event.Change) {
		for _, change := range changes {
			rows = append(rows, []string{word, change.Kind, change.Name, fromTo(change)})
		}
	}
	show("missing", planned.Missing)
	show("no such id", planned.Impossible)
	show("differs", planned.Drift)
	show("with the first deployment", planned.Later)
	if len(rows) == 0 {
		rows = [][]string{{"nothing is missing, and nothing differs"}}
	}
	return c.streams.tabulate(rows)
}
