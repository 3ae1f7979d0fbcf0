package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/analytics"
)

// AddSamples merges samples into those of the same second and dimensions.
func (s *Store) AddSamples(ctx context.Context, samples []analytics.Sample) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		for _, sample := range samples {
			if err := addSample(ctx, tx, sample, sample.At.Unix()); err != nil {
				return err
			}
		}
		return nil
	})
}

func addSample(ctx context.Context, tx *sql.Tx, sample analytics.Sample, at int64) error {
	dimensions, err := json.Marshal(sample.Dimensions) // sorts the names, so that equal dimensions are equal texts
	if err != nil {
		return err
	}
	var before string
	err = tx.QueryRowContext(ctx, "SELECT body FROM samples WHERE dataset = ? AND at = ? AND dimensions = ?", sample.Dataset, at, string(dimensions)).Scan(&before)
	merged := analytics.Sample{}
	if err == nil {
		err = json.Unmarshal([]byte(before), &merged)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	merged.Merge(sample)
	body, err := json.Marshal(merged)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO samples (dataset, at, dimensions, body) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
		sample.Dataset, at, string(dimensions), string(body))
	return err
}

func scanSample(row interface{ Scan(...any) error }) (analytics.Sample, error) {
	sample := analytics.Sample{}
	var at int64
	var dimensions, body string
	if err := row.Scan(&sample.Dataset, &at, &dimensions, &body); err != nil {
		return sample, err
	}
	sample.At = time.Unix(at, 0).UTC()
	return sample, errors.Join(json.Unmarshal([]byte(dimensions), &sample.Dimensions), json.Unmarshal([]byte(body), &sample))
}

const sampleColumns = "SELECT dataset, at, dimensions, body FROM samples "

// Samples are those of a dataset within [from, until).
func (s *Store) Samples(ctx context.Context, dataset string, from, until time.Time) ([]analytics.Sample, error) {
	return rows(ctx, s.read, scanSample, sampleColumns+"WHERE dataset = ? AND at >= ? AND at < ?", dataset, from.Unix(), until.Unix())
}

// mostSamples bounds what is kept, some 500 bytes each.
const mostSamples = 200_000

// CompactSamples merges the samples before the given moment by minute, forgets those before oldest, and the oldest beyond
// the most that are kept.
func (s *Store) CompactSamples(ctx context.Context, before, oldest time.Time) error {
	fine, err := rows(ctx, s.read, scanSample, sampleColumns+"WHERE at < ? AND at % 60 <> 0", before.Unix())
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		for _, sample := range fine {
			if err := addSample(ctx, tx, sample, sample.At.Truncate(time.Minute).Unix()); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM samples WHERE at < ? AND at % 60 <> 0 OR at < ?", before.Unix(), oldest.Unix()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM samples WHERE at < (SELECT at FROM samples ORDER BY at DESC LIMIT 1 OFFSET ?)", mostSamples)
		return err
	})
}
