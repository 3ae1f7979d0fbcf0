package gatetest

import (
	"context"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates/conformance"
	"github.com/penstock-ci/penstock/gates/host"
)

// Conformance tries what every set must do, on the built binary and through the host that penstock uses, as
// `penstock gates test BINARY` does. binary must be called penstock-gates-<set>.
func Conformance(t *testing.T, binary string) {
	t.Helper()
	ref, err := host.Trusting(binary)
	if err != nil {
		t.Fatal(err)
	}
	report, err := conformance.Run(t.Context(), ref, conformance.Options{ScratchDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %s; confined by %q; not confined by %q", report.Started, report.Sandbox.Enforced, report.Sandbox.Missing)
	for _, result := range report.Results {
		t.Run(strings.TrimPrefix(result.Gate+"/"+result.Check, "/"), func(t *testing.T) {
			if result.State == conformance.Failed {
				t.Errorf("%s\n→ %s\n%s", result.Detail, result.NextStep, result.Output)
			}
		})
	}
	if !report.Passed() {
		t.Error("the set does not conform")
	}
}

// start returns a host that trusts the binary as it is now.
func start(t *testing.T, binary string) (*host.Host, string) {
	t.Helper()
	ref, err := host.Trusting(binary)
	if err != nil {
		t.Fatal(err)
	}
	h := host.New(host.Options{Sets: []host.PluginRef{ref}, ScratchDir: t.TempDir()})
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop the set: %v", err)
		}
	})
	return h, ref.Set
}
