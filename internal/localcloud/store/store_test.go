package store_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

var _ runtime.Store = (*store.Store)(nil)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIdentityAndPortsStay(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	identity := must[store.Identity](t)(first.Identity(t.Context()))
	do(t, first.SetPort(t.Context(), "script:a", 8787))
	do(t, first.Close())

	second := open(t, dir)
	if again := must[store.Identity](t)(second.Identity(t.Context())); again != identity {
		t.Errorf("identity changed from %v to %v", identity, again)
	}
	if port := must[int](t)(second.Port(t.Context(), "script:a")); port != 8787 {
		t.Errorf("port is %d", port)
	}
	do(t, second.SetPort(t.Context(), "script:b", 8787))
	if port := must[int](t)(second.Port(t.Context(), "script:a")); port != 0 {
		t.Errorf("the port is %d although another script has it now", port)
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("file modes say nothing on Windows")
	}
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	must[store.Identity](t)(s.Identity(t.Context()))
	must[store.Blob](t)(s.PutBlob(strings.NewReader("x")))
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		do(t, err)
		info := must[os.FileInfo](t)(entry.Info())
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	do(t, err)
}

func TestUnreferencedFilesAreSweptAtOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	do(t, s.AddBucket(t.Context(), store.Bucket{Name: "b"}))
	must[runtime.R2Object](t)(s.R2Put(t.Context(), "b", runtime.R2Object{Key: "kept"}, strings.NewReader("kept")))
	loose := must[store.Blob](t)(s.PutBlob(strings.NewReader("loose")))
	do(t, s.Close())

	s = open(t, dir)
	if _, err := s.OpenBlob(loose.Digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the loose file is still there: %v", err)
	}
	_, body, err := s.R2Get(t.Context(), "b", "kept")
	do(t, err)
	defer body.Close()
	if text := must[[]byte](t)(io.ReadAll(body)); string(text) != "kept" {
		t.Errorf("object holds %q", text)
	}
}

func TestNumbersOfVersionsRiseWithoutGaps(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"a", "b"} {
		do(t, s.PutScript(t.Context(), store.Script{Name: name, Tag: store.NewID()}))
	}
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			script := []string{"a", "b"}[i%2]
			if _, err := s.AddVersion(t.Context(), store.Version{ID: fmt.Sprint("v", i), Script: script}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	versions := must[[]store.Version](t)(s.Versions(t.Context(), "a", 100))
	for i, version := range versions {
		if version.Number != 10-i {
			t.Errorf("version %d of the list has number %d", i, version.Number)
		}
	}
}

func TestDeletedScriptLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	script := store.Script{Name: "a", Tag: store.NewID()}
	_, err := s.Commit(t.Context(), store.Change{
		Script: script, Classes: []runtime.DurableObjectClass{{ClassName: "C", UniqueKey: "k"}},
		Version:    &store.Version{ID: "v", Script: "a"},
		Deployment: &store.Deployment{ID: "d", Script: "a", Shares: []runtime.Share{{VersionID: "v", Percentage: 100}}},
	})
	do(t, err)
	do(t, s.AddQueue(t.Context(), store.Queue{ID: "q", Name: "jobs"}))
	do(t, s.PutConsumer(t.Context(), store.Consumer{ID: "c", QueueID: "q", Type: "worker", Script: "a"}))
	zone := must[store.Zone](t)(s.EnsureZone(t.Context(), "example.com"))
	do(t, s.PutRoute(t.Context(), store.Route{ID: "r", ZoneID: zone.ID, Pattern: "example.com/*", Script: "a"}))

	do(t, s.DeleteScript(t.Context(), "a"))
	if err := s.DeleteScript(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the second deletion answers %v", err)
	}
	left := []int{
		len(must[[]store.Version](t)(s.Versions(t.Context(), "a", 9))), len(must[[]store.Deployment](t)(s.Deployments(t.Context(), "a", 9))),
		len(must[[]runtime.DurableObjectClass](t)(s.Classes(t.Context(), "a"))), len(must[[]store.Consumer](t)(s.Consumers(t.Context(), "q"))),
		len(must[[]store.Route](t)(s.Routes(t.Context()))),
	}
	if diff := cmp.Diff([]int{0, 0, 0, 0, 0}, left); diff != "" {
		t.Errorf("versions, deployments, classes, consumers, routes left (-want +got):\n%s", diff)
	}
}

func TestBookmarksSortByTimeAndRepeatWhenNothingChanged(t *testing.T) {
	s := open(t, t.TempDir())
	do(t, s.AddDatabase(t.Context(), store.Database{ID: "db", Name: "db"}))
	began, last := time.Now(), ""
	for i, content := range []string{"one", "one", "two", "one"} {
		blob := must[store.Blob](t)(s.PutBlob(strings.NewReader(content)))
		bookmark := must[store.Bookmark](t)(s.AddBookmark(t.Context(), "db", blob.Digest, began.Add(time.Duration(i)*time.Second)))
		if i == 1 {
			if bookmark.Name != last {
				t.Errorf("an unchanged database got a second bookmark")
			}
			continue
		}
		if bookmark.Name <= last {
			t.Errorf("bookmark %s does not sort after %s", bookmark.Name, last)
		}
		last = bookmark.Name
	}
	at := must[store.Bookmark](t)(s.BookmarkAt(t.Context(), "db", began.Add(2500*time.Millisecond)))
	if !strings.HasPrefix(at.Name, "00000002-") {
		t.Errorf("the bookmark at that moment is %s", at.Name)
	}
	if _, err := s.BookmarkAt(t.Context(), "db", began.Add(-time.Hour)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before the first bookmark: %v", err)
	}
}
