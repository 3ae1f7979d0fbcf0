package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penstock-ci/penstock/gates"
)

// parseESLint reads the output of `eslint --format json`:
// https://eslint.org/docs/latest/use/formatters/#json
func parseESLint(content []byte, root string) ([]gates.Finding, error) {
	var files []struct {
		FilePath *string `json:"filePath"`
		Messages []struct {
			RuleID   *string `json:"ruleId"` // null for an error of the parser
			Severity int     `json:"severity"`
			Fatal    bool    `json:"fatal"`
			Message  string  `json:"message"`
			Line     int     `json:"line"`
			Column   int     `json:"column"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(content, &files); err != nil {
		return nil, fmt.Errorf("it is not ESLint's JSON: %w", err)
	}
	if files == nil {
		return nil, errors.New("it is not ESLint's JSON: it lists no files")
	}
	var found []gates.Finding
	for _, file := range files {
		if file.FilePath == nil {
			return nil, errors.New("it is not ESLint's JSON: an entry has no filePath")
		}
		for _, message := range file.Messages {
			finding := gates.Finding{
				Level: gates.LevelError, Message: message.Message, File: relative(root, *file.FilePath), Line: message.Line, Column: message.Column,
			}
			if message.Severity == 1 && !message.Fatal {
				finding.Level = gates.LevelWarning
			}
			if message.RuleID != nil {
				finding.Rule = *message.RuleID
			}
			found = append(found, finding)
		}
	}
	return found, nil
}
