package evidence

import "time"

// Metrics is how the Worker fared lately, as the target's analytics say. Analytics come late and may be sampled: what is
// not there yet is no zero.
type Metrics struct {
	Header
	Worker string    `json:"worker"`
	From   time.Time `json:"from"` // of the window that was asked for
	To     time.Time `json:"to"`
	// Versions are those that anything is known of. VersionsState says whether the account tells versions apart; where it is
	// not Present, only Total is known.
	Versions      []Series `json:"versions"`
	VersionsState State    `json:"versionsState"`
	// Total counts all versions together. Its quantiles are known where one version alone was invoked.
	Total Series `json:"total"`
	// Answers are what the zone's edge gave to people, by host, whichever version answered.
	Answers   []Answers    `json:"answers"`
	Queues    []Backlog    `json:"queues"`
	Databases []DatabaseIO `json:"databases"`
	// Since is when each version of the current deployment began to take the traffic that it takes without a break.
	Since map[string]time.Time `json:"since"`
	Gaps  []Gap                `json:"gaps"`
}

// Series is what happened over time.
type Series struct {
	Version string `json:"version,omitempty"` // empty for all
	State   State  `json:"state"`             // Missing when the target answered and has no data, Unknown when it did not answer
	Reason  string `json:"reason,omitempty"`
	// Points are in order and never overlap; newer ones may be shorter. A time without a point is one of which nothing is
	// known: the analytics leave out when nothing was invoked.
	Points []Point `json:"points"`
}

// Point is one stretch of time.
type Point struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Requests int64     `json:"requests"`
	// Errors are invocations that threw, ran out of a limit, or were ended by the runtime. An answer with status 500 is none.
	Errors int64 `json:"errors"`
	// SampleInterval is how many invocations one sample stands for; 1 when all were counted, 0 when it is not known.
	SampleInterval float64    `json:"sampleInterval,omitempty"`
	CPU            *Quantiles `json:"cpuMs,omitempty"`       // milliseconds of processor time
	Wall           *Quantiles `json:"wallMs,omitempty"`      // milliseconds from start to end
	Memory         *Quantiles `json:"memoryBytes,omitempty"` // of the isolate, bytes
}

// Quantiles are in their field's unit; a nil one was not given.
type Quantiles struct {
	P50 *float64 `json:"p50,omitempty"`
	P75 *float64 `json:"p75,omitempty"`
	P95 *float64 `json:"p95,omitempty"`
	P99 *float64 `json:"p99,omitempty"`
}

// Answers is what one host answered over time.
type Answers struct {
	Host   string        `json:"host"`
	State  State         `json:"state"`
	Reason string        `json:"reason,omitempty"`
	Points []AnswerPoint `json:"points"`
}

// AnswerPoint is one stretch of time.
type AnswerPoint struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Requests int64     `json:"requests"`
	Failed   int64     `json:"failed"` // answers with a status of 500 or more
}

// Backlog is how many messages wait in a queue.
type Backlog struct {
	Queue  string         `json:"queue"`
	State  State          `json:"state"`
	Reason string         `json:"reason,omitempty"`
	Points []BacklogPoint `json:"points"`
}

// BacklogPoint is the average over a stretch of time, or what waits at this moment: then From is To.
type BacklogPoint struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Messages float64   `json:"messages"`
	Bytes    float64   `json:"bytes"`
}

// DatabaseIO is how a D1 database fared.
type DatabaseIO struct {
	Database string          `json:"database"`
	State    State           `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	Points   []DatabasePoint `json:"points"`
}

// DatabasePoint is one stretch of time.
type DatabasePoint struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Queries int64     `json:"queries"`
	// Errors are queries that failed; nil where the analytics do not count them.
	Errors *int64 `json:"errors,omitempty"`
}

// MemoryLimit is what an isolate may use, in bytes.
// Source: https://developers.cloudflare.com/workers/platform/limits/#memory
const MemoryLimit = 128 << 20

// Of returns the series of a version; ok is false when there is none.
func (m Metrics) Of(version string) (series Series, ok bool) {
	for _, series := range m.Versions {
		if series.Version == version {
			return series, true
		}
	}
	return Series{}, false
}
