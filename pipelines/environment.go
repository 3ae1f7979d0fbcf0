package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The variables by which a stage learns for which environment it works.
const (
	// EnvEnvironment is the environment's name in the pipeline.
	EnvEnvironment = "PENSTOCK_ENVIRONMENT"
	// EnvWranglerEnvironment is its name in the wrangler config, empty for the top level. Wrangler itself and Cloudflare's
	// Vite plugin read it.
	EnvWranglerEnvironment = "CLOUDFLARE_ENV"
)

// For returns the pipeline as it runs for one environment: the stages that are marked PerEnvironment know it by
// [EnvEnvironment] and [EnvWranglerEnvironment], and gates weigh what they weigh there. Ask it before a run; p itself is
// not changed.
func (p *Pipeline) For(environment string) (*Pipeline, error) {
	env := p.Environment(environment)
	if env == nil {
		var names []string
		for _, known := range p.Environments {
			names = append(names, known.Name)
		}
		return nil, fmt.Errorf("no environment %q in the pipeline%s; it has %s",
			environment, didYouMean(environment, names), strings.Join(names, ", "))
	}
	fitted := *p
	fitted.Stages = slices.Clone(p.Stages)
	for i := range fitted.Stages {
		stage := &fitted.Stages[i]
		if !stage.PerEnvironment {
			continue
		}
		stage.Env = maps.Clone(stage.Env)
		if stage.Env == nil {
			stage.Env = map[string]string{}
		}
		stage.Env[EnvEnvironment] = env.Name
		stage.Env[EnvWranglerEnvironment] = env.WranglerEnv
	}
	fitted.Gates = slices.Clone(p.Gates)
	for i := range fitted.Gates {
		gate := &fitted.Gates[i]
		if enforcement, other := gate.EnforcementIn[env.Name]; other {
			gate.Enforcement = enforcement
		}
		gate.EnforcementIn = nil
	}
	return &fitted, nil
}
