package cli

import (
	"errors"
	"testing"

	"github.com/penstock-ci/penstock/pipelines"
)

// TestWhoMayTryAGate: a command makes a dry run of what counts only where nobody else is served.
func TestWhoMayTryAGate(t *testing.T) {
	t.Parallel()
	here := &pipelines.Environment{Name: "local", Target: localTarget}
	there := &pipelines.Environment{Name: "production", Target: "cloudflare"}
	for name, row := range map[string]struct {
		environment *pipelines.Environment
		gate        string
		promotes    bool
		want        ExitCode
	}{
		"locally":                   {here, "q/mandatory", true, ExitDone},
		"checking for production":   {there, "q/mandatory", false, ExitDone},
		"advisory":                  {there, "q/advisory", true, ExitDone},
		"mandatory in production":   {there, "q/mandatory", true, ExitUsage},
		"overridable in production": {there, "q/overridable", true, ExitUsage},
		"no such gate":              {here, "q/none", true, ExitUsage},
	} {
		pipeline := &pipelines.Pipeline{Gates: []pipelines.GateRef{
			{Gate: "q/mandatory", Enforcement: pipelines.Mandatory}, {Gate: "q/overridable", Enforcement: pipelines.Overridable},
			{Gate: "q/advisory", Enforcement: pipelines.Advisory}, {Gate: "q/other", Enforcement: pipelines.Mandatory},
		}}
		err := tryGates(pipeline, row.environment, []string{row.gate}, row.promotes)
		if code, next := classify(err); code != row.want || (err != nil && (next == "" || !errors.As(err, new(*failure)))) {
			t.Errorf("%s: %v", name, err)
		}
		for _, ref := range pipeline.Gates {
			if ref.DryRun != (err == nil && ref.Gate == row.gate) {
				t.Errorf("%s: %+v", name, ref)
			}
		}
	}
}
