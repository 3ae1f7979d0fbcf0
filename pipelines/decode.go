package pipelines

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// decoding writes YAML onto values that may be filled already, and collects everything that does not fit. yaml.v3's own
// decoder stops counting places once it has Go values, and does not know our keys.
type decoding struct {
	file     *File
	problems Problems
	// places is where the places of values are recorded; nil when they are known already.
	places map[string]place
}

func (d *decoding) record(path []string, node *yaml.Node) {
	if d.places != nil {
		d.places[strings.Join(path, "\x00")] = place{node.Line, node.Column}
	}
}

func (d *decoding) problem(path []string, what, fix string) {
	d.problems = append(d.problems, d.file.problem(path, what, fix))
}

// keys are a mapping's members in order. Repeated and unusable ones are problems and left out.
func (d *decoding) keys(node *yaml.Node, path []string, each func(key string, value *yaml.Node, path []string)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := resolve(node.Content[i]), resolve(node.Content[i+1])
		here := within(path, name.Value)
		if line, twice := seen[name.Value]; twice {
			d.problems = append(d.problems, Problem{
				Severity: SeverityError, File: d.file.Name, Line: node.Content[i].Line, Column: node.Content[i].Column,
				What: fmt.Sprintf("%q is already in line %d", name.Value, line), Fix: "keep one of them",
			})
			continue
		}
		seen[name.Value] = node.Content[i].Line
		d.record(here, node.Content[i])
		switch {
		case node.Content[i].Tag == "!!merge":
			d.problem(here, "merge keys (<<) are not supported", "write the keys out, or use an alias for a whole value")
		case name.Kind != yaml.ScalarNode:
			d.problem(here, "a key must be a plain text", "write a name")
		default:
			each(name.Value, value, here)
		}
	}
}

// mapping checks that node is one.
func (d *decoding) mapping(node *yaml.Node, path []string) bool {
	if node.Kind == yaml.MappingNode {
		return true
	}
	d.problem(path, label(path)+" must be a mapping, not "+describe(node), "write `key: value` lines, indented below it")
	return false
}

// whole decodes a file onto p. onto is what the names of the sections refer to, nil when only the shape is looked at.
func (d *decoding) whole(root *yaml.Node, p, onto *Pipeline) {
	if !d.mapping(root, nil) {
		return
	}
	d.keys(root, nil, func(key string, value *yaml.Node, path []string) {
		switch key {
		case "pipeline":
			var start string
			d.value(value, reflect.ValueOf(&start).Elem(), path)
			if start != startFromWorker && start != startFromCustom {
				d.problem(path, fmt.Sprintf("%q is no pipeline%s", start, didYouMean(start, []string{startFromWorker, startFromCustom})),
					"write worker to adjust the shipped pipeline, or custom to replace it")
			}
		case "name":
			d.value(value, reflect.ValueOf(&p.Name).Elem(), path)
		case "ledger":
			d.value(value, reflect.ValueOf(&p.Ledger).Elem(), path)
		case "stages":
			section(d, value, path, &p.Stages, stageSection, onto != nil)
		case "gates":
			section(d, value, path, &p.Gates, gateSection, onto != nil)
		case "environments":
			section(d, value, path, &p.Environments, environmentSection, onto != nil)
		default:
			d.unknown(key, path, fieldNames(reflect.TypeFor[layout](), ""))
		}
	})
}

// sectionOf says how the items of a section are named, and what it means to take one away.
type sectionOf[T any] struct {
	nameKey string // the field's key, which an item in YAML does not have: its name stands before the colon
	name    func(*T) *string
	remove  func(items []T, index int) []T
}

var (
	stageSection       = sectionOf[Stage]{"name", func(s *Stage) *string { return &s.Name }, removeStage}
	gateSection        = sectionOf[GateRef]{"gate", func(g *GateRef) *string { return &g.Gate }, remove[GateRef]}
	environmentSection = sectionOf[Environment]{"name", func(e *Environment) *string { return &e.Name }, remove[Environment]}
)

func remove[T any](items []T, index int) []T { return slices.Delete(items, index, index+1) }

// removeStage lets the stages that needed the removed one need what it needed.
func removeStage(stages []Stage, index int) []Stage {
	gone := stages[index]
	stages = remove(stages, index)
	for i := range stages {
		at := slices.Index(stages[i].Needs, gone.Name)
		if at < 0 {
			continue
		}
		needs := slices.Delete(slices.Clone(stages[i].Needs), at, at+1)
		for _, need := range gone.Needs {
			if !slices.Contains(needs, need) && need != stages[i].Name {
				needs = append(needs, need)
			}
		}
		stages[i].Needs = needs
	}
	return stages
}

// section decodes one of the three sections onto items. When adjusting, an item may be taken away, and that it exists is
// checked; otherwise only the shape is.
func section[T any](d *decoding, node *yaml.Node, path []string, items *[]T, of sectionOf[T], adjusting bool) {
	if !d.mapping(node, path) {
		return
	}
	d.keys(node, path, func(name string, value *yaml.Node, path []string) {
		index := slices.IndexFunc(*items, func(item T) bool { return *of.name(&item) == name })
		if !d.mapping(value, path) {
			return
		}
		if d.removal(value, path) {
			switch {
			case !adjusting:
			case index >= 0:
				*items = of.remove(*items, index)
			default:
				known := names(*items, func(item T) string { return *of.name(&item) })
				d.problem(path, fmt.Sprintf("%q is not there to be removed%s", name, didYouMean(name, known)), "name one of "+strings.Join(known, ", "))
			}
			return
		}
		if index < 0 {
			var item T
			*of.name(&item) = name
			*items = append(*items, item)
			index = len(*items) - 1
		}
		d.fields(value, reflect.ValueOf(&(*items)[index]).Elem(), path, of.nameKey)
	})
}

// removal reports whether an item is taken away; `remove: true` stands alone.
func (d *decoding) removal(node *yaml.Node, path []string) bool {
	value := member(node, "remove")
	if value == nil {
		return false
	}
	var taken bool
	here := within(path, "remove")
	d.record(here, value)
	d.value(value, reflect.ValueOf(&taken).Elem(), here)
	if taken && len(node.Content) > 2 {
		d.problem(here, "what is removed has no other keys", "take them away, or the line `remove: true`")
	}
	return taken
}

// fields decodes a mapping onto a struct; hidden is a key that does not count. Maps are copied before they are written to.
func (d *decoding) fields(node *yaml.Node, into reflect.Value, path []string, hidden string) {
	if !d.mapping(node, path) {
		return
	}
	d.keys(node, path, func(key string, value *yaml.Node, path []string) {
		if key == "remove" && hidden != "" {
			return // read before
		}
		field, ok := fieldByKey(into.Type(), key)
		if !ok || key == hidden {
			known := fieldNames(into.Type(), hidden)
			if hidden != "" {
				known = append(known, "remove")
			}
			d.unknown(key, path, known)
			return
		}
		d.value(value, into.FieldByIndex(field.Index), path)
	})
}

func (d *decoding) unknown(key string, path []string, known []string) {
	d.problem(path, fmt.Sprintf("unknown key %q%s", key, didYouMean(key, known)), "the keys here are "+strings.Join(known, ", "))
}

// value decodes any node onto any of the kinds of which the model is made.
func (d *decoding) value(node *yaml.Node, into reflect.Value, path []string) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		d.problem(path, label(path)+" has no value", "write one, or take the line away")
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.fields(node, into, path, "")
	case reflect.Slice:
		d.list(node, into, path)
	case reflect.Map:
		d.table(node, into, path)
	default:
		d.scalar(node, into, path)
	}
}

// list decodes a sequence, which replaces what is there. One text may stand for a list of one.
func (d *decoding) list(node *yaml.Node, into reflect.Value, path []string) {
	texts := into.Type().Elem().Kind() == reflect.String
	if path[len(path)-1] == "secrets" && node.Kind == yaml.MappingNode {
		d.problem(path, "secrets are names, without values", "write a list of names; a value never belongs in this file: if one was here, consider it known")
		return
	}
	var nodes []*yaml.Node
	switch {
	case node.Kind == yaml.SequenceNode:
		nodes = node.Content
	case node.Kind == yaml.ScalarNode && texts:
		nodes = []*yaml.Node{node}
	default:
		d.problem(path, label(path)+" must be a list, not "+describe(node), "write `- ` before each element, or put them in [ ]")
		return
	}
	list := reflect.MakeSlice(into.Type(), len(nodes), len(nodes))
	for i, element := range nodes {
		here := within(path, strconv.Itoa(i))
		d.record(here, element)
		d.value(resolve(element), list.Index(i), here)
	}
	if len(nodes) == 0 {
		list = reflect.Zero(into.Type())
	}
	into.Set(list)
}

// table decodes a mapping of free keys and merges it into what is there; null takes a key away.
func (d *decoding) table(node *yaml.Node, into reflect.Value, path []string) {
	if !d.mapping(node, path) {
		return
	}
	merged := reflect.MakeMap(into.Type())
	for _, key := range into.MapKeys() {
		merged.SetMapIndex(key, into.MapIndex(key))
	}
	d.keys(node, path, func(key string, value *yaml.Node, path []string) {
		element := reflect.New(into.Type().Elem()).Elem()
		switch {
		case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
			merged.SetMapIndex(reflect.ValueOf(key), reflect.Value{})
			return
		case into.Type().Elem().Kind() == reflect.Interface:
			element.Set(reflect.ValueOf(d.free(value, path)))
		default:
			d.value(value, element, path)
		}
		merged.SetMapIndex(reflect.ValueOf(key), element)
	})
	if merged.Len() == 0 {
		merged = reflect.Zero(into.Type())
	}
	into.Set(merged)
}

// free decodes a gate's config, whose shape only the gate knows. The result has an equal in JSON.
func (d *decoding) free(node *yaml.Node, path []string) any {
	switch node.Kind {
	case yaml.MappingNode:
		table := map[string]any{}
		d.keys(node, path, func(key string, value *yaml.Node, path []string) { table[key] = d.free(value, path) })
		return table
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, element := range node.Content {
			list[i] = d.free(resolve(element), within(path, strconv.Itoa(i)))
		}
		return list
	}
	var value any
	err := node.Decode(&value)
	switch number, isFloat := value.(float64); {
	case err != nil:
		d.problem(path, fmt.Sprintf("%q cannot be read as %s", node.Value, strings.TrimPrefix(node.Tag, "!!")), "write it in quotes to make it a text")
	case isFloat && (math.IsInf(number, 0) || math.IsNaN(number)):
		d.problem(path, fmt.Sprintf("%s is not a number that a gate could be told", node.Value), "write a finite number")
	}
	switch value.(type) {
	case nil, string, bool, int, float64:
		return value
	default: // dates, numbers beyond 64 bits: as written
		return node.Value
	}
}

func (d *decoding) scalar(node *yaml.Node, into reflect.Value, path []string) {
	if node.Kind != yaml.ScalarNode {
		d.problem(path, fmt.Sprintf("%s must be %s, not %s", label(path), kindName(into.Type()), describe(node)), "write one value on the same line")
		return
	}
	switch into.Interface().(type) {
	case time.Duration:
		duration, err := time.ParseDuration(node.Value)
		if err != nil {
			d.problem(path, fmt.Sprintf("%q is not a duration", node.Value), "write a number with its unit, such as 90s, 5m or 1h30m")
			return
		}
		if duration == 0 && path[len(path)-1] == "timeout" {
			// Default would take it for "not said".
			d.problem(path, "a time limit of nothing lets nothing run", "write how long it may take, or take the line away for the default")
			return
		}
		into.SetInt(int64(duration))
		return
	}
	ok := true
	switch into.Kind() {
	case reflect.String:
		into.SetString(node.Value)
	case reflect.Bool:
		var value bool
		ok = node.Tag == "!!bool" && node.Decode(&value) == nil
		into.SetBool(value)
	case reflect.Int:
		var value int
		ok = node.Tag == "!!int" && node.Decode(&value) == nil
		into.SetInt(int64(value))
	case reflect.Float64:
		var value float64
		ok = (node.Tag == "!!int" || node.Tag == "!!float") && node.Decode(&value) == nil
		into.SetFloat(value)
	default:
		panic("pipelines: no YAML form for " + into.Type().String())
	}
	if !ok {
		d.problem(path, fmt.Sprintf("%s must be %s, not %q", label(path), kindName(into.Type()), node.Value), "write it without quotes and without a unit")
	}
}

// label names a value by its key.
func label(path []string) string {
	switch {
	case len(path) == 0:
		return "the file"
	case len(path) > 1 && isIndex(path[len(path)-1]):
		return fmt.Sprintf("element %s of %s", path[len(path)-1], path[len(path)-2])
	default:
		return path[len(path)-1]
	}
}

func isIndex(step string) bool { _, err := strconv.Atoi(step); return err == nil }

func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Tag == "!!null":
		return "nothing"
	default:
		return "a single value"
	}
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "a duration"
	}
}

func fieldByKey(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if keyOf(t.Field(i)) == key {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return key
}

func fieldNames(t reflect.Type, hidden string) []string {
	var all []string
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != hidden {
			all = append(all, key)
		}
	}
	return all
}
