package promotion

import (
	"cmp"
	"os"
	"time"

	"github.com/penstock-ci/penstock/pipelines"
)

const (
	keptExports = 10
	exportsAge  = 30 * 24 * time.Hour
	// deployableVersions are those that a rollback can go back to.
	// Source: https://developers.cloudflare.com/workers/versions-and-deployments/rollbacks/
	deployableVersions = 100
)

// SparedExports says which of the promotions on record (newest first) need their exports no longer. Those stay that are among
// the newest or young enough, as the environment says; that of the last promotion that completed; those of promotions that have
// no end or wait; and those from before a migration that a rollback may have to undo.
func SparedExports(past []Checkpoint, environment pipelines.Environment, now time.Time) []Checkpoint {
	number, age := cmp.Or(environment.KeepExports, keptExports), cmp.Or(environment.KeepExportsFor, exportsAge)
	var spared []Checkpoint
	seen, good := 0, false
	for i, one := range past {
		if len(one.Exports) == 0 {
			continue
		}
		seen++
		lastGood := one.State == Completed && !good
		good = good || lastGood
		undoes := i < deployableVersions && breaks(one.Migrations)
		if seen <= number || now.Sub(one.UpdatedAt) < age || !one.State.Ended() || lastGood || undoes {
			continue
		}
		spared = append(spared, one)
	}
	return spared
}

func breaks(migrations []Migration) bool {
	for _, migration := range migrations {
		if migration.Breaks != "" {
			return true
		}
	}
	return false
}

// ExportsBefore are those of the newest promotion that kept exports no later than the moment, and whose files are all on this
// machine still.
func ExportsBefore(past []Checkpoint, moment time.Time) []Export {
	for _, done := range past {
		if len(done.Exports) > 0 && !done.UpdatedAt.After(moment) && there(done.Exports) {
			return done.Exports
		}
	}
	return nil
}

func there(exports []Export) bool {
	for _, export := range exports {
		if _, err := os.Stat(export.File); err != nil {
			return false
		}
	}
	return true
}
