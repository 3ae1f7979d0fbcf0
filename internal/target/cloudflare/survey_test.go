package cloudflare

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func look(t *testing.T, target *Target, last *evidence.Promoted, unfinished ...string) evidence.Environment {
	t.Helper()
	found, err := target.Survey(t.Context(), Known{Last: last, Unfinished: unfinished, Promotions: append(unfinished, "p0")})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func resource(t *testing.T, found evidence.Environment, kind, name string) evidence.Resource {
	t.Helper()
	for _, resource := range found.Resources {
		if resource.Kind == kind && (name == "" || resource.Name == name) {
			return resource
		}
	}
	t.Fatalf("no %s %s in %+v", kind, name, found.Resources)
	return evidence.Resource{}
}

func TestSurveyOfAnEmptyAccount(t *testing.T) {
	t.Parallel()
	found := look(t, newTarget(t, newFake(t), nil), nil)
	if found.Worker.State != evidence.Missing || found.Drift.State != evidence.Missing || len(found.Gaps) != 0 {
		t.Errorf("%+v", found)
	}
	for _, resource := range found.Resources {
		if resource.State != evidence.Missing {
			t.Errorf("in an empty account: %+v", resource)
		}
	}
}

func TestSurveyOfAPromotedWorker(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	if err := promote(t.Context(), t, target, fixtureBundle(t), "p1"); err != nil {
		t.Fatal(err)
	}
	live := f.versions[0]["id"].(string)
	f.observed.classes = []map[string]any{{"id": "ns1", "class": "Counter", "script": "fixture", "use_sqlite": true}}
	found := look(t, target, &evidence.Promoted{Version: live})
	if found.Worker.State != evidence.Present || found.Worker.ShareOf(live) != 100 || len(found.Gaps) != 0 || len(found.Drift.Differences) != 0 {
		t.Errorf("%+v", found)
	}
	database := resource(t, found, evidence.ResourceD1, "")
	if database.State != evidence.Present || len(database.Database.Applied) != 3 || len(database.Database.Pending) != 0 {
		t.Errorf("%+v", database)
	}
	for _, resource := range found.Resources {
		if resource.State != evidence.Present {
			t.Errorf("%+v", resource)
		}
	}
	var bound string
	for _, binding := range found.Worker.Versions[0].Bindings {
		if binding.Type == "d1" {
			bound = binding.Target
		}
	}
	if bound != database.ID {
		t.Errorf("the version is bound to %q, the database is %q", bound, database.ID)
	}

	drifted := look(t, target, &evidence.Promoted{Version: "another"})
	want := []evidence.Difference{{What: "version", Version: live, Promoted: "another", Live: live + " takes 100 %"}}
	if diff := cmp.Diff(want, drifted.Drift.Differences); diff != "" {
		t.Error(diff)
	}
	if died := look(t, target, &evidence.Promoted{Version: "another"}, "p1").Drift.Differences; len(died) != 1 || died[0].Unfinished != "p1" {
		t.Errorf("what an unfinished promotion left: %+v", died)
	}
	f.versions[0]["annotations"] = map[string]string{"workers/message": "penstock Durable Object migrations for promotion p0"}
	if prepared := look(t, target, &evidence.Promoted{Version: "another"}).Drift.Differences; len(prepared) != 0 {
		t.Errorf("the live code with new classes: %+v", prepared)
	}
	f.versions[0]["annotations"] = map[string]string{"workers/message": "penstock Durable Object migrations for promotion px"}
	if foreign := look(t, target, &evidence.Promoted{Version: "another"}).Drift.Differences; len(foreign) != 1 {
		t.Errorf("prepared by a promotion that nobody knows: %+v", foreign)
	}

	// A secret that penstock put makes another version, of the one that was promoted or of one that was edited so before.
	for name, test := range map[string]struct {
		edited map[string]string
		want   int
	}{
		"put once":        {map[string]string{live: "promoted"}, 0},
		"put twice":       {map[string]string{live: "once", "once": "promoted"}, 0},
		"on another":      {map[string]string{live: "by hand"}, 1},
		"in a circle":     {map[string]string{live: "once", "once": live}, 1},
		"not this one":    {map[string]string{"once": "promoted"}, 1},
		"nothing was put": {nil, 1},
	} {
		found, err := target.Survey(t.Context(), Known{Last: &evidence.Promoted{Version: "promoted"}, Edited: test.edited})
		if err != nil || len(found.Drift.Differences) != test.want || (found.Drift.Edited == live) != (test.want == 0) {
			t.Errorf("%s: %+v, %v", name, found.Drift, err)
		}
	}
}

// TestWhatCannotBeAskedIsUnknown takes each call away in turn: what it would have told is never "missing", and the rest
// is known all the same.
func TestWhatCannotBeAskedIsUnknown(t *testing.T) {
	t.Parallel()
	for call, unknown := range map[string]func(evidence.Environment) evidence.State{
		"GET /d1/database": func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceD1).State },
		"POST .*/query": func(e evidence.Environment) evidence.State {
			return first(e, evidence.ResourceD1).Database.MigrationsState
		},
		"GET /storage/kv/namespaces": func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceKV).State },
		"GET /r2/buckets/.*":         func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceR2).State },
		"GET /queues/[^/]*": func(e evidence.Environment) evidence.State {
			if first(e, evidence.ResourceQueue).Queue.Reason != "" {
				return evidence.Unknown
			}
			return evidence.Present
		},
		"GET /r2/buckets/.*/domains/.*":                     func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceR2).Bucket.Public },
		"GET /zones":                                        func(e evidence.Environment) evidence.State { return e.Routes[0].ZoneState },
		"GET /zones/zone-1/workers/routes":                  func(e evidence.Environment) evidence.State { return e.Routes[0].State },
		"GET /zones/zone-1/ssl/.*":                          func(e evidence.Environment) evidence.State { return e.Certificates[0].State },
		"GET /vectorize/.*":                                 func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceVectorize).State },
		"GET /workers/(durable_objects/namespaces|scripts)": func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceDurableObject).State },
		"GET /queues":                                       func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceQueue).State },
		"GET /queues/.*/consumers": func(e evidence.Environment) evidence.State {
			return first(e, evidence.ResourceQueue).Queue.ConsumersState
		},
		"GET " + scriptPath + "/deployments":       func(e evidence.Environment) evidence.State { return e.Worker.State },
		"GET " + scriptPath + "/versions/[^/]+":    func(e evidence.Environment) evidence.State { return e.Worker.Versions[0].BindingsState },
		"GET " + scriptPath + "/secrets":           func(e evidence.Environment) evidence.State { return e.Secrets.State },
		"GET " + scriptPath + "/schedules":         func(e evidence.Environment) evidence.State { return e.Crons.State },
		"GET " + scriptPath + "/deployments|drift": func(e evidence.Environment) evidence.State { return e.Drift.State },
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.zones = []map[string]any{{"id": "zone-1", "name": "example.com", "status": "active"}}
			target := newTarget(t, f, nil)
			if err := promote(t.Context(), t, target, fixtureBundle(t), "p1"); err != nil {
				t.Fatal(err)
			}
			target.Worker.Vectorize = []wrangler.VectorizeIndex{{Binding: "FAQ", IndexName: "faq"}}
			f.mu.Lock()
			f.faults = []*fault{{call: call, kind: "denied", times: 1000}}
			f.mu.Unlock()
			found := look(t, target, &evidence.Promoted{Version: "v"})
			if state := unknown(found); state != evidence.Unknown {
				t.Errorf("it is %q: %+v", state, found)
			}
			if len(found.Gaps) == 0 || !strings.Contains(found.Gaps[0].Reason, "permission") {
				t.Errorf("gaps: %+v", found.Gaps)
			}
		})
	}
}

func first(found evidence.Environment, kind string) evidence.Resource {
	for _, resource := range found.Resources {
		if resource.Kind == kind {
			return resource
		}
	}
	return evidence.Resource{}
}

func TestASurveyThatIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTarget(t, newFake(t), nil).Survey(ctx, Known{}); err == nil {
		t.Error("stopped, and an environment is found")
	}
}

func TestMigrationPlans(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	before, gaps := target.MigrationPlans(t.Context())
	if len(gaps) != 0 || len(before) != 1 || len(before[0].Pending) != 3 || before[0].ID != "" {
		t.Fatalf("%+v, %+v", before, gaps)
	}
	firstOf := before[0].Pending[0]
	if firstOf.File != "migrations/0001_first.sql" || firstOf.SQL != fixtureFiles[firstOf.File] || !strings.HasPrefix(firstOf.Digest, "sha256:") {
		t.Errorf("%+v", firstOf)
	}
	if err := promote(t.Context(), t, target, fixtureBundle(t), "p1"); err != nil {
		t.Fatal(err)
	}
	after, gaps := target.MigrationPlans(t.Context())
	if len(gaps) != 0 || len(after[0].Pending) != 0 || len(after[0].Applied) != 3 || after[0].Applied[0].Digest != firstOf.Digest {
		t.Errorf("%+v, %+v", after, gaps)
	}
	f.mu.Lock()
	f.faults = []*fault{{call: "GET /d1/database", kind: "denied", times: 100}}
	f.mu.Unlock()
	if plans, gaps := target.MigrationPlans(t.Context()); len(plans) != 0 || len(gaps) != 1 {
		t.Errorf("%+v, %+v", plans, gaps)
	}
}

func TestSurveyOfWhatIsReached(t *testing.T) {
	t.Parallel()
	expires := func(days int) string { return noon.AddDate(0, 0, days).Format(time.RFC3339) }
	pack := func(status string, hosts []string, days ...int) map[string]any {
		certificates := []any{}
		for _, d := range days {
			certificates = append(certificates, map[string]any{"status": status, "issuer": "GoogleTrustServices", "expires_on": expires(d)})
		}
		return map[string]any{"id": "p", "status": status, "hosts": hosts, "certificates": certificates, "validation_errors": []any{map[string]any{"message": "caa"}}}
	}
	f := newFake(t)
	f.zones = []map[string]any{{"id": "zone-1", "name": "example.com", "status": "pending"}}
	f.routes = []map[string]any{{"id": "r1", "pattern": "fixture.example.com/*", "script": "another"}}
	f.observed.domains = []map[string]any{{"id": "d1", "hostname": "app.example.com", "service": "fixture", "zone_id": "zone-1"}}
	f.observed.packs = []map[string]any{
		pack("expired", []string{"*.example.com"}, 1), pack("active", []string{"example.com", "*.example.com"}, 40, 30), pack("active", []string{"*.example.com"}, 20),
		pack("pending_validation", []string{"deep.app.example.com"}),
	}
	target := newTarget(t, f, func(o *Options) {
		o.Worker.Routes = []wrangler.Route{
			{Pattern: "fixture.example.com/*", ZoneName: "example.com"}, {Pattern: "app.example.com", CustomDomain: true},
			{Pattern: "deep.app.example.com/api/*"}, {Pattern: "elsewhere.org/*"}, {Pattern: "other.sub.example.com", CustomDomain: true},
		}
		o.Worker.Vectorize = []wrangler.VectorizeIndex{{Binding: "FAQ", IndexName: "faq"}, {Binding: "OLD", IndexName: "gone"}}
	})
	f.observed.indexes = map[string]map[string]any{"faq": {"name": "faq", "config": map[string]any{"dimensions": 768, "metric": "cosine"}}}
	found := look(t, target, nil)

	var routes, certificates []string
	for _, route := range found.Routes {
		routes = append(routes, fmt.Sprint(route.Host, " ", route.ZoneState, " ", route.ZoneStatus, " ", route.State, " ", route.LeadsTo))
	}
	for _, certificate := range found.Certificates {
		certificates = append(certificates, fmt.Sprint(certificate.Host, " ", certificate.State, " ", certificate.Status, " ", certificate.Expires.Format(time.DateOnly)))
	}
	wantRoutes := []string{
		"fixture.example.com present pending present another", "app.example.com present pending present fixture",
		"deep.app.example.com present pending missing ", "elsewhere.org missing  missing ", "other.sub.example.com present pending missing ",
	}
	wantCertificates := []string{
		"fixture.example.com present active 2026-03-31", "app.example.com present active 2026-03-31", "deep.app.example.com present pending_validation 0001-01-01",
		"elsewhere.org missing  0001-01-01", "other.sub.example.com missing  0001-01-01",
	}
	if diff := cmp.Diff(wantRoutes, routes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(wantCertificates, certificates); diff != "" {
		t.Error(diff)
	}
	if index := resource(t, found, evidence.ResourceVectorize, "faq"); index.Vectorize.Dimensions != 768 || index.Vectorize.Vectors != 7 {
		t.Errorf("%+v", index)
	}
	if index := resource(t, found, evidence.ResourceVectorize, "gone"); index.State != evidence.Missing {
		t.Errorf("%+v", index)
	}
}

func TestSurveyOfAPublicBucketAndAPausedQueue(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	if err := promote(t.Context(), t, target, fixtureBundle(t), "p1"); err != nil {
		t.Fatal(err)
	}
	f.observed.bucketPublic, f.observed.paused = true, true
	found := look(t, target, nil)
	if bucket := first(found, evidence.ResourceR2).Bucket; bucket.Public != evidence.Present || !slices.Equal(bucket.Domains, []string{"pub-1.r2.dev"}) {
		t.Errorf("%+v", bucket)
	}
	queue := resource(t, found, evidence.ResourceQueue, "fixture-jobs").Queue
	if !queue.DeliveryPaused || queue.Wanted == nil || *queue.Wanted.BatchSize != 10 || len(queue.Consumers) != 1 || queue.Consumers[0].Script != "fixture" {
		t.Errorf("%+v", queue)
	}
	if dead := resource(t, found, evidence.ResourceQueue, "fixture-dead").Queue; !dead.DeadLetter || !slices.Equal(dead.From, []string{"fixture-jobs"}) || dead.Wanted != nil {
		t.Errorf("%+v", dead)
	}
}
