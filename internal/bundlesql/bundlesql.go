// Package bundlesql finds the SQL in what a build made: the constant texts of its code that are whole statements. What code
// puts together while it runs is not found.
package bundlesql

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/grafana/sobek/ast"
	"github.com/grafana/sobek/parser"
)

// statement is how a statement begins that reads or writes rows. A word has to follow, so that labels are none.
var statement = regexp.MustCompile(`(?is)^\s*(?:SELECT\s+\S|INSERT\s+(?:OR\s+\w+\s+)?INTO\s+\S|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s+\S|REPLACE\s+INTO\s+\S|WITH\s+\S.*\bAS\b)`)

// Find returns the statements in a JavaScript module, each once, in the order of their text. An error says that the module
// could not be read: then nothing is known of it.
func Find(name string, code []byte) (found []string, err error) {
	defer func() {
		// A parser that panics on a file has not read it.
		if problem := recover(); problem != nil {
			found, err = nil, fmt.Errorf("read %s: the parser gave up: %v", name, problem)
		}
	}()
	// esbuild writes what the parser after it does not know in older words, and joins constant texts that are added up.
	result := api.Transform(string(code), api.TransformOptions{
		Loader: api.LoaderJS, Sourcefile: name, Target: api.ES2022, LogLevel: api.LogLevelSilent, TsconfigRaw: "{}", MinifySyntax: true,
		TreeShaking: api.TreeShakingFalse, Supported: map[string]bool{"async-generator": false, "decorators": false, "import-attributes": false, "using": false},
	})
	if len(result.Errors) > 0 {
		return nil, fmt.Errorf("read %s: %s", name, result.Errors[0].Text)
	}
	text := strings.ReplaceAll(string(result.Code), "for await (", "for (") // sobek knows only the plain loop; when it waits does not matter here
	program, err := parser.ParseFile(nil, name, text, 0, parser.IsModule, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	seen := map[string]bool{}
	walk(reflect.ValueOf(program.Body), func(constant string) {
		if statement.MatchString(constant) {
			seen[strings.TrimSpace(constant)] = true
		}
	})
	for one := range seen {
		found = append(found, one)
	}
	slices.Sort(found)
	return found, nil
}

// walk tells of every constant text below a value of the tree. sobek has no walker of its own; its nodes hold nothing but
// nodes, lists and plain values.
func walk(value reflect.Value, tell func(string)) {
	switch value.Kind() {
	case reflect.Interface, reflect.Pointer:
		if value.IsNil() {
			return
		}
		switch node := value.Interface().(type) {
		case *ast.StringLiteral:
			tell(node.Value.String())
			return
		case *ast.TemplateLiteral:
			if len(node.Expressions) == 0 && len(node.Elements) == 1 {
				tell(node.Elements[0].Parsed.String())
				return
			}
		}
		walk(value.Elem(), tell)
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				walk(value.Field(i), tell)
			}
		}
	case reflect.Slice:
		for i := range value.Len() {
			walk(value.Index(i), tell)
		}
	default:
	}
}
