package vectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSearch(t *testing.T) {
	all, err := Read(strings.NewReader(`{"id":"east","values":[1,0],"metadata":{"kind":"a","n":1}}
{"id":"north","values":[0,2],"namespace":"up","metadata":{"kind":"b","n":2}}

{"id":"northeast","values":[3,3],"metadata":{"kind":"b","deep":{"x":true}}}`), 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Indexed = map[string]any{}
		for _, name := range []string{"kind", "n", "deep.x"} {
			if value := Property(all[i].Metadata, name); value != nil {
				all[i].Indexed[name] = value
			}
		}
	}
	find := func(metric, query string) string {
		read := Query{}
		if err := json.Unmarshal([]byte(query), &read); err != nil {
			t.Fatal(err)
		}
		matches, err := Search(all, metric, 2, read)
		if err != nil {
			return err.Error()
		}
		out := ""
		for _, match := range matches {
			out += fmt.Sprintf("%s %.2f %v%s; ", match.ID, match.Score, match.Values, match.Metadata)
		}
		return out
	}
	for _, test := range []struct{ metric, query, want string }{
		{Cosine, `{"vector":[1,0]}`, "east 1.00 []; northeast 0.71 []; north 0.00 []; "},
		{Euclidean, `{"vector":[1,0],"topK":2}`, "east 0.00 []; north 2.24 []; "},
		{DotProduct, `{"vector":[1,0],"topK":1,"returnValues":true}`, "northeast 3.00 [3 3]; "},
		{Cosine, `{"vectorId":"north","topK":1}`, "north 1.00 []; "},
		{Cosine, `{"vector":[1,0],"namespace":"up"}`, "north 0.00 []; "},
		{Cosine, `{"vector":[1,0],"filter":{"kind":"b","n":{"$gte":2,"$lt":3}}}`, "north 0.00 []; "},
		{Cosine, `{"vector":[1,0],"filter":{"kind":{"$in":["a"]}},"returnMetadata":"all"}`, `east 1.00 []{"kind":"a","n":1}; `},
		{Cosine, `{"vector":[1,0],"filter":{"deep.x":true},"returnMetadata":"indexed"}`, `northeast 0.71 []{"deep.x":true,"kind":"b"}; `},
		{Cosine, `{"vector":[1,0],"filter":{"kind":{"$nin":["a","b"]}}}`, ""},
		{Cosine, `{"vector":[1,0],"filter":{"kind":{"$ne":"b"}}}`, "east 1.00 []; "},
		{Cosine, `{"vector":[1,0,0]}`, "invalid query vector, expected 2 dimensions, and got 3 dimensions"},
		{Cosine, `{"vector":[1,0],"topK":101}`, "topK must be between 1 and 100, not 101"},
		{Cosine, `{"vector":[1,0],"topK":51,"returnMetadata":true}`, "topK must be between 1 and 50, not 51"},
		{Cosine, `{"vectorId":"west"}`, "vector west does not exist"},
		{Cosine, `{"vector":[1,0],"filter":{"kind":{"$like":"b"}}}`, "filter: kind: unknown operator $like"},
		{Cosine, `{"vector":[1,0],"filter":{"kind":{"$in":"b"}}}`, "filter: kind: $in takes another kind of value"},
		{Cosine, `{"vector":[1,0],"returnMetadata":"some"}`, `returnMetadata must be none, indexed or all, not "some"`},
	} {
		if got := find(test.metric, test.query); got != test.want {
			t.Errorf("%s %s: %s, not %s", test.metric, test.query, got, test.want)
		}
	}
}

func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"id":"a","values":[1]}`:                       "expected 2 dimensions, and got 1",
		`{"id":"","values":[1,2]}`:                      "1 to 64 bytes",
		"{\"id\":\"a\",\"values\":[1,2]}\nnothing":      "line 2",
		`{"id":"a","values":[1,2],"metadata":"a text"}`: "no object",
	} {
		_, err := Read(strings.NewReader(text), 2)
		var refused *Refusal
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", text, err, want)
		}
	}
}
