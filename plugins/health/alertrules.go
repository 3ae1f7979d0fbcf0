package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// rule is one alert of the app's alerts.yml.
type rule struct {
	name     string
	line     int
	metric   string
	over     bool // fires above the limit; below it otherwise
	orEqual  bool
	limit    float64 // in the metric's unit
	duration time.Duration
	critical bool // else a warning
}

// fires reports whether the condition holds for a value.
func (r rule) fires(value float64) bool {
	switch {
	case value == r.limit:
		return r.orEqual
	case r.over:
		return value > r.limit
	default:
		return value < r.limit
	}
}

// condition is the rule's, for people.
func (r rule) condition() string {
	sign := map[[2]bool]string{{true, false}: ">", {true, true}: ">=", {false, false}: "<", {false, true}: "<="}[[2]bool{r.over, r.orEqual}]
	return fmt.Sprintf("%s %s %g%s", r.metric, sign, r.limit, units[r.metric])
}

// The metrics that a condition may name, with their units.
const (
	errorRate    = "error_rate"
	p50Latency   = "p50_latency"
	p95Latency   = "p95_latency"
	p99Latency   = "p99_latency"
	databaseErrs = "db_connection_errors"
	memoryUsage  = "memory_usage"
	queueBacklog = "queue_backlog"
)

var units = map[string]string{errorRate: "%", p50Latency: "ms", p95Latency: "ms", p99Latency: "ms", databaseErrs: "", memoryUsage: "%", queueBacklog: ""}

// ruleError is what is wrong with the file, and where.
type ruleError struct {
	file string
	line int
	what string
}

// Error names file and line.
func (e *ruleError) Error() string { return fmt.Sprintf("%s:%d: %s", e.file, e.line, e.what) }

// maxRules bounds the file; an app has a handful of alerts.
const maxRules = 1 << 20

// readRules reads the app's alerts as they are: the guide's alerts.yml. Every problem is told at once; whoever fixes one should
// not meet the next.
func readRules(dir, file string) ([]rule, error) {
	path := filepath.Join(dir, filepath.FromSlash(file))
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRules {
		return nil, &ruleError{file, 1, "it is larger than a list of alerts can be"}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var document struct {
		Alerts []yaml.Node `yaml:"alerts"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, &ruleError{file, yamlLine(err), strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if len(document.Alerts) == 0 {
		return nil, &ruleError{file, 1, `there is no list "alerts" with anything in it`}
	}
	var rules []rule
	var problems []error
	for i := range document.Alerts {
		read, err := readRule(file, &document.Alerts[i])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		rules = append(rules, read)
	}
	return rules, errors.Join(problems...)
}

var lineInError = regexp.MustCompile(`line (\d+)`)

// yamlLine finds the line in the parser's words; 1 when it names none.
func yamlLine(err error) int {
	if match := lineInError.FindStringSubmatch(err.Error()); match != nil {
		if line, err := strconv.Atoi(match[1]); err == nil {
			return line
		}
	}
	return 1
}

func readRule(file string, node *yaml.Node) (rule, error) {
	read := rule{line: node.Line}
	wrong := func(line int, what string, args ...any) error {
		return &ruleError{file, line, fmt.Sprintf(what, args...)}
	}
	if node.Kind != yaml.MappingNode {
		return read, wrong(node.Line, "an alert has a name, a condition, a duration and a severity")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		seen[key] = true
		switch key {
		case "name":
			read.name = value.Value
		case "condition":
			if err := read.readCondition(value.Value); err != nil {
				return read, wrong(value.Line, "%v", err)
			}
		case "duration":
			duration, err := time.ParseDuration(value.Value)
			if err != nil || duration <= 0 {
				return read, wrong(value.Line, "%q is no duration such as 5m", value.Value)
			}
			read.duration = duration
		case "severity":
			switch value.Value {
			case "critical":
				read.critical = true
			case "warning":
			default:
				return read, wrong(value.Line, "the severity %q is unknown: it is critical (the gate fails) or warning (it warns)", value.Value)
			}
		default:
			return read, wrong(node.Content[i].Line, "the key %q is unknown: an alert has name, condition, duration and severity", key)
		}
	}
	for _, key := range []string{"name", "condition", "duration", "severity"} {
		if !seen[key] {
			return read, wrong(node.Line, "the alert %q has no %s", read.name, key)
		}
	}
	return read, nil
}

var conditionForm = regexp.MustCompile(`^\s*([a-z0-9_]+)\s*(>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z%]*)\s*$`)

func (r *rule) readCondition(text string) error {
	match := conditionForm.FindStringSubmatch(text)
	if match == nil {
		return fmt.Errorf("the condition %q is not of the form metric > number, such as error_rate > 5%%", text)
	}
	unit, known := units[match[1]]
	if !known {
		return fmt.Errorf("the condition %q is about %q, which nothing here measures; known are error_rate, p50_latency, p95_latency, p99_latency, db_connection_errors, memory_usage and queue_backlog", text, match[1])
	}
	limit, err := strconv.ParseFloat(match[3], 64)
	if err != nil {
		return fmt.Errorf("the condition %q has no number: %w", text, err)
	}
	switch {
	case match[4] == unit:
	case unit == "ms" && match[4] == "s":
		limit *= 1000
	default:
		wanted := "no unit"
		if unit != "" {
			wanted = "the unit " + unit
		}
		return fmt.Errorf("the condition %q: %s has %s", text, match[1], wanted)
	}
	r.metric, r.limit, r.over, r.orEqual = match[1], limit, match[2][0] == '>', len(match[2]) == 2
	return nil
}
