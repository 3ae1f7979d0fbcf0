package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schema is a gate's own word about its config.
type schema struct {
	compiled *jsonschema.Schema // nil when the gate takes no config
}

func compileSchema(text string) (*schema, error) {
	if strings.TrimSpace(text) == "" {
		return &schema{}, nil
	}
	if len(text) > maxSchema {
		return nil, fmt.Errorf("it takes more than %d KiB", maxSchema>>10)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	// Without this a misspelt limit would be silently ignored, and the default would judge.
	root, isObject := document.(map[string]any)
	if !isObject || root["type"] != "object" || root["additionalProperties"] != false {
		return nil, errors.New(`it must say "type": "object" and "additionalProperties": false`)
	}
	if err := boundSchema(root); err != nil {
		return nil, err
	}
	const name = "gate:config" // not the name of a file, which would be shown
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	// A stranger's schema is not to make the host read files or ask the network.
	compiler.UseLoader(refuseLoading{})
	if err := compiler.AddResource(name, document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(name)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return nil, errors.New(strings.Join(problemsOf(invalid, message.NewPrinter(language.English)), "; "))
	}
	if err != nil {
		return nil, err
	}
	return &schema{compiled: compiled}, nil
}

type refuseLoading struct{}

func (refuseLoading) Load(url string) (any, error) {
	return nil, fmt.Errorf("a config schema must stand alone; this one refers to %s", url)
}

// check returns the config to pass on, or an error that lists every problem.
func (s *schema) check(config json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(config)) == 0 || string(bytes.TrimSpace(config)) == "null" {
		config = json.RawMessage("{}")
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("%w: it is not JSON: %w", ErrConfig, err)
	}
	if s.compiled == nil {
		if object, isObject := value.(map[string]any); !isObject || len(object) > 0 {
			return nil, fmt.Errorf("%w: this gate takes no config", ErrConfig)
		}
		return config, nil
	}
	err = s.compiled.Validate(value)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return nil, &invalidConfig{invalid}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return config, nil
}

// invalidConfig is an ErrConfig that says all that is wrong in one line.
type invalidConfig struct{ invalid *jsonschema.ValidationError }

func (e *invalidConfig) Error() string {
	return ErrConfig.Error() + ": " + strings.Join(problemsOf(e.invalid, message.NewPrinter(language.English)), "; ")
}
func (e *invalidConfig) Is(target error) bool { return target == ErrConfig }
func (e *invalidConfig) Unwrap() error        { return e.invalid }

// problemsOf lists the leaves of a validation error: where in the config, and what is wrong there.
func problemsOf(invalid *jsonschema.ValidationError, printer *message.Printer) []string {
	if len(invalid.Causes) == 0 {
		what := invalid.ErrorKind.LocalizedString(printer)
		if len(invalid.InstanceLocation) == 0 {
			return []string{what}
		}
		return []string{strings.Join(invalid.InstanceLocation, ".") + ": " + what}
	}
	var problems []string
	for _, cause := range invalid.Causes {
		problems = append(problems, problemsOf(cause, printer)...)
	}
	return problems
}
