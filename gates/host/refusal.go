package host

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// refusal is the verdict for a gate that could not be asked, or that gave no answer which counts.
func refusal(gate string, err error, redact func(string) string) gates.Verdict {
	verdict := gates.Verdict{
		Outcome:  gates.Error,
		Summary:  line(redact(fmt.Sprintf("%s could not be asked: %v", line(gate, maxName), err)), maxSummary),
		NextStep: nextStep(gate, err),
	}
	var fault *blamed
	if errors.As(err, &fault) && strings.TrimSpace(fault.output) != "" {
		verdict.Findings = []gates.Finding{{
			Level:   gates.LevelError,
			Rule:    "output",
			Message: "what the gate set printed last",
			Detail:  lastLines(redact(fault.output)),
		}}
	}
	return verdict
}

// undescribed says that a gate could not be described, and like a refusal what a person can do about it.
type undescribed struct {
	gate string
	err  error
}

func (u *undescribed) Error() string    { return fmt.Sprintf("describe gate %s: %v", u.gate, u.err) }
func (u *undescribed) Unwrap() error    { return u.err }
func (u *undescribed) NextStep() string { return nextStep(u.gate, u.err) }

// nextStep is what a person can do about it. The order matters: the more special comes first.
func nextStep(gate string, err error) string {
	set, _, _ := strings.Cut(gate, "/")
	set = line(set, maxName)
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		return "the run was ending: run it again"
	case errors.Is(err, ErrUntrusted):
		return "run only gate sets that you trust: `make build` makes penstock and its own sets together, and penstock.lock pins those of others"
	case errors.Is(err, ErrUnknownGate):
		return "correct the gate's name in penstock.yaml; `penstock gates list` shows those that there are"
	case errors.Is(err, ErrNoVersion):
		return "ask it in the phase promote or bake of a deployment to an environment that has an address"
	case errors.Is(err, ErrConfig):
		return "correct the gate in penstock.yaml; `penstock gates info " + line(gate, maxName) + "` shows what it takes"
	case errors.Is(err, ErrIncompatible):
		return "update penstock or the gate set " + set + ", whichever is older"
	case errors.Is(err, context.DeadlineExceeded):
		return "if the gate needs longer, raise its timeout in penstock.yaml; else report it to the author of the gate set " + set
	case errors.Is(err, ErrMisbehaved):
		return "report this to the author of the gate set " + set + ", with the output shown"
	default:
		return "see what the message says, and run again"
	}
}

// reasons are how Go programs announce their end; what follows is the stack.
var reasons = regexp.MustCompile(`(?m)^(panic|fatal error|runtime): `)

// lastLines returns the part of an output in which the reason for a failure usually is: from the announcement of a crash
// on, or the end.
func lastLines(output string) string {
	output = lines(output, len(output))
	if where := reasons.FindStringIndex(output); where != nil {
		return shorten(output[where[0]:], maxDetail)
	}
	if len(output) <= maxDetail {
		return output
	}
	cut := output[len(output)-maxDetail:]
	if _, rest, found := strings.Cut(cut, "\n"); found {
		cut = rest
	}
	return cut
}
