package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/penstock-ci/penstock/gates"
)

// CheckSchema says what is wrong with a gate's config schema, if anything. "" is a gate that takes no config.
func CheckSchema(text string) error {
	_, err := compileSchema(text)
	return err
}

// CheckConfig says what is wrong with a config in the eyes of a gate's schema, or returns the config that the gate is
// given: "{}" for none.
func CheckConfig(schemaText string, config json.RawMessage) (json.RawMessage, error) {
	schema, err := compileSchema(schemaText)
	if err != nil {
		return nil, err
	}
	return schema.check(config)
}

// ConfigProblem is one thing that is wrong with a gate's config in the eyes of the gate's schema.
type ConfigProblem struct {
	Path []string // keys and indexes that lead to it; an unknown key is the last of them
	What string
	// Unknown is the key that the schema does not name, and Known are those that it does name there; both empty otherwise.
	Unknown string
	Known   []string
}

// ConfigProblems lists all that is wrong with a config. err says that the schema is none.
func ConfigProblems(schemaText string, config json.RawMessage) ([]ConfigProblem, error) {
	schema, err := compileSchema(schemaText)
	if err != nil {
		return nil, err
	}
	_, err = schema.check(config)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &invalid):
		return []ConfigProblem{{What: strings.TrimPrefix(err.Error(), ErrConfig.Error()+": ")}}, nil
	}
	return placedProblems(invalid, keysOf(schemaText), message.NewPrinter(language.English)), nil
}

// placedProblems are the leaves of a validation error, unknown keys one by one.
func placedProblems(invalid *jsonschema.ValidationError, known []string, printer *message.Printer) []ConfigProblem {
	if unknown, ok := invalid.ErrorKind.(*kind.AdditionalProperties); ok {
		var problems []ConfigProblem
		for _, key := range unknown.Properties {
			problem := ConfigProblem{Path: append(slices.Clone(invalid.InstanceLocation), key), What: fmt.Sprintf("unknown key %q", key), Unknown: key}
			if len(invalid.InstanceLocation) == 0 {
				problem.Known = known
			}
			problems = append(problems, problem)
		}
		return problems
	}
	if len(invalid.Causes) == 0 {
		return []ConfigProblem{{Path: invalid.InstanceLocation, What: invalid.ErrorKind.LocalizedString(printer)}}
	}
	var problems []ConfigProblem
	for _, cause := range invalid.Causes {
		problems = append(problems, placedProblems(cause, known, printer)...)
	}
	return problems
}

// keysOf are the keys that a schema names at its top, sorted.
func keysOf(schemaText string) []string {
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	_ = json.Unmarshal([]byte(schemaText), &schema) // it was compiled, so it is JSON
	return slices.Sorted(maps.Keys(schema.Properties))
}

// CheckVerdict returns a verdict as it would be recorded and shown, or an error that says why it would be refused.
func CheckVerdict(verdict gates.Verdict) (gates.Verdict, error) {
	return sane(verdict, func(text string) string { return strip(text, true) })
}
