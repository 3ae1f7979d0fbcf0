package localcloud

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// importDatabase runs a file of SQL: init gives a URL to upload it to, ingest runs it, poll asks for the outcome, which
// is there at once.
// Source: https://developers.cloudflare.com/api/resources/d1/subresources/database/methods/import/
func (c *Cloud) importDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	database, err := c.database(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		Action   string `json:"action"`
		ETag     string `json:"etag"`
		Filename string `json:"filename"`
		Bookmark string `json:"current_bookmark"`
	}](r)
	if err != nil {
		return nil, err
	}
	switch request.Action {
	case "init":
		if sum, err := hex.DecodeString(request.ETag); err != nil || len(sum) != 16 {
			return nil, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "etag must be the MD5 of the file, in hex")
		}
		ticket := c.transfers.offer(nil)
		return ok(map[string]any{"type": "import", "success": true, "filename": ticket, "upload_url": signedURL(r, ticket), "messages": []string{}}), nil
	case "ingest":
		file, found := c.transfers.find(request.Filename)
		if !found || file.body == nil {
			return nil, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "file %s was not uploaded", request.Filename)
		}
		return c.ingest(r.Context(), database.ID, file.body)
	case "poll":
		// An import is over when ingest answers, so there is none to ask about: Cloudflare's own words for that.
		return ok(map[string]any{"type": "import", "success": false, "status": "error", "at_bookmark": request.Bookmark,
			"error": "Not currently importing anything.", "messages": []string{}}), nil
	}
	return nil, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "action must be init, ingest or poll, not %q", request.Action)
}

func (c *Cloud) ingest(ctx context.Context, database string, sql []byte) (*answer, error) {
	// A client that goes away does not stop an import, with Cloudflare either.
	results, err := c.databases.Query(context.WithoutCancel(ctx), database, []runtime.Statement{{SQL: string(sql)}})
	if err != nil {
		return nil, sqlRefusal(err)
	}
	bookmark, err := c.bookmark(ctx, database)
	if err != nil {
		return nil, err
	}
	meta := runtime.D1Meta{}
	for _, result := range results {
		meta.ServedBy, meta.SizeAfter, meta.LastRowID = result.Meta.ServedBy, result.Meta.SizeAfter, result.Meta.LastRowID
		meta.Duration += result.Meta.Duration
		meta.Changes += result.Meta.Changes
		meta.RowsRead += result.Meta.RowsRead
		meta.RowsWritten += result.Meta.RowsWritten
		meta.ChangedDB = meta.ChangedDB || result.Meta.ChangedDB
	}
	return ok(map[string]any{
		"type": "import", "success": true, "status": "complete", "at_bookmark": bookmark.Name, "messages": []string{},
		"result": map[string]any{"num_queries": len(results), "final_bookmark": bookmark.Name, "meta": meta},
	}), nil
}
