package promotion

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-ci/penstock/pipelines"
)

// errNothingToAsk: a smoke that asks nothing must not pass for one.
var errNothingToAsk = errors.New("there is nothing to ask a version: name probes under smoke.probes of the environment in penstock.yaml, or give the app a script \"test:smoke\"")

// question is one version being asked whether it works.
type question struct {
	Options
	moment  string
	address Address
	version string
}

// probe wants the version to answer the environment's probes, and tells each answer.
func (q question) probe(ctx context.Context, smoke pipelines.Smoke, tell func(line string)) (Report, error) {
	prober := q.Prober
	if q.moment == whileShifting || q.moment == whileBaking {
		prober = q.Watcher
	}
	report, err := prober.Probe(ctx, q.address, q.version, smoke)
	if err != nil {
		return report, fmt.Errorf("probe version %s %s: %w", short(q.version), q.moment, err)
	}
	for _, line := range report.Lines {
		tell(line)
	}
	if !report.OK {
		return report, &SmokeError{Moment: q.moment, Version: q.version, Summary: report.Summary, Lines: report.Lines}
	}
	return report, nil
}

// stages runs the pipeline's smoke stages against the version; "" when there are none.
func (q question) stages(ctx context.Context) (summary string, err error) {
	if q.SmokeStages == nil {
		return "", nil
	}
	ok, summary, err := q.SmokeStages.RunSmoke(ctx, q.moment, q.address, q.version, q.Log)
	if err != nil {
		return "", fmt.Errorf("run the smoke stages %s: %w", q.moment, err)
	}
	if !ok {
		return summary, &SmokeError{Moment: q.moment, Version: q.version, Summary: summary}
	}
	return summary, nil
}

// Smoke asks a version that runs what a promotion would ask it, at the moment [OnDemand], and changes nothing. Of the options
// it needs Prober, and SmokeStages where there are some. It returns what was asked in one line for people. A version that does
// not answer as it must is a [*SmokeError]; that there is nothing to ask it is an error too.
func Smoke(ctx context.Context, options Options, address Address, version string, smoke pipelines.Smoke, tell func(line string)) (string, error) {
	if len(smoke.Probes) == 0 && options.SmokeStages == nil {
		return "", errNothingToAsk
	}
	q := question{options.withDefaults(), OnDemand, address, version}
	report, err := q.probe(ctx, smoke, tell)
	if err != nil {
		return report.Summary, err
	}
	summary, err := q.stages(ctx)
	return joined(report.Summary, summary), err
}
