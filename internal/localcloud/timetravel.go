package localcloud

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// bookmark takes a copy of a database as it is now and names it. Cloudflare can go back to any minute; this can go back
// to every bookmark that was asked for, and to the states before an import or a restore.
func (c *Cloud) bookmark(ctx context.Context, database string) (store.Bookmark, error) {
	folder, err := os.MkdirTemp("", "penstock-bookmark-*")
	if err != nil {
		return store.Bookmark{}, err
	}
	defer os.RemoveAll(folder)
	copied := filepath.Join(folder, "copy.sqlite")
	if err := c.databases.Snapshot(ctx, database, copied); err != nil {
		return store.Bookmark{}, err
	}
	file, err := os.Open(copied)
	if err != nil {
		return store.Bookmark{}, err
	}
	defer file.Close()
	blob, err := c.store.PutBlob(file)
	if err != nil {
		return store.Bookmark{}, err
	}
	return c.store.AddBookmark(ctx, database, blob.Digest, now())
}

// getBookmark names the state of now, or with ?timestamp the newest one known at that moment.
// Source: https://developers.cloudflare.com/d1/reference/time-travel/
func (c *Cloud) getBookmark(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	database, err := c.database(r)
	if err != nil {
		return nil, err
	}
	var bookmark store.Bookmark
	if text := r.URL.Query().Get("timestamp"); text == "" {
		bookmark, err = c.bookmark(r.Context(), database.ID)
	} else {
		bookmark, err = c.bookmarkAt(r.Context(), database.ID, text)
	}
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"bookmark": bookmark.Name}), nil
}

// bookmarkAt reads a moment as RFC 3339 or as seconds since 1970. A moment that is not past means now.
func (c *Cloud) bookmarkAt(ctx context.Context, database, text string) (store.Bookmark, error) {
	moment, err := time.Parse(time.RFC3339, text)
	if seconds, notNumber := strconv.ParseInt(text, 10, 64); notNumber == nil {
		moment, err = time.Unix(seconds, 0), nil
	}
	if err != nil {
		return store.Bookmark{}, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "timestamp %q is neither RFC 3339 nor seconds since 1970", text)
	}
	if !moment.Before(time.Now().Add(-time.Second)) {
		return c.bookmark(ctx, database)
	}
	bookmark, err := c.store.BookmarkAt(ctx, database, moment)
	if errors.Is(err, store.ErrNotFound) {
		return store.Bookmark{}, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad,
			"no state of this database is known from %s or before: the local cloudflare keeps one per bookmark that was asked for", moment.UTC().Format(time.RFC3339))
	}
	return bookmark, err
}

// restoreDatabase puts a database back to a bookmark or moment and answers with the bookmark of the state that it
// replaced, so that the restore can be undone.
func (c *Cloud) restoreDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	database, err := c.database(r)
	if err != nil {
		return nil, err
	}
	var target store.Bookmark
	query := r.URL.Query()
	switch {
	case query.Get("bookmark") != "":
		target, err = c.store.Bookmark(r.Context(), database.ID, query.Get("bookmark"))
		if errors.Is(err, store.ErrNotFound) {
			return nil, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "bookmark %s is not one of this database", query.Get("bookmark"))
		}
	case query.Get("timestamp") != "":
		target, err = c.bookmarkAt(r.Context(), database.ID, query.Get("timestamp"))
	default:
		err = refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "a restore needs a bookmark or a timestamp")
	}
	if err != nil {
		return nil, err
	}
	ctx := context.WithoutCancel(r.Context()) // half a restore would be worse than an unheard answer
	previous, err := c.bookmark(ctx, database.ID)
	if err != nil {
		return nil, err
	}
	if err := c.databases.Restore(ctx, database.ID, c.store.BlobPath(target.Blob)); err != nil {
		return nil, err
	}
	return ok(map[string]any{
		"bookmark": target.Name, "previous_bookmark": previous.Name,
		"message": "Database restored to bookmark " + target.Name,
	}), nil
}
