// Package analytics keeps what a local Cloudflare measured, and answers Cloudflare's GraphQL queries about it.
//
// A query is checked against a description of the datasets that are measured here, so that one which Cloudflare would
// refuse, or which asks for what nothing here measures, is refused and not answered with nothing.
package analytics

import (
	"maps"
	"math"
	"slices"
	"time"
)

// Sample is what happened with the same dimensions within one stretch of time. Merging keeps sums exact; quantiles are
// within 5 %.
type Sample struct {
	Dataset    string            `json:"-"`
	At         time.Time         `json:"-"` // the beginning of the stretch
	Dimensions map[string]string `json:"-"`

	Count uint64 `json:"n"`
	// Sums are added up; Levels are measured values, of which the last, the largest and the average count.
	Sums   map[string]float64   `json:"s,omitempty"`
	Levels map[string]Level     `json:"l,omitempty"`
	Spread map[string]Histogram `json:"h,omitempty"`
}

// Level is a value that was looked at several times.
type Level struct {
	Sum float64 `json:"s"`
	Max float64 `json:"m"`
	N   uint64  `json:"n"`
}

// Histogram counts values in buckets that grow by 5 %.
type Histogram map[int]uint64

const growth = 1.05

// Add counts one value, which must not be negative.
func (h Histogram) Add(value float64) { h[int(math.Ceil(math.Log(value+1)/math.Log(growth)))]++ }

// Quantile is a value that at least the share q of the values does not exceed, and NaN when there are none.
func (h Histogram) Quantile(q float64) float64 {
	var total, seen uint64
	for _, n := range h {
		total += n
	}
	for _, bucket := range slices.Sorted(maps.Keys(h)) {
		if seen += h[bucket]; float64(seen) >= q*float64(total) {
			return math.Pow(growth, float64(bucket)) - 1
		}
	}
	return math.NaN()
}

// Merge adds another sample's measurements to this one's; the dimensions stay.
func (s *Sample) Merge(other Sample) {
	s.Count += other.Count
	if s.Sums == nil {
		s.Sums = map[string]float64{}
	}
	for name, value := range other.Sums {
		s.Sums[name] += value
	}
	if s.Levels == nil {
		s.Levels = map[string]Level{}
	}
	for name, level := range other.Levels {
		mine := s.Levels[name]
		s.Levels[name] = Level{Sum: mine.Sum + level.Sum, Max: max(mine.Max, level.Max), N: mine.N + level.N}
	}
	if s.Spread == nil {
		s.Spread = map[string]Histogram{}
	}
	for name, histogram := range other.Spread {
		if s.Spread[name] == nil {
			s.Spread[name] = Histogram{}
		}
		for bucket, n := range histogram {
			s.Spread[name][bucket] += n
		}
	}
}

// measured is a sample of one value.
func measured(value float64) Level { return Level{Sum: value, Max: value, N: 1} }

// spread is a histogram of one value.
func spread(value float64) Histogram {
	histogram := Histogram{}
	histogram.Add(value)
	return histogram
}
