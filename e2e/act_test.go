package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/githubtest"
)

// theAction is how the workflows of these tests name our action.
const theAction = "penstock-ci/penstock@f95f852bd8fca8fcc58a9a2d6c842781e32a215e"

// runner runs workflows of a machine's app as GitHub does, by nektos/act in host mode, with our action as it is in this source.
// The actions of others that are used are stubs: no network is needed for them, and they are pinned by commit.
type runner struct {
	m      *machine
	g      *githubtest.GitHub
	act    string
	action string // a copy of this repository
	stub   string
}

func newRunner(m *machine, g *githubtest.GitHub) *runner {
	t := m.t
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{m: m, g: g, act: filepath.Join(root, "bin", "act-v0.2.89"), action: filepath.Join(t.TempDir(), "penstock"), stub: filepath.Join(t.TempDir(), "stub")}
	if _, err := os.Stat(r.act); err != nil {
		t.Fatalf("%v: `make test-slow` builds it", err)
	}
	copyTracked(t, root, r.action)
	if err := os.Chmod(filepath.Join(r.action, "tools/sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(r.stub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.stub, "action.yml"), []byte("name: stub\ndescription: stub\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      run: echo stub\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(m.app, ".github", "workflows"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.git("remote", "add", "origin", "https://github.com/o/r.git")
	return r
}

var usedActions = regexp.MustCompile(`uses: (\S+@[0-9a-f]{40})`)

// run starts a workflow of the app by an event and returns its log; green says how its jobs ended. A workflow that waits for more
// than its jobs take hangs until the test's limit.
func (r *runner) run(event, workflow string, more ...string) (log string, green bool) {
	t := r.m.t
	t.Helper()
	arguments := append([]string{
		event, "-W", workflow, "-P", "ubuntu-24.04=-self-hosted", "--actor", "mona", "--env", "GITHUB_API_URL=" + strings.TrimSuffix(r.g.URL, "/"),
		"-s", "GITHUB_TOKEN=" + jobToken, "--action-cache-path", filepath.Join(t.TempDir(), "actions"),
	}, more...)
	used := 0
	for _, path := range []string{filepath.Join(r.m.app, workflow), filepath.Join(r.action, "action.yml")} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range usedActions.FindAllStringSubmatch(string(text), -1) {
			used++
			from := r.stub
			if strings.HasPrefix(use[1], "penstock-ci/penstock@") {
				from = r.action
			}
			arguments = append(arguments, "--local-repository", use[1]+"="+from)
		}
	}
	if used < 4 {
		t.Fatal("the workflow and the action use no others")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	command := exec.CommandContext(ctx, r.act, arguments...)
	command.Dir = r.m.app
	command.Env = append(os.Environ(), "CI=", "NO_COLOR=1")
	out, err := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("act: %v\n%s", ctx.Err(), out)
	}
	if log = string(out); strings.Contains(log, jobToken) {
		t.Error("the token is in the log")
	}
	return log, err == nil
}

// shows fails the test unless GitHub was told this of a commit that is, or may become, what an environment runs.
func (r *runner) shows(commit, environment, state, log string) {
	t := r.m.t
	t.Helper()
	if got := r.g.StatusesOf(commit)["penstock/"+environment+"/deploy"]; got.State != state {
		t.Errorf("GitHub was told %+v\n%s", got, log)
	}
	checks := r.g.Checks(commit)
	if last := checks[len(checks)-1]; (state == "success") != (last.Conclusion == "success") || (state == "pending") != (last.Status == "in_progress") {
		t.Errorf("the check run is %s %s\n%s", last.Status, last.Conclusion, log)
	}
	made := r.g.Deployments()
	if states := made[len(made)-1].Statuses; states[len(states)-1].State != state {
		t.Errorf("the deployment is %+v\n%s", states, log)
	}
}

// TestTheActionRuns: the action builds Penstock from its source, deploys the smallest app and hands out what came of it.
func TestTheActionRuns(t *testing.T) {
	m := newMachine(t, "e2e/testdata/tiny")
	r := newRunner(m, githubtest.New(t, "o/r", githubtest.WorkflowToken(jobToken)))
	m.put("penstock.yaml", "environments:\n  production:\n    target: local\n")
	m.put(".github/workflows/deploy.yml", fmt.Sprintf(`name: deploy
on: [push]
jobs:
  deploy:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - id: penstock
        uses: %s
        with:
          command: deploy
          environment: production
          state: %s
      - env:
          OUTCOME: ${{ steps.penstock.outputs.outcome }} ${{ steps.penstock.outputs.exit-code }} ${{ steps.penstock.outputs.url }}
        run: echo "came to $OUTCOME"
`, theAction, m.state))
	head := m.commit(r.g, "the app with its workflow")
	log, green := r.run("push", ".github/workflows/deploy.yml")
	if !green {
		t.Fatalf("the job failed:\n%s", log)
	}
	if !regexp.MustCompile(`came to done 0 http://127\.0\.0\.1:\d+`).MatchString(log) {
		t.Errorf("the step's outputs did not come through:\n%s", log)
	}
	r.shows(head, "production", "success", log)
	if status, body := m.get("/"); status != 200 || !strings.HasPrefix(body, "hello") {
		t.Errorf("GET /: %d %q", status, body)
	}
}

// TestTheActionOfARunThatWaits: its job ends red, or green as `waiting: pass` has it, with the same words; a job after it can tell
// that nothing is live, and so can everybody who looks at GitHub.
func TestTheActionOfARunThatWaits(t *testing.T) {
	m := newWarmMachine(t, "e2e/testdata/tiny")
	r := newRunner(m, githubtest.New(t, "o/r", githubtest.WorkflowToken(jobToken)))
	m.put("penstock.yaml", "environments:\n  production:\n    target: local\n    approvers: [bea]\n")
	m.put(".github/workflows/deploy.yml", strings.NewReplacer("ACTION", theAction, "STATE", m.state).Replace(`name: deploy
on: [push]
jobs:
  deploy:
    runs-on: ubuntu-24.04
    outputs:
      outcome: ${{ steps.green.outputs.outcome }}
      run: ${{ steps.green.outputs.run }}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - id: word
        continue-on-error: true
        uses: ACTION
        with: { command: deploy, waiting: maybe, state: STATE }
      - id: check
        continue-on-error: true
        uses: ACTION
        with: { command: check, waiting: pass, state: STATE }
      - id: red
        continue-on-error: true
        uses: ACTION
        with: { command: deploy, state: STATE }
      - id: lost
        continue-on-error: true
        uses: ACTION
        with: { command: deploy, waiting: pass }
      - env:
          PENSTOCK_STATE_DIR: ${{ runner.temp }}/penstock-state
        run: penstock local down
      - id: green
        uses: ACTION
        with: { command: deploy, waiting: pass, state: STATE }
      - env:
          OUTCOMES: ${{ steps.word.outcome }} ${{ steps.check.outcome }} ${{ steps.red.outcome }} ${{ steps.lost.outcome }} ${{ steps.green.outcome }}
          OUTPUTS: ${{ steps.red.outputs.outcome }} ${{ steps.red.outputs.exit-code }} ${{ steps.green.outputs.outcome }} ${{ steps.green.outputs.exit-code }}
        run: |
          echo "the steps came to $OUTCOMES"
          echo "their outputs are $OUTPUTS"
          cat "$GITHUB_STEP_SUMMARY"
  announce:
    needs: deploy
    if: needs.deploy.outputs.outcome == 'done'
    runs-on: ubuntu-24.04
    steps:
      - run: echo "it is announced"
  remind:
    needs: deploy
    if: needs.deploy.outputs.outcome == 'waiting'
    runs-on: ubuntu-24.04
    steps:
      - env:
          RUN: ${{ needs.deploy.outputs.run }}
        run: echo "people are asked about $RUN"
`))
	head := m.commit(r.g, "the app with its workflow")
	log, green := r.run("push", ".github/workflows/deploy.yml")
	if !green {
		t.Fatalf("the workflow failed:\n%s", log)
	}
	run := m.runs()[0]
	for _, want := range []string{
		"the steps came to failure failure failure failure success", "their outputs are waiting 5 waiting 5", "the input waiting is neither fail nor pass",
		"the input waiting is pass, which is for deploy and promote", "The record of this run ends with the job, so nobody can go on with it",
		"Nothing of this run is live yet, and nothing failed: run " + run.ID + " waits.", "may approve: bea", "penstock approve " + run.ID,
		"**Nothing of this run is live yet, and nothing failed&#58; run " + run.ID + " waits.**", "people are asked about " + run.ID,
	} {
		if !strings.Contains(strings.ToLower(log), strings.ToLower(want)) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "it is announced") {
		t.Errorf("a job that needs a deployment ran:\n%s", log)
	}
	r.shows(head, "production", "pending", log)
}

// TestTheWorkflowsOfASharedLedger runs what `penstock init --github` writes: the job of a push waits, green; somebody approves; the
// job of the other workflow, which has nothing of the first one, makes it live.
func TestTheWorkflowsOfASharedLedger(t *testing.T) {
	m := newWarmMachine(t, "e2e/testdata/tiny")
	r := newRunner(m, githubtest.New(t, "o/r", githubtest.WorkflowToken(jobToken)))
	m.put("penstock.yaml", "environments:\n  production:\n    target: local\n    approvers: [bea]\n    ledger: {d1: penstock-ledger, r2: penstock-vault}\n")
	m.must(0, "init", "--github", "--env", "production")
	m.must(0, "local", "up")
	m.must(0, "provision", "--env", "production")
	const production, promote = ".github/workflows/penstock-production.yml", ".github/workflows/penstock-promote.yml"
	for _, workflow := range []string{production, promote} {
		state := t.TempDir() // of that job alone, but for the Cloudflare of this machine
		if err := os.Symlink(filepath.Join(m.state, "local"), filepath.Join(state, "local")); err != nil {
			t.Fatal(err)
		}
		m.edit(workflow, "          folder: .\n", "          folder: .\n          state: "+state+"\n")
		// This act makes no deployments for jobs, and does not know the key by which GitHub makes none.
		text, err := os.ReadFile(filepath.Join(m.app, workflow))
		if err != nil {
			t.Fatal(err)
		}
		m.put(workflow, regexp.MustCompile(`(?m)^      deployment: false.*\n`).ReplaceAllString(string(text), ""))
	}
	head := m.commit(r.g, "the app with its workflows")
	log, green := r.run("push", production)
	if !green {
		t.Fatalf("the job that waits is red:\n%s", log)
	}
	r.shows(head, "production", "pending", log)
	run := m.runs()[0]

	if log, green := r.run("workflow_dispatch", promote, "--input", "run="+run.ID); green || !strings.Contains(log, "Nothing of this run is live yet") {
		t.Errorf("what nobody approved is promoted, or ends green:\n%s", log)
	}
	r.shows(head, "production", "pending", log)

	m.must(0, "approve", run.ID, "--as", "bea", "--reason", "seen")
	if log, green = r.run("workflow_dispatch", promote, "--input", "run="+run.ID); !green {
		t.Fatalf("what was approved is not promoted:\n%s", log)
	}
	r.shows(head, "production", "success", log)
	if made := r.g.Deployments(); len(made) != 1 {
		t.Errorf("one deployment is shown as %d", len(made))
	}
	if status, body := m.get("/"); status != 200 || !strings.HasPrefix(body, "hello") {
		t.Errorf("GET /: %d %q", status, body)
	}
}
