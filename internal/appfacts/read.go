package appfacts

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// Problem is one thing that is wrong or worth knowing in the app's files.
type Problem = pipelines.Problem

// reading is one look at an app's folder.
type reading struct {
	dir      string
	top      string // where the lock file lies: dir, or the folder of its workspace
	app      pipelines.App
	manifest *manifest
	entry    string // that the deploy script names, "" when it leaves it to the config
	problems pipelines.Problems
}

// Read reads the facts about the app in dir. The problems are everything that is wrong with its files, at once; where one
// of them is an error, the facts are as far as they could be read. err says that a file could not be read at all.
func Read(dir string) (pipelines.App, pipelines.Problems, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return pipelines.App{}, nil, fmt.Errorf("read the app's folder: %w", err)
	}
	if !info.IsDir() {
		return pipelines.App{}, nil, fmt.Errorf("read the app's folder: %s is a file; name the folder that it is in", dir)
	}
	r := &reading{dir: dir, top: dir}
	for _, step := range []func() error{
		r.readManifest,
		r.readWorkspace,
		r.readLockfile,
		r.readScripts,
		r.readWorker,
		r.readSource,
		r.chooseNode,
		r.chooseName,
	} {
		if err := step(); err != nil {
			return pipelines.App{}, nil, err
		}
	}
	r.problems.Sort()
	return r.app, r.problems, nil
}

func (r *reading) problem(severity pipelines.Severity, file string, line, column int, what, fix string) {
	r.problems = append(r.problems, Problem{Severity: severity, File: file, Line: line, Column: column, What: what, Fix: fix})
}

// exists reports whether a file or folder is there. What cannot be looked at is not there for npm or wrangler either.
func (r *reading) exists(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(name)))
	return err == nil
}

// locked reports whether a file lies where the package manager looks for what it locked.
func (r *reading) locked(name string) bool {
	_, err := os.Stat(filepath.Join(r.top, name))
	return err == nil
}

// text reads a small file; ok is false when there is none.
func (r *reading) text(name string) (content []byte, ok bool, err error) {
	return r.textIn(r.dir, name)
}

func (r *reading) textIn(folder, name string) (content []byte, ok bool, err error) {
	path := filepath.Join(folder, filepath.FromSlash(name))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	case !info.Mode().IsRegular():
		return nil, false, nil
	case info.Size() > maxFileSize:
		return nil, false, fmt.Errorf("read %s: it is larger than %d MiB; check that it is the right file", name, maxFileSize>>20)
	}
	content, err = os.ReadFile(path)
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	}
	return content, true, nil
}

// maxFileSize is far above the largest lock files that were seen (some 3 MB).
const maxFileSize = 64 << 20

// readWorker takes over the wrangler config.
func (r *reading) readWorker() error {
	config, err := wrangler.Load(r.dir)
	var wrong pipelines.Problems
	switch {
	case errors.Is(err, wrangler.ErrNoConfig):
		r.problem(pipelines.SeverityError, "wrangler.jsonc", 0, 0, "there is no wrangler configuration in this folder",
			"go to the Worker's folder, or write one with name, main and compatibility_date")
		return nil
	case errors.As(err, &wrong):
		r.problems = append(r.problems, wrong...)
		return nil
	case err != nil:
		return err
	}
	r.app.Worker.Generated = r.generates()
	for _, warning := range config.Warnings {
		if !r.app.Worker.Generated || warning.File != wrangler.Redirect { // the bundle stage makes its own
			r.problems = append(r.problems, warning)
		}
	}
	top, err := config.For("")
	if err != nil {
		return err
	}
	r.wellFormed(config, top)
	facts := &r.app.Worker
	facts.ConfigFile = config.File
	facts.DeployOptions = r.readDeployScript()
	facts.Name, facts.Main = top.Name, cmp.Or(r.entry, top.Main)
	facts.Environments = config.Environments()
	facts.Deployments = map[string]pipelines.Deployment{}
	facts.BuildCommand = top.Build.Command
	for _, env := range append([]string{""}, facts.Environments...) {
		worker, err := config.For(env)
		if err != nil {
			return err
		}
		facts.Deployments[env] = pipelines.Deployment{
			Name: worker.Name, HasD1: len(worker.D1Databases) > 0, HasKV: len(worker.KVNamespaces) > 0, HasR2: len(worker.R2Buckets) > 0,
			HasDurableObjects: len(worker.DurableObjects.Bindings) > 0, HasVectorize: len(worker.Vectorize) > 0, HasRoutes: len(worker.AllRoutes()) > 0,
			HasQueues:       len(worker.Queues.Producers)+len(worker.Queues.Consumers) > 0,
			VersionMetadata: worker.VersionMetadata != nil, Secrets: worker.Secrets.Required,
		}
		r.built(worker.Main)
		if worker.Assets != nil {
			deployment := facts.Deployments[env]
			deployment.Assets = folderWithin(worker.Assets.Directory)
			facts.Deployments[env] = deployment
			r.built(worker.Assets.Directory)
		}
	}
	if language := otherLanguages[path.Ext(facts.Main)]; language != "" {
		line, column := config.Place("/main")
		r.problem(pipelines.SeverityError, config.File, line, column, fmt.Sprintf("%s is %s, and Penstock deploys Workers in JavaScript and TypeScript only", facts.Main, language),
			"deploy this one with its own tools (Python: `pywrangler deploy`)")
	}
	if facts.Main == "" && top.Assets == nil && len(facts.Environments) == 0 {
		r.problem(pipelines.SeverityError, config.File, 1, 1, `there is neither "main" nor "assets": nothing would be deployed`, `set "main" to the Worker's entry file`)
	}
	return nil
}

// wellFormed tells at once of what wrangler refuses only when the stages before it have run.
func (r *reading) wellFormed(config *wrangler.Config, worker wrangler.Worker) {
	if r.app.Worker.Generated { // the build has its own defaults
		return
	}
	if worker.Name == "" {
		r.problem(pipelines.SeverityError, config.File, 1, 1, `there is no "name"`, "give the Worker its name; the app keeps its version and its data under it")
	}
	if _, err := time.Parse(time.DateOnly, worker.CompatibilityDate); worker.CompatibilityDate != "" && err != nil {
		line, column := config.Place("/compatibility_date")
		r.problem(pipelines.SeverityError, config.File, line, column, fmt.Sprintf("compatibility_date %q is no date", worker.CompatibilityDate), "write it as 2026-04-01; wrangler refuses it otherwise")
	}
}

// otherLanguages are those that wrangler knows by the entry file's name.
var otherLanguages = map[string]string{".py": "Python", ".rs": "Rust"}

var notInNames = regexp.MustCompile(`[^a-z0-9@/._-]+`)

// chooseName takes the first name that there is.
func (r *reading) chooseName() error {
	absolute, err := filepath.Abs(r.dir)
	if err != nil {
		return fmt.Errorf("find the app's folder: %w", err)
	}
	for _, name := range []string{r.app.Name, r.app.Worker.Name, filepath.Base(absolute), "app"} {
		if name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-./_"); name != "" {
			r.app.Name = name
			break
		}
	}
	return nil
}
