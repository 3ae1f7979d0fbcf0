package host

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// Bounds of what a verdict may say. What is longer is cut, visibly; what makes no sense is refused.
const (
	maxSummary      = 600
	maxNextStep     = 1000
	maxMessage      = 2000
	maxDetail       = 4000
	maxName         = 200
	maxPath         = 1000
	maxFindings     = 1000
	maxMeasurements = 200
	maxEvidence     = 200
	maxAskAgain     = 3 * 366 * 24 * time.Hour // a freeze can be long, and people are told when it ends
)

var digestShape = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// sane returns the verdict as it may be recorded and shown, or an error that says why it is no verdict.
func sane(verdict gates.Verdict, redact func(string) string) (gates.Verdict, error) {
	refuse := func(format string, args ...any) (gates.Verdict, error) {
		return gates.Verdict{}, fmt.Errorf("%w: "+format, append([]any{ErrMisbehaved}, args...)...)
	}
	if !verdict.Outcome.Known() {
		return refuse("it answered with the outcome %q, which does not exist", line(string(verdict.Outcome), maxName))
	}
	one := func(text string, limit int) string { return line(redact(text), limit) }

	clean := gates.Verdict{
		Outcome:  verdict.Outcome,
		Summary:  one(verdict.Summary, maxSummary),
		NextStep: one(verdict.NextStep, maxNextStep),
	}
	if clean.Summary == "" {
		return refuse("its verdict has no summary")
	}

	for i, finding := range verdict.Findings {
		if i == maxFindings {
			clean.Findings = append(clean.Findings, gates.Finding{
				Level: gates.LevelNote, Message: fmt.Sprintf("%d more findings are not listed", len(verdict.Findings)-maxFindings),
			})
			break
		}
		clean.Findings = append(clean.Findings, saneFinding(finding, redact))
	}

	if len(verdict.Measurements) > maxMeasurements {
		return refuse("it answered with %d measurements, and %d are allowed", len(verdict.Measurements), maxMeasurements)
	}
	for _, measurement := range verdict.Measurements {
		measurement.Name, measurement.Unit = one(measurement.Name, maxName), one(measurement.Unit, maxName)
		for _, number := range []*float64{&measurement.Value, measurement.Limit, measurement.Baseline} {
			if number != nil && (math.IsNaN(*number) || math.IsInf(*number, 0)) {
				return refuse("its measurement %q is not a number", measurement.Name)
			}
		}
		switch measurement.Better {
		case "", "higher", "lower":
		default:
			return refuse("its measurement %q is better when %q, which is neither higher nor lower", measurement.Name, one(measurement.Better, maxName))
		}
		clean.Measurements = append(clean.Measurements, measurement)
	}

	if len(verdict.Evidence) > maxEvidence {
		return refuse("it answered with %d pieces of evidence, and %d are allowed", len(verdict.Evidence), maxEvidence)
	}
	for _, evidence := range verdict.Evidence {
		if !digestShape.MatchString(evidence.Digest) {
			return refuse("its evidence %q has no sha256 digest", one(evidence.Name, maxName))
		}
		clean.Evidence = append(clean.Evidence, gates.Evidence{Name: one(evidence.Name, maxName), Digest: evidence.Digest})
	}

	switch {
	case verdict.Outcome == gates.Pending && verdict.Pending == nil:
		return refuse("it is pending and does not say who can clear it")
	case verdict.Outcome != gates.Pending && verdict.Pending != nil:
		return refuse("it says who can clear it and is not pending but %s", verdict.Outcome)
	case verdict.Pending != nil:
		by := one(verdict.Pending.By, maxName)
		if by == "" {
			return refuse("it is pending and does not say who can clear it")
		}
		if verdict.Pending.AskAgain <= 0 {
			return refuse("it is pending and does not say when to ask again")
		}
		clean.Pending = &gates.Clearance{By: by, AskAgain: min(max(verdict.Pending.AskAgain, time.Second), maxAskAgain)}
	}
	return clean, nil
}

func saneFinding(finding gates.Finding, redact func(string) string) gates.Finding {
	clean := gates.Finding{
		Level:   finding.Level,
		Rule:    line(redact(finding.Rule), maxName),
		Message: line(redact(finding.Message), maxMessage),
		Detail:  lines(redact(finding.Detail), maxDetail),
		Line:    max(finding.Line, 0),
		Column:  max(finding.Column, 0),
	}
	switch finding.Level {
	case gates.LevelError, gates.LevelWarning, gates.LevelNote:
	default: // a weight that nobody knows is not to be taken lightly
		clean.Level = gates.LevelError
	}
	// A path that leads out of the app's folder belongs to no file of it: annotations and links must not be led there.
	file := path.Clean(strings.ReplaceAll(line(redact(finding.File), maxPath), `\`, "/"))
	switch {
	case file == ".":
	case path.IsAbs(file), strings.HasPrefix(file, "../"), file == "..", strings.Contains(file, ":"):
		clean.Message = shorten(file+": "+clean.Message, maxMessage)
		clean.Line, clean.Column = 0, 0
	default:
		clean.File = file
	}
	return clean
}
