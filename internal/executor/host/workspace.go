package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
)

// workspace is the folder in which one stage runs once. It is made when the first program starts or the shell first looks
// at the file system; a stage of nothing but plain builtins never needs one.
type workspace struct {
	session *Session
	job     engine.Job
	set     *inputs.Set

	home    string // the stage's folder; everything but temp and kept lies in it
	root    string // the app's folder as the stage sees it
	temp    string
	reports string // where the stage may write reports
	kept    string // where they are kept, without secrets

	mu     sync.Mutex
	begun  bool
	sealed bool // discarded, or about to be
	err    error
}

var errSealed = errors.New("the stage has ended")

// prepare makes the workspace once, and answers the same ever after.
func (w *workspace) prepare(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed {
		return errSealed
	}
	if !w.begun {
		w.begun = true
		w.err = w.fill(ctx)
	}
	return w.err
}

// made reports whether the workspace is there.
func (w *workspace) made() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun && w.err == nil
}

// failure is what kept the workspace from being made.
func (w *workspace) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *workspace) fill(ctx context.Context) error {
	if err := w.session.folder.MakeTemp(); err != nil {
		return fmt.Errorf("make the workspace of stage %s: %w", w.job.Stage.Name, err)
	}
	// Few of them, and no looking whether they are there: folders cost more than all else that a small stage does.
	for _, folder := range []string{w.home, w.root, w.reports, w.temp} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return fmt.Errorf("make the workspace of stage %s: %w", w.job.Stage.Name, err)
		}
	}
	for _, name := range w.job.Stage.Caches {
		if err := os.MkdirAll(w.session.cacheFolder(name), 0o755); err != nil {
			return fmt.Errorf("make the folder of cache %s: %w", name, err)
		}
	}
	if err := w.session.mirror.Copy(ctx, w.set, w.root); err != nil {
		return fmt.Errorf("make the workspace of stage %s: %w", w.job.Stage.Name, err)
	}
	for _, need := range w.job.Needs {
		if err := w.session.linkOutputs(ctx, *need, w.root); err != nil {
			return fmt.Errorf("make the workspace of stage %s: %w", w.job.Stage.Name, err)
		}
	}
	return nil
}

// discard removes the workspace when it was begun; from then on it cannot be made.
func (w *workspace) discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed = true
	if !w.begun {
		return
	}
	w.session.folder.Discard(w.home, w.temp)
}
