package main

import (
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// smoked is a promotion that asked its version what is told.
func smoked(t *testing.T, probes []evidence.Probing, stages ...evidence.SmokeStage) gates.Request {
	t.Helper()
	path := filepath.Join(t.TempDir(), "smoke.json")
	if err := evidence.Write(path, evidence.Smoke{Probes: probes, Stages: stages}); err != nil {
		t.Fatal(err)
	}
	return gates.Request{Phase: gates.PhasePromote, Run: gates.Run{VersionID: newVersion}, Reports: []gates.Report{{Kind: gates.ReportSmoke, Path: path}}}
}

func TestSmoke(t *testing.T) {
	fine := evidence.Probing{Version: newVersion, OK: true, Proven: true, Paths: []string{"/health"}}
	unproven := fine
	unproven.Proven = false
	stage := evidence.SmokeStage{Moment: "before-traffic", Version: newVersion, OK: true}
	gatetest.Try(t, smokeGate{}, []gatetest.Case{
		{Name: "all well", Request: smoked(t, []evidence.Probing{fine, fine}, stage), Config: `{"paths": ["/health"], "proof": true, "stages": true}`, Want: gates.Pass,
			Check: gatetest.Says("version new00000 answered 2 probes as expected with its id and passed 1 smoke stage")},
		{Name: "a probe failed", Request: smoked(t, []evidence.Probing{fine, {Version: newVersion, Summary: "/health answered 500"}}), Want: gates.Fail, Check: gatetest.Says("/health answered 500")},
		{Name: "a probe could not be asked", Request: smoked(t, []evidence.Probing{fine, {Version: newVersion, Error: "connection refused"}}), Want: gates.Fail, Check: gatetest.Says("connection refused")},
		{Name: "a stage failed", Request: smoked(t, []evidence.Probing{fine}, evidence.SmokeStage{Moment: "after-switch", Version: newVersion, Summary: "smoke failed"}), Want: gates.Fail, Check: gatetest.Says("after-switch: smoke failed")},
		{Name: "another version was asked", Request: smoked(t, []evidence.Probing{{Version: oldVersion, OK: true}}), Want: gates.Inconclusive, Check: gatetest.Says("was asked nothing")},
		{Name: "not all paths", Config: `{"paths": ["/health", "/api"]}`, Request: smoked(t, []evidence.Probing{fine}), Want: gates.Fail, Check: gatetest.Says("was not asked for /api")},
		{Name: "no proof", Config: `{"proof": true}`, Request: smoked(t, []evidence.Probing{unproven}), Want: gates.Fail, Check: gatetest.Says("answered 1 probe, and none showed its id")},
		{Name: "no stage", Config: `{"stages": true}`, Request: smoked(t, []evidence.Probing{fine}), Want: gates.Fail, Check: gatetest.Says("no smoke stage ran")},
	})
}

func TestSlowdown(t *testing.T) {
	slower := well()
	slower.wall = 200
	little := well()
	little.wall = 103
	few := traffic{seconds: 20, wall: 500}
	gatetest.Try(t, slowdownGate{}, []gatetest.Case{
		{Name: "as fast", Request: faring(t, guideAlerts, well(), nil), Want: gates.Pass, Check: gatetest.Says("p95 is 100.0 ms", "of version 0ld00000 was 100.0 ms")},
		{Name: "slower", Request: faring(t, guideAlerts, slower, nil), Want: gates.Fail, Check: gatetest.All(gatetest.Says("p95 is 200.0 ms"), func(t *testing.T, v gates.Verdict) {
			if p95 := gatetest.Measured(t, v, "p95"); p95.Baseline == nil || *p95.Baseline != 100 || *p95.Limit != 125 {
				t.Errorf("%+v", p95)
			}
		})},
		{Name: "slower, and allowed to be", Config: `{"maxIncrease": 100}`, Request: faring(t, guideAlerts, slower, nil), Want: gates.Pass},
		{Name: "a little slower", Config: `{"maxIncrease": 0}`, Request: faring(t, guideAlerts, little, nil), Want: gates.Pass},
		{Name: "a little slower, and that counts", Config: `{"maxIncrease": 0, "slack": 0}`, Request: faring(t, guideAlerts, little, nil), Want: gates.Fail},
		{Name: "too few requests", Request: faring(t, guideAlerts, few, nil), Want: gates.Inconclusive, Check: gatetest.Says("20 requests of version new00000 are too few")},
		{Name: "sometimes slow", Want: gates.Inconclusive, Check: gatetest.Says("p95 is"), Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) {
			points := m.Versions[0].Points
			slow := 900.0
			for i := range points {
				if i%19 == 0 { // 4 of 60: the true share may be more than 5 % or less
					points[i].Wall = &evidence.Quantiles{P50: &slow, P95: &slow, P99: &slow}
				}
			}
		})},
		{Name: "nothing to compare with", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) { m.Versions = m.Versions[:1] }), Want: gates.Inconclusive, Check: gatetest.Says("nothing to compare with")},
		{Name: "what it was compared with had few", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) { m.Versions[1].Points = m.Versions[1].Points[:10] }), Want: gates.Inconclusive, Check: gatetest.Says("too few to compare with")},
		{Name: "analytics cannot be asked", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) {
			m.VersionsState, m.Total.Reason = evidence.Unknown, "the token may not"
		}), Want: gates.Inconclusive, Check: gatetest.Says("the token may not")},
	})
}
