package dagger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"dagger.io/dagger"
	"dagger.io/dagger/engineconn"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

const schemaFile = "testdata/schema.graphql"

func loadSchema(t *testing.T) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: schemaFile, Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

type typeRef struct {
	Kind, Name string
	OfType     *typeRef
}

func (t *typeRef) String() string {
	switch t.Kind {
	case "NON_NULL":
		return t.OfType.String() + "!"
	case "LIST":
		return "[" + t.OfType.String() + "]"
	default:
		return t.Name
	}
}

type inputValue struct {
	Name         string
	Type         *typeRef
	DefaultValue *string
}

func (v inputValue) String() string {
	text := v.Name + ": " + v.Type.String()
	if v.DefaultValue != nil {
		text += " = " + *v.DefaultValue
	}
	return text
}

const introspection = `query {
  __schema {
    types {
      kind name
      fields(includeDeprecated: true) { name type { ...T } args { name defaultValue type { ...T } } }
      inputFields { name defaultValue type { ...T } }
      interfaces { name }
      possibleTypes { name }
      enumValues(includeDeprecated: true) { name }
    }
  }
}
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }`

// recordSchema asks a real engine for its schema.
func recordSchema(t *testing.T, conn engineconn.EngineConn) {
	t.Helper()
	client, err := dagger.Connect(t.Context(), dagger.WithConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Schema struct {
			Types []struct {
				Kind, Name string
				Fields     []struct {
					Name string
					Type *typeRef
					Args []inputValue
				}
				InputFields   []inputValue
				Interfaces    []struct{ Name string }
				PossibleTypes []struct{ Name string }
				EnumValues    []struct{ Name string }
			}
		} `json:"__schema"`
	}
	if err := client.Do(context.WithoutCancel(t.Context()), &dagger.Request{Query: introspection}, &dagger.Response{Data: &answer}); err != nil {
		t.Fatal(err)
	}
	version, err := client.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The schema of Dagger engine %s, as it described itself. Recorded; do not edit.\n", version)
	for _, kind := range answer.Schema.Types {
		if strings.HasPrefix(kind.Name, "__") {
			continue
		}
		implements := ""
		for i, of := range kind.Interfaces {
			implements += map[bool]string{true: " implements ", false: " & "}[i == 0] + of.Name
		}
		switch kind.Kind {
		case "SCALAR":
			switch kind.Name {
			case "String", "Int", "Float", "Boolean", "ID":
			default:
				fmt.Fprintf(&b, "\nscalar %s\n", kind.Name)
			}
		case "ENUM":
			fmt.Fprintf(&b, "\nenum %s {\n", kind.Name)
			for _, value := range kind.EnumValues {
				fmt.Fprintf(&b, "  %s\n", value.Name)
			}
			b.WriteString("}\n")
		case "INPUT_OBJECT":
			fmt.Fprintf(&b, "\ninput %s {\n", kind.Name)
			for _, field := range kind.InputFields {
				fmt.Fprintf(&b, "  %s\n", field)
			}
			b.WriteString("}\n")
		case "UNION":
			var of []string
			for _, possible := range kind.PossibleTypes {
				of = append(of, possible.Name)
			}
			fmt.Fprintf(&b, "\nunion %s = %s\n", kind.Name, strings.Join(of, " | "))
		case "OBJECT", "INTERFACE":
			fmt.Fprintf(&b, "\n%s %s%s {\n", map[string]string{"OBJECT": "type", "INTERFACE": "interface"}[kind.Kind], kind.Name, implements)
			for _, field := range kind.Fields {
				args := ""
				if len(field.Args) > 0 {
					var each []string
					for _, arg := range field.Args {
						each = append(each, arg.String())
					}
					args = "(" + strings.Join(each, ", ") + ")"
				}
				fmt.Fprintf(&b, "  %s%s: %s\n", field.Name, args, field.Type)
			}
			b.WriteString("}\n")
		}
	}
	if err := os.WriteFile(schemaFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	loadSchema(t)
}

func readRecording(t *testing.T, file string) recording {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}
