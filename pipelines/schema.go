package pipelines

import (
	_ "embed"
)

// Schema is the JSON Schema (draft 2020-12) of penstock.yaml, for editors. It knows the shape and the words; what the
// values mean together only [Validate] knows.
//
//go:embed penstock.schema.json
var Schema []byte
