package gatetest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestChecksAreContentWithWhatTheyWant(t *testing.T) {
	finding := gates.Finding{Level: gates.LevelError, Rule: "rule", Message: "message", Detail: "a long detail"}
	part := finding
	part.Detail = "long"
	verdict := gates.Verdict{
		Outcome: gates.Fail, Summary: "1 of 2 failed", Findings: []gates.Finding{finding},
		Measurements: []gates.Measurement{gates.Count("failed", 1, gates.AtMost(0))},
	}
	gatetest.All(gatetest.Says("1 of 2", "failed"), gatetest.Finds(part), gatetest.Measures("failed", 1))(t, verdict)
}

// TestChecksComplain runs each check on a verdict that it must not take, in a process whose tests may fail.
func TestChecksComplain(t *testing.T) {
	verdict := gates.Verdict{Outcome: gates.Fail, Summary: "1 of 2 failed", Findings: []gates.Finding{{Rule: "rule", Detail: "detail"}}}
	wrong := map[string]gatetest.Check{
		"Says":             gatetest.Says("2 of 2"),
		"FindsNone":        gatetest.Finds(),
		"FindsMore":        gatetest.Finds(gates.Finding{Rule: "rule"}, gates.Finding{}),
		"FindsAnother":     gatetest.Finds(gates.Finding{Rule: "another"}),
		"FindsOtherDetail": gatetest.Finds(gates.Finding{Rule: "rule", Detail: "other"}),
		"Measures":         gatetest.Measures("failed", 1),
		"AllAsksTheLast":   gatetest.All(gatetest.Says("1 of 2"), gatetest.Says("2 of 2")),
	}
	const mayFail = "PENSTOCK_TEST_OF_WRONG_VERDICTS"
	if os.Getenv(mayFail) != "" {
		for name, check := range wrong {
			t.Run(name, func(t *testing.T) { check(t, verdict) })
		}
		return
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChecksComplain$", "-test.v")
	command.Env = append(os.Environ(), mayFail+"=1")
	output, _ := command.CombinedOutput() // it fails, as it should; what it says is looked at
	for name := range wrong {
		if !strings.Contains(string(output), "--- FAIL: TestChecksComplain/"+name+" ") {
			t.Errorf("%s takes a verdict that it should not take:\n%s", name, output)
		}
	}
}
