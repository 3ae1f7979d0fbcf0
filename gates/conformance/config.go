package conformance

import "encoding/json"

// property is what is understood of a JSON Schema to make up a value.
type property struct {
	Type       any                 `json:"type"`
	Default    json.RawMessage     `json:"default"`
	Const      json.RawMessage     `json:"const"`
	Examples   []json.RawMessage   `json:"examples"`
	Enum       []json.RawMessage   `json:"enum"`
	Minimum    *json.Number        `json:"minimum"`
	Required   []string            `json:"required"`
	Properties map[string]property `json:"properties"`
}

// leastConfig makes up the smallest config that a schema may allow: what it demands, and nothing else. Where that takes
// more than a default, an example or the first of a list, the author must give one.
func leastConfig(schema string) json.RawMessage {
	var root property
	if schema == "" || json.Unmarshal([]byte(schema), &root) != nil {
		return json.RawMessage("{}")
	}
	return root.value()
}

func (p property) value() json.RawMessage {
	switch {
	case p.Default != nil:
		return p.Default
	case p.Const != nil:
		return p.Const
	case len(p.Examples) > 0:
		return p.Examples[0]
	case len(p.Enum) > 0:
		return p.Enum[0]
	}
	switch p.Type {
	case "object", nil:
		made := map[string]json.RawMessage{}
		for _, name := range p.Required {
			made[name] = p.Properties[name].value()
		}
		text, err := json.Marshal(made)
		if err != nil {
			return json.RawMessage("{}")
		}
		return text
	case "number", "integer":
		if p.Minimum != nil {
			return json.RawMessage(p.Minimum.String())
		}
		return json.RawMessage("1")
	case "boolean":
		return json.RawMessage("false")
	case "array":
		return json.RawMessage("[]")
	default:
		return json.RawMessage(`"x"`)
	}
}
