package dagger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"dagger.io/dagger"

	"github.com/penstock-ci/penstock/internal/engine"
)

// exportedOutput is an output of a stage on this machine. It is copied once, by whoever asks first.
type exportedOutput struct {
	to   string
	kept *kept

	mu   sync.Mutex
	done bool
}

func (e *exportedOutput) path(ctx context.Context, client *dagger.Client, result engine.Result, wanted string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done {
		return e.to, nil
	}
	outputs, err := outputsOf(result)
	if err != nil {
		return "", err
	}
	for _, o := range outputs {
		if !below(wanted, o.Path) {
			continue
		}
		if err := e.export(ctx, client, o, wanted); err != nil {
			return "", fmt.Errorf("copy the output %s of stage %s: %w", wanted, result.Stage, err)
		}
		e.done = true
		return e.to, nil
	}
	return "", fmt.Errorf("stage %s left no output %s", result.Stage, wanted)
}

func (e *exportedOutput) export(ctx context.Context, client *dagger.Client, o leftOutput, wanted string) error {
	if err := os.MkdirAll(filepath.Dir(e.to), 0o755); err != nil {
		return err
	}
	if !o.Dir {
		_, err := client.LoadFileFromID(dagger.FileID(o.ID)).Export(ctx, e.to)
		return err
	}
	dir := client.LoadDirectoryFromID(dagger.DirectoryID(o.ID))
	if wanted == o.Path {
		_, err := dir.Export(ctx, e.to)
		return err
	}
	within, err := filepath.Rel(o.Path, wanted)
	if err != nil {
		return err
	}
	within = filepath.ToSlash(within)
	isDir, dirErr := dir.Exists(ctx, within, dagger.DirectoryExistsOpts{ExpectedType: dagger.ExistsTypeDirectoryType})
	switch {
	case dirErr != nil:
		return dirErr
	case isDir:
		e.to, err = e.kept.folder(ctx, dir.Directory(within), wanted, e.to)
	default:
		_, err = dir.File(within).Export(ctx, e.to)
	}
	if err != nil && ctx.Err() == nil {
		return errors.Join(fmt.Errorf("there is no %s", wanted), err)
	}
	return err
}
