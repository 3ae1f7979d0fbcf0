package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/joho/godotenv"

	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/pipelines"
)

// devVars is wrangler's file of secrets for local development. Only the local environment reads it.
const devVars = ".dev.vars"

// secretValues are the secrets of one run, by name. The two are kept apart: a token that a stage needs to install packages
// must not end up in the Worker.
type secretValues struct {
	stages   map[string]string // for the stages that name them
	deployed map[string]string // that become part of the Worker
}

// all is every value that must not be shown. A stage's may have the name of one that is deployed, and another value.
func (v secretValues) all() map[string]string {
	all := maps.Clone(v.deployed)
	for name, value := range v.stages {
		if other, known := all[name]; known && other != value {
			name += " of the stages"
		}
		all[name] = value
	}
	return all
}

// secrets collects the values of the secrets that the pipeline and the environment name, from the process environment and,
// for the local environment, from .dev.vars. A name without a value is left out: whoever needs it says so.
func (s *Streams) secrets(folder string, pipeline *pipelines.Pipeline, environment *pipelines.Environment) (secretValues, error) {
	values := secretValues{stages: map[string]string{}, deployed: map[string]string{}}
	if environment.Target == localTarget {
		var err error
		if values.deployed, err = readDevVars(filepath.Join(folder, devVars)); err != nil {
			return secretValues{}, fail(ExitUsage, "write each secret as NAME=value on a line of its own", err)
		}
	}
	for _, name := range environment.Secrets {
		if value := s.Env(name); value != "" {
			values.deployed[name] = value
		}
	}
	for _, stage := range pipeline.Stages {
		for _, name := range stage.Secrets {
			if value := s.Env(name); value != "" {
				values.stages[name] = value
			} else if value, ok := values.deployed[name]; ok {
				values.stages[name] = value
			}
		}
	}
	return values, nil
}

// inventSecrets gives required secrets that have no value a random one. Only the local environment gets such: there is
// nobody to ask, and nothing there is worth protecting, but an app that misses a secret would fail for that alone.
func (r *run) inventSecrets(names []string) {
	for _, name := range names {
		r.secrets.deployed[name] = rand.Text() + rand.Text()
	}
	r.hides.Store(redact.New(r.hidden()))
	r.note("info", fmt.Sprintf("%s had no value and got a random one, for this machine only; set your own in the environment or in %s", list(names), devVars))
}

// readDevVars reads a dotenv file. No file is no secrets. The parser's own words are not passed on: they can quote a line,
// and the line can be a secret.
func readDevVars(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	defer file.Close()
	values, err := godotenv.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s is not a list of NAME=value lines", filepath.Base(path))
	}
	return values, nil
}
