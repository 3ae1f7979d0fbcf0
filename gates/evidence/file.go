package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Format is the version of the JSON that this package writes and reads. It grows when a field changes its meaning or goes;
// new fields do not change it, and readers ignore those that they do not know.
const Format = 1

// The kinds of evidence, as they stand in each file and in a gate's description.
const (
	KindEnvironment = "environment"
	KindMetrics     = "metrics"
	KindPlan        = "plan"
	KindPromotions  = "promotions"
	KindSmoke       = "smoke"
	KindRehearsal   = "rehearsal"
	KindBackups     = "backups"
)

// Header begins every file.
type Header struct {
	Kind    string    `json:"kind"`
	Format  int       `json:"format"`
	TakenAt time.Time `json:"takenAt"` // when it was gathered
}

func (h Header) header() Header { return h }

// State says what is known of a thing that was looked for. The zero value means nothing; readers treat it as [Unknown].
type State string

// The states.
const (
	Present State = "present"
	Missing State = "missing" // asked, and it is not there
	Unknown State = "unknown" // could not be asked, or the answer does not say
)

// Gap is something that could not be found out.
type Gap struct {
	What   string `json:"what"`   // "the certificates of zone example.com"
	Reason string `json:"reason"` // the answer that was got instead, with what to do where that is known
}

// maxFile bounds what is read: larger evidence is a mistake.
const maxFile = 64 << 20

// Write writes one of these types to a file, which must not exist yet. Its header is completed with kind and format.
func Write[T Environment | Metrics | Plan | Promotions | Smoke | Rehearsal | Backups](path string, value T) error {
	var complete any
	switch value := any(value).(type) {
	case Environment:
		value.Kind, value.Format = KindEnvironment, Format
		complete = value
	case Metrics:
		value.Kind, value.Format = KindMetrics, Format
		complete = value
	case Plan:
		value.Kind, value.Format = KindPlan, Format
		complete = value
	case Promotions:
		value.Kind, value.Format = KindPromotions, Format
		complete = value
	case Smoke:
		value.Kind, value.Format = KindSmoke, Format
		complete = value
	case Backups:
		value.Kind, value.Format = KindBackups, Format
		complete = value
	case Rehearsal:
		value.Kind, value.Format = KindRehearsal, Format
		complete = value
	}
	data, err := json.MarshalIndent(complete, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the evidence: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the evidence: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write the evidence: %w", err)
	}
	return nil
}

// ReadEnvironment reads evidence of the kind [KindEnvironment]. An error means that nothing is known.
func ReadEnvironment(path string) (Environment, error) {
	return read[Environment](path, KindEnvironment)
}

// ReadMetrics reads evidence of the kind [KindMetrics].
func ReadMetrics(path string) (Metrics, error) { return read[Metrics](path, KindMetrics) }

// ReadPlan reads evidence of the kind [KindPlan].
func ReadPlan(path string) (Plan, error) { return read[Plan](path, KindPlan) }

// ReadPromotions reads evidence of the kind [KindPromotions].
func ReadPromotions(path string) (Promotions, error) { return read[Promotions](path, KindPromotions) }

// ReadRehearsal reads evidence of the kind [KindRehearsal].
func ReadRehearsal(path string) (Rehearsal, error) { return read[Rehearsal](path, KindRehearsal) }

// ReadBackups reads evidence of the kind [KindBackups].
func ReadBackups(path string) (Backups, error) { return read[Backups](path, KindBackups) }

// ReadSmoke reads evidence of the kind [KindSmoke].
func ReadSmoke(path string) (Smoke, error) { return read[Smoke](path, KindSmoke) }

func read[T interface{ header() Header }](path, kind string) (T, error) {
	var value, none T
	file, err := os.Open(path)
	if err != nil {
		return none, fmt.Errorf("read the evidence %s: %w", kind, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return none, fmt.Errorf("read the evidence %s: %w", kind, err)
	}
	if len(data) > maxFile {
		return none, fmt.Errorf("read the evidence %s: it is larger than %d MiB", kind, maxFile>>20)
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return none, fmt.Errorf("read the evidence %s: %w", kind, err)
	}
	header := value.header()
	switch {
	case header.Kind != kind:
		return none, fmt.Errorf("read the evidence %s: the file says that it is %q", kind, header.Kind)
	case header.Format != Format:
		return none, fmt.Errorf("read the evidence %s: it has format %d, and this gate knows format %d: use gates and penstock of the same release",
			kind, header.Format, Format)
	}
	return value, nil
}
