package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

type saysNo struct{}

func (saysNo) Probe(_ context.Context, _ promotion.Address, version string, _ pipelines.Smoke) (promotion.Report, error) {
	if version == "lost" {
		return promotion.Report{}, errors.New("no route")
	}
	return promotion.Report{OK: true, Proven: true, Summary: "fine"}, nil
}

func (saysNo) RunSmoke(context.Context, string, promotion.Address, string, io.Writer) (bool, string, error) {
	return false, "1 smoke stage failed", nil
}

// What a promotion asks is evidence, and is answered as if nobody had listened.
func TestSmokeIsRecorded(t *testing.T) {
	t.Parallel()
	r := &run{}
	options := promotion.Options{Prober: saysNo{}, SmokeStages: saysNo{}}
	r.recordSmoke(&options)
	if options.Prober != (promotion.Prober)(saysNo{}) {
		t.Error("it is recorded where nobody can ask for it")
	}
	r.evidence = &evidenceSource{run: r, dir: filepath.Join(t.TempDir(), "evidence")}
	if _, err := r.evidence.Gather(t.Context(), gates.PhasePromote, gates.ReportSmoke); !errors.Is(err, errNothingSmoked) {
		t.Errorf("nothing was asked, and yet: %v", err)
	}
	r.recordSmoke(&options)
	override := promotion.Address{Header: http.Header{"X": {"1"}}}
	smoke := pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/health"}}}
	if report, err := options.Prober.Probe(t.Context(), override, "v2", smoke); err != nil || !report.OK {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := options.Prober.Probe(t.Context(), promotion.Address{}, "lost", smoke); err == nil {
		t.Error("an error got lost")
	}
	if ok, summary, err := options.SmokeStages.RunSmoke(t.Context(), "before-traffic", override, "v2", nil); ok || summary != "1 smoke stage failed" || err != nil {
		t.Errorf("%v, %q, %v", ok, summary, err)
	}
	path, err := r.evidence.Gather(t.Context(), gates.PhasePromote, gates.ReportSmoke)
	if err != nil {
		t.Fatal(err)
	}
	told, err := evidence.ReadSmoke(path)
	if err != nil || len(told.Probes) != 2 || len(told.Stages) != 1 {
		t.Fatalf("%+v, %v", told, err)
	}
	if first := told.Probes[0]; !first.OK || !first.Proven || !first.Override || first.Version != "v2" || first.Paths[0] != "/health" {
		t.Errorf("%+v", first)
	}
	if second := told.Probes[1]; second.OK || second.Override || second.Error != "no route" {
		t.Errorf("%+v", second)
	}
	if stage := told.Stages[0]; stage.OK || stage.Moment != "before-traffic" || stage.Summary != "1 smoke stage failed" {
		t.Errorf("%+v", stage)
	}
}
