package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/penstock-ci/penstock/gates/evidence"
)

// mixture is the distribution of many stretches of time together, as far as the quantiles of each tell: a stretch stands for
// as many values as it had requests, half of them at its median, a quarter at the 75th percentile, and so on. For stretches of
// one request that is exact; for one stretch alone the known quantiles are. Between known quantiles it errs upwards.
type mixture struct {
	values []weighted // sorted
	total  float64    // requests
}

type weighted struct{ value, weight float64 }

// mix makes the mixture of the points' quantiles of one measure; points without them are left out.
func mix(points []evidence.Point, of func(evidence.Point) *evidence.Quantiles) mixture {
	var m mixture
	for _, point := range points {
		quantiles := of(point)
		if quantiles == nil || point.Requests <= 0 {
			continue
		}
		knots := []struct {
			share float64
			value *float64
		}{{0.5, quantiles.P50}, {0.75, quantiles.P75}, {0.95, quantiles.P95}, {1, quantiles.P99}}
		// The highest that is known stands for all above it, and a missing one below for the next above.
		var highest *float64
		for _, knot := range knots {
			if knot.value != nil {
				highest = knot.value
			}
		}
		if highest == nil {
			continue
		}
		before := 0.0
		for _, knot := range knots {
			if knot.value == nil && knot.share < 1 {
				continue
			}
			value := highest
			if knot.value != nil {
				value = knot.value
			}
			weight := (knot.share - before) * float64(point.Requests)
			m.values = append(m.values, weighted{*value, weight})
			m.total += weight
			before = knot.share
		}
	}
	slices.SortFunc(m.values, func(a, b weighted) int { return cmp.Compare(a.value, b.value) })
	return m
}

// quantile is the smallest value that at least the share q of all does not exceed; NaN when there are none.
func (m mixture) quantile(q float64) float64 {
	seen := 0.0
	for _, value := range m.values {
		if seen += value.weight; seen >= q*m.total-1e-9 {
			return value.value
		}
	}
	return math.NaN()
}

// tail are the values between which the true 95th percentile lies, each with 95 % confidence, without assuming a distribution:
// the order statistics whose ranks the binomial distribution gives (in its normal approximation). known is false when there
// are too few requests for an upper bound.
func (m mixture) tail() (low, high float64, known bool) {
	const q, z = 0.95, 1.645
	spread := z * math.Sqrt(q*(1-q)/m.total)
	return m.quantile(max(0, q-spread)), m.quantile(min(1, q+spread)), m.total >= float64(fewest())
}
