package main

import (
	"context"
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

// TestTakeTurnsPairsEachRunWithNone: what a machine does meanwhile must meet both.
func TestTakeTurnsPairsEachRunWithNone(t *testing.T) {
	t.Parallel()
	load := time.Duration(0)
	work := func(own time.Duration) func(context.Context) (sample, error) {
		return func(context.Context) (sample, error) {
			load += 5 * time.Millisecond
			return sample{wall: own + load}, nil
		}
	}
	outcomes, err := takeTurns(t.Context(), []contender{
		{Name: "a", run: work(30 * time.Millisecond), none: work(10 * time.Millisecond)},
		{Name: "missing", Missing: "it is not here"},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outcomes[0].extra.per(10), (figure{2.5, 2.5, 2.5, fewestRuns}); got != want {
		t.Errorf("one of ten took %v, want %v", got, want)
	}
	if outcomes[1].wall.Runs != 0 {
		t.Error("a contender that is missing has a figure")
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
