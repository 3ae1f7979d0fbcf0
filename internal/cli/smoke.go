package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/smokeproxy"
	"github.com/penstock-ci/penstock/pipelines"
)

// watcher probes a version that is watched. What is switched is shown everywhere by then, so that a wrong answer is soon
// taken for one: each second of patience is one more in which people get it.
var watcher = probe.HTTP{Patience: 2 * time.Second}

// proxiedSmoke runs the smoke stages behind a proxy that adds the version's header, so that any script reaches the version
// that it is meant for, and so that it is known which version answered it.
type proxiedSmoke struct {
	stages engine.Smoke
	proof  pipelines.VersionProof
}

var _ promotion.SmokeStages = proxiedSmoke{}

// smokeWith adds the pipeline's smoke stages, where it has some.
func (r *run) smokeWith(options *promotion.Options) {
	if len(r.pipeline.StagesAt(pipelines.WhenSmoke)) == 0 {
		return
	}
	options.SmokeStages = proxiedSmoke{proof: r.environment.Smoke.Version, stages: engine.Smoke{
		Environment: r.environment.Name, Options: engine.Options{
			Run: r.id, Pipeline: r.pipeline, Session: r.session, Observer: r.bus, Secrets: r.secrets.stages, Earlier: r.stages.Results, KeepGoing: true,
		},
	}}
}

// RunSmoke implements promotion.SmokeStages. Stages that pass without the wanted version having answered them have not
// smoked it: that is a failure, not a pass.
func (s proxiedSmoke) RunSmoke(ctx context.Context, moment string, address promotion.Address, version string, log io.Writer) (bool, string, error) {
	proxy, err := smokeproxy.Start(ctx, address, version)
	if err != nil {
		return false, "", fmt.Errorf("give the smoke stages an address: %w", err)
	}
	defer func() { _ = proxy.Close() }() // what it served has been counted
	ok, summary, err := s.stages.RunSmoke(ctx, moment, promotion.Address{URL: proxy.URL}, version, log)
	if err != nil || !ok {
		return ok, summary, err
	}
	seen := proxy.Seen()
	switch {
	case seen.Answers == 0:
		return false, "the smoke stages passed without asking the version anything: let them read its address from BASE_URL or PENSTOCK_URL", nil
	case version != "" && seen.Proven == 0 && s.proof == pipelines.ProofRequired:
		return false, fmt.Sprintf("none of %d answers to the smoke stages came from version %s", seen.Answers, version), nil
	case version == "":
		return true, fmt.Sprintf("%s after %d answers", summary, seen.Answers), nil
	}
	return true, fmt.Sprintf("%s after %d answers, %d of them signed by version %s", summary, seen.Answers, seen.Proven, version), nil
}
