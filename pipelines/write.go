package pipelines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// WriteYAML writes p as a penstock.yaml that stands alone, with comments: loading it gives p again. p must have been
// defaulted and accepted by [Validate].
func WriteYAML(p Pipeline) ([]byte, error) {
	w := writing{told: map[string]bool{}}
	if err := json.Unmarshal(Schema, &w.schema); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	root := mappingNode()
	w.add(root, "pipeline", textNode(startFromCustom)).HeadComment = fileComment(p.Name)
	w.add(root, "name", textNode(p.Name))
	if p.Ledger != (SharedLedger{}) {
		w.add(root, "ledger", w.structure(reflect.ValueOf(p.Ledger), "ledger", false))
	}
	w.section(root, "stages", "stage", stagesComment, itemsOf(p.Stages, func(s Stage) string { return s.Name }))
	w.section(root, "gates", "gate", gatesComment, itemsOf(p.Gates, func(g GateRef) string { return g.Gate }))
	w.section(root, "environments", "environment", environmentsComment, itemsOf(p.Environments, func(e Environment) string { return e.Name }))

	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}}); err != nil {
		return nil, fmt.Errorf("encode the pipeline: %w", err)
	}
	return out.Bytes(), encoder.Close()
}

func fileComment(name string) string {
	return "How " + name + " is built, judged and deployed.\n" +
		"\n" +
		"`pipeline: custom` means that this file is the whole pipeline: what is not here does not run. To keep up with what\n" +
		"Penstock derives from package.json and the wrangler config instead, write `pipeline: worker`, and of the rest only\n" +
		"what you want to be different; `remove: true` takes a stage, gate or environment away.\n" +
		"`penstock plan` shows the outcome."
}

const (
	stagesComment = "Stages are isolated units of work. They run as soon as what they need has passed; an unchanged one is not run again."

	gatesComment = "Gates judge what the stages left behind. Only pass and warn let anything through; an answer that is missing blocks.\n" +
		"enforcement: advisory is recorded, overridable blocks and can be waived with a reason, mandatory blocks."

	environmentsComment = "Environments are the places to deploy to: `penstock deploy --env NAME`."
)

// item is one named stage, gate or environment.
type item struct {
	name  string
	value reflect.Value
}

func itemsOf[T any](values []T, name func(T) string) []item {
	items := make([]item, len(values))
	for i, value := range values {
		items[i] = item{name(value), reflect.ValueOf(value)}
	}
	return items
}

// writing builds the YAML tree. The comments on keys are the schema's descriptions, each where its key first appears.
type writing struct {
	schema struct {
		Defs map[string]struct {
			Properties map[string]struct {
				Description string `json:"description"`
			} `json:"properties"`
		} `json:"$defs"`
	}
	told map[string]bool
}

// add appends a member and returns its key's node, where comments go.
func (w *writing) add(mapping *yaml.Node, key string, value *yaml.Node) *yaml.Node {
	node := textNode(key)
	mapping.Content = append(mapping.Content, node, value)
	return node
}

func (w *writing) section(root *yaml.Node, key, definition, comment string, items []item) {
	section := mappingNode()
	for _, item := range items {
		w.add(section, item.name, w.structure(item.value, definition, true))
	}
	if len(items) > 0 {
		w.add(root, key, section).HeadComment = comment
	}
}

// structure writes a struct's fields in their order, leaving out what is empty or what Default would fill in anyway.
func (w *writing) structure(value reflect.Value, definition string, named bool) *yaml.Node {
	mapping := mappingNode()
	for i := range value.NumField() {
		key := keyOf(value.Type().Field(i))
		if named && i == 0 || value.Field(i).IsZero() || implied(value.Field(i)) {
			continue // the name stands before the colon
		}
		node := w.add(mapping, key, w.node(value.Field(i), key))
		if told := definition + "." + key; !w.told[told] {
			w.told[told] = true
			node.HeadComment = w.schema.Defs[definition].Properties[key].Description
		}
	}
	return mapping
}

// implied values say nothing to a reader.
func implied(value reflect.Value) bool {
	return value.Interface() == any(WhenBuild) || value.Interface() == any(NetworkDefault)
}

// node writes any value of the model.
func (w *writing) node(value reflect.Value, key string) *yaml.Node {
	if value.Kind() == reflect.Invalid {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	if duration, ok := value.Interface().(time.Duration); ok {
		return textNode(text(duration))
	}
	switch value.Kind() {
	case reflect.Struct:
		return w.structure(value, map[string]string{"reports": "report", "tools": "tool", "smoke": "smoke", "probes": "probe", "ledger": "ledger"}[key], false)
	case reflect.Slice:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range value.Len() {
			list.Content = append(list.Content, w.node(value.Index(i), key))
		}
		if kind := value.Type().Elem().Kind(); key != "run" && (kind == reflect.String || kind == reflect.Float64) {
			list.Style = yaml.FlowStyle
		}
		return list
	case reflect.Map:
		mapping := mappingNode()
		for _, name := range slices.Sorted(maps.Keys(keysOf(value))) {
			w.add(mapping, name, w.node(value.MapIndex(reflect.ValueOf(name)), ""))
		}
		return mapping
	case reflect.Interface:
		return w.node(value.Elem(), key)
	case reflect.String:
		return textNode(value.String())
	case reflect.Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value.Bool())}
	case reflect.Int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(value.Int(), 10)}
	case reflect.Float64:
		return floatNode(value.Float(), key)
	default:
		panic("pipelines: no YAML form for " + value.Type().String())
	}
}

func keysOf(value reflect.Value) map[string]bool {
	keys := map[string]bool{}
	for _, key := range value.MapKeys() {
		keys[key.String()] = true
	}
	return keys
}

// floatNode keeps a float a float where its kind is not known otherwise: in a gate's config 80.0 is not 80.
func floatNode(value float64, key string) *yaml.Node {
	number := strconv.FormatFloat(value, 'g', -1, 64)
	switch {
	case strings.ContainsAny(number, ".e"):
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: number}
	case key == "steps":
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: number}
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: number + ".0"}
	}
}

// textNode leaves the quoting to the encoder, which quotes what would be read as something else.
func textNode(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	return node
}

func mappingNode() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// text writes a duration as a person would: 5m, not 5m0s.
func text(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
