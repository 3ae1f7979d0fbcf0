package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// page is a health page in the shape of the production guide:
//
//	{"status": "healthy", "timestamp": "…", "version": "…", "checks": {"database": {"status": "ok", "latency": 3}}}
type page struct {
	status  string
	at      time.Time
	version string
	checks  []check // by name
}

// check is what the page says of one dependency.
type check struct {
	name    string
	status  string
	latency float64 // ms
}

// readPage reads a health page. Its errors say, in words for people, in what it has another shape: all of it at once.
func readPage(contentType string, body []byte) (page, error) {
	if len(body) > maxBody {
		return page{}, fmt.Errorf("it has more than %d MiB", maxBody>>20)
	}
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return page{}, errors.New("it is empty")
	}
	if trimmed[0] == '<' || strings.Contains(contentType, "html") {
		return page{}, errors.New("it is an HTML page, such as the app's index.html that answers every path, and no health page")
	}
	var raw struct {
		Status    *string `json:"status"`
		Timestamp *string `json:"timestamp"`
		Version   *string `json:"version"`
		Checks    map[string]struct {
			Status  *string  `json:"status"`
			Latency *float64 `json:"latency"`
		} `json:"checks"`
	}
	var other *json.UnmarshalTypeError
	switch err := json.Unmarshal(trimmed, &raw); {
	case errors.As(err, &other) && other.Field != "":
		return page{}, fmt.Errorf("its %s is of another kind (%s)", other.Field, other.Value)
	case errors.As(err, &other):
		return page{}, fmt.Errorf("it is no JSON object (%s)", other.Value)
	case err != nil:
		return page{}, fmt.Errorf("it is not JSON: %w", err)
	}

	var read page
	var problems []error
	text := func(name string, value *string, into *string) {
		if value == nil || *value == "" {
			problems = append(problems, fmt.Errorf("it has no %s", name))
			return
		}
		*into = *value
	}
	var timestamp string
	text("status", raw.Status, &read.status)
	text("timestamp", raw.Timestamp, &timestamp)
	text("version", raw.Version, &read.version)
	if timestamp != "" {
		var err error
		if read.at, err = time.Parse(time.RFC3339, timestamp); err != nil {
			problems = append(problems, errors.New("its timestamp is not in the form 2026-01-31T12:00:00Z"))
		}
	}
	if len(raw.Checks) == 0 {
		problems = append(problems, errors.New("it names no checks, so no dependency was looked at"))
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Checks)) {
		one := check{name: name}
		text("status of "+name, raw.Checks[name].Status, &one.status)
		switch latency := raw.Checks[name].Latency; {
		case latency == nil:
			problems = append(problems, fmt.Errorf("it has no latency of %s", name))
		case *latency < 0 || math.IsInf(*latency, 0):
			problems = append(problems, fmt.Errorf("its latency of %s is %v", name, *latency))
		default:
			one.latency = *latency
		}
		read.checks = append(read.checks, one)
	}
	return read, errors.Join(problems...)
}
