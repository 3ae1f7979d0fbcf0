package gates

import "fmt"

// Failed is the answer no: summary says what was measured against what, nextStep what a person can do.
func Failed(nextStep, summary string, args ...any) *Verdict {
	return &Verdict{Outcome: Fail, Summary: fmt.Sprintf(summary, args...), NextStep: nextStep}
}

// Undecided is the answer "asked, and the data does not say" ([Inconclusive]): no report, no tests, no lines.
func Undecided(nextStep, summary string, args ...any) *Verdict {
	return &Verdict{Outcome: Inconclusive, Summary: fmt.Sprintf(summary, args...), NextStep: nextStep}
}

// CouldNotAsk is no answer ([Error]), for where more can be said than in an error that Evaluate returns.
func CouldNotAsk(nextStep, summary string, args ...any) *Verdict {
	return &Verdict{Outcome: Error, Summary: fmt.Sprintf(summary, args...), NextStep: nextStep}
}

// Counted says "1 test" or "2 tests"; word must form its plural with an s.
func Counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Count is a measurement of a number of things, of which fewer are better when there is a limit.
func Count(name string, value int, limit *float64) Measurement {
	measurement := Measurement{Name: name, Value: float64(value), Unit: "count", Limit: limit}
	if limit != nil {
		measurement.Better = "lower"
	}
	return measurement
}

// AtMost is a limit for [Count].
func AtMost(limit int) *float64 {
	value := float64(limit)
	return &value
}
