package dagger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/penstock-ci/penstock/internal/executor/runfolder"
)

// keptUnused is how long a kept folder stays that no run asks for.
const keptUnused = 7 * 24 * time.Hour

// kept are folders of packages that runs before this one copied out of the engine, by their content: the runtime of the local
// Cloudflare is 100 MB of them, which every deployment needs and hardly any changes. Safe for several processes.
type kept struct{ all string }

// folder returns where a directory of the engine lies on this machine, below its own path; it is copied by way of spare, a
// path in the run's own folder, unless it is there.
func (k *kept) folder(ctx context.Context, dir *dagger.Directory, path, spare string) (string, error) {
	digest, err := dir.Digest(ctx)
	if err != nil {
		return "", err
	}
	under := filepath.Join(k.all, strings.ReplaceAll(digest, ":", "-"))
	at := filepath.Join(under, filepath.FromSlash(path))
	if _, err := os.Stat(at); err == nil {
		now := time.Now()
		return at, os.Chtimes(under, now, now)
	}
	if _, err := dir.Export(ctx, spare); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return "", fmt.Errorf("keep a copy of %s: %w", path, err)
	}
	// Whoever comes second finds the first one's, which is the same.
	if err := os.Rename(spare, at); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep a copy of %s: %w", path, err)
	}
	k.sweep()
	return at, nil
}

// sweep removes what no run has asked for in a long time. What cannot be removed stays, for a later run.
func (k *kept) sweep() {
	all, err := os.ReadDir(k.all)
	if err != nil {
		return
	}
	for _, one := range all {
		if info, err := one.Info(); err == nil && time.Since(info.ModTime()) > keptUnused {
			runfolder.RemoveAll(filepath.Join(k.all, one.Name()))
		}
	}
}
