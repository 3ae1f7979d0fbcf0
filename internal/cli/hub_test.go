package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/githubtest"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// job is a step of GitHub Actions on this machine.
type job struct {
	run      *run
	err      *bytes.Buffer
	summary  string
	outputs  string
	variable map[string]string
}

const hubToken = "ghsAtokenThatMustBeSeenNowhere01" // without marks that would be escaped

// newJob is a job about a pull request (of a fork when fork says so) whose base is the commit base; without one, of a push.
func newJob(t *testing.T, g *githubtest.GitHub, folder, head, base string, fork bool) job {
	t.Helper()
	dir := t.TempDir()
	j := job{err: &bytes.Buffer{}, summary: filepath.Join(dir, "summary"), outputs: filepath.Join(dir, "outputs")}
	event, schema := "push", "push"
	if base != "" {
		event, schema = "pull_request", "pull-request-opened"
	}
	payload := g.Payload(event, schema, func(payload map[string]any) {
		if base == "" {
			return
		}
		pull := payload["pull_request"].(map[string]any)
		pull["number"] = 7
		pull["base"].(map[string]any)["sha"] = base
		pull["head"].(map[string]any)["sha"] = head
		if fork {
			pull["head"].(map[string]any)["repo"].(map[string]any)["full_name"] = "mallory/r"
		}
	})
	path := filepath.Join(dir, "event.json")
	if err := os.WriteFile(path, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	j.variable = map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": head, "GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": path,
		"GITHUB_RUN_ID": "5", "GITHUB_API_URL": g.URL, "GITHUB_STEP_SUMMARY": j.summary, "GITHUB_OUTPUT": j.outputs, "GITHUB_TOKEN": hubToken, "KEY": "a-secret-value",
	}
	streams := &Streams{Err: j.err, Out: &bytes.Buffer{}, Env: func(name string) string { return j.variable[name] }}
	j.run = &run{
		shared: &common{streams: streams}, id: "RUN", began: time.Now(), folder: folder, root: folder, source: &snapshot.Snapshot{Commit: head},
		pipeline: &pipelines.Pipeline{Name: "small"}, environment: &pipelines.Environment{Name: "production", Target: localTarget},
		secrets: secretValues{deployed: map[string]string{"KEY": "a-secret-value"}},
	}
	return j
}

// play tells a run to everybody that a job tells.
func (j job) play(t *testing.T, result event.Result) error {
	t.Helper()
	r := j.run
	if err := r.findHub(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.hides.Store(redact.New(r.hidden()))
	r.bus = engine.NewBus(r.id, hiding{r.hide, fanOut{newView(r.shared), r.openHub()}})
	r.bus.Observe(event.Event{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "small", Environment: "production", Steps: []event.Step{{Name: "switch"}}}})
	r.noteHub()
	r.bus.Observe(event.Event{Type: event.Note, Level: "warning", Text: "the key is a-secret-value and the token " + hubToken})
	r.bus.Observe(event.Event{Type: event.GateFinished, Gate: &event.Gate{Name: "q/g", Phase: gates.PhaseBuild, Enforcement: "mandatory", Verdict: &gates.Verdict{
		Outcome: gates.Warn, Summary: "hm", Findings: []gates.Finding{{Level: gates.LevelWarning, Message: "look", File: "index.js", Line: 2}},
	}}})
	var cause error
	if result.ExitCode != 0 {
		cause = fail(ExitCode(result.ExitCode), "do something", errors.New(result.Reason))
	}
	return r.finish(t.Context(), result, cause)
}

// TestTheJobOfAPush: everything that a step in Actions tells, and no secret in any of it.
func TestTheJobOfAPush(t *testing.T) {
	t.Parallel()
	folder, head := repository(t)
	g := githubtest.New(t, "o/r", githubtest.WorkflowToken(hubToken))
	g.Commit(head)
	j := newJob(t, g, folder, head, "", false)
	if err := j.play(t, event.Result{Version: "v1", URL: "https://small.example"}); err != nil {
		t.Fatal(err)
	}
	if status := g.StatusesOf(head)["penstock/production/deploy"]; status.State != "success" {
		t.Errorf("status: %+v\n%s", status, j.err)
	}
	if check := g.Checks(head)[0]; check.Annotations[0].Path != "apps/small/index.js" {
		t.Errorf("annotations: %+v", check.Annotations)
	}
	if d := g.Deployments(); len(d) != 1 || d[0].Statuses[len(d[0].Statuses)-1].URL != "https://small.example" {
		t.Errorf("deployments: %+v", d)
	}
	log := j.err.String()
	for _, want := range []string{"::add-mask::a-secret-value\n", "::warning file=apps/small/index.js,line=2,title=q/g::look\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	summary, outputs := file(t, j.summary), file(t, j.outputs)
	if !strings.Contains(summary, "Deployed small to production") || !strings.Contains(outputs, "\nhttps://small.example\n") || !strings.Contains(outputs, "outcome<<") {
		t.Errorf("summary:\n%s\noutputs:\n%s", summary, outputs)
	}
	for name, text := range map[string]string{"log": strings.ReplaceAll(log, "::add-mask::a-secret-value\n", ""), "summary": summary, "outputs": outputs, "standard output": j.run.shared.streams.Out.(*bytes.Buffer).String(), "check run": fmt.Sprint(g.Checks(head))} {
		if strings.Contains(text, "a-secret-value") || strings.Contains(text, hubToken) {
			t.Errorf("the %s holds a secret:\n%s", name, text)
		}
	}
}

// TestGitHubCannotFailARun: whatever it answers, the run's exit code is its own, and what was not told is said where people
// look.
func TestGitHubCannotFailARun(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]githubtest.Fault{
		"500": {Status: 500, Message: "Server Error"}, "403 rate limited": githubtest.PrimaryLimit(time.Now().Add(time.Hour)), "401": {Status: 401, Message: "Bad credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, head := repository(t)
			g := githubtest.New(t, "o/r", githubtest.WorkflowToken(hubToken))
			g.Break(func(*http.Request) githubtest.Fault { return fault })
			j := newJob(t, g, folder, head, "", false)
			j.run.hubPatience = 2 * time.Second
			if err := j.play(t, event.Result{Version: "v1", URL: "https://small.example"}); err != nil {
				t.Errorf("the run failed: %v", err)
			}
			for where, text := range map[string]string{"log": j.err.String(), "summary": file(t, j.summary)} {
				if !strings.Contains(text, "GitHub was not told everything") || strings.Contains(strings.ReplaceAll(text, "::add-mask::", ""), hubToken) {
					t.Errorf("%s:\n%s", where, text)
				}
			}
		})
	}
	t.Run("a blocked run stays blocked", func(t *testing.T) {
		t.Parallel()
		folder, head := repository(t)
		g := githubtest.New(t, "o/r", githubtest.WorkflowToken(hubToken))
		g.Commit(head)
		j := newJob(t, g, folder, head, "", false)
		err := j.play(t, event.Result{Outcome: "blocked", ExitCode: int(ExitBlocked), Reason: "blocked by q/g"})
		if code, _ := classify(err); code != ExitBlocked {
			t.Errorf("exit code %d: %v", code, err)
		}
		if status := g.StatusesOf(head)["penstock/production/deploy"]; status.State != "failure" {
			t.Errorf("status: %+v", status)
		}
	})
}

// TestAForkCannotChangeWhatJudgesIt: the pipeline, its gates and their pins are the base's, whatever the pull request did to
// the files that make them; and what cannot be read is no permission.
func TestAForkCannotChangeWhatJudgesIt(t *testing.T) {
	t.Parallel()
	folder, base := repository(t)
	write(t, filepath.Join(folder, "package.json"), `{"name": "small", "scripts": {}, "devDependencies": {"wrangler": "4.86.0"}}`)
	write(t, filepath.Join(folder, "penstock.yaml"), "gates:\n  security/secrets:\n    enforcement: advisory\nenvironments:\n  production:\n    steps: [100]\n")
	write(t, filepath.Join(folder, "penstock.lock"), "version: 1\nsets: []\n")
	gitDo(t, folder, "add", "-A")
	gitDo(t, folder, "commit", "-q", "-m", "let me through")
	head := gitDo(t, folder, "rev-parse", "HEAD")
	g := githubtest.New(t, "o/r")
	judge := func(fork, own bool) (pipelines.Pipeline, string, error) {
		j := newJob(t, g, folder, head, base, fork)
		j.run.flags.hub.ownPolicy = own
		if err := j.run.findHub(t.Context()); err != nil {
			t.Fatal(err)
		}
		policy, err := j.run.judgedBy(t.Context(), t.TempDir())
		if err != nil {
			return pipelines.Pipeline{}, "", err
		}
		defer j.run.end(t.Context())
		pipeline, problems, err := appfacts.Fit(policy)
		if err == nil {
			err = problems.Err()
		}
		lock, _ := os.ReadFile(filepath.Join(policy, "penstock.lock"))
		return pipeline, string(lock), err
	}
	for _, fork := range []bool{true, false} {
		pipeline, lock, err := judge(fork, false)
		if err != nil {
			t.Fatal(err)
		}
		if pipeline.Stage("test") == nil {
			t.Error("the stage that the pull request dropped does not run")
		}
		for _, ref := range pipeline.Gates {
			if ref.Gate == "security/secrets" && ref.Enforcement != pipelines.Mandatory {
				t.Errorf("the pull request made its gate %s", ref.Enforcement)
			}
		}
		if steps := pipeline.Environment("production").Steps; len(steps) != 3 {
			t.Errorf("the pull request's environment counts: %v", steps)
		}
		if !strings.Contains(lock, "pinned") {
			t.Errorf("the pull request's lock file counts: %q", lock)
		}
	}
	if _, _, err := judge(true, true); err == nil || !strings.Contains(err.Error(), "comes from a fork") {
		t.Errorf("a fork may judge itself: %v", err)
	}
	if pipeline, _, err := judge(false, true); err != nil || pipeline.Stage("test") != nil {
		t.Errorf("--own-policy of our own branch: %v", err)
	}
	j := newJob(t, g, folder, head, strings.Repeat("1", 40), true)
	if err := j.run.findHub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := j.run.judgedBy(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a base that is nowhere: %v", err)
	}
	j = newJob(t, g, folder, head, base, true)
	j.variable["GITHUB_EVENT_PATH"] = ""
	if err := j.run.findHub(t.Context()); err == nil {
		t.Error("a pull request of which nothing is known is judged by its own pipeline")
	}
	j = newJob(t, g, folder, head, base, true)
	j.run.flags.hub.off = true
	if err := j.run.findHub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if policy, err := j.run.judgedBy(t.Context(), t.TempDir()); err != nil || policy == folder {
		t.Errorf("--no-github lets a fork judge itself: %s, %v", policy, err)
	}
}

// TestNoReportWithoutAWish: a token in a developer's environment is none.
func TestNoReportWithoutAWish(t *testing.T) {
	t.Parallel()
	r := &run{shared: &common{streams: &Streams{Env: func(name string) string {
		return map[string]string{"GITHUB_TOKEN": "ghp_x", "GITHUB_REPOSITORY": "o/r"}[name]
	}}}}
	if err := r.findHub(t.Context()); err != nil || r.hub != nil {
		t.Errorf("%+v, %v", r.hub, err)
	}
}

// TestAReportFromElsewhere: another CI or a container needs a token and a clone.
func TestAReportFromElsewhere(t *testing.T) {
	t.Parallel()
	folder, _ := repository(t)
	env := map[string]string{"PENSTOCK_GITHUB_TOKEN": "t"}
	r := &run{folder: folder, root: folder, shared: &common{streams: &Streams{Env: func(name string) string { return env[name] }}}}
	if err := r.findHub(t.Context()); err != nil || !strings.Contains(r.hub.why, "which repository") {
		t.Errorf("a clone of nothing is no reason to fail: %+v, %v", r.hub, err)
	}
	gitDo(t, folder, "remote", "add", "origin", "git@github.example:o/r.git")
	if err := r.findHub(t.Context()); err != nil || r.hub == nil || r.hub.place.Repository != "o/r" || r.hub.token != "t" || r.hub.inActions {
		t.Errorf("%+v, %v", r.hub, err)
	}
	r.hub, r.flags.hub.off = nil, true
	if err := r.findHub(t.Context()); err != nil || r.hub != nil {
		t.Errorf("--no-github: %+v, %v", r.hub, err)
	}
}

// repository has the small app in a folder of a repository, with a policy that is worth changing. It returns the app's folder
// and the commit.
func repository(t *testing.T) (folder, commit string) {
	t.Helper()
	root := t.TempDir()
	folder = filepath.Join(root, "apps", "small")
	for name, content := range map[string]string{
		"package.json":   `{"name": "small", "scripts": {"test": "vitest run"}, "devDependencies": {"wrangler": "4.86.0", "vitest": "4.1.12"}}`,
		"wrangler.jsonc": `{"name": "small", "main": "index.js", "compatibility_date": "2026-04-01"}`,
		"index.js":       `export default { fetch() { return new Response("hello"); } };`,
		"penstock.yaml":  "gates:\n  security/secrets:\n    enforcement: mandatory\nenvironments:\n  production:\n    steps: [10, 50, 100]\n",
		"penstock.lock":  "version: 1\nsets: [] # pinned\n",
	} {
		write(t, filepath.Join(folder, name), content)
	}
	gitDo(t, root, "init", "-q", "-b", "main")
	gitDo(t, root, "add", "-A")
	gitDo(t, root, "commit", "-q", "-m", "base")
	return folder, gitDo(t, root, "rev-parse", "HEAD")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gitDo runs git with nobody's configuration.
func gitDo(t *testing.T, dir string, arguments ...string) string {
	t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}
