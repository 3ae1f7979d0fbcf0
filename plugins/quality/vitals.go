package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// vital is one of Google's Web Vitals. The budgets are the upper ends of "good": https://web.dev/articles/vitals
type vital struct {
	name   string
	title  string
	unit   string
	budget float64
	audit  string // Lighthouse's audit whose numericValue it is; "" when it measures none
}

var vitals = []vital{
	{"LCP", "largest contentful paint", "ms", 2500, "largest-contentful-paint"},
	{"CLS", "cumulative layout shift", "", 0.1, "cumulative-layout-shift"},
	{"INP", "interaction to next paint", "ms", 200, "interaction-to-next-paint"},
	{"FID", "first input delay", "ms", 100, ""},
	{"FCP", "first contentful paint", "ms", 1800, "first-contentful-paint"},
	{"TTFB", "time to first byte", "ms", 800, "server-response-time"},
}

func vitalOf(name string) *vital {
	for i := range vitals {
		if vitals[i].name == name {
			return &vitals[i]
		}
	}
	return nil
}

// vitalValues are the measured values of each page ("" when the report names none) by vital.
type vitalValues map[string]map[string][]float64

func (v vitalValues) add(page, name string, value float64) error {
	if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return fmt.Errorf("a value of %s is no measured value", name)
	}
	if v[page] == nil {
		v[page] = map[string][]float64{}
	}
	v[page][name] = append(v[page][name], value)
	return nil
}

// addLighthouse adds a Lighthouse result, or a list of them. One that ran into an error measured nothing, whatever else it says.
func (v vitalValues) addLighthouse(content []byte) error {
	type result struct {
		Version  string `json:"lighthouseVersion"`
		URL      string `json:"finalDisplayedUrl"`
		Older    string `json:"finalUrl"`
		RunError *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"runtimeError"`
		Audits map[string]struct {
			Value *float64 `json:"numericValue"`
			Error string   `json:"errorMessage"`
		} `json:"audits"`
	}
	var results []result
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := json.Unmarshal(trimmed, &results); err != nil {
			return fmt.Errorf("it is no Lighthouse report: %w", err)
		}
	} else {
		var one result
		if err := json.Unmarshal(content, &one); err != nil {
			return fmt.Errorf("it is no Lighthouse report: %w", err)
		}
		results = []result{one}
	}
	for _, one := range results {
		if one.Version == "" || one.Audits == nil {
			return errors.New("it is no Lighthouse report: it has no lighthouseVersion or no audits")
		}
		if one.RunError != nil && one.RunError.Code != "NO_ERROR" {
			return fmt.Errorf("Lighthouse could not measure: %s %s", one.RunError.Code, one.RunError.Message)
		}
		page := one.URL
		if page == "" {
			page = one.Older
		}
		for _, vital := range vitals {
			audit, known := one.Audits[vital.audit]
			if !known || vital.audit == "" {
				continue
			}
			if audit.Error != "" {
				return fmt.Errorf("Lighthouse could not measure %s: %s", vital.name, audit.Error)
			}
			if audit.Value == nil {
				continue // not applicable, as INP is without interaction
			}
			if err := v.add(page, vital.name, *audit.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// addWebVitals adds what the web-vitals library sends home, {"name": "LCP", "value": 1234}: a list of such objects, an object
// {"metrics": […]}, or one to a line.
func (v vitalValues) addWebVitals(content []byte) error {
	type metric struct {
		Name  string   `json:"name"`
		Value *float64 `json:"value"`
		Page  string   `json:"page"`
	}
	var metrics []metric
	switch trimmed := bytes.TrimSpace(content); {
	case len(trimmed) == 0:
		return errors.New("it is empty")
	case trimmed[0] == '[':
		if err := json.Unmarshal(trimmed, &metrics); err != nil {
			return fmt.Errorf("it is no web-vitals report: %w", err)
		}
	default:
		var whole struct {
			Metrics []metric `json:"metrics"`
		}
		if err := json.Unmarshal(trimmed, &whole); err == nil && whole.Metrics != nil {
			metrics = whole.Metrics
			break
		}
		number := 0
		for line := range strings.Lines(string(trimmed)) {
			number++
			if strings.TrimSpace(line) == "" {
				continue
			}
			var one metric
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				return fmt.Errorf("it is no web-vitals report: line %d: %w", number, err)
			}
			metrics = append(metrics, one)
		}
	}
	for i, one := range metrics {
		if one.Name == "" || one.Value == nil {
			return fmt.Errorf("it is no web-vitals report: metric %d has no name or no value", i+1)
		}
		if vitalOf(one.Name) == nil {
			continue // the library may measure more one day
		}
		if err := v.add(one.Page, one.Name, *one.Value); err != nil {
			return err
		}
	}
	return nil
}

// percentile75 is the value that three quarters do not exceed: by the definition of the Web Vitals, what counts of many visits.
func percentile75(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(0.75*float64(len(sorted))))-1]
}
