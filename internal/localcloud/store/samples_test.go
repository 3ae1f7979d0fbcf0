package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/analytics"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func TestSamplesAreMergedAndForgotten(t *testing.T) {
	s := must[*store.Store](t)(store.Open(t.Context(), t.TempDir()))
	defer s.Close()
	base := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	add := func(at time.Time, version string) {
		t.Helper()
		sample := analytics.Invocation{At: at, Script: "w", Version: version, Status: analytics.Success, Duration: time.Millisecond}.Sample()
		if err := s.AddSamples(t.Context(), []analytics.Sample{sample}); err != nil {
			t.Fatal(err)
		}
	}
	add(base.Add(-time.Hour), "ancient")
	add(base.Add(time.Second), "a")
	add(base.Add(time.Second), "a")
	add(base.Add(30*time.Second), "a")
	add(base.Add(30*time.Second), "b")
	add(base.Add(61*time.Second), "a")
	shown := func() (out string) {
		t.Helper()
		for _, sample := range must[[]analytics.Sample](t)(s.Samples(t.Context(), analytics.Invocations, base.Add(-2*time.Hour), base.Add(time.Hour))) {
			out += fmt.Sprintf("%s %s %g; ", sample.At.Format(time.TimeOnly), sample.Dimensions["scriptVersion"], sample.Sums["requests"])
		}
		return out
	}
	if got := shown(); got != "02:04:00 ancient 1; 03:04:01 a 2; 03:04:30 a 1; 03:04:30 b 1; 03:05:01 a 1; " {
		t.Errorf("by second: %s", got)
	}
	for range 2 { // once more changes nothing
		if err := s.CompactSamples(t.Context(), base.Add(time.Minute), base); err != nil {
			t.Fatal(err)
		}
	}
	if got := shown(); got != "03:04:00 a 3; 03:04:00 b 1; 03:05:01 a 1; " {
		t.Errorf("compacted: %s", got)
	}
}
