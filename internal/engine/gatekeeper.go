package engine

import (
	"context"

	"github.com/penstock-ci/penstock/gates"
)

// Gatekeeper asks gates. Package gates/host implements it with plugin processes.
type Gatekeeper interface {
	// Describe returns what the gate "<set>/<gate>" says of itself, starting its set if need be.
	Describe(ctx context.Context, gate string) (GateInfo, error)
	// Evaluate asks the gate "<set>/<gate>" and always returns a verdict: a crash, a hang, garbage or an unknown gate
	// become [gates.Error] with a summary that says what happened. request.Gate is set by the implementation. Safe for
	// concurrent use.
	Evaluate(ctx context.Context, gate string, request gates.Request, progress func(message string)) gates.Verdict
}

// GateInfo is a gate's description and the binary that serves it.
type GateInfo struct {
	Description gates.Description
	SetVersion  string
	SetDigest   string // "sha256:…" of the executed file
}
