package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// Question is one question as it was put, and what was answered. The paths in Stages and Reports are digests of what is
// kept; "" where nothing was.
type Question struct {
	Gate      string          `json:"gate"` // "<set>/<gate>"
	Phase     gates.Phase     `json:"phase"`
	Config    json.RawMessage `json:"config,omitempty"`
	Run       gates.Run       `json:"run"`
	Stages    []gates.Stage   `json:"stages,omitempty"`
	Reports   []gates.Report  `json:"reports,omitempty"`
	SetDigest string          `json:"setDigest"` // of the binary that answered
	Outcome   gates.Outcome   `json:"outcome"`
	Summary   string          `json:"summary"`
	Asked     time.Time       `json:"asked"`
	Omitted   []string        `json:"omitted,omitempty"` // what was not kept, and why
}

// Keep keeps a question with the files that request names. hide takes secrets out of them; it must not be nil. That a
// file is missing or too large is in the question, and no error.
func (s *Store) Keep(gate, setDigest string, request gates.Request, verdict gates.Verdict, hide func(string) string) error {
	question := Question{
		Gate: gate, Phase: request.Phase, Config: request.Config, Run: request.Run, SetDigest: setDigest,
		Outcome: verdict.Outcome, Summary: verdict.Summary, Asked: time.Now().UTC(),
	}
	keep := func(path, what string) (string, error) {
		if path == "" {
			return "", nil
		}
		digest, err := s.put(path, hide)
		if err != nil && !errors.Is(err, errNotKept) {
			return "", err
		}
		if err != nil {
			question.Omitted = append(question.Omitted, what+": "+err.Error())
		}
		return digest, nil
	}
	for _, stage := range request.Stages {
		var err error
		if stage.Log, err = keep(stage.Log, "the output of "+stage.Name); err != nil {
			return err
		}
		question.Stages = append(question.Stages, stage)
	}
	for _, report := range request.Reports {
		var err error
		if report.Path, err = keep(report.Path, "the report "+string(report.Kind)); err != nil {
			return err
		}
		question.Reports = append(question.Reports, report)
	}
	text, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("keep what %s was asked: %w", gate, err)
	}
	return s.append(request.Run.ID, []byte(hide(string(text))))
}

// Restore writes the kept files of a question into dir and returns the request with their paths.
func (s *Store) Restore(question Question, dir string) (gates.Request, error) {
	request := gates.Request{Phase: question.Phase, Config: question.Config, Run: question.Run}
	restore := func(digest string) (string, error) {
		if digest == "" {
			return "", nil
		}
		content, err := s.get(digest)
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, digest)
		return path, os.WriteFile(path, content, 0o600)
	}
	for _, stage := range question.Stages {
		var err error
		if stage.Log, err = restore(stage.Log); err != nil {
			return request, fmt.Errorf("restore the output of %s: %w", stage.Name, err)
		}
		request.Stages = append(request.Stages, stage)
	}
	for _, report := range question.Reports {
		path, err := restore(report.Path)
		if err != nil {
			return request, fmt.Errorf("restore the report %s: %w", report.Kind, err)
		}
		if path != "" { // what was not there then is not there now
			report.Path = path
			request.Reports = append(request.Reports, report)
		}
	}
	return request, nil
}
