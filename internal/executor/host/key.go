package host

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/pipelines"
)

// keyFormat is part of every key. It changes when stages begin to run differently, so that results from before do not
// count.
const keyFormat = "host 1"

// noOutputs begins what stands for a stage that left nothing but its having passed.
const noOutputs = "passed "

// parts are what a stage's result depends on. Their digest is the cache key; kept beside the result they explain it.
type parts struct {
	Format     string            `json:"format"`
	Platform   string            `json:"platform"`
	Definition map[string]string `json:"definition"` // field of the stage: its value as JSON
	Inputs     string            `json:"inputs"`     // digest of the selected files
	Tools      map[string]string `json:"tools"`      // declared tool: version found
	Needs      map[string]string `json:"needs"`      // stage: digest of its outputs, or noOutputs and its key
}

// partsOf collects them. Not among them: image (containers only), caches, time-out, maximum age, retries and title, which
// say how a stage runs and for how long its result is good, and not what comes out; and secrets' values, which must not
// even be hashed into something that is kept.
func (s *Session) partsOf(job engine.Job) (parts, *inputs.Set, error) {
	stage := job.Stage
	set, err := s.inputs.Of(stage.Inputs)
	if err != nil {
		return parts{}, nil, fmt.Errorf("select the inputs of stage %s: %w", stage.Name, err)
	}
	p := parts{
		Format: keyFormat, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Definition: definition(stage), Inputs: set.Digest,
		Tools: map[string]string{}, Needs: map[string]string{},
	}
	for _, tool := range stage.Tools {
		p.Tools[tool.Name] = s.tools[tool.Name].version
	}
	direct := map[string]bool{}
	for _, need := range stage.Needs {
		direct[need] = true
	}
	for _, need := range job.Needs {
		// The workspace holds the outputs of all that is needed, through others too. A stage without outputs leaves
		// nothing there, but whoever needs it directly wants it to have passed on what it is now.
		switch {
		case need.OutputDigest != "":
			p.Needs[need.Stage] = need.OutputDigest
		case direct[need.Stage]:
			p.Needs[need.Stage] = noOutputs + need.Key
		}
	}
	return p, set, nil
}

func definition(stage *pipelines.Stage) map[string]string {
	fields := map[string]string{}
	put := func(name string, value any, empty bool) {
		if empty {
			return
		}
		text, err := json.Marshal(value)
		if err != nil {
			// Strings, lists and maps of strings always encode.
			panic(err)
		}
		fields[name] = string(text)
	}
	put("name", stage.Name, false)
	put("run", stage.Run, len(stage.Run) == 0)
	put("inputs", stage.Inputs, len(stage.Inputs) == 0)
	put("outputs", stage.Outputs, len(stage.Outputs) == 0)
	put("reports", stage.Reports, len(stage.Reports) == 0)
	put("env", stage.Env, len(stage.Env) == 0)
	put("secrets", stage.Secrets, len(stage.Secrets) == 0)
	put("network", stage.Network, stage.Network == "" || stage.Network == pipelines.NetworkDefault)
	put("tools", stage.Tools, len(stage.Tools) == 0)
	return fields
}

// key is "sha256:…" over the parts.
func (p parts) key() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // as in definition
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}
