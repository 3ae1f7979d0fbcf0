package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestEvidenceBeforeThereIsAPlan(t *testing.T) {
	t.Parallel()
	recorded, err := openLedger(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer recorded.Close()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, id := range []string{"earlier", "now"} {
		started := event.Event{Type: event.RunStarted, Time: began, Run: id, RunInfo: &event.RunInfo{App: "guide", Environment: "staging", Commit: "c1", SourceDigest: "sha256:s"}}
		if err := recorded.Record(t.Context(), started); err != nil {
			t.Fatal(err)
		}
		lease, err := recorded.Acquire(t.Context(), "guide", "staging", "p-"+id)
		if err != nil {
			t.Fatal(err)
		}
		ended := promotion.Checkpoint{Promotion: "p-" + id, Run: id, State: promotion.Completed, Version: "v-" + id, Plan: "sha256:p", UpdatedAt: began.Add(time.Minute)}
		if err := recorded.Checkpoint(t.Context(), lease, ended); err != nil {
			t.Fatal(err)
		}
		if err := recorded.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	source := &evidenceSource{dir: filepath.Join(t.TempDir(), "evidence"), run: &run{
		id: "now", ledger: recorded, pipeline: &pipelines.Pipeline{Name: "guide"}, environment: &pipelines.Environment{Name: "staging"},
	}}
	for _, kind := range []gates.ReportKind{gates.ReportEnvironment, gates.ReportPlan, gates.ReportRehearsal, gates.ReportBackups, "weather"} {
		if path, err := source.Gather(t.Context(), gates.PhaseBuild, kind); err == nil {
			t.Errorf("%s is gathered without a plan: %s", kind, path)
		} else if kind != "weather" && !strings.Contains(err.Error(), "phase plan, promote or bake") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	path, err := source.Gather(t.Context(), gates.PhaseBuild, gates.ReportPromotions)
	if err != nil {
		t.Fatal(err)
	}
	told, err := evidence.ReadPromotions(path)
	if err != nil || !told.Complete || len(told.Promotions) != 1 {
		t.Fatalf("%+v, %v", told, err)
	}
	one := told.Promotions[0]
	if one.ID != "p-earlier" || one.Environment != "staging" || one.Commit != "c1" || !one.Started.Equal(began) || one.Ended.IsZero() {
		t.Errorf("%+v", one)
	}
	again, err := source.Gather(t.Context(), gates.PhaseBuild, gates.ReportPromotions)
	if err != nil || again == path {
		t.Errorf("gathered again into %s, %v", again, err)
	}
}
