package appfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstock-ci/penstock/pipelines"
)

// Fit makes the pipeline for the app in dir: its facts, the shipped pipeline, penstock.yaml where there is one, defaults,
// validation. The problems are everything that there is to say about the app's files, in the order of files and lines; the
// pipeline can be run only when none of them is an error (problems.Err() == nil). err says that a file could not be read.
func Fit(dir string) (pipelines.Pipeline, pipelines.Problems, error) {
	app, problems, err := Read(dir)
	if err != nil {
		return pipelines.Pipeline{}, nil, err
	}
	file, wrong, err := loadFile(dir)
	if err != nil {
		return pipelines.Pipeline{}, nil, err
	}
	problems = append(problems, wrong...)
	known := app.Dependencies != nil && app.Worker.ConfigFile != "" // both files could be read
	if known && !file.Custom() {
		problems = append(problems, pipelines.Notes(app)...)
	}
	if problems.Err() != nil {
		// A pipeline for half-known facts would only add problems that are none.
		problems.Sort()
		return pipelines.Pipeline{}, problems, nil
	}
	p, wrong := pipelines.Build(pipelines.Worker(app), file)
	problems = append(problems, wrong...)
	problems = append(problems, pipelines.Agree(p, file, app)...)
	problems.Sort()
	return p, problems, nil
}

// loadFile reads the app's penstock.yaml; without one the file is nil.
func loadFile(dir string) (*pipelines.File, pipelines.Problems, error) {
	if _, err := os.Stat(filepath.Join(dir, "penstock.yml")); err == nil {
		return nil, pipelines.Problems{{
			Severity: pipelines.SeverityError, File: "penstock.yml", What: "is not read", Fix: "rename it to " + pipelines.FileName,
		}}, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, pipelines.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", pipelines.FileName, err)
	}
	file, problems := pipelines.Load(pipelines.FileName, text)
	return file, problems, nil
}
