package wrangler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/tailscale/hujson"
)

// document is a parsed file, whatever its syntax: the values as encoding/json would give them with UseNumber, and where
// each of them is written.
type document struct {
	root map[string]any
	// places is keyed by JSON pointer; an object's member is where its key is.
	places map[string]place
	// repeated are the pointers of keys that are written twice; the last one counts.
	repeated []string
}

// place is a position in a file, from 1.
type place struct{ line, column int }

// syntaxError is a file that cannot be parsed.
type syntaxError struct {
	place
	message string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.line, e.column, e.message)
}

// pointer appends one token to a JSON pointer (RFC 6901).
func pointer(parent, token string) string {
	return parent + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// maxDepth bounds nesting, so that no input can exhaust the stack of a recursive parser.
const maxDepth = 64

// parseJSONC parses JSON with comments and trailing commas as wrangler does (Microsoft's jsonc-parser): a byte order mark
// and a comment that ends with the file are fine.
func parseJSONC(data []byte) (*document, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if at, deep := tooDeep(data); deep {
		return nil, &syntaxError{at, fmt.Sprintf("more than %d levels of nesting", maxDepth)}
	}
	// hujson wants a line comment to be ended by a line.
	value, err := hujson.Parse(append(bytes.Clone(data), '\n'))
	if err != nil {
		return nil, jsonSyntaxError(err)
	}
	doc := &document{places: map[string]place{}}
	object, ok := value.Value.(*hujson.Object)
	if !ok {
		return nil, &syntaxError{place{1, 1}, "the file must hold one object: { … }"}
	}
	lines := lineIndex(data)
	doc.walkJSON("", object, lines)
	value.Standardize()
	decoder := json.NewDecoder(bytes.NewReader(value.Pack()))
	decoder.UseNumber()
	if err := decoder.Decode(&doc.root); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return doc, nil
}

func (d *document) walkJSON(at string, value hujson.ValueTrimmed, lines []int) {
	switch value := value.(type) {
	case *hujson.Object:
		for _, member := range value.Members {
			name, ok := member.Name.Value.(hujson.Literal)
			if !ok {
				continue
			}
			here := pointer(at, name.String())
			if _, twice := d.places[here]; twice {
				d.repeated = append(d.repeated, here)
			}
			d.places[here] = placeOf(member.Name.StartOffset, lines)
			d.walkJSON(here, member.Value.Value, lines)
		}
	case *hujson.Array:
		for i, element := range value.Elements {
			here := pointer(at, strconv.Itoa(i))
			d.places[here] = placeOf(element.StartOffset, lines)
			d.walkJSON(here, element.Value, lines)
		}
	}
}

// jsonSyntaxError takes the position out of hujson's error, which exists only as text.
func jsonSyntaxError(err error) error {
	var at place
	text := err.Error()
	if _, scanErr := fmt.Sscanf(text, "hujson: line %d, column %d:", &at.line, &at.column); scanErr != nil {
		return &syntaxError{place{1, 1}, text}
	}
	_, message, _ := strings.Cut(text, ": ")
	_, message, _ = strings.Cut(message, ": ")
	return &syntaxError{at, message}
}

// tooDeep reports where brackets are nested deeper than maxDepth, outside strings and comments.
func tooDeep(data []byte) (place, bool) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '/':
			rest := data[i:]
			if bytes.HasPrefix(rest, []byte("//")) {
				if end := bytes.IndexByte(rest, '\n'); end >= 0 {
					i += end
				} else {
					return place{}, false
				}
			} else if bytes.HasPrefix(rest, []byte("/*")) {
				if end := bytes.Index(rest[2:], []byte("*/")); end >= 0 {
					i += end + 3
				} else {
					return place{}, false
				}
			}
		case '[', '{':
			if depth++; depth > maxDepth {
				return placeOf(i, lineIndex(data)), true
			}
		case ']', '}':
			depth--
		}
	}
	return place{}, false
}

// lineIndex lists the offsets at which lines begin.
func lineIndex(data []byte) []int {
	starts := []int{0}
	for i, b := range data {
		if b == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func placeOf(offset int, lines []int) place {
	low, high := 0, len(lines)-1
	for low < high {
		if middle := (low + high + 1) / 2; lines[middle] <= offset {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return place{low + 1, offset - lines[low] + 1}
}

// parseTOML parses TOML 1.0.
func parseTOML(data []byte) (*document, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if at, deep := tooDeep(data); deep {
		return nil, &syntaxError{at, fmt.Sprintf("more than %d levels of nesting", maxDepth)}
	}
	var values map[string]any
	if err := toml.Unmarshal(data, &values); err != nil {
		var decodeErr *toml.DecodeError
		if errors.As(err, &decodeErr) {
			line, column := decodeErr.Position()
			return nil, &syntaxError{place{line, column}, strings.TrimPrefix(decodeErr.Error(), "toml: ")}
		}
		return nil, &syntaxError{place{1, 1}, strings.TrimPrefix(err.Error(), "toml: ")}
	}
	// Through JSON, so that dates and numbers have the same types as in the other syntax.
	encoded, err := json.Marshal(values)
	if err != nil {
		return nil, &syntaxError{place{1, 1}, "a value has no equal in JSON: " + err.Error()}
	}
	doc := &document{root: map[string]any{}, places: map[string]place{}}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if err := decoder.Decode(&doc.root); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	doc.walkTOML(data)
	return doc, nil
}

// walkTOML records where tables and keys are written. The file has been parsed without error before.
func (d *document) walkTOML(data []byte) {
	parser := unstable.Parser{}
	parser.Reset(data)
	table := ""
	elements := map[string]int{} // arrays of tables: how many so far
	at := func(node *unstable.Node) place {
		start := parser.Shape(node.Raw).Start
		return place{start.Line, start.Column}
	}
	// through follows a dotted key; a key that names an array of tables means its last element.
	through := func(parent string, keys unstable.Iterator, resolveLast bool) string {
		for keys.Next() {
			node := keys.Node()
			parent = pointer(parent, string(node.Data))
			if _, seen := d.places[parent]; !seen {
				d.places[parent] = at(node)
			}
			if count, isArray := elements[parent]; isArray && (resolveLast || !keys.IsLast()) {
				parent = pointer(parent, strconv.Itoa(count-1))
			}
		}
		return parent
	}
	var value func(here string, node *unstable.Node)
	value = func(here string, node *unstable.Node) {
		children := node.Children()
		switch node.Kind {
		case unstable.Array:
			for i := 0; children.Next(); i++ {
				child := children.Node()
				element := pointer(here, strconv.Itoa(i))
				if d.places[element] = d.places[here]; child.Raw.Length > 0 {
					d.places[element] = at(child)
				}
				value(element, child)
			}
		case unstable.InlineTable:
			for children.Next() {
				child := children.Node()
				value(through(here, child.Key(), false), child.Value())
			}
		}
	}
	for parser.NextExpression() {
		switch node := parser.Expression(); node.Kind {
		case unstable.Table:
			table = through("", node.Key(), true)
		case unstable.ArrayTable:
			array := through("", node.Key(), false)
			elements[array]++
			table = pointer(array, strconv.Itoa(elements[array]-1))
			keys := node.Key()
			keys.Next()
			d.places[table] = at(keys.Node())
		case unstable.KeyValue:
			value(through(table, node.Key(), false), node.Value())
		}
	}
}
