package host

import (
	"encoding/json"

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

// CheckVerdict returns a verdict as it would be recorded and shown, or an error that says why it would be refused.
func CheckVerdict(verdict gates.Verdict) (gates.Verdict, error) {
	return sane(verdict, func(text string) string { return strip(text, true) })
}
