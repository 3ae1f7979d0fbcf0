package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestWebVitals(t *testing.T) {
	of := func(kind gates.ReportKind, contents ...string) gates.Request {
		request := gates.Request{Stages: []gates.Stage{gatetest.Stage("vitals", "passed", 0)}}
		for _, content := range contents {
			request.Reports = append(request.Reports, gates.Report{Kind: kind, Stage: "vitals", Path: gatetest.Written(t, content), Root: "/app"})
		}
		return request
	}
	// lighthouse is what Lighthouse 12 leaves of a page, as far as it is read.
	lighthouse := func(lcp, cls float64) string {
		return fmt.Sprintf(`{"lighthouseVersion": "12.8.2", "finalDisplayedUrl": "http://127.0.0.1:8787/", "audits": {
			"largest-contentful-paint": {"numericValue": %v, "numericUnit": "millisecond"},
			"first-contentful-paint": {"numericValue": 900.5}, "cumulative-layout-shift": {"numericValue": %v},
			"server-response-time": {"numericValue": 20}, "interaction-to-next-paint": {"scoreDisplayMode": "notApplicable"}, "errors-in-console": {"score": 1}}}`, lcp, cls)
	}
	const page = " of http://127.0.0.1:8787/"
	visits := func(lcps ...float64) string {
		var text strings.Builder
		for _, lcp := range lcps {
			fmt.Fprintf(&text, "{\"name\": \"LCP\", \"value\": %v, \"id\": \"v5-1\"}\n{\"name\": \"CLS\", \"value\": 0.01}\n", lcp)
		}
		return text.String()
	}
	skipped := of(gates.ReportLighthouse, lighthouse(100, 0))
	skipped.Stages = []gates.Stage{gatetest.Stage("vitals", "skipped", -1)}

	failed := func(lcp float64) gates.Request {
		request := of(gates.ReportLighthouse, lighthouse(lcp, 0))
		request.Stages = []gates.Stage{gatetest.Stage("vitals", "failed", 1)}
		return request
	}

	gatetest.Try(t, webVitalsGate{}, []gatetest.Case{{
		Name: "within budget", Request: of(gates.ReportLighthouse, lighthouse(2500, 0.1)), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("4 values of 1 page within budget"), gatetest.Measures("LCP"+page, 2500), gatetest.Measures("TTFB"+page, 20)),
	}, {
		Name: "too slow", Request: of(gates.ReportLighthouse, lighthouse(2501, 0.01)), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("2501 ms, budget 2500 ms"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "LCP", Message: "largest contentful paint" + page + " is 2501 ms, budget 2500 ms",
		})),
	}, {
		Name: "it jumps", Request: of(gates.ReportLighthouse, lighthouse(900, 0.25)), Want: gates.Fail, Check: gatetest.Says("0.25, budget 0.1"),
	}, {
		Name: "another budget", Config: `{"budgets": {"LCP": 1000}}`, Request: of(gates.ReportLighthouse, lighthouse(1200, 0)), Want: gates.Fail,
	}, {
		Name: "the third of four runs counts", Request: of(gates.ReportLighthouse, lighthouse(900, 0), lighthouse(5000, 0), lighthouse(1000, 0), lighthouse(800, 0)), Want: gates.Pass,
		Check: gatetest.Measures("LCP"+page, 1000),
	}, {
		Name: "runs in one file", Request: of(gates.ReportLighthouse, "["+lighthouse(3000, 0)+","+lighthouse(4000, 0)+"]"), Want: gates.Fail,
	}, {
		Name: "Lighthouse could not load the page", Want: gates.Inconclusive, Check: gatetest.Says("could not measure: NO_FCP"),
		Request: of(gates.ReportLighthouse, `{"lighthouseVersion": "12", "audits": {}, "runtimeError": {"code": "NO_FCP", "message": "nothing was painted"}}`),
	}, {
		Name: "an audit that ended in an error", Want: gates.Inconclusive,
		Request: of(gates.ReportLighthouse, `{"lighthouseVersion": "12", "audits": {"largest-contentful-paint": {"errorMessage": "no LCP"}}}`),
	}, {
		Name: "what is required was not measured", Config: `{"require": ["INP"]}`, Request: of(gates.ReportLighthouse, lighthouse(100, 0)), Want: gates.Inconclusive,
		Check: gatetest.Says("not measured: INP" + page),
	}, {
		Name: "a budget of what was measured nowhere", Config: `{"budgets": {"INP": 150}}`, Request: of(gates.ReportLighthouse, lighthouse(100, 0)), Want: gates.Inconclusive,
		Check: gatetest.Says("not measured: INP (it has a budget)"),
	}, {
		Name: "the stage failed after some pages", Request: failed(100), Want: gates.Fail, Check: gatetest.Says("stage vitals exited 1"),
	}, {
		Name: "a failure comes before what is missing", Config: `{"require": ["INP"]}`, Request: of(gates.ReportLighthouse, lighthouse(9000, 0)), Want: gates.Fail,
	}, {
		Name: "three quarters of the visits are fast", Request: of(gates.ReportWebVitals, visits(1000, 1000, 2000, 9000)), Want: gates.Pass, Check: gatetest.Measures("LCP", 2000),
	}, {
		Name: "a third of the visits are slow", Request: of(gates.ReportWebVitals, visits(1000, 1000, 9000)), Want: gates.Fail, Check: gatetest.Says("9000 ms"),
	}, {
		Name: "too few visits", Config: `{"minSamples": 20}`, Request: of(gates.ReportWebVitals, visits(1000)), Want: gates.Inconclusive, Check: gatetest.Says("at least 20"),
	}, {
		Name: "a list of metrics", Want: gates.Pass,
		Request: of(gates.ReportWebVitals, `[{"name": "LCP", "value": 1, "page": "/"}, {"name": "CLS", "value": 0, "page": "/"}, {"name": "FID", "value": 2, "page": "/"}, {"name": "NEW", "value": 2}]`),
		Check:   gatetest.Measures("FID of /", 2),
	}, {
		Name: "an object of metrics", Request: of(gates.ReportWebVitals, `{"metrics": [{"name": "LCP", "value": 1}, {"name": "CLS", "value": 0.5}]}`), Want: gates.Fail,
	}, {
		Name: "a metric without a value", Request: of(gates.ReportWebVitals, `[{"name": "LCP"}]`), Want: gates.Inconclusive,
	}, {
		Name: "no metric that is known", Request: of(gates.ReportWebVitals, `[{"name": "NEW", "value": 1}]`), Want: gates.Inconclusive,
	}, {
		Name: "a negative value", Request: of(gates.ReportWebVitals, `[{"name": "LCP", "value": -1}]`), Want: gates.Inconclusive,
	}, {
		Name: "empty", Request: of(gates.ReportWebVitals, ""), Want: gates.Inconclusive,
	}, {
		Name: "something else", Request: of(gates.ReportLighthouse, `{"audits": {}}`), Want: gates.Inconclusive, Check: gatetest.Says("no Lighthouse report"),
	}, {
		Name: "no report", Want: gates.Inconclusive,
	}, {
		Name: "the stage was skipped", Request: skipped, Want: gates.Inconclusive,
	}})
}
