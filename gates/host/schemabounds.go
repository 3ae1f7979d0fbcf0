package host

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Bounds of a config schema, which a stranger wrote and the host follows without a deadline. The largest that comes with penstock
// takes a tenth of each.
const (
	maxSchema      = 64 << 10 // bytes
	maxSchemaDepth = 40       // values within each other
	maxSchemaWords = 10_000   // values, counted anew wherever one refers to them
)

// boundSchema refuses a schema that takes too long to compile or to follow: one that is nested very deep, or whose parts refer to
// each other so that a few of them stand for millions.
func boundSchema(document map[string]any) error {
	if dialect, _ := document["$schema"].(string); strings.Contains(dialect, "draft-04") {
		return errors.New("it is written for draft 4 of JSON Schema: write it for 2020-12") // whose id is another word
	}
	words := schemaWords{root: document, behind: map[string]int{}}
	count, err := words.count(document, 0)
	if err == nil && count > maxSchemaWords {
		err = fmt.Errorf("it stands for more than %d values: refer to fewer of its parts from each other", maxSchemaWords)
	}
	return err
}

// schemaWords counts the values of a schema.
type schemaWords struct {
	root   map[string]any
	behind map[string]int // by reference; while it is being counted, 1: a part may refer to itself, as deep as the config is
}

func (w schemaWords) count(value any, depth int) (int, error) {
	if depth > maxSchemaDepth {
		return 0, fmt.Errorf("it is nested more than %d deep", maxSchemaDepth)
	}
	sum := 1
	add := func(value any) error {
		count, err := w.count(value, depth+1)
		sum = min(sum+count, maxSchemaWords+1)
		return err
	}
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			if err := add(element); err != nil {
				return 0, err
			}
		}
	case map[string]any:
		for key, element := range value {
			text, isText := element.(string)
			switch {
			case key == "$id" && isText && depth > 0:
				return 0, errors.New(`a part of it has an "$id" of its own, and only the whole may have one`)
			case (key == "$ref" || key == "$dynamicRef" || key == "$recursiveRef") && isText:
				count, err := w.countBehind(text, depth)
				if err != nil {
					return 0, err
				}
				sum = min(sum+count, maxSchemaWords+1)
			default:
				if err := add(element); err != nil {
					return 0, err
				}
			}
		}
	}
	return sum, nil
}

func (w schemaWords) countBehind(reference string, depth int) (int, error) {
	if known, found := w.behind[reference]; found {
		return known, nil
	}
	target, err := w.find(reference)
	if err != nil {
		return 0, err
	}
	w.behind[reference] = 1
	count, err := w.count(target, depth+1)
	w.behind[reference] = count
	return count, err
}

// find follows a JSON pointer (RFC 6901) into the schema. A reference by another name could not be counted.
func (w schemaWords) find(reference string) (any, error) {
	pointer, isLocal := strings.CutPrefix(reference, "#")
	pointer, err := url.PathUnescape(pointer)
	if !isLocal || err != nil || (pointer != "" && !strings.HasPrefix(pointer, "/")) {
		return nil, fmt.Errorf(`a config schema must stand alone, and refer to its parts by their place, such as "#/$defs/part"; this one refers to %s`,
			line(reference, maxName))
	}
	var found any = w.root
	for _, step := range strings.Split(pointer, "/")[1:] {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		switch value := found.(type) {
		case map[string]any:
			found = value[step]
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index < 0 || index >= len(value) {
				return nil, fmt.Errorf("it refers to %s, where it has nothing", line(reference, maxName))
			}
			found = value[index]
		default:
			return nil, fmt.Errorf("it refers to %s, where it has nothing", line(reference, maxName))
		}
	}
	return found, nil
}
