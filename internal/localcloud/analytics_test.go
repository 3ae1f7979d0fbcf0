package localcloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// graphQL asks and returns what stands below viewer, or the errors' messages.
func graphQL(t *testing.T, cloud *Cloud, query string, variables map[string]any) (viewer map[string]any, problems []string) {
	t.Helper()
	response := request(t, cloud, "POST", "/graphql", bytes.NewReader(good[[]byte](t)(json.Marshal(map[string]any{"query": query, "variables": variables}))))
	var said struct {
		Data   *struct{ Viewer map[string]any }
		Errors []struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	for _, one := range said.Errors {
		problems = append(problems, one.Message)
	}
	if (said.Data == nil) == (len(problems) == 0) {
		t.Errorf("%s: data and errors do not agree: %v, %v", query, said.Data, problems)
	}
	if said.Data == nil {
		return nil, problems
	}
	return said.Data.Viewer, nil
}

const perVersion = `query ($accountTag: string!, $filter: AccountWorkersInvocationsAdaptiveFilter_InputObject) { viewer { accounts(filter: {accountTag: $accountTag}) {
	workersInvocationsAdaptive(limit: 100, filter: $filter, orderBy: [sum_requests_DESC]) {
		dimensions { scriptName scriptVersion } sum { requests errors subrequests cpuTimeUs } quantiles { wallTimeP50 wallTimeP99 cpuTimeP99 }
	} } } }`

func TestABadVersionCanBeSeenGoingBad(t *testing.T) {
	dir := t.TempDir()
	cloud, fake := startFake(t, dir)
	account := cloud.Info().AccountID
	now := time.Now()
	call := func(version string, times int, outcome string, status int, duration time.Duration) {
		for range times {
			fake.observer.Invocation(runtime.Invocation{Script: "hello", Version: version, At: now.Add(-duration), Duration: duration, Outcome: outcome, Status: status})
		}
	}
	call("blue", 90, "ok", 200, 10*time.Millisecond)
	call("blue", 1, "canceled", 200, time.Millisecond)
	call("green", 6, "exception", 500, time.Millisecond)
	call("green", 1, runtime.OutcomeBroken, 502, time.Millisecond)
	call("green", 2, "ok", 500, time.Second) // an answer of the Worker's own is no error of the Worker
	call("green", 1, "", 500, time.Millisecond)
	fake.observer.Invocation(runtime.Invocation{Script: "other", Version: "x", At: now, Outcome: "ok"})

	expect := func(cloud *Cloud, when string) {
		t.Helper()
		viewer, problems := graphQL(t, cloud, perVersion, map[string]any{"accountTag": account, "filter": map[string]any{
			"scriptName": "hello", "datetime_geq": now.Add(-time.Minute).Format(time.RFC3339), "datetime_leq": now.Add(time.Minute).Format(time.RFC3339),
		}})
		if problems != nil {
			t.Fatal(problems)
		}
		groups := viewer["accounts"].([]any)[0].(map[string]any)["workersInvocationsAdaptive"].([]any)
		if len(groups) != 2 {
			t.Fatalf("%s: %v", when, groups)
		}
		text := func(i int) string {
			group := groups[i].(map[string]any)
			return fmt.Sprint(group["dimensions"], group["sum"])
		}
		if got, want := text(0), "map[scriptName:hello scriptVersion:blue] map[cpuTimeUs:<nil> errors:0 requests:91 subrequests:<nil>]"; got != want {
			t.Errorf("%s: %s, not %s", when, got, want)
		}
		if got, want := text(1), "map[scriptName:hello scriptVersion:green] map[cpuTimeUs:<nil> errors:8 requests:10 subrequests:<nil>]"; got != want {
			t.Errorf("%s: %s, not %s", when, got, want)
		}
		quantiles := groups[0].(map[string]any)["quantiles"].(map[string]any)
		if p50 := quantiles["wallTimeP50"].(float64); p50 < 9_500 || p50 > 10_600 || quantiles["cpuTimeP99"] != nil {
			t.Errorf("%s: %v", when, quantiles)
		}
	}
	expect(cloud, "at once")
	fake.observer.Invocation(runtime.Invocation{Script: "late", Version: "v", At: now, Outcome: "ok"})
	stop(t, cloud)
	cloud, _ = startFake(t, dir)
	expect(cloud, "after a restart")
	viewer, problems := graphQL(t, cloud, perVersion, map[string]any{"accountTag": account, "filter": map[string]any{"scriptName": "late"}})
	if groups := viewer["accounts"].([]any)[0].(map[string]any)["workersInvocationsAdaptive"].([]any); problems != nil || len(groups) != 1 {
		t.Errorf("what was measured last is lost: %v %v", groups, problems)
	}
}

func TestAnalyticsBySecondAndStatus(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	now := time.Now().UTC().Truncate(time.Second)
	for i := range 3 {
		fake.observer.Invocation(runtime.Invocation{Script: "hello", Version: "v", At: now.Add(time.Duration(-i) * time.Second), Outcome: "ok"})
	}
	fake.observer.Invocation(runtime.Invocation{Script: "hello", Version: "v", At: now, Outcome: "exceededCpu"})
	query := `{ viewer { accounts(filter: {accountTag: "` + cloud.Info().AccountID + `"}) {
		fresh: workersInvocationsAdaptive(limit: 10, filter: {datetime_gt: "` + now.Add(-2*time.Second).Format(time.RFC3339) + `"}, orderBy: [datetime_ASC, status_ASC]) { ...row }
		failed: workersInvocationsAdaptive(limit: 10, filter: {OR: [{status: "scriptThrewException"}, {status_in: ["exceededResources"]}], status_neq: "success"}) { ...row }
		one: workersInvocationsAdaptive(limit: 1, orderBy: [datetime_DESC]) { dimensions { datetime } }
		all: workersInvocationsAdaptive(limit: 10) { sum { requests } }
	} } }
	fragment row on AccountWorkersInvocationsAdaptive { dimensions { datetime status } sum { requests } }`
	viewer, problems := graphQL(t, cloud, query, nil)
	if problems != nil {
		t.Fatal(problems)
	}
	account := viewer["accounts"].([]any)[0].(map[string]any)
	at := func(seconds int) string { return now.Add(time.Duration(seconds) * time.Second).Format(time.RFC3339) }
	for name, want := range map[string]string{
		"fresh":  "[map[dimensions:map[datetime:" + at(-1) + " status:success] sum:map[requests:1]] map[dimensions:map[datetime:" + at(0) + " status:exceededResources] sum:map[requests:1]] map[dimensions:map[datetime:" + at(0) + " status:success] sum:map[requests:1]]]",
		"failed": "[map[dimensions:map[datetime:" + at(0) + " status:exceededResources] sum:map[requests:1]]]",
		"one":    "[map[dimensions:map[datetime:" + at(0) + "]]]",
		"all":    "[map[sum:map[requests:4]]]",
	} {
		if got := fmt.Sprint(account[name]); got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
}

func TestWrongQueriesAreRefused(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	account := cloud.Info().AccountID
	below := func(node string) string {
		return `{ viewer { accounts(filter: {accountTag: "` + account + `"}) { ` + node + ` } } }`
	}
	for query, want := range map[string]string{
		"{ viewer { accounts":                    "Expected",
		"mutation { drop }":                      "mutation",
		"{ viewer { accounts { accountTag } } }": "accountTag",
		`{ viewer { accounts(filter: {accountTag: "x"}) { accountTag } } }`:                                "not authorized",
		`{ viewer { zones(filter: {zoneTag: "x"}) { zoneTag } } }`:                                         "not authorized",
		below(`queuesBacklogAdaptiveGroups(limit: 1) { avg { messages } }`):                                `unknown field "queuesBacklogAdaptiveGroups"`,
		below(`workersInvocationsAdaptive { sum { requests } }`):                                           "limit",
		below(`workersInvocationsAdaptive(limit: 10001) { sum { requests } }`):                             "limit",
		below(`workersInvocationsAdaptive(limit: 1) { sum { requests fatal } }`):                           "fatal",
		below(`workersInvocationsAdaptive(limit: 1, filter: {script: "x"}) { sum { requests } }`):          "script",
		below(`workersInvocationsAdaptive(limit: 1, filter: {datetime_geq: "noon"}) { sum { requests } }`): "not a time",
		below(`workersInvocationsAdaptive(limit: 1, orderBy: [sum_luck_DESC]) { sum { requests } }`):       "sum_luck_DESC",
		below(`workersInvocationsAdaptive(limit: 1, orderBy: [datetime_DESC]) { sum { requests } }`):       "does not select",
		below(`workersInvocationsAdaptive(limit: 1) { sum }`):                                              "sum",
		`query ($a: string!) { viewer { accounts(filter: {accountTag: $a}) { accountTag } } }`:             "is not set",
	} {
		_, problems := graphQL(t, cloud, query, nil)
		if !strings.Contains(strings.Join(problems, "; "), want) {
			t.Errorf("%s: %v does not say %q", query, problems, want)
		}
	}
	_, problems := graphQL(t, cloud, perVersion, map[string]any{"accountTag": account, "filter": map[string]any{"scriptTag": "x"}})
	if !strings.Contains(strings.Join(problems, ""), `unknown field "scriptTag"`) {
		t.Errorf("an unknown member within a variable: %v", problems)
	}
}

func TestOtherDatasets(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	account := cloud.Info().AccountID
	queue := succeed(t, cloud, "POST", "@/queues", map[string]any{"queue_name": "jobs"}).get(t, "queue_id").(string)
	if err := cloud.store.QueueSend(t.Context(), "jobs", runtime.QueueMessage{ID: "m", ContentType: "text", Body: []byte("12345"), Timestamp: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := succeed(t, cloud, "GET", "@/queues/"+queue+"/metrics", nil); got.get(t, "backlog_count") != 1.0 || got.get(t, "backlog_bytes") != 5.0 || got.get(t, "oldest_message_timestamp_ms").(float64) < 1e12 {
		t.Errorf("metrics: %s", got.Result)
	}
	succeed(t, cloud, "POST", "@/r2/buckets", map[string]any{"name": "files"})
	_ = read(t, request(t, cloud, "PUT", "@/r2/buckets/files/objects/k", strings.NewReader("abc")))
	database := succeed(t, cloud, "POST", "@/d1/database", map[string]any{"name": "db"}).get(t, "uuid").(string)
	succeed(t, cloud, "POST", "@/d1/database/"+database+"/query", map[string]any{"sql": "SELECT 1"})
	_ = send(t, cloud, "POST", "@/d1/database/"+database+"/query", map[string]any{"sql": "SELECT * FROM absent"})
	fake.observer.Query(runtime.Query{Database: database, At: time.Now(), Statements: []runtime.Statement{{SQL: "INSERT"}}, Results: []runtime.D1Result{{Meta: runtime.D1Meta{RowsWritten: 3}}}})
	deployed(t, cloud)
	succeed(t, cloud, "PUT", hello+"/domains/records", map[string]any{"origins": []any{map[string]any{"hostname": "app.example.com"}}})
	client := visitor(t, cloud)
	visit(t, client, "http://app.example.com/")
	visit(t, client, "https://app.example.com/")
	viewer, problems := graphQL(t, cloud, `query ($a: String, $zone: string) { viewer {
		accounts(filter: {accountTag: $a}) {
			queueBacklogAdaptiveGroups(limit: 1, filter: {queueId: "`+queue+`"}) { avg { messages bytes } }
			r2StorageAdaptiveGroups(limit: 1, filter: {bucketName: "files"}) { max { objectCount payloadSize metadataSize } }
			d1AnalyticsAdaptiveGroups(limit: 1) { sum { readQueries writeQueries rowsWritten } }
			d1QueriesAdaptiveGroups(limit: 5, orderBy: [error_ASC]) { count dimensions { error } }
			d1StorageAdaptiveGroups(limit: 1) { max { databaseSizeBytes } }
		}
		zones(filter: {zoneTag: $zone}) { httpRequestsAdaptiveGroups(limit: 5) { count dimensions { edgeResponseStatus clientRequestHTTPHost } } }
	} }`, map[string]any{"a": account, "zone": zoneID(t, cloud, "example.com")})
	if problems != nil {
		t.Fatal(problems)
	}
	got := viewer["accounts"].([]any)[0].(map[string]any)
	for name, want := range map[string]string{
		"queueBacklogAdaptiveGroups": "[map[avg:map[bytes:5 messages:1]]]",
		"r2StorageAdaptiveGroups":    "[map[max:map[metadataSize:<nil> objectCount:1 payloadSize:3]]]",
		"d1AnalyticsAdaptiveGroups":  "[map[sum:map[readQueries:2 rowsWritten:3 writeQueries:1]]]",
		"d1QueriesAdaptiveGroups":    "[map[count:2 dimensions:map[error:0]] map[count:1 dimensions:map[error:1]]]",
	} {
		if text := fmt.Sprint(got[name]); text != want {
			t.Errorf("%s: %s, not %s", name, text, want)
		}
	}
	if text := fmt.Sprint(viewer["zones"]); text != "[map[httpRequestsAdaptiveGroups:[map[count:2 dimensions:map[clientRequestHTTPHost:app.example.com edgeResponseStatus:200]]]]]" {
		t.Errorf("zones: %s", text)
	}
}
