package pipelines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// FileName is the file in an app's folder that adjusts or replaces the shipped pipeline.
const FileName = "penstock.yaml"

// File is a penstock.yaml whose shape is right: every key is known and every value of the kind that its key takes. It is
// immutable, and safe for concurrent use.
type File struct {
	Name string
	root *yaml.Node // a mapping, or nil for an empty file
	// places is keyed by the path of a value, joined by NUL.
	places map[string]place
}

// place is a position in a file, from 1.
type place struct{ line, column int }

// layout is a penstock.yaml as its author sees it. The three sections are keyed by the items' names.
type layout struct {
	// Pipeline says what the file starts from: "worker" adjusts the shipped pipeline, "custom" replaces it.
	Pipeline     string   `json:"pipeline"`
	Name         string   `json:"name"`
	Stages       struct{} `json:"stages"`
	Gates        struct{} `json:"gates"`
	Environments struct{} `json:"environments"`
	Ledger       struct{} `json:"ledger"`
}

// The values of the key pipeline.
const (
	startFromWorker = "worker"
	startFromCustom = "custom"
)

// Bounds on what is read. A large pipeline of a hundred stages has 40 kB and some thousand values.
const (
	maxFileSize = 256 << 10
	maxValues   = 50_000 // counted through aliases, so that a few lines cannot mean millions
	maxNesting  = 32
)

// Load parses a penstock.yaml and checks its shape, all of it: the problems are every unknown key, wrong kind of value and
// repeated name at once. What the values mean together is for [Validate].
func Load(name string, data []byte) (*File, Problems) {
	f := &File{Name: name, places: map[string]place{}}
	if len(data) > maxFileSize {
		return nil, Problems{f.problem(nil, fmt.Sprintf("is larger than %d KiB", maxFileSize>>10), "check that it is the right file")}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return f, nil
	case err != nil:
		return nil, Problems{f.syntaxProblem(err)}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, Problems{f.problem(nil, "holds more than one YAML document", "keep one; take the line --- away")}
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return f, nil
	}
	if problem, ok := f.bounded(root); !ok {
		return nil, Problems{problem}
	}
	f.root = root
	d := decoding{file: f, places: f.places}
	d.whole(root, &Pipeline{}, nil)
	d.problems.Sort()
	if d.problems.Err() != nil {
		return nil, d.problems
	}
	return f, d.problems
}

// Apply returns the pipeline that the file describes: the shipped one with its adjustments, or one that stands alone. The
// problems are adjustments of what is not there.
//
// A stage, gate or environment is adjusted key by key: lists and plain values replace the shipped ones, the maps env, vars
// and config are merged, and null takes a key out of them. A name that the shipped pipeline lacks is added at the end.
// `remove: true` takes one away, and what needed it then needs what it needed.
func (f *File) Apply(shipped Pipeline) (Pipeline, Problems) {
	if f.root == nil {
		return shipped, nil
	}
	p := clone(shipped)
	if f.Custom() {
		p = Pipeline{Name: shipped.Name, Place: shipped.Place}
	}
	d := decoding{file: f}
	d.whole(f.root, &p, &p)
	forgetRemoved(shipped, &p)
	d.problems.Sort()
	return p, d.problems
}

// forgetRemoved takes environments that the file removes out of what the shipped gates say of single environments. A gate that
// was for nothing else goes with them. What the file itself says of a gate's environments stays, for Validate to judge.
func forgetRemoved(shipped Pipeline, p *Pipeline) {
	removed := func(name string) bool { return shipped.Environment(name) != nil && p.Environment(name) == nil }
	p.Gates = slices.DeleteFunc(p.Gates, func(gate GateRef) bool {
		at := slices.IndexFunc(shipped.Gates, func(other GateRef) bool { return other.Gate == gate.Gate })
		return at >= 0 && len(gate.Environments) > 0 && slices.Equal(gate.Environments, shipped.Gates[at].Environments) &&
			!slices.ContainsFunc(gate.Environments, func(name string) bool { return !removed(name) })
	})
	for i := range p.Gates {
		gate := &p.Gates[i]
		at := slices.IndexFunc(shipped.Gates, func(other GateRef) bool { return other.Gate == gate.Gate })
		if at >= 0 && slices.Equal(gate.Environments, shipped.Gates[at].Environments) {
			gate.Environments = slices.DeleteFunc(slices.Clone(gate.Environments), removed)
		}
		gate.EnforcementIn = maps.Clone(gate.EnforcementIn)
		maps.DeleteFunc(gate.EnforcementIn, func(name string, _ Enforcement) bool { return removed(name) })
	}
}

// Custom reports whether the file stands alone, so that nothing about the shipped pipeline matters.
func (f *File) Custom() bool {
	if f == nil || f.root == nil {
		return false
	}
	start := member(f.root, "pipeline")
	return start != nil && start.Value == startFromCustom
}

// clone copies what Apply may write to.
func clone(p Pipeline) Pipeline {
	p.Stages = slices.Clone(p.Stages)
	p.Gates = slices.Clone(p.Gates)
	p.Environments = slices.Clone(p.Environments)
	return p
}

// problem is an error at the place of a value, or of what holds it where the value itself is not written in the file.
func (f *File) problem(path []string, what, fix string) Problem {
	problem := Problem{Severity: SeverityError, What: what, Fix: fix}
	if f == nil {
		return problem
	}
	problem.File = f.Name
	for end := len(path); end > 0; end-- {
		if found, ok := f.places[strings.Join(path[:end], "\x00")]; ok {
			problem.Line, problem.Column = found.line, found.column
			break
		}
	}
	return problem
}

// syntaxProblem takes the line out of yaml.v3's error, which exists only as text.
func (f *File) syntaxProblem(err error) Problem {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	problem := f.problem(nil, "", "correct the YAML; indentation is by spaces")
	if rest, ok := strings.CutPrefix(what, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				problem.Line, what = line, message
			}
		}
	}
	problem.What = "is not YAML: " + what
	return problem
}

// bounded checks size and nesting with every alias followed.
func (f *File) bounded(root *yaml.Node) (Problem, bool) {
	values := 0
	var walk func(node *yaml.Node, depth int) bool
	walk = func(node *yaml.Node, depth int) bool {
		if values++; values > maxValues || depth > maxNesting {
			return false
		}
		if node.Kind == yaml.AliasNode {
			return walk(node.Alias, depth+1)
		}
		for _, child := range node.Content {
			if !walk(child, depth+1) {
				return false
			}
		}
		return true
	}
	if walk(root, 0) {
		return Problem{}, true
	}
	return f.problem(nil, fmt.Sprintf("means more than %d values or %d levels, with its aliases written out", maxValues, maxNesting),
		"use fewer aliases; one must not hold itself"), false
}

// member returns a mapping's value, or nil.
func member(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return resolve(mapping.Content[i+1])
		}
	}
	return nil
}

func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// MayShare reports whether a penstock.yaml may name a shared ledger: a quick look, without judging what it says.
func MayShare(data []byte) bool { return bytes.Contains(data, []byte("ledger")) }
