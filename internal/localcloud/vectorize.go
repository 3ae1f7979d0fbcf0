package localcloud

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
	"github.com/penstock-ci/penstock/internal/localcloud/vectors"
)

func (c *Cloud) vectorRoutes() []route {
	const all, one = "/accounts/{account}/vectorize/v2/indexes", "/accounts/{account}/vectorize/v2/indexes/{index}"
	return []route{
		{"GET " + all, c.listVectorIndexes},
		{"POST " + all, c.addVectorIndex},
		{"GET " + one, c.getVectorIndex},
		{"DELETE " + one, c.deleteVectorIndex},
		{"GET " + one + "/info", c.vectorCall("info")},
		{"POST " + one + "/insert", c.vectorCall("insert")},
		{"POST " + one + "/upsert", c.vectorCall("upsert")},
		{"POST " + one + "/query", c.vectorCall("query")},
		{"POST " + one + "/get_by_ids", c.vectorCall("getByIds")},
		{"POST " + one + "/delete_by_ids", c.vectorCall("deleteByIds")},
		{"GET " + one + "/list", c.listVectors},
		{"GET " + one + "/metadata_index/list", c.listProperties},
		{"POST " + one + "/metadata_index/create", c.addProperty},
		{"POST " + one + "/metadata_index/delete", c.deleteProperty},
	}
}

// vectorPresets are models whose vectors an index can be made for by name.
// Source: https://developers.cloudflare.com/vectorize/best-practices/create-indexes/#create-an-index-with-a-preset
var vectorPresets = map[string]int{
	"@cf/baai/bge-small-en-v1.5": 384, "@cf/baai/bge-base-en-v1.5": 768, "@cf/baai/bge-large-en-v1.5": 1024,
	"openai/text-embedding-ada-002": 1536, "cohere/embed-multilingual-v2.0": 768,
}

// vectorIndexName is what Cloudflare accepts as one.
var vectorIndexName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

func (c *Cloud) vectorIndex(r *http.Request) (store.VectorIndex, error) {
	index, err := c.store.VectorIndex(r.Context(), r.PathValue("index"))
	return index, noVectorIndex(err)
}

// noVectorIndex turns what the store says into Cloudflare's answers.
func noVectorIndex(err error) error {
	var refused *vectors.Refusal
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refuse(http.StatusNotFound, codeVectorIndexNotFound, "vectorize.index.not_found")
	case errors.As(err, &refused):
		return refuse(http.StatusBadRequest, codeBadVector, "%s", refused.Message)
	}
	return err
}

func describeVectorIndex(index store.VectorIndex) map[string]any {
	modified := index.CreatedAt
	if index.MutatedAt.After(modified) {
		modified = index.MutatedAt
	}
	return map[string]any{
		"name": index.Name, "description": index.Description, "created_on": index.CreatedAt, "modified_on": modified,
		"config": map[string]any{"dimensions": index.Dimensions, "metric": index.Metric},
	}
}

func (c *Cloud) listVectorIndexes(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	indexes, err := c.store.VectorIndexes(r.Context())
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, index := range indexes {
		out = append(out, describeVectorIndex(index))
	}
	return paged(r, out, 50)
}

func (c *Cloud) addVectorIndex(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Config      struct {
			Dimensions int    `json:"dimensions"`
			Metric     string `json:"metric"`
			Preset     string `json:"preset"`
		} `json:"config"`
	}](r)
	if err != nil {
		return nil, err
	}
	index := store.VectorIndex{
		Name: request.Name, CreatedAt: now(), Description: request.Description,
		Dimensions: request.Config.Dimensions, Metric: request.Config.Metric, Properties: []store.VectorProperty{},
	}
	if preset := request.Config.Preset; preset != "" {
		if index.Dimensions, index.Metric = vectorPresets[preset], vectors.Cosine; index.Dimensions == 0 {
			return nil, refuse(http.StatusBadRequest, codeBadVector, "preset %q is not known", preset)
		}
	}
	switch {
	case !vectorIndexName.MatchString(index.Name):
		return nil, refuse(http.StatusBadRequest, codeBadVector, "index name %q is not valid: lower-case letters, digits, - and _, at most 64", index.Name)
	case index.Dimensions < 1 || index.Dimensions > vectors.MaxDimensions:
		return nil, refuse(http.StatusBadRequest, codeBadVector, "dimensions must be between 1 and %d, not %d", vectors.MaxDimensions, index.Dimensions)
	case !slices.Contains([]string{vectors.Cosine, vectors.Euclidean, vectors.DotProduct}, index.Metric):
		return nil, refuse(http.StatusBadRequest, codeBadVector, "metric must be cosine, euclidean or dot-product, not %q", index.Metric)
	}
	err = c.store.AddVectorIndex(r.Context(), index)
	if errors.Is(err, store.ErrExists) {
		return nil, refuse(http.StatusConflict, codeVectorIndexExists, "vectorize.index.duplicate_name - index %s exists already", index.Name)
	}
	return ok(describeVectorIndex(index)), err
}

func (c *Cloud) getVectorIndex(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	index, err := c.vectorIndex(r)
	if err != nil {
		return nil, err
	}
	return ok(describeVectorIndex(index)), nil
}

func (c *Cloud) deleteVectorIndex(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	return ok(nil), noVectorIndex(c.store.DeleteVectorIndex(r.Context(), r.PathValue("index")))
}

// vectorCall is one operation on an index's entries. Vectors to write come as they are, or as the part of a form.
func (c *Cloud) vectorCall(operation string) call {
	return func(w http.ResponseWriter, r *http.Request) (*answer, error) {
		var body io.Reader = http.MaxBytesReader(w, r.Body, 100<<20)
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
			parts, err := r.MultipartReader()
			if err != nil {
				return nil, refuse(http.StatusBadRequest, codeBadVector, "multipart body: %v", err)
			}
			part, err := parts.NextPart()
			if err != nil || part.FormName() != "vectors" {
				return nil, refuse(http.StatusBadRequest, codeBadVector, "the form must have one part, vectors")
			}
			body = part
		}
		result, err := c.store.VectorCall(r.Context(), r.PathValue("index"), operation, body)
		if err != nil {
			return nil, noVectorIndex(err)
		}
		return ok(result), nil
	}
}

func (c *Cloud) listVectors(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	index, err := c.vectorIndex(r)
	if err != nil {
		return nil, err
	}
	count, err := positive(r, "count", 100)
	if err != nil {
		return nil, err
	}
	count = min(count, 1000)
	after, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("cursor"))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, codeBadQuery, "cursor is not one of ours")
	}
	ids, err := c.store.VectorIDs(r.Context(), index.Name, string(after), count+1)
	if err != nil {
		return nil, err
	}
	total, err := c.store.VectorCount(r.Context(), index.Name)
	if err != nil {
		return nil, err
	}
	more := len(ids) > count
	ids = ids[:min(len(ids), count)]
	listed := []map[string]any{}
	for _, id := range ids {
		listed = append(listed, map[string]any{"id": id})
	}
	out := map[string]any{"count": len(ids), "isTruncated": more, "totalCount": total, "vectors": listed}
	if more {
		out["nextCursor"] = base64.RawURLEncoding.EncodeToString([]byte(ids[len(ids)-1]))
	}
	return ok(out), nil
}

func (c *Cloud) listProperties(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	index, err := c.vectorIndex(r)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, property := range index.Properties {
		// The list writes the kinds with a capital, as Cloudflare does.
		out = append(out, map[string]any{"propertyName": property.Name, "indexType": strings.ToUpper(property.Type[:1]) + property.Type[1:]})
	}
	return ok(map[string]any{"metadataIndexes": out}), nil
}

func (c *Cloud) addProperty(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[store.VectorProperty](r)
	if err != nil {
		return nil, err
	}
	if request.Name == "" || !slices.Contains([]string{"string", "number", "boolean"}, request.Type) {
		return nil, refuse(http.StatusBadRequest, codeBadVector, "a metadata index needs a propertyName, and an indexType of string, number or boolean")
	}
	return c.changeProperties(r, func(index *store.VectorIndex) error {
		switch {
		case slices.ContainsFunc(index.Properties, func(one store.VectorProperty) bool { return one.Name == request.Name }):
			return &vectors.Refusal{Message: "the property " + request.Name + " is indexed already"}
		case len(index.Properties) >= vectors.MaxIndexes:
			return &vectors.Refusal{Message: "an index can have ten metadata indexes"}
		}
		index.Properties = append(index.Properties, request)
		return nil
	})
}

func (c *Cloud) deleteProperty(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[store.VectorProperty](r)
	if err != nil {
		return nil, err
	}
	return c.changeProperties(r, func(index *store.VectorIndex) error {
		left := slices.DeleteFunc(index.Properties, func(one store.VectorProperty) bool { return one.Name == request.Name })
		if len(left) == len(index.Properties) {
			return &vectors.Refusal{Message: "the property " + request.Name + " is not indexed"}
		}
		index.Properties = left
		return nil
	})
}

func (c *Cloud) changeProperties(r *http.Request, change func(*store.VectorIndex) error) (*answer, error) {
	mutation := store.NewID()
	_, err := c.store.ChangeVectorIndex(r.Context(), r.PathValue("index"), func(index *store.VectorIndex) error {
		index.Mutation, index.MutatedAt = mutation, now()
		return change(index)
	})
	if err != nil {
		return nil, noVectorIndex(err)
	}
	return ok(map[string]any{"mutationId": mutation}), nil
}
