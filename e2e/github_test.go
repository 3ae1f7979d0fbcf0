package e2e

import (
	"encoding/base32"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/githubtest"
)

const jobToken = "ghsTokenOfTheJobThatNobodyMaySee01"

// job puts the machine into a step of GitHub Actions that an event started. change may be nil.
func (m *machine) job(g *githubtest.GitHub, event, name, schema string, change func(payload map[string]any)) *machine {
	m.t.Helper()
	dir := m.t.TempDir()
	path := filepath.Join(dir, "event.json")
	if err := os.WriteFile(path, g.Payload(name, schema, change), 0o600); err != nil {
		m.t.Fatal(err)
	}
	in := *m
	in.env = []string{
		"GITHUB_ACTIONS=true", "CI=true", "GITHUB_REPOSITORY=o/r", "GITHUB_SHA=" + m.head(), "GITHUB_REF=refs/heads/main", "GITHUB_EVENT_NAME=" + event, "GITHUB_EVENT_PATH=" + path,
		"GITHUB_RUN_ID=5", "GITHUB_API_URL=" + strings.TrimSuffix(g.URL, "/"), "GITHUB_SERVER_URL=https://github.example", "GITHUB_ACTOR=mona", "GITHUB_TOKEN=" + jobToken,
		"GITHUB_STEP_SUMMARY=" + filepath.Join(dir, "summary"), "GITHUB_OUTPUT=" + filepath.Join(dir, "output"),
	}
	return &in
}

// commit commits everything and makes the commit known to GitHub.
func (m *machine) commit(g *githubtest.GitHub, subject string) string {
	m.t.Helper()
	m.git("add", "-A")
	m.git("-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "commit", "--quiet", "--allow-empty", "-m", subject)
	g.Commit(m.head())
	return m.head()
}

func (m *machine) head() string {
	m.t.Helper()
	out, err := exec.Command("git", "-C", m.app, "rev-parse", "HEAD").Output()
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (m *machine) put(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.app, name), []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// accessKey makes what looks like an AWS access key, so that this file holds none.
func accessKey() string {
	return "AKIA" + base32.StdEncoding.EncodeToString([]byte("a key of e2e"))[:16]
}

var runID = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`)

// TestGitHub plays a pull request, a push and a release against a GitHub: with a gate that fails, a waiver, an approval and a
// rollback.
func TestGitHub(t *testing.T) {
	m := newWarmMachine(t, "e2e/testdata/tiny")
	g := githubtest.New(t, "o/r", githubtest.WorkflowToken(jobToken))
	g.Pull(7)
	g.Publish(9, "v1.0.0", "What is new.")
	m.put("penstock.yaml", `gates:
  security/secrets:
    enforcement: overridable
environments:
  production:
    target: local
    approvers: [mona, hubot]
    selfApproval: false
`)
	base := m.commit(g, "base")

	// A pull request that brings a credential, and a pipeline that would not mind.
	m.put("src/key.js", "// @everyone <img src=x>\nexport const key = \""+accessKey()+"\";\n")
	m.put("penstock.yaml", "gates:\n  security/secrets:\n    enforcement: advisory\nenvironments:\n  production:\n    target: local\n")
	head := m.commit(g, "::set-output name=x::y @everyone")
	pull := m.job(g, "pull_request", "pull_request", "pull-request-opened", func(payload map[string]any) {
		pr := payload["pull_request"].(map[string]any)
		pr["number"], pr["title"] = 7, "::add-mask::x @everyone [x](https://evil.example)"
		pr["base"].(map[string]any)["sha"], pr["head"].(map[string]any)["sha"] = base, head
	})
	checked := pull.must(4, "check", "--env", "production")
	statuses := g.StatusesOf(head)
	if statuses["penstock/production/stages"].State != "success" || statuses["penstock/production/gates-build"].State != "failure" {
		t.Errorf("statuses of the pull request: %v\n%s", statuses, checked)
	}
	check := g.Checks(head)
	if len(check) != 1 || check[0].Conclusion != "failure" || len(check[0].Annotations) == 0 || check[0].Annotations[0].Path != "src/key.js" || check[0].Annotations[0].Start != 2 {
		t.Errorf("the check run: %+v", check)
	}
	comments := g.Comments(7)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, "security/secrets") || strings.Contains(comments[0].Body, "https://evil") {
		t.Errorf("the comment: %+v", comments)
	}
	if !strings.Contains(checked.out+checked.err, "judged by the pipeline and gates of") {
		t.Errorf("it does not say that the base's pipeline judges:\n%s", checked)
	}

	// The author takes the credential out; the comment is the same one.
	m.put("src/key.js", "export const key = \"none\";\n")
	m.put("penstock.yaml", "gates:\n  security/secrets:\n    enforcement: overridable\nenvironments:\n  production:\n    target: local\n    approvers: [mona, hubot]\n")
	m.git("reset", "--quiet", "--soft", base) // as a force-push does: the credential is not in the history either
	mended := m.commit(g, "without it")
	head = mended
	pull = m.job(g, "pull_request", "pull_request", "pull-request-synchronize", func(payload map[string]any) {
		payload["action"], payload["before"], payload["after"] = "synchronize", base, head
		pr := payload["pull_request"].(map[string]any)
		pr["number"] = 7
		pr["base"].(map[string]any)["sha"], pr["head"].(map[string]any)["sha"] = base, head
	})
	pull.must(0, "check", "--env", "production")
	if comments := g.Comments(7); len(comments) != 1 || !strings.Contains(comments[0].Body, "All passed") {
		t.Errorf("the comment after it: %+v", comments)
	}

	// A push: it waits for an approval, which the one who began it may not give.
	push := m.job(g, "push", "push", "push", nil)
	waiting := push.must(5, "deploy", "--env", "production")
	if got := g.StatusesOf(head)["penstock/production/deploy"]; got.State != "pending" {
		t.Errorf("a run that waits: %+v", got)
	}
	deployment := g.Deployments()[0]
	if last := deployment.Statuses[len(deployment.Statuses)-1]; last.State != "pending" {
		t.Errorf("the deployment of a run that waits: %+v", last)
	}
	run := runID.FindString(waiting.out)
	m.must(4, "approve", run, "--as", "mona", "--reason", "mine")
	m.must(0, "approve", run, "--as", "hubot", "--reason", "looks good")
	push.must(0, "promote", run)
	first := g.Deployments()[0]
	if last := first.Statuses[len(first.Statuses)-1]; last.State != "success" || !strings.HasPrefix(last.URL, "http://127.0.0.1:") || len(g.Deployments()) != 1 {
		t.Errorf("the deployment: %+v", first.Statuses)
	}
	if got := g.StatusesOf(head)["penstock/production/deploy"]; got.State != "success" {
		t.Errorf("status after the approval: %+v", got)
	}
	for _, check := range g.Checks(head) {
		if check.Status != "completed" || check.Conclusion != "success" {
			t.Errorf("a check run is left as %s %s", check.Status, check.Conclusion)
		}
	}

	// A release, with something that only a waiver lets pass.
	m.put("src/key.js", "export const key = \""+accessKey()+"\";\n")
	m.edit("wrangler.toml", "hello", "welcome")
	head = m.commit(g, "release")
	release := m.job(g, "release", "release", "release-published", func(payload map[string]any) {
		payload["release"].(map[string]any)["id"] = 9
	})
	blocked := release.must(4, "deploy", "--env", "production")
	run = runID.FindString(blocked.out)
	m.must(0, "waive", run, "security/secrets", "--as", "hubot", "--reason", "a key of the documentation")
	release.must(5, "promote", run)
	m.must(0, "approve", run, "--as", "hubot", "--reason", "go")
	release.must(0, "promote", run)
	notes := g.ReleaseOf(9).Body
	if !strings.HasPrefix(notes, "What is new.\n") || !strings.Contains(notes, "Deployed tiny to production") || !strings.Contains(notes, "waived") {
		t.Errorf("notes of the release:\n%s", notes)
	}
	if got := g.StatusesOf(head)["penstock/production/gates-build"]; got.State != "success" || !strings.Contains(got.Description, "1 waived") {
		t.Errorf("the gates of the release: %+v", got)
	}
	deployments := g.Deployments()
	if states := deployments[0].Statuses; states[len(states)-1].State != "inactive" {
		t.Errorf("the deployment before: %+v", states)
	}

	// And back.
	push.must(0, "rollback", "--env", "production")
	deployments = g.Deployments()
	newest := deployments[len(deployments)-1].Statuses
	if last := newest[len(newest)-1]; last.State != "inactive" || !strings.Contains(last.Description, "rollback") {
		t.Errorf("the newest deployment after a rollback: %+v", newest)
	}
	for _, text := range []string{checked.out, checked.err, waiting.out, waiting.err, blocked.err} {
		if strings.Contains(text, jobToken) {
			t.Error("the token is in the log")
		}
	}
}

// TestGitHubThatFails: with GitHub answering the same error throughout, the app is deployed, and the log says what GitHub does
// not know.
func TestGitHubThatFails(t *testing.T) {
	m := newWarmMachine(t, "e2e/testdata/tiny")
	m.put("penstock.yaml", "environments:\n  production:\n    target: local\n")
	g := githubtest.New(t, "o/r", githubtest.WorkflowToken(jobToken))
	for i, row := range []struct {
		fault githubtest.Fault
		says  string
	}{
		{githubtest.Fault{Status: 500, Message: "Server Error"}, "GitHub answered 500"},
		{githubtest.PrimaryLimit(time.Now().Add(time.Hour)), "GitHub limits this token until"},
		{githubtest.SecondaryLimit(900), "GitHub limits this token until"},
		{githubtest.Fault{Status: 401, Message: "Bad credentials"}, "does not accept the token"},
	} {
		g.Break(func(*http.Request) githubtest.Fault { return row.fault })
		m.put("src/extra.js", "// "+strings.Repeat("x", i)+"\n")
		m.commit(g, "change")
		o := m.job(g, "push", "push", "push", nil).must(0, "deploy", "--env", "production")
		if !strings.Contains(o.err, "GitHub was not told everything") || !strings.Contains(o.err, row.says) || strings.Contains(o.out+o.err, jobToken) {
			t.Errorf("with %d it does not say %q:\n%s", row.fault.Status, row.says, o)
		}
		if status, _ := m.get("/"); status != http.StatusOK {
			t.Errorf("with %d the app is not served: %d", row.fault.Status, status)
		}
	}
}
