package wrangler

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/pipelines"
)

// Config is one parsed configuration file. It is immutable once Parse has returned it, and safe for concurrent use.
type Config struct {
	File string // its name
	// Warnings are about the file as a whole, and about what wrangler would warn of.
	Warnings pipelines.Problems

	doc *document
}

// Parse parses a configuration; name decides on the syntax. Everything that wrangler could not read is one
// [pipelines.Problems] error: the syntax, or every value of the wrong type in the top level and in all environments.
func Parse(name string, data []byte) (*Config, error) {
	if len(data) > maxConfigSize {
		return nil, pipelines.Problems{{
			Severity: pipelines.SeverityError, File: name,
			What: fmt.Sprintf("is larger than %d KiB", maxConfigSize>>10),
			Fix:  "check that it is the wrangler configuration",
		}}
	}
	parse := parseJSONC
	if isTOML(name) {
		parse = parseTOML
	}
	doc, err := parse(data)
	if err != nil {
		return nil, syntaxProblem(name, err)
	}
	config := &Config{File: name, doc: doc}
	for _, at := range doc.repeated {
		config.warn(at, fmt.Sprintf("%q is written twice, and only the last one counts", dotted(at)), "delete one of them")
	}
	var problems pipelines.Problems
	for _, env := range append([]string{""}, config.Environments()...) {
		worker, err := config.For(env)
		var wrong pipelines.Problems
		switch {
		case errors.As(err, &wrong):
			problems = appendNew(problems, wrong)
		case err != nil:
			return nil, err
		}
		for _, key := range worker.NotInherited {
			config.warn(pointer("/env", env), fmt.Sprintf("has no %q, and wrangler does not inherit the top level's", key.Path),
				"repeat it in this environment, or set it to an empty value there to say that none is meant")
		}
	}
	problems.Sort()
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return config, nil
}

func syntaxProblem(name string, err error) error {
	problem := pipelines.Problem{
		Severity: pipelines.SeverityError, File: name, What: err.Error(),
		Fix: "correct the syntax; wrangler cannot read the file either",
	}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		problem.Line, problem.Column, problem.What = syntax.line, syntax.column, syntax.message
	}
	return pipelines.Problems{problem}
}

// appendNew appends what is not there yet: an inherited value is wrong once, not once in each environment.
func appendNew(problems, more pipelines.Problems) pipelines.Problems {
	for _, problem := range more {
		if !slices.Contains(problems, problem) {
			problems = append(problems, problem)
		}
	}
	return problems
}

func (c *Config) warn(at, what, fix string) {
	found := c.doc.places[at]
	c.Warnings = append(c.Warnings, pipelines.Problem{
		Severity: pipelines.SeverityWarning, File: c.File, Line: found.line, Column: found.column, What: what, Fix: fix,
	})
}

// Environments are the names under "env", sorted.
func (c *Config) Environments() []string {
	environments, _ := c.doc.root["env"].(map[string]any)
	names := make([]string, 0, len(environments))
	for name := range environments {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Place is the line and column of a value by its JSON pointer, both 0 when it is not written in the file:
// Place("/env/production/d1_databases/0").
func (c *Config) Place(pointer string) (line, column int) {
	found := c.doc.places[pointer]
	return found.line, found.column
}

// For returns the Worker of an environment, "" meaning the top level, with wrangler's inheritance. The error is
// [pipelines.Problems] with every value of the wrong type, or says that there is no such environment.
func (c *Config) For(env string) (Worker, error) {
	resolved := resolution{config: c, worker: Worker{Environment: env}}
	own := c.doc.root
	if env != "" {
		environments, _ := c.doc.root["env"].(map[string]any)
		value, exists := environments[env]
		if !exists {
			return Worker{}, c.noSuchEnvironment(env)
		}
		var isObject bool
		if own, isObject = value.(map[string]any); !isObject {
			resolved.wrongType(pointer("/env", env), "an object", value)
		}
	}
	for _, key := range sortedKeys(c.doc.root, own) {
		resolved.key(key, own)
	}
	resolved.finish(own)
	return resolved.worker, resolved.problems.Err()
}

func (c *Config) noSuchEnvironment(env string) error {
	known := c.Environments()
	if len(known) == 0 {
		return fmt.Errorf("%s has no environment %q: it has none at all; add it under \"env\" or deploy the top level", c.File, env)
	}
	return fmt.Errorf("%s has no environment %q; it has %s", c.File, env, strings.Join(known, ", "))
}

func sortedKeys(maps ...map[string]any) []string {
	var keys []string
	for _, m := range maps {
		for key := range m {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// resolution is the making of one Worker.
type resolution struct {
	config   *Config
	worker   Worker
	problems pipelines.Problems
}

// key decides where one key's value comes from and puts it into the Worker. null is as good as absent, as in wrangler.
func (r *resolution) key(key string, own map[string]any) {
	rule, known := keyRules[key]
	top, env := r.config.doc.root[key], r.worker.Environment
	value, at := own[key], pointer("", key)
	if env != "" {
		at = pointer(pointer("/env", env), key)
		switch {
		case value != nil && known && rule.scope == topOnly:
			known = false // wrangler warns of it and does not read it
		case value != nil:
		case known && rule.scope == notInherited:
			if top != nil && rule.effect != bundling {
				r.worker.NotInherited = append(r.worker.NotInherited, r.keyAt(pointer("", key), true, top))
			}
			return
		default:
			value, at = top, pointer("", key)
		}
	}
	switch {
	case value == nil || known && rule.effect == bundling:
	case known && rule.effect == typed:
		r.decode(key, at, value)
	default:
		r.worker.Other = append(r.worker.Other, r.keyAt(at, known, value))
	}
}

func (r *resolution) keyAt(at string, known bool, value any) Key {
	line, column := r.config.Place(at)
	return Key{Path: dotted(at), Line: line, Column: column, Known: known, Value: encoded(value)}
}

// encoded gives a value of the document back as JSON. Such a value always has an encoding.
func encoded(value any) json.RawMessage {
	data, err := json.Marshal(value)
	if err != nil {
		panic("wrangler: a decoded JSON value cannot be encoded: " + err.Error())
	}
	return data
}

// decode fills the field of Worker that holds key. The elements of a list are decoded one by one, so that a wrong one is
// named by its own line.
func (r *resolution) decode(key, at string, value any) {
	field := fieldFor(reflect.ValueOf(&r.worker).Elem(), key)
	if list, ok := value.([]any); ok && field.Kind() == reflect.Slice {
		decoded := reflect.MakeSlice(field.Type(), len(list), len(list))
		for i, element := range list {
			r.decodeValue(decoded.Index(i), pointer(at, strconv.Itoa(i)), element)
		}
		field.Set(decoded)
		return
	}
	r.decodeValue(field, at, value)
}

func (r *resolution) decodeValue(into reflect.Value, at string, value any) {
	err := json.Unmarshal(encoded(value), into.Addr().Interface())
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch):
		// Field is "logs.enabled" within the value; json does not count list elements in it.
		for _, part := range strings.Split(mismatch.Field, ".") {
			if _, written := r.config.doc.places[pointer(at, part)]; written {
				at = pointer(at, part)
			}
		}
		r.wrongType(at, typeName(mismatch.Type), mismatch.Value)
	case err != nil:
		r.wrongType(at, typeName(into.Type()), value)
	default:
		r.unknownWithin(into.Type(), at, value)
	}
}

// unknownWithin lists the members of value that its type has no field for.
func (r *resolution) unknownWithin(t reflect.Type, at string, value any) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := value.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return
		}
		for _, name := range sortedKeys(value) {
			if field, ok := fieldNamed(t, name); ok {
				r.unknownWithin(field.Type, pointer(at, name), value[name])
			} else {
				r.worker.Other = append(r.worker.Other, r.keyAt(pointer(at, name), false, value[name]))
			}
		}
	case []any:
		if t.Kind() == reflect.Slice && t != reflect.TypeFor[json.RawMessage]() {
			for i, element := range value {
				r.unknownWithin(t.Elem(), pointer(at, strconv.Itoa(i)), element)
			}
		}
	}
}

func (r *resolution) wrongType(at, want string, got any) {
	text, isText := got.(string)
	if !isText {
		text = string(encoded(got))
	}
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	line, column := r.config.Place(at)
	r.problems = append(r.problems, pipelines.Problem{
		Severity: pipelines.SeverityError, File: r.config.File, Line: line, Column: column,
		What: fmt.Sprintf("%s must be %s, not %s", dotted(at), want, text),
		Fix:  "correct the value; wrangler would refuse it too",
	})
}

// finish applies the rules that concern more than one key.
func (r *resolution) finish(own map[string]any) {
	w := &r.worker
	if ownName, _ := own["name"].(string); w.Environment != "" && ownName == "" && w.Name != "" {
		w.Name += "-" + w.Environment // wrangler: appendEnvName
	}
	for i := range w.D1Databases {
		if w.D1Databases[i].MigrationsDir == "" {
			w.D1Databases[i].MigrationsDir = "migrations"
		}
		if w.D1Databases[i].MigrationsTable == "" {
			w.D1Databases[i].MigrationsTable = "d1_migrations"
		}
	}
}

func fieldFor(v reflect.Value, key string) reflect.Value {
	field, ok := fieldNamed(v.Type(), key)
	if !ok {
		panic("wrangler: keyRules calls " + key + " typed, and Worker has no such field")
	}
	return v.FieldByIndex(field.Index)
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

// typeName says in JSON's words what a Go type holds.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	default:
		return "an object"
	}
}

// dotted turns a JSON pointer into what people write: env.production.d1_databases[0].
func dotted(pointer string) string {
	var text strings.Builder
	for _, token := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		if _, err := strconv.Atoi(token); err == nil {
			text.WriteString("[" + token + "]")
			continue
		}
		if text.Len() > 0 {
			text.WriteString(".")
		}
		text.WriteString(token)
	}
	return text.String()
}
