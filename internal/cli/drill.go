package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/sqldump"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

func newDrill(shared *common) *cobra.Command {
	var environment string
	command := &cobra.Command{
		Use:   "drill",
		Short: "Prove that the databases can be restored: back up, restore into fresh ones, compare, delete those",
		Long: "Does what a disaster recovery would do, up to the point where the app would change: exports each database, makes a new\n" +
			"one of the export in the same account, compares them table by table, and deletes the new one. The app is not touched;\n" +
			"while a database is exported it answers nobody else.",
		Example: "  penstock drill --env production",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			r.announce("drill", nil)
			return r.finish(ctx, event.Result{}, operationFailure(r.drill(ctx, target)))
		},
	}
	environmentFlag(command, &environment, "to drill")
	return command
}

func (r *run) drill(ctx context.Context, target *cloudflare.Target) error {
	savable, err := target.Savable(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "penstock-drill-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	drilled := 0
	for _, resource := range savable {
		if resource.Kind != cloudflare.SavedDatabase {
			continue
		}
		drilled++
		if err := r.drillOne(ctx, target, resource, dir); err != nil {
			return err
		}
	}
	if drilled == 0 {
		return fail(ExitUsage, "`penstock backup` saves KV namespaces", errors.New("the app has no database that could be restored"))
	}
	return nil
}

func (r *run) drillOne(ctx context.Context, target *cloudflare.Target, resource cloudflare.Resource, dir string) (err error) {
	var saved cloudflare.Saved
	err = r.doStep("save-"+resource.Name, "export database "+resource.Name, func() (detail string, err error) {
		saved, err = resource.Save(ctx, dir)
		return describeSaved(saved), err
	})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%.49s-drill-%s", resource.Name, strings.ToLower(r.id[len(r.id)-8:])) // D1 takes names of up to 64 characters
	var restored cloudflare.Restored
	err = r.doStep("restore-"+resource.Name, "make database "+name+" of the export", func() (detail string, err error) {
		if restored, err = target.RestoreInto(ctx, name, saved.File); err != nil {
			return "", err
		}
		return describeRestored(restored), nil
	})
	if restored.ID == "" {
		return err // nothing was made
	}
	// Also when it failed: a copy of production's data must not stay.
	return errors.Join(err, r.doStep("discard-"+resource.Name, "delete database "+name, func() (string, error) {
		// Also after a Ctrl-C: what the drill made must not stay.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		return "", target.Discard(ctx, restored)
	}))
}

// checkDump proves that a file is still what its manifest says.
func checkDump(ctx context.Context, file string, saved cloudflare.Saved) (string, error) {
	dump, err := sqldump.Read(ctx, file)
	if err != nil {
		return "", err
	}
	if dump.Digest != saved.Digest {
		return "", fmt.Errorf("%s is not what was saved: it has the digest %s, the manifest says %s", filepath.Base(file), brief(dump.Digest), brief(saved.Digest))
	}
	return file, nil
}
