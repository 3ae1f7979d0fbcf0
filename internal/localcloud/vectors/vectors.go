// Package vectors compares vectors and chooses among them by their metadata, as Vectorize does.
//
// It is exact, where Cloudflare's index is approximate: what it finds is what a perfect index would.
package vectors

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Metrics by which vectors are compared.
const (
	Cosine     = "cosine"
	Euclidean  = "euclidean"
	DotProduct = "dot-product"
)

// Limits of Vectorize.
// Source: https://developers.cloudflare.com/vectorize/platform/limits/
const (
	MaxDimensions = 1536
	MaxID         = 64
	MaxMetadata   = 10 << 10
	MaxTopK       = 100
	MaxTopKWhole  = 50 // with values, or with all metadata
	MaxIndexes    = 10 // metadata indexes of one index
)

// Vector is one entry of an index.
type Vector struct {
	ID        string          `json:"id"`
	Namespace string          `json:"namespace,omitempty"`
	Values    []float64       `json:"values"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	// Indexed are the properties of the metadata that could be filtered by when the vector was written.
	Indexed map[string]any `json:"-"`
}

// Match is an entry that a query found; absent members were not asked for.
type Match struct {
	ID        string          `json:"id"`
	Score     float64         `json:"score"`
	Namespace string          `json:"namespace,omitempty"`
	Values    []float64       `json:"values,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
}

// Query asks for the entries that are closest to a vector, or to the vector of an entry.
type Query struct {
	Vector         []float64       `json:"vector"`
	VectorID       string          `json:"vectorId"`
	TopK           *int            `json:"topK"`
	Namespace      string          `json:"namespace"`
	ReturnValues   bool            `json:"returnValues"`
	ReturnMetadata any             `json:"returnMetadata"` // none, indexed, all; true is all
	Filter         json.RawMessage `json:"filter"`
}

// Refusal is a request that Vectorize answers with no.
type Refusal struct{ Message string }

func (r *Refusal) Error() string { return r.Message }

func refuse(message string, args ...any) error { return &Refusal{fmt.Sprintf(message, args...)} }

// Read reads vectors as newline-delimited JSON, for an index of so many dimensions.
func Read(from io.Reader, dimensions int) ([]Vector, error) {
	var out []Vector
	lines := bufio.NewReader(from)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if len(strings.TrimSpace(string(line))) > 0 {
			vector := Vector{}
			if err := json.Unmarshal(line, &vector); err != nil {
				return nil, refuse("line %d is not a vector: %v", number, err)
			}
			if err := vector.check(dimensions); err != nil {
				return nil, refuse("line %d: %v", number, err)
			}
			out = append(out, vector)
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (v Vector) check(dimensions int) error {
	switch {
	case v.ID == "" || len(v.ID) > MaxID:
		return fmt.Errorf("an id must have 1 to %d bytes, not %d", MaxID, len(v.ID))
	case len(v.Namespace) > MaxID:
		return fmt.Errorf("namespace of %s is longer than %d bytes", v.ID, MaxID)
	case len(v.Values) != dimensions:
		return fmt.Errorf("invalid vector for id=%s, expected %d dimensions, and got %d dimensions", v.ID, dimensions, len(v.Values))
	case len(v.Metadata) > MaxMetadata:
		return fmt.Errorf("metadata of %s is larger than %d bytes", v.ID, MaxMetadata)
	}
	if len(v.Metadata) > 0 && string(v.Metadata) != "null" {
		object := map[string]any{}
		if err := json.Unmarshal(v.Metadata, &object); err != nil {
			return fmt.Errorf("metadata of %s is no object", v.ID)
		}
	}
	return nil
}

// Property is the value of a metadata property, which may lie deeper: a.b. Nil when there is none.
func Property(metadata json.RawMessage, name string) any {
	var value any
	if json.Unmarshal(metadata, &value) != nil {
		return nil
	}
	for part := range strings.SplitSeq(name, ".") {
		object, isObject := value.(map[string]any)
		if !isObject {
			return nil
		}
		value = object[part]
	}
	return value
}

// score is how alike two vectors are by a metric, and whether a smaller one is the better.
func score(metric string, a, b []float64) (value float64, smallerIsBetter bool) {
	var dot, distance, lengthA, lengthB float64
	for i := range a {
		dot += a[i] * b[i]
		distance += (a[i] - b[i]) * (a[i] - b[i])
		lengthA += a[i] * a[i]
		lengthB += b[i] * b[i]
	}
	switch metric {
	case Euclidean:
		return math.Sqrt(distance), true
	case DotProduct:
		return dot, false
	}
	if lengthA == 0 || lengthB == 0 {
		return 0, false
	}
	return dot / math.Sqrt(lengthA) / math.Sqrt(lengthB), false
}

// Search answers a query over all entries of an index, best first.
func Search(all []Vector, metric string, dimensions int, query Query) ([]Match, error) {
	topK := 5
	if query.TopK != nil {
		topK = *query.TopK
	}
	level := fmt.Sprint(query.ReturnMetadata)
	switch query.ReturnMetadata {
	case nil, false:
		level = "none"
	case true:
		level = "all"
	}
	if !slices.Contains([]string{"none", "indexed", "all"}, level) {
		return nil, refuse("returnMetadata must be none, indexed or all, not %q", level)
	}
	most := MaxTopK
	if query.ReturnValues || level == "all" {
		most = MaxTopKWhole
	}
	if topK < 1 || topK > most {
		return nil, refuse("topK must be between 1 and %d, not %d", most, topK)
	}
	if query.VectorID != "" {
		at := slices.IndexFunc(all, func(one Vector) bool { return one.ID == query.VectorID })
		if at < 0 {
			return nil, refuse("vector %s does not exist", query.VectorID)
		}
		query.Vector = all[at].Values
	}
	if len(query.Vector) != dimensions {
		return nil, refuse("invalid query vector, expected %d dimensions, and got %d dimensions", dimensions, len(query.Vector))
	}
	fits, err := readFilter(query.Filter)
	if err != nil {
		return nil, err
	}
	matches, ascending := []Match{}, false
	for _, one := range all {
		if query.Namespace != "" && one.Namespace != query.Namespace || !fits(one.Indexed) {
			continue
		}
		match := Match{ID: one.ID, Namespace: one.Namespace}
		match.Score, ascending = score(metric, query.Vector, one.Values)
		if query.ReturnValues {
			match.Values = one.Values
		}
		switch level {
		case "all":
			match.Metadata = one.Metadata
		case "indexed":
			if match.Metadata, err = json.Marshal(one.Indexed); err != nil {
				return nil, err
			}
		}
		matches = append(matches, match)
	}
	slices.SortFunc(matches, func(a, b Match) int {
		order := cmp.Compare(b.Score, a.Score)
		if ascending {
			order = -order
		}
		return cmp.Or(order, cmp.Compare(a.ID, b.ID))
	})
	return matches[:min(topK, len(matches))], nil
}

// readFilter makes a test of indexed metadata from a filter: every property must fit.
// Source: https://developers.cloudflare.com/vectorize/reference/metadata-filtering/
func readFilter(text json.RawMessage) (func(map[string]any) bool, error) {
	if len(text) == 0 || string(text) == "null" {
		return func(map[string]any) bool { return true }, nil
	}
	filter := map[string]any{}
	if err := json.Unmarshal(text, &filter); err != nil {
		return nil, refuse("filter is no object: %v", err)
	}
	var tests []func(map[string]any) bool
	for property, wanted := range filter {
		operators, isObject := wanted.(map[string]any)
		if !isObject {
			operators = map[string]any{"$eq": wanted}
		}
		for operator, value := range operators {
			if !slices.Contains([]string{"$eq", "$ne", "$in", "$nin", "$lt", "$lte", "$gt", "$gte"}, operator) {
				return nil, refuse("filter: %s: unknown operator %s", property, operator)
			}
			list, isList := value.([]any)
			if (operator == "$in" || operator == "$nin") != isList {
				return nil, refuse("filter: %s: %s takes another kind of value", property, operator)
			}
			tests = append(tests, func(metadata map[string]any) bool { return holds(metadata[property], operator, value, list) })
		}
	}
	return func(metadata map[string]any) bool {
		return !slices.ContainsFunc(tests, func(test func(map[string]any) bool) bool { return !test(metadata) })
	}, nil
}

func holds(has any, operator string, value any, list []any) bool {
	switch operator {
	case "$eq":
		return has == value
	case "$ne":
		return has != value
	case "$in":
		return slices.Contains(list, has)
	case "$nin":
		return !slices.Contains(list, has)
	}
	var order int
	switch mine := has.(type) {
	case float64:
		theirs, isNumber := value.(float64)
		if !isNumber {
			return false
		}
		order = cmp.Compare(mine, theirs)
	case string:
		theirs, isText := value.(string)
		if !isText {
			return false
		}
		order = cmp.Compare(mine, theirs)
	default:
		return false
	}
	switch operator {
	case "$lt":
		return order < 0
	case "$lte":
		return order <= 0
	case "$gt":
		return order > 0
	}
	return order >= 0
}
