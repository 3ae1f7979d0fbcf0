// Package sarif writes findings of gates as SARIF 2.1.0, for GitHub's code scanning and for editors.
package sarif

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/report/account"
)

// maxResults is what GitHub takes in one run; it shows 5,000 of them
// (docs.github.com, "SARIF results exceed one or more limits").
const maxResults = 25000

type file struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []run  `json:"runs"`
}

type run struct {
	Tool              tool      `json:"tool"`
	AutomationDetails automatic `json:"automationDetails"`
	Results           []result  `json:"results"`
}

type automatic struct {
	ID string `json:"id"`
}

type tool struct {
	Driver driver `json:"driver"`
}

type driver struct {
	Name           string `json:"name"`
	Version        string `json:"semanticVersion,omitempty"`
	InformationURI string `json:"informationUri"`
	Rules          []rule `json:"rules"`
}

type rule struct {
	ID               string  `json:"id"`
	ShortDescription message `json:"shortDescription"`
}

type message struct {
	Text string `json:"text"`
}

type result struct {
	RuleID              string            `json:"ruleId"`
	RuleIndex           int               `json:"ruleIndex"`
	Level               string            `json:"level"`
	Message             message           `json:"message"`
	Locations           []location        `json:"locations"`
	PartialFingerprints map[string]string `json:"partialFingerprints"`
}

type location struct {
	PhysicalLocation physical `json:"physicalLocation"`
}

type physical struct {
	ArtifactLocation artifact `json:"artifactLocation"`
	Region           region   `json:"region"`
}

type artifact struct {
	URI string `json:"uri"`
}

type region struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn,omitempty"`
}

// Findings writes the findings of all gates that have a place in a file. folder is the app's folder within the repository,
// with a slash at its end; category keeps apart what several runs say of one commit. A finding without a file is left out:
// code scanning has no place to show it. The second value counts those and the ones beyond what GitHub takes.
func Findings(a *account.Account, folder, category, version string) ([]byte, int, error) {
	one := run{
		Tool:              tool{Driver: driver{Name: "Penstock", Version: version, InformationURI: "https://github.com/penstock-ci/penstock", Rules: []rule{}}},
		AutomationDetails: automatic{ID: category + "/"},
		Results:           []result{},
	}
	rules := map[string]int{}
	seen := map[string]int{}
	left := 0
	for _, gate := range a.Gates {
		if gate.Verdict == nil {
			continue
		}
		for _, finding := range gate.Verdict.Findings {
			if finding.File == "" || len(one.Results) == maxResults {
				left++
				continue
			}
			id := gate.Name
			if finding.Rule != "" {
				id += "/" + finding.Rule
			}
			index, known := rules[id]
			if !known {
				index = len(one.Tool.Driver.Rules)
				rules[id] = index
				title := gate.Title
				if title == "" {
					title = id
				}
				one.Tool.Driver.Rules = append(one.Tool.Driver.Rules, rule{ID: id, ShortDescription: message{Text: plain(title)}})
			}
			// The line is no part of the print, so that a finding stays the same one when lines above it come and go.
			print := sha256.Sum256([]byte(id + "\x00" + finding.File + "\x00" + finding.Message))
			key := hex.EncodeToString(print[:16])
			seen[key]++
			one.Results = append(one.Results, result{
				RuleID: id, RuleIndex: index, Level: level(finding.Level), Message: message{Text: plain(finding.Message)},
				Locations: []location{{physical{
					ArtifactLocation: artifact{URI: uri(folder + finding.File)},
					Region:           region{StartLine: max(finding.Line, 1), StartColumn: max(finding.Column, 0)},
				}}},
				PartialFingerprints: map[string]string{"penstock/v1": fmt.Sprintf("%s:%d", key, seen[key])},
			})
		}
	}
	text, err := json.MarshalIndent(file{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []run{one},
	}, "", " ")
	return text, left, err
}

func level(of gates.Level) string {
	switch of {
	case gates.LevelError, gates.LevelWarning, gates.LevelNote:
		return string(of)
	default:
		return string(gates.LevelWarning)
	}
}

// uri writes a path as a relative URI reference (RFC 3986).
func uri(path string) string {
	var out []byte
	for _, b := range []byte(path) {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '/', b == '-', b == '.', b == '_', b == '~', b == '@':
			out = append(out, b)
		default:
			out = fmt.Appendf(out, "%%%02X", b)
		}
	}
	return string(out)
}

// plain makes text from a gate show no link: a message's [text](place) is one (SARIF 2.1.0, 3.11.6).
func plain(text string) string { return strings.ReplaceAll(text, "](", "] (") }
