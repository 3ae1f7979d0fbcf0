package cli

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/buildinfo"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

//go:embed workflows/*.yml
var workflowTemplates embed.FS

// workflowFacts are what the workflows of an app differ in.
type workflowFacts struct {
	Commit, Version     string // of the action, by which it is pinned
	Environment, Branch string
	Folder              string // the app's, from the repository's top
	Node                string
	Secrets             []string
	Shared              bool // machines share the environment's record, so that a run can go on in another job
}

// workflow is one file that init --github writes.
type workflow struct {
	Path    string `json:"path"` // from the repository's top
	Content string `json:"content"`
}

var (
	pinnable   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	plainName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	plainPath  = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./-]*$`)
	secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	branchName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)
)

// renderWorkflows fits the templates. Every fact becomes part of YAML, so it must be a plain word.
func renderWorkflows(facts workflowFacts) ([]workflow, error) {
	for what, row := range map[string]struct {
		value string
		is    *regexp.Regexp
	}{
		"the commit of Penstock": {facts.Commit, pinnable}, "the environment": {facts.Environment, plainName}, "the branch": {facts.Branch, branchName},
		"the app's folder": {facts.Folder, plainPath}, "the version of Penstock": {facts.Version, plainName}, "the version of Node": {facts.Node, plainName},
	} {
		if !row.is.MatchString(row.value) {
			return nil, fmt.Errorf("%s is %q, which a workflow cannot name", what, row.value)
		}
	}
	for _, name := range facts.Secrets {
		if !secretName.MatchString(name) {
			return nil, fmt.Errorf("GitHub cannot hold a secret named %q", name)
		}
	}
	entries, err := workflowTemplates.ReadDir("workflows")
	if err != nil {
		return nil, err
	}
	var files []workflow
	for _, entry := range entries {
		text, err := workflowTemplates.ReadFile(path.Join("workflows", entry.Name()))
		if err != nil {
			return nil, err
		}
		parsed, err := template.New(entry.Name()).Delims("[[", "]]").Parse(string(text))
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := parsed.Execute(&out, facts); err != nil {
			return nil, err
		}
		if strings.TrimSpace(out.String()) == "" {
			continue // it is not for this app
		}
		files = append(files, workflow{Path: ".github/workflows/penstock-" + entry.Name(), Content: out.String()})
	}
	return files, nil
}

// initGitHub writes the workflows for the app into its repository.
func initGitHub(ctx context.Context, shared *common, environment string, force bool) error {
	folder, err := shared.appFolder()
	if err != nil {
		return err
	}
	fitted, problems, err := appfacts.Fit(folder)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return unfit(folder, err)
	}
	if _, err := fitted.For(environment); err != nil {
		return fail(ExitUsage, "choose one with --env", err)
	}
	if !pinnable.MatchString(buildinfo.Commit) {
		return fail(ExitUsage, "use a release, or build from a clone with `make build`", errors.New("this penstock does not know the commit that it was built from, and workflows pin the action by it"))
	}
	top, err := snapshot.Top(ctx, folder)
	if err != nil {
		return err
	}
	files, err := renderWorkflows(workflowFacts{
		Commit: buildinfo.Commit, Version: buildinfo.Version, Environment: environment, Branch: defaultBranch(ctx, folder),
		Folder: path.Clean("./" + top), Node: "22", Secrets: secretsOf(&fitted, environment),
		Shared: fitted.Environment(environment).Ledger != (pipelines.SharedLedger{}),
	})
	if err != nil {
		return fail(ExitUsage, "rename it, then run the same command again", err)
	}
	root := folder
	for range strings.Count(top, "/") {
		root = filepath.Dir(root)
	}
	if !force && !shared.json {
		for _, file := range files {
			if _, err := os.Lstat(filepath.Join(root, filepath.FromSlash(file.Path))); err == nil {
				return fail(ExitUsage, "adjust it, or write all of them anew with --force", fmt.Errorf("%s is there already", file.Path))
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if shared.json {
		return printJSON(shared.streams.Out, files)
	}
	for _, file := range files {
		target := filepath.Join(root, filepath.FromSlash(file.Path))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, []byte(file.Content), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(shared.streams.Out, "wrote %s\n", file.Path)
	}
	fmt.Fprintf(shared.streams.Out, "next: put the secrets that penstock-production.yml names into the environment %s on GitHub, then commit the files (docs/github.md)\n", environment)
	return nil
}

// secretsOf are the names that the environment and the pipeline's stages want, without those that every deployment wants.
func secretsOf(pipeline *pipelines.Pipeline, environment string) []string {
	var names []string
	seen := map[string]bool{"CLOUDFLARE_API_TOKEN": true, "CLOUDFLARE_ACCOUNT_ID": true}
	add := func(more []string) {
		for _, name := range more {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	add(pipeline.Environment(environment).Secrets)
	for _, stage := range pipeline.Stages {
		add(stage.Secrets)
	}
	return names
}

// defaultBranch is the one that origin has its HEAD on, else the one that is checked out; main when neither is known.
func defaultBranch(ctx context.Context, folder string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, arguments := range [][]string{{"rev-parse", "--abbrev-ref", "origin/HEAD"}, {"symbolic-ref", "--short", "HEAD"}} {
		if out, err := gitOutput(ctx, folder, arguments...); err == nil {
			if name := strings.TrimPrefix(out, "origin/"); branchName.MatchString(name) && name != "HEAD" {
				return name
			}
		}
	}
	return "main"
}
