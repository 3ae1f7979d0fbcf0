package store_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func TestR2ReaderOutlivesTheObject(t *testing.T) {
	s := open(t, t.TempDir())
	do(t, s.AddBucket(t.Context(), store.Bucket{Name: "b"}))
	put := must[runtime.R2Object](t)(s.R2Put(t.Context(), "b", runtime.R2Object{
		Key: "k", HTTPMetadata: map[string]string{"contentType": "text/plain"}, CustomMetadata: map[string]string{"a": "b"},
	}, strings.NewReader("hello")))
	got, body, err := s.R2Get(t.Context(), "b", "k")
	do(t, err)
	defer body.Close()
	do(t, s.R2Delete(t.Context(), "b", "k", "absent"))
	text := must[[]byte](t)(io.ReadAll(body))
	if string(text) != "hello" || got.ETag != "5d41402abc4b2a76b9719d911017c592" || got.Size != 5 || got.Version != put.Version {
		t.Errorf("%q %+v", text, got)
	}
	if diff := cmp.Diff(map[string]string{"a": "b"}, got.CustomMetadata); diff != "" {
		t.Error(diff)
	}
	if _, err := s.R2Head(t.Context(), "b", "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the deleted object answers %v", err)
	}
	if _, err := s.R2Put(t.Context(), "absent", runtime.R2Object{Key: "k"}, strings.NewReader("")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("writing to an absent bucket: %v", err)
	}
}

func TestR2ListFoldsPrefixes(t *testing.T) {
	s := open(t, t.TempDir())
	do(t, s.AddBucket(t.Context(), store.Bucket{Name: "b"}))
	for _, key := range []string{"a/1", "a/2", "a/b/3", "c", "d/4", "e"} {
		must[runtime.R2Object](t)(s.R2Put(t.Context(), "b", runtime.R2Object{Key: key}, strings.NewReader(key)))
	}
	tests := []struct {
		name, prefix, delimiter string
		limit                   int
		want                    []string // objects, then prefixes, one page per |
	}{
		{name: "everything", limit: 100, want: []string{"a/1 a/2 a/b/3 c d/4 e"}},
		{name: "folded", delimiter: "/", limit: 100, want: []string{"c e a/ d/"}},
		{name: "folded in pages", delimiter: "/", limit: 1, want: []string{"a/", "c", "d/", "e"}},
		{name: "inside a prefix", prefix: "a/", delimiter: "/", limit: 100, want: []string{"a/1 a/2 a/b/"}},
		{name: "no such prefix", prefix: "x", limit: 100, want: []string{""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var pages []string
			cursor := ""
			for {
				page := must[runtime.R2Page](t)(s.R2List(t.Context(), "b", test.prefix, cursor, test.delimiter, test.limit))
				var names []string
				for _, object := range page.Objects {
					names = append(names, object.Key)
				}
				pages = append(pages, strings.Join(append(names, page.DelimitedPrefixes...), " "))
				if cursor = page.Cursor; cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(test.want, pages); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
	if err := s.DeleteBucket(t.Context(), "b"); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("deleting a full bucket: %v", err)
	}
}
