package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummarise(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		samples []time.Duration
		want    figure
	}{
		{"one", []time.Duration{3 * time.Millisecond}, figure{3, 3, 3, 1}},
		{"odd, unsorted", []time.Duration{9e6, 1e6, 2e6}, figure{2, 1, 9, 3}},
		{"even: the middle of the two in the middle", []time.Duration{4e6, 1e6, 2e6, 9e6}, figure{3, 1, 9, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, summarise(test.samples)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPerTakesAwayTheBaseline(t *testing.T) {
	t.Parallel()
	got := figure{Median: 120, Min: 110, Max: 220, Runs: 5}.per(10, figure{Median: 20, Min: 1, Max: 90, Runs: 9})
	if diff := cmp.Diff(figure{Median: 10, Min: 9, Max: 20, Runs: 5}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFigureShowsThreeDigits(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]figure{
		"1234 (1200–1300)":    {1234.4, 1200, 1300, 3},
		"12.3 (9.0–13.0)":     {12.34, 9, 13, 3},
		"0.61 (0.58–0.70)":    {0.612, 0.58, 0.7, 3},
		"0.010 (0.009–0.011)": {0.0101, 0.009, 0.011, 3},
	} {
		if got := f.String(); got != want {
			t.Errorf("%v is shown as %q, want %q", f.Median, got, want)
		}
	}
}
