package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// TestNoSecretReachesAnObserver puts a secret into every text that is not cleaned where it arises, and looks for it in what
// is told.
func TestNoSecretReachesAnObserver(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	hide := func(text string) string { return strings.ReplaceAll(text, secret, "***") }
	told := event.Event{
		Text: secret, Stage: &event.Stage{Why: secret}, Step: &event.Step{Detail: secret, Error: secret},
		Result: &event.Result{Reason: secret, NextStep: secret},
		Gate:   &event.Gate{Verdict: &gates.Verdict{Summary: "the host has cleaned this one"}},
	}
	var got []byte
	hiding{hide, event.ObserverFunc(func(e event.Event) { got, _ = json.Marshal(e) })}.Observe(told)
	if len(got) == 0 || strings.Contains(string(got), secret) {
		t.Errorf("told: %s", got)
	}
	if told.Step.Error != secret {
		t.Error("the event of others was changed")
	}
}
