package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// smokeRecord keeps what a promotion asked its version, for the gates that judge that. Safe for concurrent use.
type smokeRecord struct {
	mu     sync.Mutex
	probes []evidence.Probing
	stages []evidence.SmokeStage
}

var errNothingSmoked = errors.New("no version was asked anything yet: give the gate the phase promote or bake")

// write writes what was asked so far.
func (r *smokeRecord) write(path string) error {
	r.mu.Lock()
	told := evidence.Smoke{
		Header: evidence.Header{TakenAt: time.Now().UTC()},
		Probes: append([]evidence.Probing{}, r.probes...), Stages: append([]evidence.SmokeStage{}, r.stages...),
	}
	r.mu.Unlock()
	if len(told.Probes) == 0 && len(told.Stages) == 0 {
		return errNothingSmoked
	}
	return evidence.Write(path, told)
}

// recordSmoke keeps what the promotion asks its version, where there are gates that may judge it.
func (r *run) recordSmoke(options *promotion.Options) {
	if r.evidence == nil {
		return
	}
	options.Prober = recordedProber{options.Prober, &r.evidence.smoke}
	if options.SmokeStages != nil {
		options.SmokeStages = recordedStages{options.SmokeStages, &r.evidence.smoke}
	}
}

// recordedProber records what another prober is answered.
type recordedProber struct {
	promotion.Prober
	record *smokeRecord
}

// Probe implements promotion.Prober.
func (p recordedProber) Probe(ctx context.Context, address promotion.Address, version string, smoke pipelines.Smoke) (promotion.Report, error) {
	report, err := p.Prober.Probe(ctx, address, version, smoke)
	probing := evidence.Probing{
		At: time.Now().UTC(), Version: version, Override: len(address.Header) > 0, OK: err == nil && report.OK, Proven: report.Proven,
		Paths: []string{}, Summary: report.Summary, Lines: slices.Clone(report.Lines), Error: text(err),
	}
	for _, probe := range smoke.Probes {
		probing.Paths = append(probing.Paths, probe.Path)
	}
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	p.record.probes = append(p.record.probes, probing)
	return report, err
}

// recordedStages records how smoke stages went.
type recordedStages struct {
	promotion.SmokeStages
	record *smokeRecord
}

// RunSmoke implements promotion.SmokeStages.
func (s recordedStages) RunSmoke(ctx context.Context, moment string, address promotion.Address, version string, log io.Writer) (bool, string, error) {
	ok, summary, err := s.SmokeStages.RunSmoke(ctx, moment, address, version, log)
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	s.record.stages = append(s.record.stages, evidence.SmokeStage{
		At: time.Now().UTC(), Moment: moment, Version: version, OK: ok && err == nil, Summary: summary, Error: text(err),
	})
	return ok, summary, err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
