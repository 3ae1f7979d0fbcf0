package runtime

import (
	"slices"
	"sync"
	"time"
)

// VersionStats counts what one version answered through Handler since this Runtime first served it.
type VersionStats struct {
	VersionID string
	Requests  uint64
	// Errors are answers with a status of 500 or above, those that the edge gave for a dead process included.
	Errors uint64
	// Duration is the sum over all requests, from the request's arrival to the last byte of its answer.
	Duration time.Duration
	// P50 and P99 are of the most recent requests (at most 1,000).
	P50, P99 time.Duration
}

const (
	recentRequests = 1000
	statsSeconds   = 3600 // how far back StatsSince can look
)

// tally counts the requests of one script. It is safe for concurrent use.
type tally struct {
	mu       sync.Mutex
	versions []*versionTally // in the order of their first request
}

type versionTally struct {
	id      string
	total   counts
	seconds []secondCounts // a ring: index = Unix second modulo its length
	recent  []sample       // a ring once full
	next    int
}

type counts struct {
	requests, errors uint64
	duration         time.Duration
}

type secondCounts struct {
	second int64
	counts
}

type sample struct {
	ended    time.Time
	duration time.Duration
}

func (c *counts) add(d time.Duration, failed bool) {
	c.requests++
	c.duration += d
	if failed {
		c.errors++
	}
}

func (t *tally) add(version string, ended time.Time, d time.Duration, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.versions, func(v *versionTally) bool { return v.id == version })
	if i < 0 {
		i = len(t.versions)
		t.versions = append(t.versions, &versionTally{id: version, seconds: make([]secondCounts, statsSeconds)})
	}
	v := t.versions[i]
	v.total.add(d, failed)
	second := ended.Unix()
	slot := &v.seconds[second%statsSeconds]
	if slot.second != second {
		*slot = secondCounts{second: second}
	}
	slot.add(d, failed)
	if s := (sample{ended: ended, duration: d}); len(v.recent) < recentRequests {
		v.recent = append(v.recent, s)
	} else {
		v.recent[v.next] = s
		v.next = (v.next + 1) % recentRequests
	}
}

// all returns the counters since the start.
func (t *tally) all() []VersionStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	var result []VersionStats
	for _, v := range t.versions {
		result = append(result, v.stats(v.total, time.Time{}))
	}
	return result
}

// since returns the counters of the versions that had requests at or after then.
func (t *tally) since(then time.Time) []VersionStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := max(then.Unix(), time.Now().Unix()-statsSeconds+1)
	var result []VersionStats
	for _, v := range t.versions {
		var sum counts
		for _, s := range v.seconds {
			if s.second >= oldest {
				sum.requests += s.requests
				sum.errors += s.errors
				sum.duration += s.duration
			}
		}
		if sum.requests > 0 {
			result = append(result, v.stats(sum, time.Unix(oldest, 0)))
		}
	}
	return result
}

func (v *versionTally) stats(c counts, since time.Time) VersionStats {
	var durations []time.Duration
	for _, s := range v.recent {
		if !s.ended.Before(since) {
			durations = append(durations, s.duration)
		}
	}
	slices.Sort(durations)
	return VersionStats{
		VersionID: v.id, Requests: c.requests, Errors: c.errors, Duration: c.duration,
		P50: quantile(durations, 0.50), P99: quantile(durations, 0.99),
	}
}

// quantile returns the smallest value that at least the share q of the sorted values does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
