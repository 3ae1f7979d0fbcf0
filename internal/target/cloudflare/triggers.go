package cloudflare

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// The kinds of what calls a Worker, as they appear in a plan.
const (
	kindCrons    = "crons"
	kindConsumer = "queue-consumer"
	kindRoute    = "route"
	kindDomain   = "custom-domain"
)

// trigger is one difference in what calls the Worker, and how to remove it; apply is nil for what needs something else first.
type trigger struct {
	change event.Change
	apply  func(ctx context.Context) error
}

// applyTriggers brings what calls the Worker in line with the config. Each is looked at first, so a repeated call does
// nothing twice.
func (t *Target) applyTriggers(ctx context.Context) error {
	triggers, err := t.triggers(ctx, true)
	if err != nil {
		return err
	}
	for _, due := range triggers {
		if due.apply == nil {
			continue
		}
		if err := t.applyTrigger(ctx, due); err != nil {
			return err
		}
	}
	if settings, said := t.settings(); said {
		set := func() error { return t.api.SetScriptSettings(ctx, t.Worker.Name, settings) }
		if err := t.repeatHarmless(ctx, set); err != nil {
			return fmt.Errorf("set the log settings of Worker %s: %w", t.Worker.Name, err)
		}
	}
	return nil
}

// applyTrigger removes one difference.
func (t *Target) applyTrigger(ctx context.Context, due trigger) error {
	settled := func() (bool, error) {
		now, err := t.triggers(ctx, true)
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(now, func(other trigger) bool { return other.change == due.change }), nil
	}
	if err := t.lookBeforeRepeating(ctx, func() error { return due.apply(ctx) }, settled); err != nil {
		return fmt.Errorf("set %s %s of Worker %s: %w", due.change.Kind, due.change.Name, t.Worker.Name, err)
	}
	return nil
}

// triggers lists the differences; exists says that there is a Worker whose present ones can be asked for.
func (t *Target) triggers(ctx context.Context, exists bool) ([]trigger, error) {
	var list []trigger
	crons, err := t.cronTriggers(ctx, exists)
	if err != nil {
		return nil, err
	}
	list = append(list, crons...)
	consumers, err := t.consumerTriggers(ctx)
	if err != nil {
		return nil, err
	}
	list = append(list, consumers...)
	routes, err := t.routeTriggers(ctx)
	if err != nil {
		return nil, err
	}
	domains, err := t.domainTriggers(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Concat(list, routes, domains), nil
}

func (t *Target) cronTriggers(ctx context.Context, exists bool) ([]trigger, error) {
	wanted := slices.Sorted(slices.Values(t.Worker.Triggers.Crons))
	var present []string
	if exists {
		var err error
		if present, err = t.api.Crons(ctx, t.Worker.Name); err != nil {
			return nil, fmt.Errorf("read the crons of Worker %s: %w", t.Worker.Name, err)
		}
		slices.Sort(present)
	}
	if slices.Equal(wanted, present) {
		return nil, nil
	}
	return []trigger{{
		event.Change{Action: action(len(present) > 0), Kind: kindCrons, Name: t.Worker.Name, From: strings.Join(present, ", "), To: strings.Join(wanted, ", ")},
		func(ctx context.Context) error { return t.api.SetCrons(ctx, t.Worker.Name, wanted) },
	}}, nil
}

func (t *Target) consumerTriggers(ctx context.Context) ([]trigger, error) {
	if len(t.Worker.Queues.Consumers) == 0 {
		return nil, nil
	}
	ids, err := t.queues(ctx)
	if err != nil {
		return nil, err
	}
	var list []trigger
	for _, config := range t.Worker.Queues.Consumers {
		wanted := t.consumer(config)
		change := event.Change{Action: "create", Kind: kindConsumer, Name: config.Queue, To: describeConsumer(wanted)}
		id := ids[config.Queue]
		if id == "" {
			list = append(list, trigger{change: change}) // the queue is missing too, and named as such
			continue
		}
		present, err := t.api.Consumers(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read the consumers of queue %s: %w", config.Queue, err)
		}
		at := slices.IndexFunc(present, func(c api.Consumer) bool {
			return c.Type == wanted.Type && (wanted.Type != "worker" || c.Script == wanted.Script)
		})
		if at < 0 {
			list = append(list, trigger{change, func(ctx context.Context) error { return t.api.CreateConsumer(ctx, id, wanted) }})
			continue
		}
		if consumerCovers(present[at], wanted) {
			continue
		}
		change.Action, change.From = "update", describeConsumer(present[at])
		update := wanted
		update.ID = present[at].ID
		list = append(list, trigger{change, func(ctx context.Context) error { return t.api.UpdateConsumer(ctx, id, update) }})
	}
	return list, nil
}

// consumer is the API's form of a consumer in the config.
func (t *Target) consumer(config wrangler.QueueConsumer) api.Consumer {
	consumer := api.Consumer{Type: "worker", Script: t.Worker.Name, DeadLetterQueue: config.DeadLetterQueue}
	if config.Type == "http_pull" {
		consumer.Type, consumer.Script = config.Type, ""
	}
	number := func(from *int) *float64 {
		if from == nil {
			return nil
		}
		value := float64(*from)
		return &value
	}
	consumer.Settings = api.ConsumerSettings{
		BatchSize: number(config.MaxBatchSize), MaxConcurrency: number(config.MaxConcurrency), MaxRetries: number(config.MaxRetries),
		RetryDelay: config.RetryDelay, VisibilityTimeoutMS: number(config.VisibilityTimeoutMS),
	}
	if config.MaxBatchTimeout != nil {
		milliseconds := *config.MaxBatchTimeout * 1000
		consumer.Settings.MaxWaitMS = &milliseconds
	}
	return consumer
}

// consumerCovers reports whether the present consumer has everything that is wanted; what the config leaves open counts
// as it is.
func consumerCovers(present, wanted api.Consumer) bool {
	if wanted.DeadLetterQueue != present.DeadLetterQueue {
		return false
	}
	same := func(present, wanted *float64) bool { return wanted == nil || (present != nil && *present == *wanted) }
	p, w := present.Settings, wanted.Settings
	return same(p.BatchSize, w.BatchSize) && same(p.MaxConcurrency, w.MaxConcurrency) && same(p.MaxRetries, w.MaxRetries) &&
		same(p.MaxWaitMS, w.MaxWaitMS) && same(p.RetryDelay, w.RetryDelay) && same(p.VisibilityTimeoutMS, w.VisibilityTimeoutMS)
}

func describeConsumer(c api.Consumer) string {
	text := c.Type
	add := func(name string, value *float64) {
		if value != nil {
			text += fmt.Sprintf(", %s %v", name, *value)
		}
	}
	add("batch size", c.Settings.BatchSize)
	add("wait ms", c.Settings.MaxWaitMS)
	add("retries", c.Settings.MaxRetries)
	add("concurrency", c.Settings.MaxConcurrency)
	add("retry delay s", c.Settings.RetryDelay)
	add("visibility ms", c.Settings.VisibilityTimeoutMS)
	if c.DeadLetterQueue != "" {
		text += ", dead letters to " + c.DeadLetterQueue
	}
	return text
}

// routeTriggers are the routes that lead here and do not exist. Routes that the config no longer has are left, as wrangler
// leaves those of other tools: taking traffic away is for a person.
func (t *Target) routeTriggers(ctx context.Context) ([]trigger, error) {
	var list []trigger
	zones := map[string][]api.Route{}
	for _, route := range t.Worker.AllRoutes() {
		if route.CustomDomain {
			continue // see domainTriggers
		}
		zone, err := t.zone(ctx, route)
		if err != nil {
			return nil, err
		}
		if _, known := zones[zone]; !known {
			if zones[zone], err = t.api.Routes(ctx, zone); err != nil {
				return nil, fmt.Errorf("read the routes of %s: %w", route.Pattern, err)
			}
		}
		at := slices.IndexFunc(zones[zone], func(r api.Route) bool { return r.Pattern == route.Pattern })
		if at < 0 {
			wanted := api.Route{Pattern: route.Pattern, Script: t.Worker.Name}
			list = append(list, trigger{
				event.Change{Action: "create", Kind: kindRoute, Name: route.Pattern, To: t.Worker.Name},
				func(ctx context.Context) error { return t.api.CreateRoute(ctx, zone, wanted) },
			})
			continue
		}
		if err := t.leadsHere("route "+route.Pattern, zones[zone][at].Script); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// zone returns the id of the zone in which a route lies.
func (t *Target) zone(ctx context.Context, route wrangler.Route) (string, error) {
	if route.ZoneID != "" && t.Resources == ByID {
		return route.ZoneID, nil
	}
	names := []string{route.ZoneName}
	if route.ZoneName == "" {
		names = zoneCandidates(route.Pattern)
	}
	for _, name := range names {
		zones, err := t.api.Zones(ctx, name)
		if err != nil {
			return "", fmt.Errorf("look for the zone of %s: %w", route.Pattern, err)
		}
		if len(zones) > 0 {
			return zones[0].ID, nil
		}
	}
	return "", fmt.Errorf("no zone of the account covers the route %s; add the domain to the account, or give its zone_id", route.Pattern)
}

// zoneCandidates are the names that may be the zone of a pattern, the longest first.
func zoneCandidates(pattern string) []string {
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "https://"), "http://")
	host, _, _ := strings.Cut(pattern, "/")
	host = strings.TrimLeft(host, "*.")
	var names []string
	for strings.Contains(host, ".") {
		names = append(names, host)
		_, host, _ = strings.Cut(host, ".")
	}
	return names
}

func action(exists bool) string {
	if exists {
		return "update"
	}
	return "create"
}
