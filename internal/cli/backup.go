package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// backupManifest says what a backup holds. It is written last, so that a backup without one is known to be unfinished.
type backupManifest struct {
	App         string             `json:"app"`
	Environment string             `json:"environment"`
	TakenAt     time.Time          `json:"takenAt"`
	Run         string             `json:"run"`
	Files       []cloudflare.Saved `json:"files"` // File is relative to the manifest
}

const (
	manifestFile = "manifest.json"
	// backupStamp begins a backup's name with its time, so that names sort by age; two of one second differ behind it.
	backupStamp = "20060102T150405Z"
)

// backupName names the backup that a run made.
func backupName(at time.Time, run string) string {
	return at.UTC().Format(backupStamp) + "-" + strings.ToLower(run[max(0, len(run)-6):])
}

// isBackupName knows a backup's folder; before two of one second could differ, the time was its whole name.
func isBackupName(name string) bool {
	stamp, _, _ := strings.Cut(name, "-")
	_, err := time.Parse(backupStamp, stamp)
	return err == nil
}

func newBackup(shared *common) *cobra.Command {
	var environment, output, bucket string
	command := &cobra.Command{
		Use:   "backup",
		Short: "Save the environment's databases and KV namespaces, and prove that they are whole",
		Long: "Exports each D1 database as SQL and makes a database of it to prove it, saves each KV namespace in the form that\n" +
			"`wrangler kv bulk put` takes, and notes what each Vectorize index is made of. With --bucket all of it goes to R2 as well,\n" +
			"and is read back.",
		Example: "  penstock backup --env production --bucket atomic-guide-backups\n  penstock backup --env production --output /mnt/backups/today",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			dir := output
			if dir == "" {
				if dir, err = r.backupDir(); err != nil {
					return errors.Join(err, r.end(ctx))
				}
				dir = filepath.Join(dir, backupName(r.began, r.id))
			}
			r.announce("backup", nil)
			err = r.backup(ctx, target, dir, bucket)
			result := event.Result{}
			if err == nil {
				result.NextStep = "`penstock drill --env " + environment + "` proves that a restore works"
			}
			return r.finish(ctx, result, operationFailure(err))
		},
	}
	environmentFlag(command, &environment, "to back up")
	command.Flags().StringVar(&output, "output", "", "the `folder` to write to; by default one in Penstock's state folder")
	command.Flags().StringVar(&bucket, "bucket", "", "an R2 `bucket` to put it into as well")
	return command
}

// operationFailure gives the failure of an operation its exit code: what the account said no to is no fault of Penstock's.
func operationFailure(err error) error {
	code, _ := classify(err)
	if err == nil || code != ExitInternal {
		return err
	}
	return fail(ExitStageFailed, "mend what is said above, then run the same command again", err)
}

// doStep does one step of an operation, told to people and to the ledger.
func (r *run) doStep(name, title string, do func() (detail string, err error)) error {
	step := event.Step{Name: name, Title: title}
	began := time.Now()
	r.tellStep(event.StepStarted, step)
	detail, err := do()
	done := event.Step{Name: name, Title: title, Detail: detail, Duration: time.Since(began)}
	if err != nil {
		done.Error = err.Error()
	}
	r.tellStep(event.StepFinished, done)
	return err
}

// tellStep tells of a step of an operation, and keeps it: nobody else does, as there is no promotion.
func (r *run) tellStep(what event.Type, step event.Step) {
	told := event.Event{Type: what, Run: r.id, Time: time.Now(), Step: &step}
	if r.record != nil {
		r.record.Keep(hideIn(told, r.hide))
	}
	r.bus.Observe(told)
}

// backup saves everything into dir and, where a bucket is named, there.
func (r *run) backup(ctx context.Context, target *cloudflare.Target, dir, bucket string) error {
	manifest := backupManifest{App: r.pipeline.Name, Environment: r.environment.Name, TakenAt: r.began.UTC(), Run: r.id}
	savable, err := target.Savable(ctx)
	if err != nil {
		return err
	}
	if len(savable) == 0 {
		return fail(ExitUsage, "bind a D1 database or a KV namespace in the wrangler config", errors.New("the app has nothing that could be saved"))
	}
	for _, resource := range savable {
		err := r.doStep("save-"+resource.Name, "save "+resource.Kind+" "+resource.Name, func() (string, error) {
			saved, err := resource.Save(ctx, dir)
			if err != nil {
				return "", err
			}
			manifest.Files = append(manifest.Files, saved)
			return describeSaved(saved), nil
		})
		if err != nil {
			return err
		}
	}
	return r.keepBackup(ctx, target, &manifest, dir, bucket)
}

func describeSaved(saved cloudflare.Saved) string {
	text := fmt.Sprintf("%d bytes, %s", saved.Size, brief(saved.Digest))
	switch saved.Kind {
	case cloudflare.SavedDatabase:
		rows := int64(0)
		for _, table := range saved.Tables {
			rows += table.Rows
		}
		text = fmt.Sprintf("%d rows in %d tables, %s", rows, len(saved.Tables), text)
	case cloudflare.SavedNamespace:
		text = fmt.Sprintf("%s, %s", gates.Counted(saved.Keys, "key"), text)
	}
	return text + ", " + saved.File
}

// keepBackup writes the manifest, and the whole into a bucket.
func (r *run) keepBackup(ctx context.Context, target *cloudflare.Target, manifest *backupManifest, dir, bucket string) error {
	files := make([]string, 0, len(manifest.Files)+1)
	for i := range manifest.Files {
		files = append(files, manifest.Files[i].File)
		manifest.Files[i].File = filepath.Base(manifest.Files[i].File)
	}
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	place := filepath.Join(dir, manifestFile)
	if err := os.WriteFile(place, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the backup's manifest: %w", err)
	}
	r.note("info", "the backup is complete in "+dir)
	if bucket == "" {
		return nil
	}
	prefix := backupPrefix(manifest.App, manifest.Environment) + backupName(manifest.TakenAt, manifest.Run) + "/"
	return r.doStep("store", "put it into bucket "+bucket, func() (string, error) {
		for _, file := range append(files, place) {
			if _, err := target.Store(ctx, bucket, prefix+filepath.Base(file), file); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("%d files under %s, each read back", len(files)+1, prefix), nil
	})
}

// backupPrefix begins the keys of an environment's backups in a bucket.
func backupPrefix(app, environment string) string {
	return fileName(app) + "/" + fileName(environment) + "/"
}

// restoreFlags say from where, what, and where to.
type restoreFlags struct {
	environment, from, bucket, database, into string
	bookmark                                  string
	confirmLoss                               bool
}

func newRestore(shared *common) *cobra.Command {
	var flags restoreFlags
	command := &cobra.Command{
		Use:   "restore",
		Short: "Make a new database from a backup, or put one back in place to a bookmark",
		Long: "--into makes a new database from a backup's export and proves that every row is there; nothing that exists is changed.\n" +
			"The app uses it once its id is in the wrangler config. --bookmark puts the environment's database back in place by Time\n" +
			"Travel: everything written since is lost, which --confirm-loss says yes to; what is replaced has a bookmark of its own.",
		Example: "  penstock restore --env production --into atomic-guide-recovery\n  penstock restore --env production --bucket atomic-guide-backups --into atomic-guide-recovery\n" +
			"  penstock restore --env production --bookmark 00000085-0000024c-… --confirm-loss",
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.check(); err != nil {
				return err
			}
			ctx := command.Context()
			r, target, err := operate(ctx, shared, flags.environment)
			if err != nil {
				return err
			}
			r.announce("restore", nil)
			result := event.Result{}
			if flags.bookmark != "" {
				result.NextStep, err = r.restoreInPlace(ctx, target, flags.bookmark)
			} else {
				result.NextStep, err = r.restoreInto(ctx, target, flags)
			}
			return r.finish(ctx, result, operationFailure(err))
		},
	}
	environmentFlag(command, &flags.environment, "whose data it is")
	command.Flags().StringVar(&flags.from, "from", "", "a backup's `folder`, or an export; by default the newest backup")
	command.Flags().StringVar(&flags.bucket, "bucket", "", "take the newest backup, or the one whose time --from names, from this R2 `bucket`")
	command.Flags().StringVar(&flags.database, "database", "", "which `database` of the backup; needed when there are several")
	command.Flags().StringVar(&flags.into, "into", "", "the `name` of the new database")
	command.Flags().StringVar(&flags.bookmark, "bookmark", "", "put the data back in place to this `bookmark`")
	command.Flags().BoolVar(&flags.confirmLoss, "confirm-loss", false, "yes, what was written since is lost")
	return command
}

func (f *restoreFlags) check() error {
	switch {
	case (f.into == "") == (f.bookmark == ""):
		return fail(ExitUsage, "`penstock restore --help` shows an example of each", errors.New("say --into NAME for a new database, or --bookmark for the one that is there"))
	case f.bookmark != "" && !f.confirmLoss:
		return fail(ExitUsage, "add --confirm-loss when you are sure", errors.New("going back to a bookmark in place loses what was written since"))
	case f.bookmark != "" && (f.from != "" || f.bucket != "" || f.database != ""):
		return fail(ExitUsage, "leave --from, --bucket and --database out", errors.New("a bookmark is not in a backup: it is of the database itself"))
	}
	return nil
}

func (r *run) restoreInto(ctx context.Context, target *cloudflare.Target, flags restoreFlags) (string, error) {
	file := ""
	err := r.doStep("find", "find the backup", func() (detail string, err error) {
		file, err = r.findDump(ctx, target, flags)
		return file, err
	})
	if err != nil {
		return "", err
	}
	var restored cloudflare.Restored
	err = r.doStep("import", "make database "+flags.into+" of it", func() (detail string, err error) {
		restored, err = target.RestoreInto(ctx, flags.into, file)
		if err != nil && restored.ID != "" {
			err = fmt.Errorf("%w (the new database stays, for you to look at; `wrangler d1 delete %s` removes it)", err, restored.Name)
		}
		if err != nil {
			return "", err
		}
		return describeRestored(restored), nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("write database_name %q and database_id %q into the wrangler config, then `penstock deploy --env %s`", restored.Name, restored.ID, r.environment.Name), nil
}

func describeRestored(restored cloudflare.Restored) string {
	rows := int64(0)
	for _, table := range restored.Tables {
		rows += table.Rows
	}
	return fmt.Sprintf("id %s: %d rows in %d tables, as in the export", restored.ID, rows, len(restored.Tables))
}

// restoreInPlace goes back by Time Travel, while nobody else changes the environment.
func (r *run) restoreInPlace(ctx context.Context, target *cloudflare.Target, bookmark string) (string, error) {
	undo, asked := "", ""
	err := r.underLease(ctx, func(id string) error {
		if err := r.stillKept(ctx, target, bookmark); err != nil {
			return err
		}
		return r.doStep("restore", "put the data back to bookmark "+bookmark, func() (string, error) {
			asked = time.Now().UTC().Format(time.RFC3339)
			var err error
			undo, err = target.RestoreData(ctx, id, bookmark)
			if err != nil && undo != "" {
				err = fmt.Errorf("%w; some databases were put back, and what that replaced is bookmark %s", err, undo)
			}
			if err != nil {
				return "", err
			}
			return "what it replaced is bookmark " + undo, nil
		})
	})
	if err != nil && asked != "" && (undo != "" || errors.Is(err, promotion.ErrUnreachable) || ctx.Err() != nil) {
		return "look at the data before anything else, and do not ask for it blindly again; `wrangler d1 time-travel info DATABASE --timestamp=" + asked +
			"` names the bookmark of the state before it", err
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("look at the app; `penstock restore --env %s --bookmark '%s' --confirm-loss` undoes it", r.environment.Name, undo), nil
}

// stillKept refuses a bookmark on record that Time Travel has forgotten, and says what there is instead. Of one that is not on
// record nobody knows the age.
func (r *run) stillKept(ctx context.Context, target promotion.Rewinder, bookmark string) error {
	past, err := r.ledger.Past(ctx, r.pipeline.Name, r.environment.Name)
	if err != nil {
		return err
	}
	for _, one := range past {
		if one.Bookmark != bookmark && one.Undo != bookmark {
			continue
		}
		gone, err := target.BeyondTimeTravel(ctx, one.UpdatedAt)
		if err != nil {
			return fmt.Errorf("find out whether bookmark %s can still be gone back to: %w", bookmark, err)
		}
		if gone != "" {
			return fail(ExitStageFailed, promotion.InsteadText(r.environment.Name, promotion.ExportsBefore(past, one.UpdatedAt)),
				fmt.Errorf("bookmark %s, on record by promotion %s: %s; nothing was changed", bookmark, one.Promotion, gone))
		}
		return nil
	}
	return nil
}

// underLease does something to the environment that must not meet a promotion.
func (r *run) underLease(ctx context.Context, do func(id string) error) error {
	return r.besideUnfinished(ctx, func(id string, unfinished []promotion.Checkpoint) error {
		if len(unfinished) > 0 {
			return fail(ExitBusy, "run `penstock deploy --env "+r.environment.Name+"` first: it puts in order what that left",
				fmt.Errorf("promotion %s never came to its end", unfinished[0].Promotion))
		}
		return do(id)
	})
}

// besideUnfinished is underLease for what can be done although a promotion died: maintenance, which deployments wait for in turn.
func (r *run) besideUnfinished(ctx context.Context, do func(id string, unfinished []promotion.Checkpoint) error) error {
	id := strings.ToLower(r.id)
	lease, err := r.ledger.Acquire(ctx, r.pipeline.Name, r.environment.Name, id)
	if err != nil {
		return err
	}
	defer func() {
		if err := r.ledger.Release(context.WithoutCancel(ctx), lease); err != nil {
			r.note("warning", "the lease could not be given back and ends with this process: "+err.Error())
		}
	}()
	return do(id, lease.Abandoned)
}

// findDump finds the export that is to be restored, and checks it against the manifest.
func (r *run) findDump(ctx context.Context, target *cloudflare.Target, flags restoreFlags) (string, error) {
	if flags.bucket != "" {
		return r.fetchDump(ctx, target, flags)
	}
	from := flags.from
	if from == "" {
		dir, err := r.backupDir()
		if err != nil {
			return "", err
		}
		if from, err = newestBackup(dir); err != nil {
			return "", err
		}
	}
	info, err := os.Stat(from)
	if err != nil {
		return "", fail(ExitUsage, "name a folder that `penstock backup` wrote, or an export", err)
	}
	if !info.IsDir() {
		return from, nil
	}
	manifest, err := readManifest(filepath.Join(from, manifestFile))
	if err != nil {
		return "", err
	}
	saved, err := manifest.database(flags.database)
	if err != nil {
		return "", err
	}
	return checkDump(ctx, filepath.Join(from, saved.File), saved)
}

// fetchDump reads an export from a bucket.
func (r *run) fetchDump(ctx context.Context, target *cloudflare.Target, flags restoreFlags) (string, error) {
	prefix := backupPrefix(r.pipeline.Name, r.environment.Name) + flags.from
	keys, err := target.Objects(ctx, flags.bucket, prefix)
	if err != nil {
		return "", err
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return path.Base(key) != manifestFile })
	if len(keys) == 0 {
		return "", fail(ExitUsage, "`penstock backup --bucket "+flags.bucket+"` makes one", fmt.Errorf("bucket %s has no complete backup under %s", flags.bucket, prefix))
	}
	newest := keys[len(keys)-1]
	dir, err := r.backupDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "from-"+fileName(flags.bucket), path.Base(path.Dir(newest)))
	file, err := target.Fetch(ctx, flags.bucket, newest, dir)
	if err != nil {
		return "", err
	}
	manifest, err := readManifest(file)
	if err != nil {
		return "", err
	}
	saved, err := manifest.database(flags.database)
	if err != nil {
		return "", err
	}
	if file, err = target.Fetch(ctx, flags.bucket, path.Join(path.Dir(newest), saved.File), dir); err != nil {
		return "", err
	}
	return checkDump(ctx, file, saved)
}

// newestBackup is the newest folder that has a manifest.
func newestBackup(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, entry := range slices.Backward(entries) { // sorted by name, which is the time
		candidate := filepath.Join(dir, entry.Name())
		if !isBackupName(entry.Name()) {
			continue // a promotion's exports, or what came from a bucket
		}
		if _, err := os.Stat(filepath.Join(candidate, manifestFile)); err == nil {
			return candidate, nil
		}
	}
	return "", fail(ExitUsage, "make one with `penstock backup`, or name one with --from", fmt.Errorf("there is no complete backup in %s", dir))
}

func readManifest(file string) (backupManifest, error) {
	var manifest backupManifest
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	}
	if err != nil {
		return manifest, fail(ExitUsage, "name a folder that `penstock backup` wrote to its end", fmt.Errorf("read the backup's manifest: %w", err))
	}
	return manifest, nil
}

// database is the one of that name, or the only one.
func (m backupManifest) database(name string) (cloudflare.Saved, error) {
	var found []cloudflare.Saved
	var names []string
	for _, saved := range m.Files {
		if saved.Kind != cloudflare.SavedDatabase || !filepath.IsLocal(saved.File) {
			continue
		}
		names = append(names, saved.Name)
		if name == "" || saved.Name == name {
			found = append(found, saved)
		}
	}
	if len(found) != 1 {
		return cloudflare.Saved{}, fail(ExitUsage, "choose one with --database", fmt.Errorf("the backup has the databases %s", list(names)))
	}
	return found[0], nil
}
