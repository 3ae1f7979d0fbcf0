package main

// reference is a figure that this program did not measure.
type reference struct {
	What         string  `json:"what"`
	Milliseconds float64 `json:"ms"`
}

// elsewhere are the figures to beat. They were given with the task that asked for this program and come from another
// machine: an order of magnitude to compare with, no more.
var elsewhere = []reference{
	{"a no-op stage, 1,000 independent: make", 0.6},
	{"a no-op stage, 1,000 independent: bare Go fork+exec", 0.9},
	{"a no-op stage, 1,000 independent: woodpecker", 2.1},
	{"a no-op stage, 1,000 independent: go-task", 2.3},
	{"a no-op stage, 1,000 independent: act", 31},
	{"a warm run with nothing changed: go-task", 82},
	{"a warm run with nothing changed: turbo", 124},
	{"start-up: act", 19},
}
