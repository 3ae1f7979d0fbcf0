package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// pruneExports removes the exports that promotions of the environment kept and that nobody needs any more, and says so. What
// `penstock backup` wrote is left to people. That it failed is a warning: the promotion is done.
func (r *run) pruneExports(ctx context.Context) {
	if r.environment.Backup != pipelines.BackupExport {
		return
	}
	past, err := r.ledger.Past(ctx, r.pipeline.Name, r.environment.Name)
	if err != nil {
		r.note("warning", "old exports were not looked for: "+err.Error())
		return
	}
	dir, err := r.backupDir()
	if err != nil {
		r.note("warning", "old exports were not looked for: "+err.Error())
		return
	}
	removed, freed := 0, int64(0)
	for _, one := range promotion.SparedExports(past, *r.environment, time.Now()) {
		if _, err := ulid.ParseStrict(one.Promotion); err != nil {
			continue // never a path of somebody's making
		}
		folder := filepath.Join(dir, one.Promotion)
		size, found := bytesOf(folder)
		if !found {
			continue // pruned before, or made on another machine
		}
		if err := os.RemoveAll(folder); err != nil {
			r.note("warning", "an old export was not removed: "+err.Error())
			continue
		}
		removed++
		freed += size
	}
	if removed > 0 {
		r.note("info", fmt.Sprintf("removed the exports of %d old promotions (%.1f MiB); keepExports and keepExportsFor of environment %s say which stay", removed, float64(freed)/(1<<20), r.environment.Name))
	}
}

// bytesOf is how many bytes the files of a folder have.
func bytesOf(folder string) (size int64, found bool) {
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err == nil
}
