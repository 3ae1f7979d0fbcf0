package localcloud

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// try is one call without the helpers that insist on an answer.
func try(t *testing.T, cloud *Cloud, method, path string, body io.Reader) (status int, text string, header http.Header, err error) {
	t.Helper()
	info := cloud.Info()
	r, err := http.NewRequestWithContext(t.Context(), method, info.APIURL+strings.Replace(path, "@", "/accounts/"+info.AccountID, 1), body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+info.Token)
	// A connection that was used before would be tried again by net/http: the loss would not be seen.
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response.StatusCode, string(read), response.Header, err
}

func setFaults(t *testing.T, cloud *Cloud, plan string) {
	t.Helper()
	url := strings.TrimSuffix(cloud.Info().APIURL, apiPrefix) + faultsPath
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(plan))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+cloud.Info().Token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := read(t, response); !got.Success {
		t.Fatal(got.Errors)
	}
}

func TestFaultsOfCalls(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	namespaces := func() int {
		t.Helper()
		return succeed(t, cloud, "GET", "@/storage/kv/namespaces", nil).Info.TotalCount
	}
	setFaults(t, cloud, `
calls:
  - {call: "POST /accounts/*/storage/kv/namespaces", times: 1, status: 429, retryAfter: 2s}
  - {call: "POST /accounts/*/storage/kv/namespaces", after: 1, times: 1, status: 503}
  - {call: "POST /accounts/*/storage/kv/namespaces", after: 2, times: 1, status: 500}
  - {call: "POST /accounts/*/storage/kv/namespaces", after: 3, times: 1, lost: request}
  - {call: "POST /accounts/*/storage/kv/namespaces", after: 4, times: 1, lost: reply}
  - {call: "GET /accounts/*/storage/kv/namespaces/**", delay: 50ms}
`)
	create := func() (int, string, http.Header, error) {
		t.Helper()
		return try(t, cloud, "POST", "@/storage/kv/namespaces", strings.NewReader(`{"title":"t"}`))
	}
	if status, text, header, err := create(); status != 429 || header.Get("Retry-After") != "2" || !strings.Contains(text, `"code":971`) {
		t.Errorf("%d %s %v", status, text, err)
	}
	if status, text, header, err := create(); status != 503 || !strings.HasPrefix(header.Get("Content-Type"), "text/html") || !strings.Contains(text, "<html>") {
		t.Errorf("%d %s %v", status, text, err)
	}
	if status, text, _, err := create(); status != 500 || !strings.Contains(text, fmt.Sprint(codeInternal)) {
		t.Errorf("%d %s %v", status, text, err)
	}
	if _, _, _, err := create(); !errors.Is(err, io.EOF) {
		t.Errorf("a lost request: %v", err)
	}
	if n := namespaces(); n != 0 {
		t.Errorf("%d namespaces were made by refused and lost requests", n)
	}
	if _, _, _, err := create(); !errors.Is(err, io.EOF) {
		t.Errorf("a lost reply: %v", err)
	}
	if n := namespaces(); n != 1 {
		t.Errorf("%d namespaces after a lost reply", n)
	}
	if status, text, _, _ := create(); status != 400 || !strings.Contains(text, "already exists") {
		t.Errorf("again: %d %s", status, text)
	}
	before := time.Now()
	if status, _, _, _ := try(t, cloud, "GET", "@/storage/kv/namespaces/absent", nil); status != 404 || time.Since(before) < 50*time.Millisecond {
		t.Errorf("%d after %v", status, time.Since(before))
	}
}

func TestFaultsAreShownReplacedAndEnded(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	url := strings.TrimSuffix(cloud.Info().APIURL, apiPrefix) + faultsPath
	do := func(method, body, token string) reply {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return read(t, response)
	}
	token := cloud.Info().Token
	if got := do("PUT", "calls: []", "another"); got.Status != 401 {
		t.Errorf("a stranger: %d", got.Status)
	}
	if got := do("PUT", `calls: [{call: "GET /zones"}]`, token); got.Status != 400 || !strings.Contains(got.Errors[0].Message, "nothing goes wrong") {
		t.Errorf("a bad plan: %d %v", got.Status, got.Errors)
	}
	do("PUT", `{"seed": 5, "calls": [{"call": "GET /zones", "status": 502}], "propagation": {"delay": "2s"}}`, token)
	if got := send(t, cloud, "GET", "/zones/absent", nil); got.Status != 404 {
		t.Errorf("another path: %d", got.Status)
	}
	if status, _, _, _ := try(t, cloud, "GET", "/zones", nil); status != 502 {
		t.Errorf("struck: %d", status)
	}
	if got := do("GET", "", token); got.get(t, "calls.0.struck") != 1.0 || got.get(t, "propagation.delay") != "2s" || got.get(t, "seed") != 5.0 {
		t.Errorf("shown: %s", got.Result)
	}
	if got := do("DELETE", "", token); got.get(t, "calls.0") != nil {
		t.Errorf("ended: %s", got.Result)
	}
	succeed(t, cloud, "GET", "/zones", nil)
	if got := do("POST", "", token); got.Status != 405 {
		t.Errorf("another method: %d", got.Status)
	}
}

func TestDeploymentsTakeTheirTimeToReachTheEdge(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	blue := deployed(t, cloud)
	green, red := added(t, cloud), added(t, cloud)
	serving := func() string {
		t.Helper()
		return strings.TrimPrefix(ask(t, cloud, "/"), "200 hello ")
	}
	recorded := func() any {
		t.Helper()
		return succeed(t, cloud, "GET", hello+"/deployments", nil).get(t, "deployments.0.versions.0.version_id")
	}
	const delay = 300 * time.Millisecond
	setFaults(t, cloud, "propagation: {delay: 300ms}")
	began := time.Now()
	shift(t, cloud, "", green, 100)
	if recorded() != green {
		t.Error("the API does not tell of the new deployment")
	}
	if got := serving(); got != blue+"=100" && time.Since(began) < delay {
		t.Errorf("at once the edge serves %s", got)
	}
	// A change of triggers in between must not bring the deployment forward.
	succeed(t, cloud, "PUT", hello+"/schedules", []any{map[string]any{"cron": "0 0 * * *"}})
	if got := serving(); got != blue+"=100" && time.Since(began) < delay {
		t.Errorf("after a change of triggers the edge serves %s", got)
	}
	eventually(t, func() bool { return serving() == green+"=100" })
	if time.Since(began) < delay {
		t.Errorf("it took %v only", time.Since(began))
	}

	// One that arrives at once is not overtaken by one that was made before.
	shift(t, cloud, "", blue, 100)
	setFaults(t, cloud, "")
	shift(t, cloud, "", red, 100)
	if got := serving(); got != red+"=100" {
		t.Errorf("without a delay the edge serves %s", got)
	}
	time.Sleep(delay + 100*time.Millisecond)
	if got := serving(); got != red+"=100" {
		t.Errorf("later the edge serves %s", got)
	}
}

// eventually waits for something that happens in the background.
func eventually(t *testing.T, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
