package pipelines

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("penstock.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("penstock.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// accepts reports whether the schema takes a YAML text, as an editor would ask it.
func accepts(t *testing.T, schema *jsonschema.Schema, text []byte) bool {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance) == nil
}

// TestSchemaAgreesWithLoad holds the two descriptions of the file together, document by document.
func TestSchemaAgreesWithLoad(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for text, want := range map[string]bool{
		"":                                      true,
		"# nothing\n":                           true,
		"pipeline: worker\n":                    true,
		"pipeline: custon\n":                    false,
		"[]":                                    false,
		"name: app\n":                           true,
		"name: My App\n":                        false,
		"name: [a]\n":                           false,
		"stage: {}\n":                           false,
		"stages: []\n":                          false,
		"stages: {\"a b\": {run: x}}":           false,
		"stages: {a: {run: x}}":                 true,
		"stages: {a: {run: [x, y]}}":            true,
		"stages: {a: {run: {x: y}}}":            false,
		"stages: {a: {run: [\" \"]}}":           false,
		"stages: {a: {run: null}}":              false,
		"stages: {a: {run: x, extra: y}}":       false,
		"stages: {a: {run: x, name: y}}":        false,
		"stages: {a: {run: x, needs: install}}": true,
		"stages: {a: {run: x, inputs: [\"!b\", \"**\"]}}":                 true,
		"stages: {a: {run: x, outputs: [../b]}}":                          false,
		"stages: {a: {run: x, outputs: [/b]}}":                            false,
		"stages: {a: {run: x, outputs: [a/..b]}}":                         true,
		"stages: {a: {run: x, reports: [{kind: junit, path: a}]}}":        true,
		"stages: {a: {run: x, reports: [{kind: xunit, path: a}]}}":        false,
		"stages: {a: {run: x, reports: {kind: junit}}}":                   false,
		"stages: {a: {run: x, env: {A: 1, B: true, C: null, D: x}}}":      true,
		"stages: {a: {run: x, env: {A-B: 1}}}":                            false,
		"stages: {a: {run: x, env: {PENSTOCK_X: 1}}}":                     false,
		"stages: {a: {run: x, env: {A: [1]}}}":                            false,
		"stages: {a: {run: x, secrets: [A, B]}}":                          true,
		"stages: {a: {run: x, secrets: {A: value}}}":                      false,
		"stages: {a: {run: x, secrets: [\"A=value\"]}}":                   false,
		"stages: {a: {run: x, network: none}}":                            true,
		"stages: {a: {run: x, network: all}}":                             false,
		"stages: {a: {run: x, timeout: 1h30m}}":                           true,
		"stages: {a: {run: x, timeout: 1.5s}}":                            true,
		"stages: {a: {run: x, timeout: 30}}":                              false,
		"stages: {a: {run: x, timeout: 5 minutes}}":                       false,
		"stages: {a: {run: x, retries: 11}}":                              false,
		"stages: {a: {run: x, retries: 2.5}}":                             false,
		"stages: {a: {run: x, when: smoke}}":                              true,
		"stages: {a: {run: x, when: later}}":                              false,
		"stages: {a: {run: x, tools: [{name: node, version: 20}]}}":       true,
		"stages: {a: {run: x, tools: [{name: no de}]}}":                   false,
		"stages: {a: {run: x, perEnvironment: true}}":                     true,
		"stages: {a: {run: x, perEnvironment: 1}}":                        false,
		"stages: {test: {remove: true}}":                                  true,
		"gates: {quality/tests: {remove: true}}":                          true,
		"gates: {tests: {}}":                                              false,
		"gates: {a/b: {config: {x: [1, {y: null}]}}}":                     true,
		"gates: {a/b: {config: [1]}}":                                     false,
		"gates: {a/b: {phase: promote, environments: production}}":        true,
		"gates: {a/b: {phase: deploy}}":                                   false,
		"gates: {a/b: {enforcement: must}}":                               false,
		"gates: {a/b: {gate: x}}":                                         false,
		"gates: {a/b: {enforcementIn: {production: advisory}}}":           true,
		"gates: {a/b: {enforcementIn: {production: null}}}":               true,
		"gates: {a/b: {enforcementIn: {production: must}}}":               false,
		"stages: {a: {run: x, maxAge: 24h}}":                              true,
		"stages: {a: {run: x, maxAge: 1 day}}":                            false,
		"environments: {p: {target: local, steps: [10, 50.5, 100]}}":      true,
		"environments: {p: {target: aws}}":                                false,
		"environments: {p: {steps: [0, 100]}}":                            false,
		"environments: {p: {steps: [101]}}":                               false,
		"environments: {p: {steps: [10%]}}":                               false,
		"environments: {p: {smoke: {probes: [{path: /a, status: 204}]}}}": true,
		"environments: {p: {smoke: {probes: [{path: a}]}}}":               false,
		"environments: {p: {smoke: {probes: [{path: /a, status: 42}]}}}":  false,
		"environments: {p: {smoke: {version: never}}}":                    false,
		"environments: {p: {vars: {A: 1}, approvers: ada, bake: 5m}}":     true,
		"environments: {p: {seed: ../a.sql}}":                             false,
		"ledger: {d1: penstock-ledger, r2: penstock-vault}":               true,
		"ledger: {d1: penstock-ledger}":                                   false,
		"ledger: {d1: penstock ledger, r2: penstock-vault}":               false,
		"ledger: {d1: penstock-ledger, r2: Penstock}":                     false,
		"ledger: {d1: a, r2: abc, kv: b}":                                 false,
		"ledger: penstock-ledger":                                         false,
		"environments: {p: {ledger: {d1: a, r2: abc}}}":                   true,
		"environments: {p: {strategy: slots, slot: s}, s: {}}":            true,
		"environments: {p: {strategy: blue-green}}":                       false,
		"stages: {a: {run: x, when: integration}}":                        true,
		"environments: {p: {provision: please}}":                          false,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			file, problems := Load(FileName, []byte(text))
			if problems == nil {
				base := shipped()
				base.Stages = append(base.Stages, Stage{Name: "a", Run: []string{"x"}})
				base.Gates = append(base.Gates, GateRef{Gate: "quality/tests"})
				_, problems = Build(base, file)
			}
			if got := problems.Err() == nil; got != want {
				t.Errorf("Load and Validate accept it: %v, want %v: %v", got, want, problems)
			}
			if got := accepts(t, schema, []byte(text)); got != want {
				t.Errorf("the schema accepts it: %v, want %v", got, want)
			}
		})
	}
}

func TestSchemaAcceptsWhatInitWrites(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, name := range []string{"guide.yaml", "bare.yaml"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !accepts(t, schema, text) {
			t.Errorf("the schema refuses %s", name)
		}
	}
}

// TestSchemaHasEveryField compares the schema's keys with those of the Go types, both ways.
func TestSchemaHasEveryField(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties map[string]any
		Defs       map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sorted(fieldNames(reflect.TypeFor[layout](), "")), slices.Sorted(maps.Keys(schema.Properties))); diff != "" {
		t.Errorf("the file's keys (-Go +schema):\n%s", diff)
	}
	for name, definition := range map[string]struct {
		model reflect.Type
		name  string // the key that stands before the colon instead
	}{
		"stage":       {reflect.TypeFor[Stage](), "name"},
		"report":      {reflect.TypeFor[Report](), ""},
		"tool":        {reflect.TypeFor[Tool](), ""},
		"gate":        {reflect.TypeFor[GateRef](), "gate"},
		"environment": {reflect.TypeFor[Environment](), "name"},
		"smoke":       {reflect.TypeFor[Smoke](), ""},
		"probe":       {reflect.TypeFor[Probe](), ""},
		"ledger":      {reflect.TypeFor[SharedLedger](), ""},
	} {
		want := fieldNames(definition.model, definition.name)
		if definition.name != "" {
			want = append(want, "remove")
		}
		got := schema.Defs[name].Properties
		if diff := cmp.Diff(sorted(want), slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("%s (-Go +schema):\n%s", name, diff)
		}
		for key, property := range got {
			if property.Description == "" {
				t.Errorf("%s.%s has no description; penstock init writes it as a comment", name, key)
			}
		}
	}
}

func sorted(words []string) []string {
	slices.Sort(words)
	return words
}
