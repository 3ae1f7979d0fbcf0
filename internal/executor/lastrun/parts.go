package lastrun

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/pipelines"
)

// NoOutputs begins what stands for a stage that left nothing but its having passed.
const NoOutputs = "passed "

// Parts are what a stage's result depends on. Their digest is its key; kept beside the result they explain it.
type Parts struct {
	Format     string            `json:"format"`
	Platform   string            `json:"platform"`
	Definition Definition        `json:"definition"` // field of the stage: its value as JSON
	Inputs     string            `json:"inputs"`     // digest of the selected files
	Tools      map[string]string `json:"tools"`      // declared tool: version found
	Needs      map[string]string `json:"needs"`      // stage: digest of its outputs, or NoOutputs and its key
}

// Definition is what a stage says of itself: its fields as JSON, by name. Empty ones are left out.
type Definition map[string]string

// Put adds a field unless it is empty.
func (d Definition) Put(name string, value any, empty bool) {
	if empty {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		// Strings, lists and maps of strings always encode.
		panic(err)
	}
	d[name] = string(text)
}

// Define collects the fields that count for every executor.
func Define(stage *pipelines.Stage) Definition {
	d := Definition{}
	d.Put("name", stage.Name, false)
	d.Put("run", stage.Run, len(stage.Run) == 0)
	d.Put("inputs", stage.Inputs, len(stage.Inputs) == 0)
	d.Put("outputs", stage.Outputs, len(stage.Outputs) == 0)
	d.Put("reports", stage.Reports, len(stage.Reports) == 0)
	d.Put("env", stage.Env, len(stage.Env) == 0)
	d.Put("secrets", stage.Secrets, len(stage.Secrets) == 0)
	return d
}

// Needs stands for what other stages left for this one. The workspace holds the outputs of all that is needed, through
// others too. A stage without outputs leaves nothing there, but whoever needs it directly wants it to have passed on what it
// is now.
func Needs(job engine.Job) map[string]string {
	needs := map[string]string{}
	for _, need := range job.Needs {
		switch {
		case need.OutputDigest != "":
			needs[need.Stage] = need.OutputDigest
		case slices.Contains(job.Stage.Needs, need.Stage):
			needs[need.Stage] = NoOutputs + need.Key
		}
	}
	return needs
}

// Key is "sha256:…" over the parts.
func (p Parts) Key() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // as in Put
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Since lists the parts by name, each with what it was at the last run; last is nil when there was none.
func (p Parts) Since(last *Run) []Part {
	before := map[string]string{}
	if last != nil {
		before = last.Parts.flat()
	}
	var all []Part
	now := p.flat()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		all = append(all, Part{Name: name, Value: now[name], Before: before[name]})
	}
	return all
}

func (p Parts) flat() map[string]string {
	all := map[string]string{"inputs": p.Inputs, "format": p.Format}
	if p.Platform != "" {
		all["platform"] = p.Platform
	}
	for name, value := range p.Definition {
		all["definition "+name] = value
	}
	for name, value := range p.Tools {
		all["tool "+name] = value
	}
	for name, value := range p.Needs {
		all["need "+name] = value
	}
	return all
}
