package cli

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// TestStatusKnowsWhatWasDoneSince: a secret that was put makes another version live, and a maintenance takes the app away.
func TestStatusKnowsWhatWasDoneSince(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	record, err := ledger.Open(ctx, filepath.Join(t.TempDir(), ledgerFile))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	lease, err := record.Acquire(ctx, "app", "production", "p1")
	if err = errors.Join(err, record.Checkpoint(ctx, lease, promotion.Checkpoint{Promotion: "p1", Run: "R1", State: promotion.Completed, Version: "promoted"}), record.Release(ctx, lease)); err != nil {
		t.Fatal(err)
	}
	for _, done := range []struct {
		run, command, step string
		result             event.Result
		want               []string
		never              string
	}{
		{"R2", "backup", "save", event.Result{Outcome: "done"}, []string{"version promoted"}, "service:"},
		{"R3", secretsCommand, "put", event.Result{Outcome: "failed"}, []string{"version promoted"}, "secret:"},
		{"R4", secretsCommand, "put", event.Result{Outcome: "done", Version: "edited", Previous: "promoted"}, []string{"secret:  put since, which made version edited live"}, "service:"},
		{"R5", maintenanceCommand, "suspend", event.Result{Outcome: "done"}, []string{"version edited", "in maintenance by run R5", "`penstock maintenance status --env production`"}, "nothing"},
		{"R6", maintenanceCommand, stepResume, event.Result{Outcome: "failed"}, []string{"in maintenance by run R5"}, "R6"},
		{"R7", maintenanceCommand, stepResume, event.Result{Outcome: "done"}, []string{"version edited"}, "service:"},
		{"R8", maintenanceCommand, "lock", event.Result{Outcome: "done"}, []string{"in maintenance by run R8"}, "R5"},
	} {
		err := errors.Join(
			record.Record(ctx, event.Event{Type: event.RunStarted, Run: done.run, RunInfo: &event.RunInfo{App: "app", Environment: "production", Command: done.command}}),
			record.Record(ctx, event.Event{Type: event.StepFinished, Run: done.run, Step: &event.Step{Name: done.step}}),
			record.Record(ctx, event.Event{Type: event.RunFinished, Run: done.run, Result: &done.result}))
		if err != nil {
			t.Fatal(err)
		}
		states, err := record.Environments(ctx, "app")
		if err != nil || len(states) != 1 {
			t.Fatal(states, err)
		}
		status, err := statusOf(ctx, record, states[0])
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		showStatus(&Streams{Out: &out}, []environmentStatus{status})
		for _, want := range done.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("after %s, want %q:\n%s", done.run, want, out.String())
			}
		}
		if strings.Contains(out.String(), done.never) {
			t.Errorf("after %s, do not want %q:\n%s", done.run, done.never, out.String())
		}
	}
}

// TestStatusOfOneEnvironment: what waits in one is not in the way of whoever asks about another.
func TestStatusOfOneEnvironment(t *testing.T) {
	t.Parallel()
	_, state := heldRun(t)
	folder := t.TempDir()
	if got := sayIn(t, state, folder, "status", "--env", "production"); got.code != ExitDone || !strings.Contains(got.out, "small → production") {
		t.Errorf("%+v", got)
	}
	if got := sayIn(t, state, folder, "status", "--env", "staging"); got.code != ExitDone || strings.Contains(got.out, "production") || !strings.Contains(got.out, "`penstock status` shows all") {
		t.Errorf("%+v", got)
	}
	if got := sayIn(t, state, folder, "status", "--env", "staging", "--json"); strings.TrimSpace(got.out) != "[]" {
		t.Errorf("%+v", got)
	}
}
