package analytics

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreWithinFivePercent(t *testing.T) {
	histogram := Histogram{}
	for i := 1; i <= 1000; i++ {
		histogram.Add(float64(i))
	}
	for q, want := range map[float64]float64{0.25: 250, 0.5: 500, 0.99: 990, 0.999: 999} {
		if got := histogram.Quantile(q); got < want || got > want*1.06 {
			t.Errorf("quantile %g is %g, not %g", q, got, want)
		}
	}
	if got := (Histogram{}).Quantile(0.5); !math.IsNaN(got) {
		t.Errorf("of nothing: %g", got)
	}
	zero := Histogram{}
	zero.Add(0)
	if got := zero.Quantile(0.99); got != 0 {
		t.Errorf("of zero: %g", got)
	}
}

func TestBufferMergesWithinASecond(t *testing.T) {
	buffer := Buffer{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 10 {
		buffer.Add(Invocation{At: at.Add(time.Duration(i) * 200 * time.Millisecond), Script: "w", Version: "v", Status: Success}.Sample())
	}
	taken := buffer.Take()
	if len(taken) != 2 || taken[0].Sums["requests"] != 5 || taken[1].Sums["requests"] != 5 {
		t.Errorf("%+v", taken)
	}
	if again := buffer.Take(); len(again) != 0 {
		t.Errorf("taken twice: %+v", again)
	}
}

func TestLike(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"a%", "abc", true}, {"%c", "abc", true}, {"a_c", "abc", true}, {"a_", "abc", false}, {"%", "", true}, {"", "a", false}, {"%b%", "abc", true},
	} {
		if got := like(test.pattern, test.text); got != test.want {
			t.Errorf("%q on %q: %v", test.pattern, test.text, got)
		}
	}
}
