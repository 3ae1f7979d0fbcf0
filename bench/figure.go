package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// figure is what several runs came to, in milliseconds.
type figure struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Runs   int     `json:"runs"`
}

// summarise makes a figure of samples, of which there is at least one.
func summarise(samples []time.Duration) figure {
	sorted := slices.Sorted(slices.Values(samples))
	middle := len(sorted) / 2
	median := milliseconds(sorted[middle])
	if len(sorted)%2 == 0 {
		median = (milliseconds(sorted[middle-1]) + median) / 2
	}
	return figure{Median: median, Min: milliseconds(sorted[0]), Max: milliseconds(sorted[len(sorted)-1]), Runs: len(sorted)}
}

// per is the figure of one of n.
func (f figure) per(n int) figure {
	count := float64(n)
	return figure{Median: f.Median / count, Min: f.Min / count, Max: f.Max / count, Runs: f.Runs}
}

// String is the figure as tables show it, with about three digits.
func (f figure) String() string {
	digits := digitsFor(f.Median)
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, f.Median, digits, f.Min, digits, f.Max)
}

func digitsFor(value float64) int {
	switch value = math.Abs(value); {
	case value >= 100:
		return 0
	case value >= 10:
		return 1
	case value >= 0.1:
		return 2
	default:
		return 3
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
