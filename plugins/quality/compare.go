package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/aclements/go-moremath/stats"
)

// comparison is one benchmark against its baseline.
type comparison struct {
	name         string
	now, before  *series
	change       float64 // of the median, as a share of the baseline's: 0.1 is a tenth worse
	worse        float64 // the share of pairs of samples in which the new one is worse: 0.5 is no difference
	slower       float64 // p: how likely such samples are although it is not worse by more than the tolerance
	faster       float64 // p: how likely such samples are although it is not better by more than the tolerance
	significant  bool    // slower counts, with regard to how many benchmarks were compared
	improvedSure bool
}

// compare tests whether the new samples are worse than the baseline's by more than a tolerance, with the one-sided
// Mann-Whitney U test: it looks at ranks only, so that it holds whatever the distribution is, and one outlier moves nothing.
// The baseline is moved by the tolerance first, so that a difference nobody cares about is not found however many
// samples there are.
func compare(name string, now, before *series, tolerance float64) (comparison, error) {
	c := comparison{name: name, now: now, before: before}
	base := median(before.samples)
	if base == 0 {
		return c, fmt.Errorf("the baseline of benchmark %q is 0: nothing can be a share of it", name)
	}
	c.change = median(now.samples)/base - 1
	worseWhen, betterWhen := stats.LocationGreater, stats.LocationLess
	worseBy, betterBy := 1+tolerance, 1-tolerance
	if now.higher {
		c.change = -c.change
		worseWhen, betterWhen = betterWhen, worseWhen
		worseBy, betterBy = betterBy, worseBy
	}
	var err error
	if c.slower, _, err = rankTest(now.samples, scaled(before.samples, worseBy), worseWhen); err != nil {
		return c, err
	}
	if c.faster, _, err = rankTest(now.samples, scaled(before.samples, betterBy), betterWhen); err != nil {
		return c, err
	}
	_, c.worse, err = rankTest(now.samples, before.samples, worseWhen)
	if now.higher {
		c.worse = 1 - c.worse
	}
	return c, err
}

// rankTest returns the test's p, and the share of pairs in which the first sample is greater, equal ones counted half
// (Vargha and Delaney's A).
func rankTest(a, b []float64, alternative stats.LocationHypothesis) (p, greater float64, err error) {
	result, err := stats.MannWhitneyUTest(a, b, alternative)
	if errors.Is(err, stats.ErrSamplesEqual) {
		return 1, 0.5, nil
	}
	if err != nil {
		return 1, 0.5, err
	}
	return result.P, result.U / float64(len(a)*len(b)), nil
}

func scaled(samples []float64, by float64) []float64 {
	moved := make([]float64, len(samples))
	for i, sample := range samples {
		moved[i] = sample * by
	}
	return moved
}

// decide says which differences count, by Holm's method: of many benchmarks one in twenty would look worse by chance alone.
func decide(all []comparison, alpha float64) {
	holm(all, alpha, func(c *comparison) float64 { return c.slower }, func(c *comparison) { c.significant = true })
	holm(all, alpha, func(c *comparison) float64 { return c.faster }, func(c *comparison) { c.improvedSure = true })
}

func holm(all []comparison, alpha float64, p func(*comparison) float64, accept func(*comparison)) {
	order := make([]*comparison, len(all))
	for i := range all {
		order[i] = &all[i]
	}
	slices.SortFunc(order, func(a, b *comparison) int { return cmp.Compare(p(a), p(b)) })
	for i, one := range order {
		if p(one) >= alpha/float64(len(order)-i) {
			return
		}
		accept(one)
	}
}
