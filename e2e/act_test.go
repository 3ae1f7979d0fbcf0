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

// TestTheActionRuns runs action.yml as a job does, by nektos/act in host mode: it builds Penstock from its source, deploys the
// smallest app and hands out what came of it. The actions of others that it uses are stubs: no network is needed for them, and
// they are pinned by commit.
func TestTheActionRuns(t *testing.T) {
	m := newMachine(t, "e2e/testdata/tiny")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	act := filepath.Join(root, "bin", "act-v0.2.89")
	if _, err := os.Stat(act); err != nil {
		t.Fatalf("%v: `make test-slow` builds it", err)
	}
	action := filepath.Join(t.TempDir(), "penstock")
	copyTracked(t, root, action)
	for _, script := range []string{"tools/sha256"} {
		if err := os.Chmod(filepath.Join(action, script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	stub := filepath.Join(t.TempDir(), "stub")
	if err := os.MkdirAll(stub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stub, "action.yml"), []byte("name: stub\ndescription: stub\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      run: echo stub\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const penstock = "penstock-ci/penstock@f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
	local := []string{"--local-repository", penstock + "=" + action}
	text, err := os.ReadFile(filepath.Join(root, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	uses := regexp.MustCompile(`uses: (\S+@[0-9a-f]{40})`).FindAllStringSubmatch(string(text), -1)
	if len(uses) < 2 {
		t.Fatal("the action uses no others")
	}
	for _, use := range uses {
		local = append(local, "--local-repository", use[1]+"="+stub)
	}

	g := githubtest.New(t, "o/r", githubtest.WorkflowToken(jobToken))
	m.put("penstock.yaml", "environments:\n  production:\n    target: local\n")
	if err := os.MkdirAll(filepath.Join(m.app, ".github", "workflows"), 0o755); err != nil {
		t.Fatal(err)
	}
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
`, penstock, m.state))
	m.git("remote", "add", "origin", "https://github.com/o/r.git")
	head := m.commit(g, "the app with its workflow")

	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	arguments := append([]string{
		"push", "-W", ".github/workflows/deploy.yml", "-P", "ubuntu-24.04=-self-hosted", "--actor", "mona", "--env", "GITHUB_API_URL=" + strings.TrimSuffix(g.URL, "/"),
		"-s", "GITHUB_TOKEN=" + jobToken, "--action-cache-path", filepath.Join(t.TempDir(), "actions"),
	}, local...)
	command := exec.CommandContext(ctx, act, arguments...)
	command.Dir = m.app
	command.Env = append(os.Environ(), "CI=", "NO_COLOR=1")
	out, err := command.CombinedOutput()
	log := string(out)
	if err != nil {
		t.Fatalf("act: %v\n%s", err, log)
	}
	if !regexp.MustCompile(`came to done 0 http://127\.0\.0\.1:\d+`).MatchString(log) {
		t.Errorf("the step's outputs did not come through:\n%s", log)
	}
	if strings.Contains(log, jobToken) {
		t.Error("the token is in the log")
	}
	if got := g.StatusesOf(head)["penstock/production/deploy"]; got.State != "success" {
		t.Errorf("GitHub was told %+v\n%s", got, log)
	}
	if status, body := m.get("/"); status != 200 || !strings.HasPrefix(body, "hello") {
		t.Errorf("GET /: %d %q", status, body)
	}
}
