package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"gopkg.in/yaml.v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/penstock-ci/penstock/internal/buildinfo"
)

func linted(t *testing.T, name string, text []byte, project *actionlint.Project) []*actionlint.Error {
	t.Helper()
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := linter.Lint(name, text, project)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// pinned are the ways in which a step may name an action: by a whole commit, with the version for people, or a folder of
// this repository.
var pinned = regexp.MustCompile(`^\s*(- )?uses: ([A-Za-z0-9_./-]+@[0-9a-f]{40} # v?[0-9][0-9A-Za-z.-]*|\./\S*)$`)

// keeps holds what every workflow and action of ours keeps to: actions pinned by commit, no text of others in a script, least
// permissions, no job without an end.
func keeps(t *testing.T, name, text string) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		if strings.Contains(" "+line, " uses:") && !pinned.MatchString(line) {
			t.Errorf("%s:%d: this action is not pinned by a commit: %s", name, i+1, line)
		}
	}
	var file struct {
		Permissions map[string]string
		Concurrency any
		Jobs        map[string]struct {
			Permissions map[string]string
			Timeout     int `yaml:"timeout-minutes"`
			Steps       []struct {
				Run  string
				With map[string]any
				Uses string
			}
		}
		Runs struct {
			Steps []struct{ Run, Shell string }
		}
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	scripts := []string{}
	for _, step := range file.Runs.Steps {
		if step.Run != "" {
			scripts = append(scripts, step.Run)
		}
	}
	if file.Jobs != nil && (file.Permissions == nil || len(file.Permissions) != 0 || file.Concurrency == nil) {
		t.Errorf("%s: permissions must be none for the workflow and given to jobs, and it must say what may run at once", name)
	}
	for id, job := range file.Jobs {
		if job.Permissions == nil || job.Timeout == 0 {
			t.Errorf("%s: job %s has no permissions or no timeout of its own", name, id)
		}
		for _, step := range job.Steps {
			if step.Run != "" {
				scripts = append(scripts, step.Run)
			}
			if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
				t.Errorf("%s: job %s leaves the token where stages can read it", name, id)
			}
		}
	}
	for _, script := range scripts {
		if strings.Contains(script, "${{") {
			t.Errorf("%s: a script has text put into it: %s", name, script)
		}
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWorkflows lints this repository's own workflows and its action.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	project, err := actionlint.NewProject(root)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("workflows: %v, %v", files, err)
	}
	for _, path := range files {
		text := file(t, path)
		for _, problem := range linted(t, path, []byte(text), project) {
			t.Error(problem)
		}
		keeps(t, filepath.Base(path), text)
	}
	keeps(t, "action.yml", file(t, filepath.Join(root, "action.yml")))
}

var someFacts = workflowFacts{
	Commit: "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", Version: "1.2.3", Environment: "production", Branch: "main", Folder: "apps/guide", Node: "22", Secrets: []string{"JWT_SECRET"},
}

// TestWorkflowTemplates: what init --github writes is clean, and nothing that an app is called can become YAML.
func TestWorkflowTemplates(t *testing.T) {
	t.Parallel()
	if files, err := renderWorkflows(someFacts); err != nil || len(files) != 3 { // nothing goes on in another job
		t.Fatal(files, err)
	}
	shared := someFacts
	shared.Shared = true
	files, err := renderWorkflows(shared)
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	all := ""
	for _, file := range files {
		for _, problem := range linted(t, file.Path, []byte(file.Content), nil) {
			t.Error(problem)
		}
		keeps(t, file.Path, file.Content)
		if strings.Contains(file.Content, "[[") {
			t.Errorf("%s has something left of the template:\n%s", file.Path, file.Content)
		}
		all += file.Content
	}
	for _, want := range []string{"penstock-ci/penstock@" + someFacts.Commit + " # 1.2.3", "JWT_SECRET: ${{ secrets.JWT_SECRET }}", "folder: apps/guide", `branches: ["main"]`, "group: penstock-production", "types: [published]", "cron:", "run: ${{ inputs.run }}"} {
		if !strings.Contains(all, want) {
			t.Errorf("no workflow has %q", want)
		}
	}
	// A job that ends green while its run waits must have no deployment that GitHub would call a success, and whoever promotes wants it live.
	for _, file := range files {
		passes, own := strings.Contains(file.Content, "waiting: pass"), strings.Contains(file.Content, "      deployment: false")
		if want := strings.HasSuffix(file.Path, "-production.yml"); passes != want || passes && !own {
			t.Errorf("%s: waiting passes: %v, without a deployment of GitHub's: %v", file.Path, passes, own)
		}
	}
	for name, change := range map[string]func(*workflowFacts){
		"environment": func(f *workflowFacts) { f.Environment = "x\n    permissions: write-all" },
		"branch":      func(f *workflowFacts) { f.Branch = `main"]` },
		"folder":      func(f *workflowFacts) { f.Folder = "a b: c" },
		"commit":      func(f *workflowFacts) { f.Commit = "main" },
		"secret":      func(f *workflowFacts) { f.Secrets = []string{"A }} ${{ x"} },
	} {
		facts := someFacts
		change(&facts)
		if _, err := renderWorkflows(facts); err == nil {
			t.Errorf("a wrong %s becomes part of a workflow", name)
		}
	}
}

// TestTheLintCanFail shows that the checks above are some.
func TestTheLintCanFail(t *testing.T) {
	t.Parallel()
	files, err := renderWorkflows(someFacts)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(files[0].Content, "runs-on: ubuntu-24.04", "runs-on: ubuntu-24.04\n    needs: nobody", 1)
	if len(linted(t, "x.yml", []byte(broken), nil)) == 0 {
		t.Error("actionlint finds nothing in a job that needs one that is not there")
	}
	for _, line := range []string{"      - uses: actions/checkout@v4", "      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"} {
		if pinned.MatchString(line) {
			t.Errorf("%s counts as pinned", line)
		}
	}
}

// TestInitGitHub refuses a build that cannot be pinned, writes at the repository's top, and never over a person's file.
func TestInitGitHub(t *testing.T) {
	folder, _ := repository(t)
	if got := say(t, folder, "init", "--github"); got.code != ExitUsage || !strings.Contains(got.err, "does not know the commit") {
		t.Errorf("a build without its commit: %+v", got)
	}
	setCommit(t, someFacts.Commit)
	if got := say(t, folder, "init", "--github"); got.code != ExitDone || !strings.Contains(got.out, "wrote .github/workflows/penstock-production.yml") {
		t.Fatalf("%+v", got)
	}
	path := filepath.Join(folder, "..", "..", ".github", "workflows", "penstock-production.yml")
	if text := file(t, path); !strings.Contains(text, "folder: apps/small") {
		t.Errorf("%s", text)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := say(t, folder, "init", "--github"); got.code != ExitUsage || !strings.Contains(got.err, "--force") || file(t, path) != "mine" {
		t.Errorf("over a person's file: %+v", got)
	}
	if got := say(t, folder, "init", "--github", "--force"); got.code != ExitDone || file(t, path) == "mine" {
		t.Errorf("--force: %+v", got)
	}
	if got := say(t, folder, "init", "--github", "--env", "nowhere"); got.code != ExitUsage {
		t.Errorf("an environment that is not there: %+v", got)
	}
}

// setCommit makes this build one of a commit, for one test that runs alone.
func setCommit(t *testing.T, commit string) {
	t.Helper()
	before := buildinfo.Commit
	buildinfo.Commit = commit
	t.Cleanup(func() { buildinfo.Commit = before })
}
