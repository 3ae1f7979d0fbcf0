package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-ci/penstock/gates"
)

// sarifLog is the part of SARIF 2.1.0 that says what was found where:
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type sarifLog struct {
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver struct {
			Rules []sarifRule `json:"rules"`
		} `json:"driver"`
	} `json:"tool"`
	Invocations []struct {
		Successful *bool `json:"executionSuccessful"`
	} `json:"invocations"`
	Results []sarifResult `json:"results"`
}

type sarifRule struct {
	ID      string `json:"id"`
	Default struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifResult struct {
	RuleID  string `json:"ruleId"`
	Kind    string `json:"kind"`
	Level   string `json:"level"`
	Message struct {
		Text string `json:"text"`
	} `json:"message"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				Line   int `json:"startLine"`
				Column int `json:"startColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	} `json:"locations"`
	Suppressions []struct {
		Status string `json:"status"`
	} `json:"suppressions"`
}

func parseSARIF(content []byte, root string) ([]gates.Finding, error) {
	var log sarifLog
	if err := json.Unmarshal(content, &log); err != nil {
		return nil, fmt.Errorf("it is not SARIF: %w", err)
	}
	if log.Version != "2.1.0" || len(log.Runs) == 0 {
		return nil, fmt.Errorf("it is not SARIF 2.1.0 with a run: version %q, %s", log.Version, gates.Counted(len(log.Runs), "run"))
	}
	var found []gates.Finding
	for _, run := range log.Runs {
		for _, invocation := range run.Invocations {
			if invocation.Successful != nil && !*invocation.Successful {
				return nil, errors.New("the tool says in it that it did not finish")
			}
		}
		for _, result := range run.Results {
			if result.counts() {
				found = append(found, result.finding(run, root))
			}
		}
	}
	return found, nil
}

// counts reports whether a result is something that was found: a suppressed one is not (section 3.35: unless the
// suppression is still under review or was rejected), nor is one that says what was found to be in order.
func (r sarifResult) counts() bool {
	if r.Kind != "" && r.Kind != "fail" {
		return false
	}
	if len(r.Suppressions) == 0 {
		return true
	}
	for _, suppression := range r.Suppressions {
		if suppression.Status == "underReview" || suppression.Status == "rejected" {
			return true
		}
	}
	return false
}

func (r sarifResult) finding(run sarifRun, root string) gates.Finding {
	level := r.Level
	rules := run.Tool.Driver.Rules
	named := slices.IndexFunc(rules, func(rule sarifRule) bool { return rule.ID == r.RuleID })
	if level == "" && named >= 0 {
		level = rules[named].Default.Level
	}
	finding := gates.Finding{Level: gates.LevelWarning, Rule: r.RuleID, Message: r.Message.Text} // warning: section 3.27.10
	switch level {
	case "error":
		finding.Level = gates.LevelError
	case "note", "none":
		finding.Level = gates.LevelNote
	}
	if len(r.Locations) > 0 {
		where := r.Locations[0].Physical
		finding.File, finding.Line, finding.Column = relative(root, where.Artifact.URI), where.Region.Line, where.Region.Column
	}
	return finding
}
