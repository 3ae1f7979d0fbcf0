package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// maxOperations bounds how far back backups and drills are looked for.
const maxOperations = 500

// backups gathers what promotions, `penstock backup` and `penstock drill` left to go back to, as the ledger has it, and looks
// whether copies on this machine are still what they were.
func (s *evidenceSource) backups(ctx context.Context, path string) error {
	planned := s.planned.Load()
	if planned == nil {
		return errNoPlan
	}
	r := s.run
	told := evidence.Backups{
		Header: evidence.Header{TakenAt: time.Now().UTC()}, App: r.pipeline.Name, Environment: r.environment.Name, Backups: []evidence.Backup{},
	}
	recorded, complete, err := r.ledger.Promotions(ctx, r.pipeline.Name, maxPromotions)
	if err != nil {
		return err
	}
	for _, one := range recorded {
		if one.Environment == r.environment.Name {
			told.Backups = append(told.Backups, backupsOf(one, planned.target)...)
		}
	}
	runs, err := r.ledger.Runs(ctx, ledger.Filter{App: r.pipeline.Name, Environment: r.environment.Name, Limit: maxOperations})
	if err != nil {
		return err
	}
	told.Complete = complete && len(runs) < maxOperations
	folder, err := r.backupDir()
	if err != nil {
		return err
	}
	for _, summary := range runs {
		if summary.State != ExitDone.Outcome() || (summary.Info.Command != "backup" && summary.Info.Command != "drill") {
			continue
		}
		operation, err := r.ledger.Run(ctx, summary.ID)
		if err != nil {
			return err
		}
		told.Backups = append(told.Backups, operationBackups(operation, folder)...)
	}
	slices.SortStableFunc(told.Backups, func(a, b evidence.Backup) int { return b.At.Compare(a.At) })
	return evidence.Write(path, told)
}

// backupsOf are those that a promotion took before its migrations.
func backupsOf(one ledger.Promotion, target *cloudflare.Target) []evidence.Backup {
	var found []evidence.Backup
	mark := func(backup evidence.Backup) {
		backup.At, backup.Run, backup.Promotion = one.Started, one.Checkpoint.Run, one.Checkpoint.Promotion
		found = append(found, backup)
	}
	for database, bookmark := range target.Bookmarks(one.Checkpoint.Bookmark) {
		mark(evidence.Backup{Kind: evidence.BackupBookmark, Database: database, Bookmark: bookmark})
	}
	for _, export := range one.Checkpoint.Exports {
		kept, reason := keptCopy(export.File, export.Digest)
		mark(evidence.Backup{
			Kind: evidence.BackupExport, Database: export.Database, Bookmark: export.Bookmark, Digest: export.Digest, Size: export.Size,
			Kept: kept, Where: "this machine", Reason: reason,
		})
	}
	slices.SortFunc(found, func(a, b evidence.Backup) int { return strings.Compare(a.Kind+a.Database, b.Kind+b.Database) })
	return found
}

// operationBackups are those of a `penstock backup` or `penstock drill` that came to its end.
func operationBackups(operation ledger.Run, folder string) []evidence.Backup {
	var found []evidence.Backup
	stored := ""
	for _, step := range operation.Steps {
		if step.Name == "store" && step.Error == "" {
			stored = step.Detail
		}
	}
	manifest, dir := manifestOf(folder, operation.ID)
	for _, step := range operation.Steps {
		name, drilled := strings.CutPrefix(step.Name, "restore-")
		saved, exported := strings.CutPrefix(step.Name, "save-")
		backup := evidence.Backup{At: operation.Started, Run: operation.ID}
		switch {
		case step.Error != "":
			continue
		case drilled && operation.Info.Command == "drill":
			backup.Kind, backup.Database = evidence.BackupDrill, name
		case exported && operation.Info.Command == "backup":
			backup.Kind, backup.Database = evidence.BackupExport, saved
			backup.Kept, backup.Where, backup.Reason = evidence.Unknown, "elsewhere", "it was written to a folder of the caller's choice"
			for _, file := range manifest.Files {
				if file.Name == saved {
					backup.Digest, backup.Size, backup.Where = file.Digest, file.Size, "this machine"
					backup.Kept, backup.Reason = keptCopy(filepath.Join(dir, file.File), file.Digest)
				}
			}
			if backup.Kept != evidence.Present && stored != "" {
				backup.Kept, backup.Where, backup.Reason = evidence.Present, "a bucket: "+stored, ""
			}
		default:
			continue
		}
		found = append(found, backup)
	}
	return found
}

// manifestOf finds the manifest of a backup run among those in the folder; an empty one when it wrote elsewhere.
func manifestOf(folder, run string) (backupManifest, string) {
	files, err := filepath.Glob(filepath.Join(folder, "*", manifestFile))
	if err != nil {
		return backupManifest{}, ""
	}
	for _, file := range slices.Backward(files) {
		if manifest, err := readManifest(file); err == nil && manifest.Run == run {
			return manifest, filepath.Dir(file)
		}
	}
	return backupManifest{}, ""
}

// keptCopy says whether a file still has its digest.
func keptCopy(path, digest string) (evidence.State, string) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return evidence.Missing, "the file is gone"
	case err != nil:
		return evidence.Unknown, err.Error()
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return evidence.Unknown, err.Error()
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != digest {
		return evidence.Missing, fmt.Sprintf("the file is not what was saved: its digest is %s, not %s", brief(got), brief(digest))
	}
	return evidence.Present, ""
}
