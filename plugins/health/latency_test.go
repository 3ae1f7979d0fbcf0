package main

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestLatency(t *testing.T) {
	taking := func(pause time.Duration) gates.Request {
		return running(t, func(http.ResponseWriter, *http.Request) { time.Sleep(pause) })
	}
	answering := func(status int) gates.Request {
		return running(t, func(writer http.ResponseWriter, _ *http.Request) { writer.WriteHeader(status) })
	}
	gatetest.Try(t, latencyGate{}, []gatetest.Case{{
		Name: "fast", Config: `{"n": 60, "limit": 5000}`, Request: taking(0), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("p95 of 60 answers is", "the limit: 5000 ms"), func(t *testing.T, verdict gates.Verdict) {
			if p50, p95 := gatetest.Measured(t, verdict, "p50"), gatetest.Measured(t, verdict, "p95"); p50.Value > p95.Value || p95.Limit == nil || *p95.Limit != 5000 {
				t.Errorf("%+v, %+v", p50, p95)
			}
		}),
	}, {
		Name: "slow", Config: `{"n": 60, "limit": 4}`, Request: taking(5 * time.Millisecond), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("p95 of 60 answers"), func(t *testing.T, verdict gates.Verdict) {
			if len(verdict.Findings) != 1 || verdict.Findings[0].Rule != "too slow" {
				t.Errorf("%+v", verdict.Findings)
			}
		}),
	}, {
		Name: "slower than before", Config: `{"n": 60, "limit": 5000, "baseline": {"p95": 2}}`, Request: taking(5 * time.Millisecond), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("the baseline of 2 ms and 25 %: 2.5 ms"), func(t *testing.T, verdict gates.Verdict) {
			if p95 := gatetest.Measured(t, verdict, "p95"); p95.Baseline == nil || *p95.Baseline != 2 {
				t.Errorf("%+v", p95)
			}
		}),
	}, {
		Name: "as before", Config: `{"n": 60, "limit": 5000, "baseline": {"p95": 4000, "maxIncrease": 0}}`, Request: taking(0), Want: gates.Pass,
	}, {
		Name: "too few", Config: `{"n": 58, "limit": 5000}`, Request: taking(0), Want: gates.Inconclusive,
		Check: gatetest.All(gatetest.Says("58 answers are too few"), func(t *testing.T, verdict gates.Verdict) {
			if verdict.NextStep != "set the gate's n to at least 59" {
				t.Errorf("%s", verdict.NextStep)
			}
		}),
	}, {
		Name: "errors are fast", Request: answering(500), Want: gates.Fail, Check: gatetest.Says("was 500"),
	}, {
		Name: "not found is fast", Request: answering(404), Want: gates.Inconclusive, Check: gatetest.Says("answered 404"),
	}, {
		Name: "turned away", Request: answering(429), Want: gates.Error, Check: gatetest.Says("429"),
	}, {
		Name: "nobody listens", Request: nobody(t), Want: gates.Error, Check: gatetest.Says("the connection was refused"),
	}})
}

// TestTheFirstAnswersDoNotCount: what a new isolate costs is no property of the version.
func TestTheFirstAnswersDoNotCount(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	request := running(t, func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) <= warmUp {
			time.Sleep(300 * time.Millisecond)
		}
	})
	request.Config = []byte(`{"n": 60, "limit": 250}`)
	verdict, err := latencyGate{}.Evaluate(t.Context(), &request)
	if err != nil || verdict.Outcome != gates.Pass || asked.Load() != warmUp+60 {
		t.Errorf("asked %d times: %+v, %v", asked.Load(), verdict, err)
	}
}

// TestALimitWithinTheRangeIsNoAnswer: 100 values of which the 95th is near the limit show nothing about it.
func TestALimitWithinTheRangeIsNoAnswer(t *testing.T) {
	t.Parallel()
	times := make([]float64, 100)
	for i := range times {
		times[i] = float64(i + 1)
	}
	for limit, want := range map[float64]gates.Outcome{80: gates.Fail, 95: gates.Inconclusive, 98.5: gates.Inconclusive, 99: gates.Pass} {
		if verdict := (latencyConfig{Path: "/", Limit: limit}).judge(times); verdict.Outcome != want {
			t.Errorf("limit %g: %+v", limit, verdict)
		}
	}
}

// TestThePercentileIsInItsRange draws from a distribution whose percentile is known, and counts how often each bound is
// wrong: that must be less often than the confidence allows.
func TestThePercentileIsInItsRange(t *testing.T) {
	t.Parallel()
	const tries, truth = 4000, 0.95 // of the uniform distribution
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{59, 100, 250} {
		over, under := 0, 0
		for range tries {
			values := make([]float64, n)
			for i := range values {
				values[i] = random.Float64()
			}
			slices.Sort(values)
			low, high, known := percentileRange(values, 0.95)
			if !known {
				t.Fatalf("%d values are too few", n)
			}
			if low > truth {
				over++
			}
			if high < truth {
				under++
			}
		}
		// Three standard deviations of what 4000 tries show.
		if allowed := int(tries*(1-confidence)) + 42; over > allowed || under > allowed {
			t.Errorf("of %d tries with %d values the range was too high %d times and too low %d times; %d are allowed", tries, n, over, under, allowed)
		}
	}
	if fewest() != 59 {
		t.Errorf("it takes 59 values, not %d", fewest())
	}
	if low, high, known := percentileRange([]float64{7}, 0.95); known || low != 0 || high != 7 {
		t.Errorf("of one value: %g, %g, %v", low, high, known)
	}
}
