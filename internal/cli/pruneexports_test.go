package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// Old exports of promotions go, and it is said; what `penstock backup` wrote and what no promotion names stays.
func TestOldExportsArePruned(t *testing.T) {
	t.Parallel()
	record, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	state := t.TempDir()
	var said []string
	r := &run{
		ledger: record, pipeline: &pipelines.Pipeline{Name: "app"}, shared: &common{streams: &Streams{Env: func(name string) string { return map[string]string{"PENSTOCK_STATE_DIR": state}[name] }}},
		environment: &pipelines.Environment{Name: "production", Backup: pipelines.BackupExport, KeepExports: 1, KeepExportsFor: time.Nanosecond},
		bus:         engine.NewBus("RUN", event.ObserverFunc(func(e event.Event) { said = append(said, e.Level+": "+e.Text) })),
	}
	dir, err := r.backupDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"01kb000000000000000000000a", "01kb000000000000000000000b", "01kb000000000000000000000c", "20261101T120000Z", "01kb000000000000000000000z"} {
		if err := os.MkdirAll(folder(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder(name), "db.sql"), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"../outside", "01kb000000000000000000000a", "01kb000000000000000000000b", "01kb000000000000000000000c"} {
		lease, err := record.Acquire(t.Context(), "app", "production", id)
		if err != nil {
			t.Fatal(err)
		}
		end := promotion.Checkpoint{Promotion: id, Run: "R" + id, State: promotion.Completed, Version: id, UpdatedAt: time.Now(), Exports: []promotion.Export{{Database: "db", File: filepath.Join(folder(id), "db.sql")}}}
		if err := record.Checkpoint(t.Context(), lease, end); err != nil {
			t.Fatal(err)
		}
		if err := record.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	outside := folder("../outside")
	if err := os.MkdirAll(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do or to say
		r.pruneExports(t.Context())
	}
	if err := r.bus.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{
		"01kb000000000000000000000a": false, "01kb000000000000000000000b": false, "01kb000000000000000000000c": true, "20261101T120000Z": true,
		"01kb000000000000000000000z": true, "../outside": true,
	} {
		if _, err := os.Stat(folder(name)); (err == nil) != stays {
			t.Errorf("%s stays: %v, want %v", name, err == nil, stays)
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], "2 old promotions (2.0 MiB)") {
		t.Errorf("%q", said)
	}
}

func TestBackupsOfOneSecondDiffer(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	one, two := backupName(at, "01KB00000000000000000000AA"), backupName(at, "01KB00000000000000000000BB")
	if one == two || !isBackupName(one) || one >= backupName(at.Add(time.Second), "01KB0000000000000000000000") {
		t.Error(one, two)
	}
	for name, want := range map[string]bool{"20261125T120000Z": true, "20261125T120000Z-0000aa": true, "01kb000000000000000000000a": false, "from-bucket": false} {
		if isBackupName(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
