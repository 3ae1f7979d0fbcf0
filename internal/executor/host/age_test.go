package host_test

import (
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestResultsGrowOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	stage := script("audit", "echo asked")
	once := func() (cached bool, why string) {
		t.Helper()
		s := w.open(stage)
		defer s.close()
		result := s.pass(stage)
		return result.Cached, result.Why
	}
	stage.MaxAge = time.Hour
	once()
	if cached, why := once(); !cached {
		t.Errorf("a result of a moment ago is not used: %s", why)
	}

	time.Sleep(20 * time.Millisecond)
	stage.MaxAge = 10 * time.Millisecond
	s := w.open(stage)
	explained, err := s.Session.(lastrun.Explainer).Explain(t.Context(), &stage, nil)
	if err != nil || explained.Cached {
		t.Errorf("explained as cached: %+v, %v", explained, err)
	}
	result := s.pass(stage)
	wantCached(t, result, false, "old, and at most 10 ms are allowed, so it runs again")
	s.close()

	// The fresh result counts from now, also for whoever allows more.
	stage.MaxAge = time.Hour
	if cached, why := once(); !cached {
		t.Errorf("the result of the second run is not used: %s", why)
	}
}

// TestAResultWithoutItsReportIsNotKept: a stage that could not find out and passes must be asked again the next time.
func TestAResultWithoutItsReportIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	stage := script("audit", "echo refused")
	stage.Reports = []pipelines.Report{{Kind: gates.ReportNPMAudit, Path: "$PENSTOCK_REPORTS/audit.json"}}
	for _, why := range []string{"first run", "nothing changed, but the last run did not leave $PENSTOCK_REPORTS/audit.json"} {
		s := w.open(stage)
		result := s.pass(stage)
		wantCached(t, result, false, why)
		if len(result.Missing) != 1 {
			t.Errorf("missing: %v", result.Missing)
		}
		s.close()
	}
	stage.Reports[0].Optional = true
	w.open(stage).pass(stage)
	s := w.open(stage)
	wantCached(t, s.pass(stage), true, "unchanged")
}
