package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/smokeproxy"
	"github.com/penstock-ci/penstock/pipelines"
)

// proxiedJudge asks the gates of a promotion. Each gate that asks the running version gets a plain address of its own, by
// which any HTTP client reaches the version that is judged, so that it is known for each gate which version answered it.
type proxiedJudge struct {
	judge engine.PromotionJudge
	smoke pipelines.Smoke
}

var _ promotion.Judge = proxiedJudge{}

// Judge implements promotion.Judge.
func (j proxiedJudge) Judge(ctx context.Context, phase gates.Phase, address promotion.Address, version string) (promotion.Ruling, error) {
	judge := j.judge
	judge.Options.Request.Run.PublicURL = address.URL
	judge.Options.Gatekeeper = versionKeeper{Gatekeeper: j.judge.Options.Gatekeeper, address: address, version: version, smoke: j.smoke}
	return judge.Judge(ctx, phase, address, version)
}

// versionKeeper is a gatekeeper that stands between gates and a running version.
type versionKeeper struct {
	engine.Gatekeeper
	address promotion.Address
	version string
	smoke   pipelines.Smoke
}

// Evaluate implements engine.Gatekeeper. A gate that lets the version through without having asked it, or that other
// versions answered, has not judged it.
func (k versionKeeper) Evaluate(ctx context.Context, gate string, request gates.Request, progress func(string)) gates.Verdict {
	info, err := k.Gatekeeper.Describe(ctx, gate)
	if err != nil || !info.Description.Needs.Version || k.address.URL == "" {
		return k.Gatekeeper.Evaluate(ctx, gate, request, progress) // which says what is wrong, if anything is
	}
	proxy, err := smokeproxy.Start(ctx, k.address, k.version)
	if err != nil {
		return notAsked("run it again", "%s could not be given an address of the version: %v", gate, err)
	}
	defer func() { _ = proxy.Close() }() // what it saw has been counted
	request.Run.URL = proxy.URL
	verdict := k.Gatekeeper.Evaluate(ctx, gate, request, progress)
	if seen := proxy.Seen(); seen.Failed > 0 && seen.Answers == 0 {
		// The gate was told 502 in the version's stead; its verdict is about that.
		return notAsked("see whether the environment's address is up, then run it again", "the version did not answer any of %d questions of %s", seen.Failed, gate)
	}
	if !verdict.Outcome.Allows() {
		return verdict
	}
	if doubt := k.doubt(ctx, gate, proxy); doubt != nil {
		return *doubt
	}
	return verdict
}

// doubt says why a gate's good word does not count; nil when it does.
//
// Where answers must prove their version, one that does is enough. When a gate got none, its last path is asked again: an
// answer that shows the version now means that the earlier one came from another. Many paths never show it; then the
// environment's probes must, asked the same way.
func (k versionKeeper) doubt(ctx context.Context, gate string, proxy *smokeproxy.Proxy) *gates.Verdict {
	seen := proxy.Seen()
	var doubt gates.Verdict
	switch {
	case seen.Answers == 0:
		doubt = notAsked("report this to the author of the gate: it must ask the version at Run.URL",
			"%s let the version through and got no answer from it", gate)
	case k.version == "" || k.smoke.Version != pipelines.ProofRequired || seen.Proven > 0:
		return nil
	case seen.Unproven != "" && k.shows(ctx, proxy, seen.Unproven):
		doubt = notAsked("run it again: the deployment had not reached every place yet",
			"none of %d answers to %s came from version %s", seen.Answers, gate, k.version)
	case k.probesShow(ctx, proxy):
		return nil
	default:
		doubt = notAsked("run it again; see that the paths under smoke.probes in penstock.yaml show the version's id",
			"none of %d answers to %s came from version %s, and the environment's probes do not show it either", seen.Answers, gate, k.version)
	}
	return &doubt
}

func (k versionKeeper) probesShow(ctx context.Context, proxy *smokeproxy.Proxy) bool {
	for _, probe := range k.smoke.Probes {
		if k.shows(ctx, proxy, probe.Path) {
			return true
		}
	}
	return false
}

// shows reports whether a path, asked now, answers with the version's id.
func (k versionKeeper) shows(ctx context.Context, proxy *smokeproxy.Proxy, path string) bool {
	before := proxy.Seen().Proven
	question, err := http.NewRequestWithContext(ctx, http.MethodGet, proxy.URL+path, nil)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	answer, err := client.Do(question)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	// The proxy looks for the id in what is read through it; what breaks off has shown nothing more.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, smokeproxy.ScanLimit))
	return proxy.Seen().Proven > before
}

func notAsked(nextStep, format string, args ...any) gates.Verdict {
	return gates.Verdict{Outcome: gates.Error, Summary: fmt.Sprintf(format, args...), NextStep: nextStep}
}
