package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func namespace(t *testing.T, s *store.Store) string {
	t.Helper()
	do(t, s.AddNamespace(t.Context(), store.Namespace{ID: "n", Title: "title"}, time.Now()))
	return "n"
}

func TestKVKeepsValuesAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	n := namespace(t, s)
	do(t, s.KVPut(t.Context(), n, "k", []byte{0, 255, 'x'}, []byte(`{"a":1}`), time.Time{}))
	do(t, s.KVPut(t.Context(), n, "empty", nil, nil, time.Time{}))
	do(t, s.Close())

	s = open(t, dir)
	value, metadata, err := s.KVGet(t.Context(), n, "k")
	do(t, err)
	if diff := cmp.Diff([]byte{0, 255, 'x'}, value); diff != "" || string(metadata) != `{"a":1}` {
		t.Errorf("value %v, metadata %s", value, metadata)
	}
	if value, metadata, err := s.KVGet(t.Context(), n, "empty"); err != nil || len(value) != 0 || metadata != nil {
		t.Errorf("an empty value is %v, %s, %v", value, metadata, err)
	}
	if err := s.KVPut(t.Context(), "absent", "k", nil, nil, time.Time{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("writing to an absent namespace: %v", err)
	}
}

func TestKVEntriesExpire(t *testing.T) {
	s := open(t, t.TempDir())
	n := namespace(t, s)
	end := time.Now().Add(500 * time.Millisecond)
	do(t, s.KVPut(t.Context(), n, "gone", []byte("x"), nil, end))
	do(t, s.KVPut(t.Context(), n, "stays", []byte("x"), nil, time.Now().Add(time.Hour)))
	if _, _, err := s.KVGet(t.Context(), n, "gone"); err != nil && time.Now().Before(end) {
		t.Fatal(err)
	}
	time.Sleep(time.Until(end.Add(time.Millisecond)))
	if _, _, err := s.KVGet(t.Context(), n, "gone"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after its time the entry answers %v", err)
	}
	page := must[runtime.KVPage](t)(s.KVList(t.Context(), n, "", "", 0))
	if len(page.Keys) != 1 || page.Keys[0].Name != "stays" || page.Keys[0].Expires.IsZero() {
		t.Errorf("listed: %+v", page.Keys)
	}
}

func TestKVListsInPages(t *testing.T) {
	s := open(t, t.TempDir())
	n := namespace(t, s)
	for i := range 25 {
		do(t, s.KVPut(t.Context(), n, fmt.Sprintf("p/%02d", i), []byte("x"), nil, time.Time{}))
	}
	for _, other := range []string{"o", "p", "q/1", "p%", "p/ü"} {
		do(t, s.KVPut(t.Context(), n, other, []byte("x"), nil, time.Time{}))
	}
	var names []string
	cursor, pages := "", 0
	for {
		page := must[runtime.KVPage](t)(s.KVList(t.Context(), n, "p/", cursor, 10))
		for _, key := range page.Keys {
			names = append(names, key.Name)
		}
		pages++
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if len(names) != 26 || pages != 3 || names[0] != "p/00" || names[25] != "p/ü" {
		t.Errorf("%d names in %d pages: %v", len(names), pages, names)
	}
	if _, err := s.KVList(t.Context(), n, "", "not a cursor!", 0); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a foreign cursor answers %v", err)
	}
}
