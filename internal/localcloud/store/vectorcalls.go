package store

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/penstock-ci/penstock/internal/localcloud/vectors"
)

// VectorCall implements runtime.Store: one call about the entries of an index. The API and the bindings of Workers come here.
func (s *Store) VectorCall(ctx context.Context, index, operation string, body io.Reader) (any, error) {
	described, err := s.VectorIndex(ctx, index)
	if err != nil {
		return nil, err
	}
	switch operation {
	case "info":
		count, err := s.VectorCount(ctx, index)
		info := map[string]any{
			"dimensions": described.Dimensions, "vectorCount": count,
			"processedUpToDatetime": nil, "processedUpToMutation": nil,
		}
		if described.Mutation != "" {
			info["processedUpToDatetime"], info["processedUpToMutation"] = described.MutatedAt, described.Mutation
		}
		return info, err
	case "insert", "upsert":
		entries, err := vectors.Read(body, described.Dimensions)
		if err != nil {
			return nil, err
		}
		mutation, err := s.PutVectors(ctx, index, entries, operation == "upsert")
		return map[string]any{"mutationId": mutation}, err
	case "query":
		query := vectors.Query{}
		if err := readJSON(body, &query); err != nil {
			return nil, err
		}
		all, err := s.Vectors(ctx, index)
		if err != nil {
			return nil, err
		}
		matches, err := vectors.Search(all, described.Metric, described.Dimensions, query)
		return map[string]any{"count": len(matches), "matches": matches}, err
	}
	named := struct {
		IDs []string `json:"ids"`
	}{}
	if err := readJSON(body, &named); err != nil {
		return nil, err
	}
	if operation == "deleteByIds" {
		mutation, err := s.DeleteVectors(ctx, index, slices.Compact(named.IDs))
		return map[string]any{"mutationId": mutation}, err
	}
	return s.VectorsByID(ctx, index, named.IDs)
}

func readJSON(body io.Reader, into any) error {
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return &vectors.Refusal{Message: "could not parse request body: " + err.Error()}
	}
	return nil
}
