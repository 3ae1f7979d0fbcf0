package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// Survey looks at everything that gates judge of the environment: the Worker, what it is bound to, and what calls it. It
// changes nothing. known is what is on record of earlier promotions.
//
// What cannot be asked is [evidence.Unknown] at its place, with the reason, and a gap; it does not keep the rest from being
// known. The error is only for a ctx that ended.
func (t *Target) Survey(ctx context.Context, known Known) (evidence.Environment, error) {
	s := &survey{target: t, found: evidence.Environment{
		Header: evidence.Header{TakenAt: time.Now().UTC()}, Name: t.Environment.Name,
		Resources: []evidence.Resource{}, Routes: []evidence.Route{}, Certificates: []evidence.Certificate{}, Gaps: []evidence.Gap{},
	}}
	s.worker(ctx)
	s.databases(ctx)
	s.namespaces(ctx)
	s.buckets(ctx)
	s.classes(ctx)
	s.queues(ctx)
	s.indexes(ctx)
	s.secrets(ctx)
	s.routes(ctx)
	s.crons(ctx)
	s.drift(known)
	if err := ctx.Err(); err != nil {
		return evidence.Environment{}, fmt.Errorf("look at environment %s: %w", t.Environment.Name, context.Cause(ctx))
	}
	return s.found, nil
}

// Known is what is on record of earlier promotions to the environment.
type Known struct {
	Last       *evidence.Promoted // completed last; nil when there was none
	Unfinished []string           // promotions that reached no end
	Promotions []string           // all of them
	// Edited are versions that penstock itself made of others by putting a secret, each with the one that it was made of.
	Edited map[string]string
}

// origin is the version of which one was made by putting secrets; itself when it was not.
func (k Known) origin(version string) string {
	for range len(k.Edited) {
		base, edited := k.Edited[version]
		if !edited {
			break
		}
		version = base
	}
	return version
}

// survey is one look.
type survey struct {
	target *Target
	found  evidence.Environment
}

// gap notes what could not be asked and returns the reason for its own place.
func (s *survey) gap(what string, err error) string {
	reason := err.Error()
	s.found.Gaps = append(s.found.Gaps, evidence.Gap{What: what, Reason: reason})
	return reason
}

func (s *survey) worker(ctx context.Context) {
	t, worker := s.target, &s.found.Worker
	*worker = evidence.Worker{
		Name: t.Worker.Name, State: evidence.Unknown,
		Shares: []evidence.Share{}, Versions: []evidence.Version{}, Deployments: []evidence.Deployment{},
	}
	if url, err := t.url(ctx); err != nil {
		s.gap("the Worker's address", err)
	} else {
		worker.URL = url
	}
	deployments, err := t.api.Deployments(ctx, t.Worker.Name)
	if errors.Is(err, api.ErrNotFound) {
		worker.State = evidence.Missing
		return
	}
	if err != nil {
		s.gap("the deployments of Worker "+t.Worker.Name, err)
		return
	}
	worker.State = evidence.Present
	for _, deployment := range deployments {
		divided := evidence.Deployment{ID: deployment.ID, At: deployment.CreatedOn, Message: deployment.Annotations.Message, Shares: []evidence.Share{}}
		for _, share := range shares(deployment) {
			divided.Shares = append(divided.Shares, evidence.Share{Version: share.Version, Percentage: share.Percentage})
		}
		worker.Deployments = append(worker.Deployments, divided)
	}
	if len(worker.Deployments) > 0 {
		worker.Shares = worker.Deployments[0].Shares
	}
	s.versions(ctx)
}

// versions lists them, and reads the bindings of those in the current deployment: the only ones that anybody can reach.
func (s *survey) versions(ctx context.Context) {
	t, worker := s.target, &s.found.Worker
	versions, err := t.api.Versions(ctx, t.Worker.Name)
	if err != nil {
		s.gap("the versions of Worker "+t.Worker.Name, err)
	}
	known := map[string]bool{}
	for _, version := range versions {
		worker.Versions = append(worker.Versions, describeVersion(version))
		known[version.ID] = true
	}
	for _, share := range worker.Shares {
		if !known[share.Version] { // older than the page that was listed
			worker.Versions = append(worker.Versions, evidence.Version{ID: share.Version, BindingsState: evidence.Unknown})
		}
	}
	for i := range worker.Versions {
		version := &worker.Versions[i]
		if !slices.ContainsFunc(worker.Shares, func(share evidence.Share) bool { return share.Version == version.ID }) {
			continue
		}
		detail, err := t.api.Version(ctx, t.Worker.Name, version.ID)
		if err == nil {
			version.Bindings, err = describeBindings(detail)
		}
		if err != nil {
			s.gap("the bindings of version "+version.ID, err)
			continue
		}
		version.BindingsState = evidence.Present
		if version.CreatedAt.IsZero() {
			bindings := version.Bindings
			*version = describeVersion(detail)
			version.Bindings, version.BindingsState = bindings, evidence.Present
		}
	}
}

func describeVersion(version api.Version) evidence.Version {
	bundle, _ := readMessage(version.Annotations.Message)
	prepared := ""
	if match := preparedFor.FindStringSubmatch(version.Annotations.Message); match != nil && version.Annotations.Tag == "" {
		prepared = match[1]
	}
	return evidence.Version{
		PreparedFor: prepared, ID: version.ID, Number: int(version.Number), Tag: version.Annotations.Tag, Bundle: bundle,
		CreatedAt: version.Metadata.CreatedOn, BindingsState: evidence.Unknown,
	}
}

// bindingTargets are the keys under which a binding says what it is bound to, by type.
var bindingTargets = map[string][]string{
	"d1": {"id", "database_id"}, "kv_namespace": {"namespace_id"}, "r2_bucket": {"bucket_name"}, "queue": {"queue_name"},
	"vectorize": {"index_name"}, "durable_object_namespace": {"class_name"}, "service": {"service"},
}

func describeBindings(version api.Version) ([]evidence.Binding, error) {
	bindings := make([]evidence.Binding, 0, len(version.Resources.Bindings))
	for _, raw := range version.Resources.Bindings {
		var b binding
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, fmt.Errorf("read the bindings of version %s: %w", version.ID, err)
		}
		described := evidence.Binding{Name: b.text("name"), Type: b.text("type")}
		for _, key := range bindingTargets[described.Type] {
			if described.Target == "" {
				described.Target = b.text(key)
			}
		}
		bindings = append(bindings, described)
	}
	return bindings, nil
}

// stateOf is a resource's state by the id that was found.
func stateOf(id string) evidence.State {
	if id == "" {
		return evidence.Missing
	}
	return evidence.Present
}

func (s *survey) databases(ctx context.Context) {
	t := s.target
	for _, database := range t.Worker.D1Databases {
		resource := evidence.Resource{Kind: evidence.ResourceD1, Name: t.databaseName(database), Binding: database.Binding, State: evidence.Unknown}
		id, err := t.findDatabase(ctx, database)
		if err != nil {
			resource.Reason = s.gap("D1 database "+resource.Name, err)
		} else if resource.ID, resource.State = id, stateOf(id); id != "" {
			resource.Database = s.database(ctx, id, database)
		}
		s.found.Resources = append(s.found.Resources, resource)
	}
}

func (s *survey) database(ctx context.Context, id string, database wrangler.D1Database) *evidence.Database {
	t := s.target
	described := &evidence.Database{
		MigrationsState: evidence.Unknown, Table: migrationsTable(database), Applied: []string{}, Pending: []string{}, Gone: []string{},
	}
	history, err := t.history(ctx, id, database)
	var files []migrationFile
	if err == nil {
		files, err = t.migrationFiles(database)
	}
	if err != nil {
		described.Reason = s.gap("the migrations of D1 database "+t.databaseName(database), err)
		return described
	}
	described.MigrationsState = evidence.Present
	described.Applied = append(described.Applied, history.applied...)
	for _, file := range history.pending(files) {
		described.Pending = append(described.Pending, file.Name)
	}
	described.Gone = append(described.Gone, history.gone(files)...)
	return described
}

func (s *survey) namespaces(ctx context.Context) {
	t := s.target
	for _, namespace := range t.Worker.KVNamespaces {
		resource := evidence.Resource{Kind: evidence.ResourceKV, Name: t.namespaceTitle(namespace), Binding: namespace.Binding, State: evidence.Unknown}
		id, err := t.findNamespace(ctx, namespace)
		if err != nil {
			resource.Reason = s.gap("KV namespace "+resource.Name, err)
		} else {
			resource.ID, resource.State = id, stateOf(id)
		}
		s.found.Resources = append(s.found.Resources, resource)
	}
}

func (s *survey) buckets(ctx context.Context) {
	t := s.target
	for _, bucket := range t.Worker.R2Buckets {
		resource := evidence.Resource{Kind: evidence.ResourceR2, Name: t.bucketName(bucket), Binding: bucket.Binding, State: evidence.Unknown}
		exists, err := t.api.HasBucket(ctx, resource.Name, bucket.Jurisdiction)
		switch {
		case err != nil:
			resource.Reason = s.gap("R2 bucket "+resource.Name, err)
		case !exists:
			resource.State = evidence.Missing
		default:
			resource.State, resource.ID = evidence.Present, resource.Name
			resource.Bucket = s.bucket(ctx, resource.Name, bucket.Jurisdiction)
		}
		s.found.Resources = append(s.found.Resources, resource)
	}
}

func (s *survey) bucket(ctx context.Context, name, jurisdiction string) *evidence.Bucket {
	described := &evidence.Bucket{Jurisdiction: jurisdiction, Public: evidence.Unknown}
	domains, err := s.target.api.PublicDomains(ctx, name, jurisdiction)
	switch {
	case err != nil:
		described.PublicReason = s.gap("who may read R2 bucket "+name, err)
	case len(domains) > 0:
		described.Public, described.Domains = evidence.Present, domains
	default:
		described.Public = evidence.Missing
	}
	return described
}

// classes looks for the Durable Object classes that the config binds. Where the account's list cannot be had, a Worker that
// stands at the last of the config's migrations has all of its own classes.
func (s *survey) classes(ctx context.Context) {
	t := s.target
	if len(t.Worker.DurableObjects.Bindings) == 0 {
		return
	}
	classes, err := t.api.Classes(ctx)
	migrated := false
	if err != nil && len(t.Worker.Migrations) > 0 {
		script, scriptErr := t.api.Script(ctx, t.Worker.Name)
		migrated = scriptErr == nil && script.MigrationTag == t.Worker.Migrations[len(t.Worker.Migrations)-1].Tag
	}
	own := t.finalClasses()
	for _, bound := range t.Worker.DurableObjects.Bindings {
		script := bound.ScriptName
		if script == "" {
			script = t.Worker.Name
		}
		resource := evidence.Resource{Kind: evidence.ResourceDurableObject, Name: bound.ClassName, Binding: bound.Name, State: evidence.Missing}
		at := slices.IndexFunc(classes, func(c api.Class) bool { return c.Class == bound.ClassName && c.Script == script })
		switch {
		case at >= 0:
			resource.State, resource.ID = evidence.Present, classes[at].ID
			resource.Class = &evidence.Class{Name: bound.ClassName, Script: script, SQLite: classes[at].SQLite}
		case err != nil && migrated && script == t.Worker.Name && slices.Contains(own, bound.ClassName):
			resource.State = evidence.Present
			resource.Class = &evidence.Class{Name: bound.ClassName, Script: script}
		case err != nil:
			resource.State, resource.Reason = evidence.Unknown, s.gap("Durable Object class "+bound.ClassName, err)
		}
		s.found.Resources = append(s.found.Resources, resource)
	}
}

func (s *survey) indexes(ctx context.Context) {
	for _, bound := range s.target.Worker.Vectorize {
		resource := evidence.Resource{Kind: evidence.ResourceVectorize, Name: bound.IndexName, Binding: bound.Binding, State: evidence.Unknown}
		index, err := s.target.api.Index(ctx, bound.IndexName)
		switch {
		case errors.Is(err, api.ErrNotFound) && !api.NoSuchCall(err):
			resource.State = evidence.Missing
		case err != nil:
			resource.Reason = s.gap("Vectorize index "+bound.IndexName, err)
		default:
			resource.State, resource.ID = evidence.Present, bound.IndexName
			resource.Vectorize = &evidence.Vectorize{Dimensions: index.Config.Dimensions, Metric: index.Config.Metric, CountState: evidence.Unknown}
			if count, err := s.target.api.VectorCount(ctx, bound.IndexName); err != nil {
				s.gap("how many vectors Vectorize index "+bound.IndexName+" has", err)
			} else {
				resource.Vectorize.Vectors, resource.Vectorize.CountState = count, evidence.Present
			}
		}
		s.found.Resources = append(s.found.Resources, resource)
	}
}

func (s *survey) queues(ctx context.Context) {
	t := s.target
	ids, err := t.queues(ctx)
	for _, name := range t.queueNames() {
		resource := evidence.Resource{Kind: evidence.ResourceQueue, Name: name, State: evidence.Unknown}
		for _, producer := range t.Worker.Queues.Producers {
			if producer.Queue == name {
				resource.Binding = producer.Binding
			}
		}
		if err != nil {
			resource.Reason = s.gap("queue "+name, err)
		} else if resource.ID, resource.State = ids[name], stateOf(ids[name]); resource.ID != "" {
			resource.Queue = s.queue(ctx, resource.ID, name)
		}
		s.found.Resources = append(s.found.Resources, resource)
	}
}

func (s *survey) queue(ctx context.Context, id, name string) *evidence.Queue {
	t := s.target
	described := &evidence.Queue{Consumers: []evidence.Consumer{}, ConsumersState: evidence.Unknown}
	for _, config := range t.Worker.Queues.Consumers {
		if config.Queue == name {
			wanted := describedConsumer(t.consumer(config))
			described.Wanted = &wanted
		}
		if config.DeadLetterQueue == name {
			described.DeadLetter, described.From = true, append(described.From, config.Queue)
		}
	}
	consumers, err := t.api.Consumers(ctx, id)
	if err != nil {
		described.Reason = s.gap("the consumers of queue "+name, err)
		return described
	}
	described.ConsumersState = evidence.Present
	for _, consumer := range consumers {
		described.Consumers = append(described.Consumers, describedConsumer(consumer))
	}
	if described.DeliveryPaused, err = t.api.DeliveryPaused(ctx, id); err != nil {
		described.Reason = s.gap("the settings of queue "+name, err)
	}
	return described
}

func describedConsumer(c api.Consumer) evidence.Consumer {
	return evidence.Consumer{
		Type: c.Type, Script: c.Script, DeadLetterQueue: c.DeadLetterQueue, BatchSize: c.Settings.BatchSize,
		MaxConcurrency: c.Settings.MaxConcurrency, MaxRetries: c.Settings.MaxRetries, MaxWaitMS: c.Settings.MaxWaitMS,
		RetryDelay: c.Settings.RetryDelay, VisibilityMS: c.Settings.VisibilityTimeoutMS,
	}
}

func (s *survey) secrets(ctx context.Context) {
	t := s.target
	required := slices.Concat(t.Environment.Secrets, t.Worker.Secrets.Required)
	secrets := evidence.Secrets{State: evidence.Missing, Required: slices.Compact(slices.Sorted(slices.Values(required))), Names: []string{}}
	if secrets.Required == nil {
		secrets.Required = []string{}
	}
	switch names, err := t.api.Secrets(ctx, t.Worker.Name); {
	case errors.Is(err, api.ErrNotFound): // there is no Worker yet, and so no secret
	case err != nil:
		secrets.State, secrets.Reason = evidence.Unknown, s.gap("the secrets of Worker "+t.Worker.Name, err)
	default:
		secrets.State, secrets.Names = evidence.Present, append(secrets.Names, names...)
	}
	s.found.Secrets = secrets
}

func (s *survey) crons(ctx context.Context) {
	t := s.target
	crons := evidence.Crons{State: evidence.Missing, Wanted: append([]string{}, t.Worker.Triggers.Crons...), Found: []string{}}
	switch found, err := t.api.Crons(ctx, t.Worker.Name); {
	case errors.Is(err, api.ErrNotFound):
	case err != nil:
		crons.State, crons.Reason = evidence.Unknown, s.gap("the crons of Worker "+t.Worker.Name, err)
	default:
		crons.State, crons.Found = evidence.Present, append(crons.Found, found...)
	}
	s.found.Crons = crons
}

// drift compares what takes traffic with what was promoted last. A version at 0 % serves nobody; it may be the one that is
// being judged. What a promotion of ours prepared runs the code that was live.
func (s *survey) drift(known Known) {
	drift, last := &s.found.Drift, known.Last
	*drift = evidence.Drift{State: evidence.Missing, Last: last, Differences: []evidence.Difference{}}
	if last == nil {
		return
	}
	worker := s.found.Worker
	switch worker.State {
	case evidence.Present:
		drift.State = evidence.Present
	case evidence.Missing:
		drift.State = evidence.Present
		drift.Differences = append(drift.Differences, evidence.Difference{What: "worker", Promoted: worker.Name, Live: "does not exist"})
		return
	default:
		drift.State, drift.Reason = evidence.Unknown, "what is live could not be asked"
		return
	}
	for _, share := range worker.Shares {
		version := evidence.Version{}
		if at := slices.IndexFunc(worker.Versions, func(v evidence.Version) bool { return v.ID == share.Version }); at >= 0 {
			version = worker.Versions[at]
		}
		if share.Percentage > 0 && share.Version != last.Version && known.origin(share.Version) == last.Version {
			drift.Edited = share.Version
			continue
		}
		if share.Percentage == 0 || share.Version == last.Version || slices.Contains(known.Promotions, version.PreparedFor) {
			continue
		}
		difference := evidence.Difference{
			What: "version", Version: share.Version, Promoted: last.Version, Live: fmt.Sprintf("%s takes %g %%", share.Version, share.Percentage),
		}
		if slices.Contains(known.Unfinished, version.Tag) {
			difference.Unfinished = version.Tag
		}
		drift.Differences = append(drift.Differences, difference)
	}
	for _, resource := range s.found.Resources {
		if resource.Database == nil {
			continue
		}
		for _, name := range resource.Database.Gone {
			drift.Differences = append(drift.Differences, evidence.Difference{
				What: "migration", Live: name + " is applied to " + resource.Name + " and its file does not exist",
			})
		}
	}
}

// MigrationPlans are the databases with the migrations that are applied and those that a promotion would apply, with their
// texts. What could not be read is a gap, and then the database is left out.
func (t *Target) MigrationPlans(ctx context.Context) ([]evidence.DatabasePlan, []evidence.Gap) {
	plans, gaps := []evidence.DatabasePlan{}, []evidence.Gap{}
	for _, database := range t.Worker.D1Databases {
		plan, err := t.migrationPlan(ctx, database)
		if err != nil {
			gaps = append(gaps, evidence.Gap{What: "the migrations of D1 database " + t.databaseName(database), Reason: err.Error()})
			continue
		}
		plans = append(plans, plan)
	}
	return plans, gaps
}

func (t *Target) migrationPlan(ctx context.Context, database wrangler.D1Database) (evidence.DatabasePlan, error) {
	plan := evidence.DatabasePlan{
		Binding: database.Binding, Name: t.databaseName(database), Folder: migrationsFolder(database),
		Pending: []evidence.Migration{}, Applied: []evidence.Migration{},
	}
	files, err := t.migrationFiles(database)
	if err != nil {
		return plan, err
	}
	if plan.ID, err = t.findDatabase(ctx, database); err != nil {
		return plan, err
	}
	h := history{}
	if plan.ID != "" {
		if h, err = t.history(ctx, plan.ID, database); err != nil {
			return plan, err
		}
	}
	described := func(file migrationFile) evidence.Migration {
		return evidence.Migration{Name: file.Name, File: plan.Folder + "/" + file.Name, Digest: file.Digest, SQL: file.text}
	}
	for _, file := range h.pending(files) {
		plan.Pending = append(plan.Pending, described(file))
	}
	for _, name := range h.applied {
		applied := evidence.Migration{Name: name}
		if at := slices.IndexFunc(files, func(f migrationFile) bool { return f.Name == name }); at >= 0 {
			applied = described(files[at])
		}
		plan.Applied = append(plan.Applied, applied)
	}
	return plan, nil
}
