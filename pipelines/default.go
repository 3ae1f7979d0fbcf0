package pipelines

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// What a pipeline gets where it says nothing. One block, so that the surprising ones stand beside their reasons.
const (
	// defaultStageTimeout is long for any of the guide's stages; one that takes longer hangs, as test runners in watch mode do.
	defaultStageTimeout = 10 * time.Minute
	// defaultGateTimeout is far above what reading reports takes, and short enough that a hung gate blocks soon.
	defaultGateTimeout = time.Minute
	// defaultEnforcement blocks but can be waived: forgetting the key must not make a gate ornamental.
	defaultEnforcement = Overridable
	defaultPhase       = gates.PhaseBuild
	defaultTarget      = "cloudflare"
	targetLocal        = "local"
	// defaultProof lets apps deploy that do not show which version answers, and says so.
	defaultProof = ProofIfShown
)

// Default fills in what p leaves open, in the shipped pipelines as in those from YAML. It changes nothing that is set, and
// is idempotent.
func Default(p Pipeline) Pipeline {
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		stage := &p.Stages[i]
		stage.When = cmp.Or(stage.When, WhenBuild)
		stage.Network = cmp.Or(stage.Network, NetworkDefault)
		stage.Timeout = cmp.Or(stage.Timeout, defaultStageTimeout)
	}
	p.Gates = slices.Clone(p.Gates)
	for i := range p.Gates {
		gate := &p.Gates[i]
		gate.Phase = cmp.Or(gate.Phase, defaultPhase)
		gate.Enforcement = cmp.Or(gate.Enforcement, defaultEnforcement)
		gate.Timeout = cmp.Or(gate.Timeout, defaultGateTimeout)
	}
	p.Environments = slices.Clone(p.Environments)
	for i := range p.Environments {
		env := &p.Environments[i]
		env.Target = cmp.Or(env.Target, defaultTarget)
		env.Smoke.Version = cmp.Or(env.Smoke.Version, defaultProof)
		if len(env.Smoke.Probes) == 0 {
			env.Smoke.Probes = []Probe{{Path: "/"}} // a version that nobody has asked anything takes no traffic
		}
		if env.Target != targetLocal {
			env.Ledger = cmp.Or(env.Ledger, p.Ledger)
		}
		if len(env.Steps) == 0 {
			env.Steps = []float64{100}
		}
	}
	return p
}
