package main

import "math"

// confidence is how sure a range must be, on either side.
const confidence = 0.95

// percentile is the smallest of the sorted values that at least the share q of them does not exceed (nearest rank).
func percentile(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// percentileRange returns the values between which the true percentile lies, each bound being right with [confidence]. It
// assumes nothing about how latencies are distributed: how many of n values lie below the true percentile is binomial, so
// the bounds are values at ranks that this distribution makes nearly certain. known is false when there are too few values
// for an upper bound; high is then the largest value. low is 0 when there are too few even for that.
//
// Source: Hahn and Meeker, Statistical Intervals, section 5.2 (distribution-free bounds for a quantile).
func percentileRange(sorted []float64, q float64) (low, high float64, known bool) {
	below := 0.0 // the probability that fewer than rank values lie below the true percentile
	for rank := 1; rank <= len(sorted); rank++ {
		below += binomial(rank-1, len(sorted), q)
		if below <= 1-confidence {
			low = sorted[rank-1]
		}
		if below >= confidence {
			return low, sorted[rank-1], true
		}
	}
	return low, sorted[len(sorted)-1], false
}

// binomial is the probability that k of n values lie below their percentile q.
func binomial(k, n int, q float64) float64 {
	return math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) + float64(k)*math.Log(q) + float64(n-k)*math.Log1p(-q))
}

func logFactorial(n int) float64 {
	log, _ := math.Lgamma(float64(n + 1))
	return log
}

// fewest is how many values it takes for an upper bound of the 95th percentile.
func fewest() int { return int(math.Ceil(math.Log(1-confidence) / math.Log(0.95))) }

// tenth rounds to what can be told apart.
func tenth(ms float64) float64 { return math.Round(ms*10) / 10 }
