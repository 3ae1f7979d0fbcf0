package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/vectors"
)

// VectorIndex is an index of Vectorize.
type VectorIndex struct {
	Name        string    `json:"-"`
	CreatedAt   time.Time `json:"-"`
	Description string    `json:"description"`
	Dimensions  int       `json:"dimensions"`
	Metric      string    `json:"metric"`
	// Properties of the metadata that can be filtered by, and the kind of each: string, number or boolean.
	Properties []VectorProperty `json:"properties"`
	// Mutation names the last change of the entries, made at MutatedAt.
	Mutation  string    `json:"mutation"`
	MutatedAt time.Time `json:"mutated"`
}

// VectorProperty is a metadata index.
type VectorProperty struct {
	Name string `json:"propertyName"`
	Type string `json:"indexType"`
}

func scanVectorIndex(row interface{ Scan(...any) error }) (VectorIndex, error) {
	index := VectorIndex{}
	var created int64
	var body string
	if err := row.Scan(&index.Name, &created, &body); err != nil {
		return VectorIndex{}, notFound(err)
	}
	err := json.Unmarshal([]byte(body), &index)
	index.CreatedAt = fromMicros(created)
	return index, err
}

// VectorIndexes lists all, by name.
func (s *Store) VectorIndexes(ctx context.Context) ([]VectorIndex, error) {
	return rows(ctx, s.read, scanVectorIndex, "SELECT name, created, body FROM vector_indexes ORDER BY name")
}

// VectorIndex finds one.
func (s *Store) VectorIndex(ctx context.Context, name string) (VectorIndex, error) {
	return scanVectorIndex(s.read.QueryRowContext(ctx, "SELECT name, created, body FROM vector_indexes WHERE name = ?", name))
}

// AddVectorIndex creates one; ErrExists when the name is taken.
func (s *Store) AddVectorIndex(ctx context.Context, index VectorIndex) error {
	body, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "INSERT INTO vector_indexes (name, created, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			index.Name, toMicros(index.CreatedAt), string(body))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return ErrExists
	})
}

// DeleteVectorIndex forgets an index and its entries.
func (s *Store) DeleteVectorIndex(ctx context.Context, name string) error {
	return s.remove(ctx, "DELETE FROM vector_indexes WHERE name = ?", name)
}

// ChangeVectorIndex lets change change an index, within a transaction.
func (s *Store) ChangeVectorIndex(ctx context.Context, name string, change func(*VectorIndex) error) (VectorIndex, error) {
	var index VectorIndex
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		index, err = changeVectorIndex(ctx, tx, name, change)
		return err
	})
	return index, err
}

func changeVectorIndex(ctx context.Context, tx *sql.Tx, name string, change func(*VectorIndex) error) (VectorIndex, error) {
	index, err := scanVectorIndex(tx.QueryRowContext(ctx, "SELECT name, created, body FROM vector_indexes WHERE name = ?", name))
	if err != nil {
		return VectorIndex{}, err
	}
	if err := change(&index); err != nil {
		return VectorIndex{}, err
	}
	body, err := json.Marshal(index)
	if err != nil {
		return VectorIndex{}, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE vector_indexes SET body = ? WHERE name = ?", string(body), name)
	return index, err
}

// mutate makes one change of an index's entries and names it.
func (s *Store) mutate(ctx context.Context, name string, do func(*sql.Tx, VectorIndex) error) (mutation string, err error) {
	mutation = uuid.NewString()
	err = s.update(ctx, func(tx *sql.Tx) error {
		index, err := changeVectorIndex(ctx, tx, name, func(index *VectorIndex) error {
			index.Mutation, index.MutatedAt = mutation, time.Now().UTC()
			return nil
		})
		if err != nil {
			return err
		}
		return do(tx, index)
	})
	return mutation, err
}

// PutVectors writes entries. Those whose ID is there stay as they are, unless they are to be replaced. What can be filtered
// by is what the index's properties are now: earlier entries are not indexed anew, as on Cloudflare.
func (s *Store) PutVectors(ctx context.Context, index string, entries []vectors.Vector, replace bool) (mutation string, err error) {
	return s.mutate(ctx, index, func(tx *sql.Tx, described VectorIndex) error {
		conflict := "DO NOTHING"
		if replace {
			conflict = "DO UPDATE SET namespace = excluded.namespace, body = excluded.body, indexed = excluded.indexed"
		}
		for _, entry := range entries {
			if len(entry.Values) != described.Dimensions {
				return &vectors.Refusal{Message: fmt.Sprintf("invalid vector for id=%s, expected %d dimensions, and got %d dimensions", entry.ID, described.Dimensions, len(entry.Values))}
			}
			entry.Indexed = map[string]any{}
			for _, property := range described.Properties {
				if value := vectors.Property(entry.Metadata, property.Name); value != nil && kindOf(value) == property.Type {
					entry.Indexed[property.Name] = value
				}
			}
			indexed, err := json.Marshal(entry.Indexed)
			if err != nil {
				return err
			}
			body, err := json.Marshal(entry)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO vectors (vector_index, id, namespace, body, indexed) VALUES (?, ?, ?, ?, ?) ON CONFLICT "+conflict,
				index, entry.ID, entry.Namespace, string(body), string(indexed)); err != nil {
				return err
			}
		}
		return nil
	})
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	}
	return ""
}

func scanVector(row interface{ Scan(...any) error }) (vectors.Vector, error) {
	entry := vectors.Vector{}
	var body, indexed string
	if err := row.Scan(&body, &indexed); err != nil {
		return entry, err
	}
	if err := json.Unmarshal([]byte(body), &entry); err != nil {
		return entry, err
	}
	return entry, json.Unmarshal([]byte(indexed), &entry.Indexed)
}

// Vectors are all entries of an index, by ID.
func (s *Store) Vectors(ctx context.Context, index string) ([]vectors.Vector, error) {
	return rows(ctx, s.read, scanVector, "SELECT body, indexed FROM vectors WHERE vector_index = ? ORDER BY id", index)
}

// VectorsByID are those entries that are there, in the order of their IDs.
func (s *Store) VectorsByID(ctx context.Context, index string, ids []string) ([]vectors.Vector, error) {
	all, err := s.Vectors(ctx, index)
	return slices.DeleteFunc(all, func(entry vectors.Vector) bool { return !slices.Contains(ids, entry.ID) }), err
}

// DeleteVectors removes entries; those that are not there are no error.
func (s *Store) DeleteVectors(ctx context.Context, index string, ids []string) (mutation string, err error) {
	return s.mutate(ctx, index, func(tx *sql.Tx, _ VectorIndex) error {
		if len(ids) == 0 {
			return nil
		}
		args := []any{index}
		for _, id := range ids {
			args = append(args, id)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM vectors WHERE vector_index = ? AND id IN (?"+strings.Repeat(", ?", len(ids)-1)+")", args...)
		return err
	})
}

// VectorCount counts the entries of an index.
func (s *Store) VectorCount(ctx context.Context, index string) (count int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM vectors WHERE vector_index = ?", index).Scan(&count)
	return count, err
}

// VectorIDs are IDs of an index behind a given one, in order.
func (s *Store) VectorIDs(ctx context.Context, index, after string, most int) ([]string, error) {
	return rows(ctx, s.read, func(row interface{ Scan(...any) error }) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, "SELECT id FROM vectors WHERE vector_index = ? AND id > ? ORDER BY id LIMIT ?", index, after, most)
}
