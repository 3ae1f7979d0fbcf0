package main

import (
	"fmt"

	"github.com/penstock-ci/penstock/gates"
)

func inconclusive(nextStep, format string, args ...any) *gates.Verdict {
	return &gates.Verdict{Outcome: gates.Inconclusive, Summary: fmt.Sprintf(format, args...), NextStep: nextStep}
}

func couldNotAsk(nextStep, format string, args ...any) *gates.Verdict {
	return &gates.Verdict{Outcome: gates.Error, Summary: fmt.Sprintf(format, args...), NextStep: nextStep}
}

func failed(nextStep, format string, args ...any) *gates.Verdict {
	return &gates.Verdict{Outcome: gates.Fail, Summary: fmt.Sprintf(format, args...), NextStep: nextStep}
}

// counted says "1 test" or "2 tests"; every word that is counted here forms its plural with an s.
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// count is a measurement of a number of things.
func count(name string, value int, limit *float64) gates.Measurement {
	measurement := gates.Measurement{Name: name, Value: float64(value), Unit: "count", Limit: limit}
	if limit != nil {
		measurement.Better = "lower"
	}
	return measurement
}

func atMost(limit int) *float64 {
	value := float64(limit)
	return &value
}
