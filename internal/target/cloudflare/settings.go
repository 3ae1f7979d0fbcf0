package cloudflare

import (
	"encoding/json"

	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// settings are those of the Worker that no version carries; said is false when the config says nothing about them, and
// then they are left as they are.
func (t *Target) settings() (settings api.ScriptSettings, said bool) {
	if t.Worker.Logpush != nil {
		settings.Logpush, said = *t.Worker.Logpush, true
	}
	if t.Worker.Observability != nil {
		settings.Observability, said = asWritten(t.Worker.Observability), true
	}
	if len(t.Worker.TailConsumers) > 0 {
		settings.TailConsumers, said = asWritten(t.Worker.TailConsumers), true
	}
	return settings, said
}

// asWritten encodes a part of the config without the fields that it does not set.
func asWritten(part any) json.RawMessage {
	var value any
	if err := json.Unmarshal(encode(part), &value); err != nil {
		panic(err) // what encode wrote, it can read
	}
	return encode(withoutUnset(value))
}

func withoutUnset(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, member := range value {
			if member = withoutUnset(member); member == nil || member == "" {
				delete(value, key)
			}
		}
	case []any:
		for i := range value {
			value[i] = withoutUnset(value[i])
		}
	}
	return value
}
