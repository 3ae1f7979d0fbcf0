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
