package githubtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const sha = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"

// ask sends one request and returns status, body and headers.
func ask(t *testing.T, g *GitHub, token, method, path string, body any) (int, string, http.Header) {
	t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, g.URL+path, in)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

type object = map[string]any

// TestTheDescriptionIsHeld: what GitHub's description forbids is found, in requests that no handler would have minded.
func TestTheDescriptionIsHeld(t *testing.T) {
	t.Parallel()
	g := New(t, "o/r", WorkflowToken("t"))
	g.Commit(sha)
	for name, wrong := range map[string]struct {
		method, path string
		body         any
	}{
		"a state that does not exist": {"POST", "repos/o/r/statuses/" + sha, object{"state": "waiting"}},
		"a field of another type":     {"POST", "repos/o/r/check-runs", object{"name": "n", "head_sha": sha, "external_id": 7}},
		"fifty-one annotations": {"POST", "repos/o/r/check-runs", object{"name": "n", "head_sha": sha, "output": object{
			"title": "t", "summary": "s", "annotations": make51(),
		}}},
		"a field that is not there": {"POST", "repos/o/r/code-scanning/sarifs", object{"commit_sha": sha, "ref": "refs/heads/main", "sarif": "x", "extra": 1}},
		"no such call":              {"POST", "repos/o/r/nothing", object{}},
	} {
		status, _, _ := ask(t, g, "t", wrong.method, wrong.path, wrong.body)
		problems := g.Problems()
		if status < 400 || len(problems) != 1 {
			t.Errorf("%s: answered %d, complained %q", name, status, problems)
		}
	}
	if status, text, _ := ask(t, g, "t", "POST", "repos/o/r/statuses/"+sha, object{"state": "success", "context": "c"}); status != 201 {
		t.Errorf("a right request: %d %s", status, text)
	}
}

func make51() []object {
	var all []object
	for range 51 {
		all = append(all, object{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"})
	}
	return all
}

// TestEveryOperationAnswersAsDescribed asks everything that is served once; the description judges the answers.
func TestEveryOperationAnswersAsDescribed(t *testing.T) {
	t.Parallel()
	person := Token{Value: "pat", Login: "mona", Permissions: map[string]string{"actions": "write", "deployments": "write"}}
	g := New(t, "o/r", WorkflowToken("t"), person)
	g.Commit(sha)
	g.Pull(7)
	g.Publish(9, "v1", "notes")
	g.Wait(5, Pending{EnvironmentID: 3, Environment: "production", Reviewers: []string{"mona"}})
	g.Wait(6, Pending{EnvironmentID: 3, Environment: "production", Rule: true})
	id := func(text string) string {
		var out struct{ ID json.Number }
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return out.ID.String()
	}
	must := func(token, method, path string, body any, want int) string {
		t.Helper()
		status, text, _ := ask(t, g, token, method, path, body)
		if status != want {
			t.Errorf("%s %s: %d %s", method, path, status, text)
		}
		return text
	}
	must("pat", "GET", "user", nil, 200)
	must("t", "GET", "user", nil, 403)
	must("t", "POST", "repos/o/r/statuses/"+sha, object{"state": "pending", "context": "c"}, 201)
	run := id(must("t", "POST", "repos/o/r/check-runs", object{"name": "n", "head_sha": sha, "status": "in_progress"}, 201))
	must("t", "PATCH", "repos/o/r/check-runs/"+run, object{"conclusion": "success", "output": object{"title": "t", "summary": "s", "annotations": make51()[:50]}}, 200)
	must("t", "GET", "repos/o/r/check-runs/"+run, nil, 200)
	must("t", "GET", "repos/o/r/check-runs/"+run+"/annotations", nil, 200)
	must("t", "GET", "repos/o/r/commits/"+sha+"/check-runs?check_name=n", nil, 200)
	deployment := id(must("t", "POST", "repos/o/r/deployments", object{"ref": sha, "environment": "production", "required_contexts": []string{}}, 201))
	must("t", "POST", "repos/o/r/deployments", object{"ref": sha, "environment": "production"}, 409) // the status is pending
	must("t", "POST", "repos/o/r/deployments/"+deployment+"/statuses", object{"state": "success", "environment_url": "https://e.example"}, 201)
	must("t", "GET", "repos/o/r/deployments?sha="+sha, nil, 200)
	must("t", "GET", "repos/o/r/deployments/"+deployment+"/statuses", nil, 200)
	comment := id(must("t", "POST", "repos/o/r/issues/7/comments", object{"body": "b"}, 201))
	must("t", "PATCH", "repos/o/r/issues/comments/"+comment, object{"body": "c"}, 200)
	must("t", "GET", "repos/o/r/issues/7/comments", nil, 200)
	must("t", "GET", "repos/o/r/issues/8/comments", nil, 404)
	must("t", "POST", "repos/o/r/code-scanning/sarifs", object{"commit_sha": sha, "ref": "refs/heads/main", "sarif": "eA=="}, 400)
	must("t", "GET", "repos/o/r/releases/9", nil, 200)
	must("t", "PATCH", "repos/o/r/releases/9", object{"body": "new"}, 200)
	must("pat", "GET", "repos/o/r/actions/runs/5/pending_deployments", nil, 200)
	must("pat", "POST", "repos/o/r/actions/runs/5/pending_deployments", object{"environment_ids": []int{3}, "state": "approved", "comment": "go"}, 200)
	must("t", "POST", "repos/o/r/actions/runs/6/deployment_protection_rule", object{"environment_name": "production", "comment": "asking"}, 204)
	must("t", "POST", "repos/o/r/actions/runs/6/deployment_protection_rule", object{"environment_name": "production", "state": "rejected", "comment": "no"}, 204)
	must("t", "POST", "repos/o/r/actions/runs/6/deployment_protection_rule", object{"environment_name": "production", "state": "approved", "comment": "yes"}, 422)
	must("nobody", "GET", "repos/o/r/releases/9", nil, 401)
	must("forged", "POST", "app/installations/1/access_tokens", object{}, 401)
}

// TestPages: what does not fit a page is linked to, as GitHub links.
func TestPages(t *testing.T) {
	t.Parallel()
	g := New(t, "o/r", WorkflowToken("t"))
	g.Pull(1)
	for i := range 35 {
		g.Say(1, "mona", fmt.Sprint(i))
	}
	_, text, header := ask(t, g, "t", "GET", "repos/o/r/issues/1/comments", nil)
	link, _, found := strings.Cut(strings.TrimPrefix(header.Get("Link"), "<"+g.URL), ">; rel=\"next\"")
	if !found || strings.Count(text, `"body"`) != 30 {
		t.Fatalf("the first page: %d comments, %q", strings.Count(text, `"body"`), header.Get("Link"))
	}
	_, text, header = ask(t, g, "t", "GET", link, nil)
	if strings.Count(text, `"body"`) != 5 || header.Get("Link") != "" {
		t.Errorf("the second page: %d comments, %q", strings.Count(text, `"body"`), header.Get("Link"))
	}
}

// TestFaults: limits, lost replies and missing permissions look like GitHub's.
func TestFaults(t *testing.T) {
	t.Parallel()
	g := New(t, "o/r", WorkflowToken("t"), ForkToken("fork"))
	g.Commit(sha)
	status := object{"state": "success", "context": "c"}
	if code, text, _ := ask(t, g, "fork", "POST", "repos/o/r/statuses/"+sha, status); code != 403 || !strings.Contains(text, "not accessible by integration") {
		t.Errorf("a fork's token: %d %s", code, text)
	}
	g.Break(func(*http.Request) Fault { return PrimaryLimit(time.Now().Add(time.Minute)) })
	if code, _, header := ask(t, g, "t", "POST", "repos/o/r/statuses/"+sha, status); code != 403 || header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("the primary limit: %d %v", code, header)
	}
	g.Break(func(*http.Request) Fault { return SecondaryLimit(3) })
	if code, _, header := ask(t, g, "t", "POST", "repos/o/r/statuses/"+sha, status); code != 403 || header.Get("Retry-After") != "3" {
		t.Errorf("the secondary limit: %d %v", code, header)
	}
	if len(g.StatusesOf(sha)) != 0 {
		t.Error("a refused call had an effect")
	}
	g.Break(func(*http.Request) Fault { return Fault{Status: 502, Message: "Bad Gateway", Done: true} })
	if code, _, _ := ask(t, g, "t", "POST", "repos/o/r/statuses/"+sha, status); code != 502 || len(g.StatusesOf(sha)) != 1 {
		t.Errorf("a lost reply: %d, %v", code, g.StatusesOf(sha))
	}
}

// TestPayloads: the examples of webhooks keep to GitHub's schemas, and one that does not is found.
func TestPayloads(t *testing.T) {
	t.Parallel()
	g := New(t, "o/r")
	for name, schema := range map[string]string{
		"pull_request": "pull-request-opened", "push": "push", "release": "release-published", "check_run": "check-run-rerequested",
		"deployment_protection_rule": "deployment-protection-rule-requested",
	} {
		g.Payload(name, schema, nil)
	}
	probe := &GitHub{t: &quiet{TB: t}}
	probe.Payload("deployment_protection_rule", "deployment-protection-rule-requested", func(payload map[string]any) { payload["action"] = "demanded" })
	if !probe.t.(*quiet).complained {
		t.Error("a payload that GitHub's schema forbids passed")
	}
}

// quiet notes a complaint in place of failing.
type quiet struct {
	testing.TB
	complained bool
}

func (q *quiet) Errorf(string, ...any) { q.complained = true }
func (q *quiet) Helper()               {}
