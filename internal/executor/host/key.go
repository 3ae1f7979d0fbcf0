package host

import (
	"fmt"
	"runtime"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/pipelines"
)

// keyFormat is part of every key. It changes when stages begin to run differently, so that results from before do not
// count.
const keyFormat = "host 1"

// partsOf collects them. Not among them: image (containers only), caches, time-out, maximum age, retries and title, which
// say how a stage runs and for how long its result is good, and not what comes out; and secrets' values, which must not
// even be hashed into something that is kept.
func (s *Session) partsOf(job engine.Job) (lastrun.Parts, *inputs.Set, error) {
	stage := job.Stage
	set, err := s.inputs.Of(stage.Inputs)
	if err != nil {
		return lastrun.Parts{}, nil, fmt.Errorf("select the inputs of stage %s: %w", stage.Name, err)
	}
	p := lastrun.Parts{
		Format: keyFormat, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Definition: lastrun.Define(stage), Inputs: set.Digest,
		Tools: map[string]string{}, Needs: lastrun.Needs(job),
	}
	p.Definition.Put("network", stage.Network, stage.Network == "" || stage.Network == pipelines.NetworkDefault)
	p.Definition.Put("tools", stage.Tools, len(stage.Tools) == 0)
	for _, tool := range stage.Tools {
		p.Tools[tool.Name] = s.tools[tool.Name].version
	}
	return p, set, nil
}
