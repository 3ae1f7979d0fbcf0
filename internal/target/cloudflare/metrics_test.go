package cloudflare

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

func metrics(t *testing.T, target *Target) evidence.Metrics {
	t.Helper()
	found, err := target.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// observedTarget is a Worker of two versions: old for an hour, new with a tenth of the traffic for a minute.
func observedTarget(t *testing.T) (*fake, *Target) {
	t.Helper()
	now := time.Now().UTC()
	at := func(before time.Duration) string { return now.Add(-before).Format(time.RFC3339) }
	share := func(version string, percentage float64) map[string]any {
		return map[string]any{"version_id": version, "percentage": percentage}
	}
	invoked := func(before time.Duration, version string, requests, errors float64) map[string]any {
		return map[string]any{
			"at": at(before), "dimensions": map[string]any{"scriptVersion": version}, "sum": map[string]any{"requests": requests, "errors": errors},
			"avg": map[string]any{"sampleInterval": 1}, "quantiles": map[string]any{"wallTimeP95": 250_000, "memoryUsageBytesP99": 1 << 20, "cpuTimeP50": nil},
		}
	}
	f := newFake(t)
	f.exists = true
	f.deployments = []map[string]any{
		{"id": "2", "created_on": at(time.Minute), "versions": []any{share("old", 90), share("new", 10)}},
		{"id": "1", "created_on": at(2 * time.Hour), "versions": []any{share("old", 100)}},
	}
	f.databases = []map[string]any{{"uuid": "db-1", "name": "fixture-db"}}
	f.queues = []map[string]any{{"queue_id": "q-1", "queue_name": "fixture-jobs"}}
	f.zones = []map[string]any{{"id": "zone-1", "name": "example.com", "status": "active"}}
	f.observed.backlog = 12
	f.observed.groups = map[string][]map[string]any{
		datasetInvocations: {invoked(30*time.Minute, "old", 600, 1), invoked(20*time.Second, "new", 5, 5), invoked(20*time.Second, "old", 45, 0), invoked(10*time.Second, "new", 4, 3)},
		datasetBacklog:     {{"at": at(5 * time.Minute), "dimensions": map[string]any{"queueId": "q-1"}, "avg": map[string]any{"messages": 3.5, "bytes": 100}}},
		datasetQueries: {
			{"at": at(20 * time.Second), "dimensions": map[string]any{"databaseId": "db-1", "error": "0"}, "count": 9},
			{"at": at(20 * time.Second), "dimensions": map[string]any{"databaseId": "db-1", "error": "1"}, "count": 2},
		},
		datasetRequests: {
			{"at": at(20 * time.Second), "dimensions": map[string]any{"edgeResponseStatus": 200}, "count": 40},
			{"at": at(20 * time.Second), "dimensions": map[string]any{"edgeResponseStatus": 503}, "count": 3},
		},
	}
	return f, newTarget(t, f, func(o *Options) {
		o.Worker.Routes = []wrangler.Route{{Pattern: "fixture.example.com/*", ZoneName: "example.com"}}
	})
}

func TestMetricsTellVersionsApart(t *testing.T) {
	t.Parallel()
	_, target := observedTarget(t)
	found := metrics(t, target)
	if len(found.Gaps) != 0 || found.VersionsState != evidence.Present || len(found.Versions) != 2 {
		t.Fatalf("%+v", found)
	}
	fresh, _ := found.Of("new")
	if len(fresh.Points) != 2 || fresh.Points[0].Requests != 5 || fresh.Points[1].Errors != 3 || fresh.Points[0].To.Sub(fresh.Points[0].From) != time.Second {
		t.Errorf("%+v", fresh)
	}
	if wall := fresh.Points[0].Wall; wall == nil || *wall.P95 != 250 || wall.P50 != nil || *fresh.Points[0].Memory.P99 != 1<<20 || fresh.Points[0].CPU != nil {
		t.Errorf("%+v", fresh.Points[0])
	}
	old, _ := found.Of("old")
	if len(old.Points) != 2 || old.Points[0].To.Sub(old.Points[0].From) != time.Minute {
		t.Errorf("%+v", old)
	}
	if since := found.Since["new"]; time.Since(since) > 2*time.Minute || time.Since(since) < 50*time.Second {
		t.Errorf("new takes traffic since %s", since)
	}
	if total := found.Total.Points; len(total) != 3 || total[1].Requests != 50 || total[1].Errors != 5 || total[1].Wall != nil || total[2].Wall == nil {
		t.Errorf("%+v", total)
	}
	queue := found.Queues[0]
	if queue.State != evidence.Present || len(queue.Points) != 2 || queue.Points[0].Messages != 3.5 || queue.Points[1].Messages != 12 {
		t.Errorf("%+v", queue)
	}
	database := found.Databases[0]
	if database.State != evidence.Present || len(database.Points) != 1 || database.Points[0].Queries != 11 || *database.Points[0].Errors != 2 {
		t.Errorf("%+v", database)
	}
	if answers := found.Answers[0]; answers.State != evidence.Present || len(answers.Points) != 1 || answers.Points[0].Requests != 43 || answers.Points[0].Failed != 3 {
		t.Errorf("%+v", answers)
	}
}

// Nothing was measured: that is Missing, and no zeros.
func TestMetricsWithoutData(t *testing.T) {
	t.Parallel()
	f, target := observedTarget(t)
	f.observed.groups = nil
	found := metrics(t, target)
	if len(found.Gaps) != 0 || found.Total.State != evidence.Missing || len(found.Versions) != 0 || found.Databases[0].State != evidence.Missing || found.Answers[0].State != evidence.Missing {
		t.Errorf("%+v", found)
	}
}

func TestMetricsThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for dataset, state := range map[string]func(evidence.Metrics) evidence.State{
		datasetInvocations: func(m evidence.Metrics) evidence.State { return m.Total.State },
		datasetQueries:     func(m evidence.Metrics) evidence.State { return m.Databases[0].State },
		datasetRequests:    func(m evidence.Metrics) evidence.State { return m.Answers[0].State },
	} {
		t.Run(dataset, func(t *testing.T) {
			t.Parallel()
			f, target := observedTarget(t)
			f.observed.refuses = dataset
			found := metrics(t, target)
			if state(found) != evidence.Unknown || len(found.Gaps) != 1 || !strings.Contains(found.Gaps[0].Reason, "Account Analytics > Read") {
				t.Errorf("%+v", found)
			}
		})
	}
	for _, dataset := range []string{datasetQueries, datasetRequests} {
		f, target := observedTarget(t)
		f.observed.silent = dataset
		found := metrics(t, target)
		state := map[string]evidence.State{datasetQueries: found.Databases[0].State, datasetRequests: found.Answers[0].State}[dataset]
		if state != evidence.Unknown || len(found.Gaps) != 1 {
			t.Errorf("nothing was said about %s: %s, %+v", dataset, state, found.Gaps)
		}
	}
	for _, kind := range []string{"unavailable", "nonsense", "denied"} {
		f, target := observedTarget(t)
		f.faults = []*fault{{call: "POST /graphql", kind: kind, times: 1000}}
		if found := metrics(t, target); found.Total.State != evidence.Unknown || found.VersionsState != evidence.Unknown || len(found.Gaps) < 4 {
			t.Errorf("%s: %+v", kind, found)
		}
	}
}

// An account whose analytics do not know of memory is asked for the rest.
func TestMetricsWithoutMemory(t *testing.T) {
	t.Parallel()
	for _, unknown := range []string{"memoryUsageBytesP50", "wallTimeP95"} {
		f, target := observedTarget(t)
		f.observed.refuses = unknown
		withLess(t, metrics(t, target))
	}
}

func withLess(t *testing.T, found evidence.Metrics) {
	t.Helper()
	fresh, _ := found.Of("new")
	if len(fresh.Points) != 2 || fresh.Points[0].Memory == nil { // the fake gives what it has
		t.Errorf("%+v", fresh)
	}
	if len(found.Gaps) != 1 || found.Gaps[0].What != gapDetail {
		t.Errorf("%+v", found.Gaps)
	}
}
