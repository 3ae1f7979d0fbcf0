package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// TestBackupsOfOperations reads what `penstock backup` and `penstock drill` left on record, and looks at the copies.
func TestBackupsOfOperations(t *testing.T) {
	t.Parallel()
	const digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of "foo"
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	manifest := func(run string) {
		t.Helper()
		text, err := json.Marshal(backupManifest{Run: run, Files: []cloudflare.Saved{{Kind: cloudflare.SavedDatabase, Name: "main", File: "main.sql", Digest: digest, Size: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		write(run+"/"+manifestFile, string(text))
	}
	operation := func(id, command string, steps ...event.Step) ledger.Run {
		return ledger.Run{RunSummary: ledger.RunSummary{ID: id, Started: began, Info: event.RunInfo{Command: command}}, Steps: steps}
	}
	saved := event.Step{Name: "save-main"}
	export := func(run string, kept evidence.State, where, reason string) evidence.Backup {
		return evidence.Backup{Kind: evidence.BackupExport, Database: "main", At: began, Run: run, Digest: digest, Size: 3, Kept: kept, Where: where, Reason: reason}
	}
	for _, id := range []string{"kept", "changed", "gone", "stored"} {
		manifest(id)
	}
	write("kept/main.sql", "foo")
	write("changed/main.sql", "bar")
	elsewhere := evidence.Backup{Kind: evidence.BackupExport, Database: "main", At: began, Run: "elsewhere", Kept: evidence.Unknown, Where: "elsewhere", Reason: "it was written to a folder of the caller's choice"}

	for _, test := range []struct {
		operation ledger.Run
		want      []evidence.Backup
	}{
		{operation("kept", "backup", saved), []evidence.Backup{export("kept", evidence.Present, "this machine", "")}},
		{operation("changed", "backup", saved), []evidence.Backup{export("changed", evidence.Missing, "this machine", "the file is not what was saved: its digest is sha256:fcde2b2edba5, not sha256:2c26b46b68ff")}},
		{operation("gone", "backup", saved), []evidence.Backup{export("gone", evidence.Missing, "this machine", "the file is gone")}},
		{operation("stored", "backup", saved, event.Step{Name: "store", Detail: "2 files"}), []evidence.Backup{export("stored", evidence.Present, "a bucket: 2 files", "")}},
		{operation("gone", "backup", saved, event.Step{Name: "store", Error: "no such bucket"}), []evidence.Backup{export("gone", evidence.Missing, "this machine", "the file is gone")}},
		{operation("elsewhere", "backup", saved), []evidence.Backup{elsewhere}},
		{operation("failed", "backup", event.Step{Name: "save-main", Error: "cut off"}), nil},
		{operation("drill", "drill", saved, event.Step{Name: "restore-main"}, event.Step{Name: "discard-main"}), []evidence.Backup{{Kind: evidence.BackupDrill, Database: "main", At: began, Run: "drill"}}},
		{operation("drill", "drill", saved, event.Step{Name: "restore-main", Error: "differs"}), nil},
	} {
		if diff := cmp.Diff(test.want, operationBackups(test.operation, folder)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.operation.Info.Command, test.operation.ID, diff)
		}
	}
}
