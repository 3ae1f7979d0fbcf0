package localcloud

import (
	"bytes"
	"mime/multipart"
	"strings"
	"testing"
)

func TestVectorize(t *testing.T) {
	dir := t.TempDir()
	cloud, _ := startFake(t, dir)
	const all, one = "@/vectorize/v2/indexes", "@/vectorize/v2/indexes/docs"
	config := map[string]any{"dimensions": 2, "metric": "cosine"}
	made := succeed(t, cloud, "POST", all, map[string]any{"name": "docs", "description": "d", "config": config})
	if made.get(t, "config.dimensions") != 2.0 || made.get(t, "config.metric") != "cosine" || made.get(t, "created_on") == nil {
		t.Errorf("%s", made.Result)
	}
	for _, test := range []struct {
		body map[string]any
		code int
	}{
		{map[string]any{"name": "docs", "config": config}, codeVectorIndexExists},
		{map[string]any{"name": "Docs", "config": config}, codeBadVector},
		{map[string]any{"name": "x", "config": map[string]any{"dimensions": 2000, "metric": "cosine"}}, codeBadVector},
		{map[string]any{"name": "x", "config": map[string]any{"dimensions": 2, "metric": "manhattan"}}, codeBadVector},
		{map[string]any{"name": "x", "config": map[string]any{"preset": "none"}}, codeBadVector},
	} {
		if got := send(t, cloud, "POST", all, test.body); got.code() != test.code {
			t.Errorf("%v: %v", test.body, got.Errors)
		}
	}
	if got := succeed(t, cloud, "POST", all, map[string]any{"name": "preset", "config": map[string]any{"preset": "@cf/baai/bge-base-en-v1.5"}}); got.get(t, "config.dimensions") != 768.0 {
		t.Errorf("%s", got.Result)
	}

	succeed(t, cloud, "POST", one+"/metadata_index/create", map[string]any{"propertyName": "kind", "indexType": "string"})
	if got := succeed(t, cloud, "GET", one+"/metadata_index/list", nil); got.get(t, "metadataIndexes.0.indexType") != "String" {
		t.Errorf("%s", got.Result)
	}
	body := &bytes.Buffer{}
	form := multipart.NewWriter(body)
	part, err := form.CreateFormFile("vectors", "vectors.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(`{"id":"a","values":[1,0],"metadata":{"kind":"x","late":1}}` + "\n" + `{"id":"b","values":[0,1]}`))
	_ = form.Close()
	inserted := read(t, request(t, cloud, "POST", one+"/insert", body, "Content-Type", form.FormDataContentType()))
	if !inserted.Success || inserted.get(t, "mutationId") == "" {
		t.Errorf("%v", inserted.Errors)
	}
	ndjson := func(path, text string) reply {
		t.Helper()
		return read(t, request(t, cloud, "POST", one+path, strings.NewReader(text), "Content-Type", "application/x-ndjson"))
	}
	ndjson("/insert", `{"id":"a","values":[0,1]}`) // is there already: stays
	if got := ndjson("/insert", `{"id":"c","values":[0]}`); got.code() != codeBadVector {
		t.Errorf("%v", got.Errors)
	}
	query := func(body map[string]any) reply {
		t.Helper()
		return succeed(t, cloud, "POST", one+"/query", body)
	}
	if got := query(map[string]any{"vector": []float64{1, 0}, "topK": 1}); got.get(t, "matches.0.id") != "a" || got.get(t, "matches.0.score") != 1.0 || got.get(t, "count") != 1.0 {
		t.Errorf("%s", got.Result)
	}
	if got := query(map[string]any{"vector": []float64{1, 0}, "filter": map[string]any{"kind": "x"}}); got.get(t, "count") != 1.0 {
		t.Errorf("%s", got.Result)
	}
	// A metadata index knows only what is written after it.
	succeed(t, cloud, "POST", one+"/metadata_index/create", map[string]any{"propertyName": "late", "indexType": "number"})
	if got := query(map[string]any{"vector": []float64{1, 0}, "filter": map[string]any{"late": 1}}); got.get(t, "count") != 0.0 {
		t.Errorf("%s", got.Result)
	}
	ndjson("/upsert", `{"id":"a","values":[0.6,0.8],"metadata":{"late":1}}`)
	if got := query(map[string]any{"vector": []float64{1, 0}, "filter": map[string]any{"late": 1}, "returnValues": true}); got.get(t, "matches.0.values.0") != 0.6 {
		t.Errorf("%s", got.Result)
	}
	succeed(t, cloud, "POST", one+"/metadata_index/delete", map[string]any{"propertyName": "late"})

	stop(t, cloud)
	cloud, _ = startFake(t, dir)
	info := succeed(t, cloud, "GET", one+"/info", nil)
	if info.get(t, "vectorCount") != 2.0 || info.get(t, "dimensions") != 2.0 || info.get(t, "processedUpToMutation") == nil {
		t.Errorf("after a restart: %s", info.Result)
	}
	page := succeed(t, cloud, "GET", one+"/list?count=1", nil)
	if page.get(t, "vectors.0.id") != "a" || page.get(t, "isTruncated") != true || page.get(t, "totalCount") != 2.0 {
		t.Errorf("%s", page.Result)
	}
	if page = succeed(t, cloud, "GET", one+"/list?count=1&cursor="+page.get(t, "nextCursor").(string), nil); page.get(t, "vectors.0.id") != "b" || page.get(t, "isTruncated") != false {
		t.Errorf("%s", page.Result)
	}
	if got := succeed(t, cloud, "POST", one+"/get_by_ids", map[string]any{"ids": []string{"b", "none"}}); got.get(t, "0.id") != "b" || got.get(t, "1") != nil {
		t.Errorf("%s", got.Result)
	}
	succeed(t, cloud, "POST", one+"/delete_by_ids", map[string]any{"ids": []string{"a", "none"}})
	if got := succeed(t, cloud, "GET", one+"/info", nil).get(t, "vectorCount"); got != 1.0 {
		t.Errorf("%v are left", got)
	}
	if got := push(t, cloud, "PUT", hello, meta("bindings", []any{map[string]any{"type": "vectorize", "name": "V", "index_name": "none"}}), "x"); got.code() != codeBadUpload {
		t.Errorf("a binding to an absent index: %v", got.Errors)
	}
	deployed(t, cloud, "bindings", []any{map[string]any{"type": "vectorize", "name": "V", "index_name": "docs"}})
	succeed(t, cloud, "DELETE", one, nil)
	for _, call := range []string{"GET ", "DELETE ", "GET /info", "POST /query", "GET /list", "POST /metadata_index/create"} {
		method, path, _ := strings.Cut(call, " ")
		if got := send(t, cloud, method, one+path, map[string]any{"propertyName": "x", "indexType": "string"}); got.Status != 404 || got.code() != codeVectorIndexNotFound {
			t.Errorf("%s: %d %v", call, got.Status, got.Errors)
		}
	}
}
