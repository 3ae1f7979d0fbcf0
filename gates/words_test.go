package gates_test

import (
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"": -time.Second, "0 ms": 0, "8 ms": 8*time.Millisecond + 900*time.Microsecond, "1 s": time.Second, "1.2 s": 1290 * time.Millisecond,
		"59.9 s": time.Minute - time.Millisecond, "30 s": 30 * time.Second, "1 m": time.Minute, "2 m 05 s": 125*time.Second + 900*time.Millisecond,
		"1 m 41 s": 101880 * time.Millisecond, "1 h": time.Hour, "3 h 10 m": 3*time.Hour + 10*time.Minute + time.Second, "47 h 59 m": 48*time.Hour - time.Second,
		"2 d": 48 * time.Hour, "30 d 4 h": 30*24*time.Hour + 4*time.Hour,
	} {
		if got := gates.Span(d); got != want {
			t.Errorf("Span(%s) = %q, want %q", d, got, want)
		}
	}
}

// TestFiguresNeverRoundUp: a value that missed its limit must not read as if it had met it.
func TestFiguresNeverRoundUp(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{79.999: "79.99 %", 80: "80 %", 92.4: "92.4 %", 0: "0 %", -1.5: "-1.5 %", 0.1 + 0.2: "0.3 %", -0.001: "0 %", 1e300: "1e+300 %", -1.7976931348623157e308: "-1.7976931348623157e+308 %"} {
		got, limit := gates.Measurement{Value: value, Unit: "%", Limit: gates.AtMost(80)}.Figures()
		if got != want || limit != "80 %" {
			t.Errorf("%v reads %s (limit %s), want %s", value, got, limit, want)
		}
	}
	if value, limit := (gates.Measurement{Name: "tests", Value: 130, Unit: "count"}).Figures(); value != "130" || limit != "" {
		t.Errorf("a count without a limit reads %q and %q", value, limit)
	}
}
