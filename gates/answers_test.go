package gates_test

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
)

func TestAnswers(t *testing.T) {
	for want, verdict := range map[gates.Outcome]*gates.Verdict{
		gates.Fail:         gates.Failed("mend it", "%d of %d", 1, 2),
		gates.Inconclusive: gates.Undecided("mend it", "%d of %d", 1, 2),
		gates.Error:        gates.CouldNotAsk("mend it", "%d of %d", 1, 2),
	} {
		if verdict.Outcome != want || verdict.Summary != "1 of 2" || verdict.NextStep != "mend it" || verdict.Outcome.Allows() {
			t.Errorf("%s: %+v", want, verdict)
		}
	}
}

func TestCounts(t *testing.T) {
	if one, two := gates.Counted(1, "test"), gates.Counted(2, "test"); one != "1 test" || two != "2 tests" {
		t.Errorf("%q, %q", one, two)
	}
	told, bounded := gates.Count("skipped", 3, nil), gates.Count("failed", 3, gates.AtMost(0))
	if told.Better != "" || told.Limit != nil || told.Value != 3 {
		t.Errorf("a number that is only told: %+v", told)
	}
	if bounded.Better != "lower" || *bounded.Limit != 0 {
		t.Errorf("a number with a limit: %+v", bounded)
	}
}
