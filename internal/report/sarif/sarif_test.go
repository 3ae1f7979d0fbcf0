package sarif

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/account"
)

func told(findings ...gates.Finding) *account.Account {
	var a account.Account
	a.Apply(event.Event{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "app", Environment: "production"}})
	a.Apply(event.Event{Type: event.GateFinished, Gate: &event.Gate{Name: "q/g", Title: "a gate", Phase: gates.PhaseBuild, Verdict: &gates.Verdict{Outcome: gates.Fail, Findings: findings}, Blocks: true}})
	return &a
}

func written(t *testing.T, a *account.Account) (run, int) {
	t.Helper()
	text, left, err := Findings(a, "apps/one/", "penstock/production", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	var got file
	if err := json.Unmarshal(text, &got); err != nil || len(got.Runs) != 1 || got.Version != "2.1.0" {
		t.Fatalf("%v: %s", err, text)
	}
	return got.Runs[0], left
}

// TestFindings: places from the repository's root, rules once, what has no place counted.
func TestFindings(t *testing.T) {
	t.Parallel()
	got, left := written(t, told(
		gates.Finding{Level: gates.LevelError, Rule: "r", Message: "m", File: "a b#c.ts", Line: 3, Column: 2}, gates.Finding{Level: gates.LevelNote, Rule: "r", Message: "n", File: "x.ts"},
		gates.Finding{Level: "strange", Message: "o", File: "x.ts", Line: -4}, gates.Finding{Level: gates.LevelError, Message: "nowhere"},
	))
	if left != 1 || len(got.Results) != 3 || len(got.Tool.Driver.Rules) != 2 || got.AutomationDetails.ID != "penstock/production/" {
		t.Fatalf("%d left, %+v", left, got)
	}
	place := got.Results[0].Locations[0].PhysicalLocation
	if place.ArtifactLocation.URI != "apps/one/a%20b%23c.ts" || place.Region != (region{3, 2}) || got.Results[0].RuleID != "q/g/r" {
		t.Errorf("%+v", got.Results[0])
	}
	if got.Results[2].Level != "warning" || got.Results[2].Locations[0].PhysicalLocation.Region.StartLine != 1 {
		t.Errorf("%+v", got.Results[2])
	}
	for _, result := range got.Results {
		if got.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID {
			t.Errorf("%s points to another rule", result.RuleID)
		}
	}
	if nothing, _ := written(t, told()); nothing.Results == nil {
		t.Error("no findings are no list: GitHub would close nothing")
	}
}

// TestAGateMakesNoLink in what code scanning shows of its words.
func TestAGateMakesNoLink(t *testing.T) {
	t.Parallel()
	got, _ := written(t, told(gates.Finding{Level: gates.LevelError, Message: "[the advisory](https://evil.example/)", File: "x.ts"}))
	if text := got.Results[0].Message.Text; text != "[the advisory] (https://evil.example/)" {
		t.Errorf("%q", text)
	}
}

// TestAFindingStaysTheSame when lines above it come and go, and two of the same words in one file are two.
func TestAFindingStaysTheSame(t *testing.T) {
	t.Parallel()
	one := gates.Finding{Level: gates.LevelError, Rule: "r", Message: "m", File: "a.ts", Line: 3}
	moved := one
	moved.Line = 90
	before, _ := written(t, told(one))
	after, _ := written(t, told(moved, one))
	if before.Results[0].PartialFingerprints["penstock/v1"] != after.Results[0].PartialFingerprints["penstock/v1"] {
		t.Error("a finding that moved is another one")
	}
	if after.Results[0].PartialFingerprints["penstock/v1"] == after.Results[1].PartialFingerprints["penstock/v1"] {
		t.Error("two findings are one")
	}
	if strings.Contains(before.Results[0].PartialFingerprints["penstock/v1"], "a.ts") {
		t.Error("a print shows what it is of")
	}
}
