package host_test

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

func TestEvaluatePass(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	verdict := ask(t, h, "good/pass", gates.Request{})
	if verdict.Outcome != gates.Pass {
		t.Fatalf("%+v", verdict)
	}
}
