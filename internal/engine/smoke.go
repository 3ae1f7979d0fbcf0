package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// Smoke runs the pipeline's smoke stages against a version that is up. It implements [promotion.SmokeStages].
type Smoke struct {
	// Options are those of the run; Earlier should hold the results of its build stages.
	Options     Options
	Environment string
	// When is the moment whose stages are run; "" is that of smoke stages.
	When pipelines.When
}

var _ promotion.SmokeStages = Smoke{}

// RunSmoke runs the smoke stages with the version's address in their environment: PENSTOCK_URL and BASE_URL (no slash at
// the end), PENSTOCK_VERSION_ID, PENSTOCK_ENVIRONMENT, PENSTOCK_MOMENT, and PENSTOCK_HEADERS, which holds the headers that
// must be sent to reach this version, one "Name: value" a line. Output lines go to log. It answers false with a summary
// when a stage failed, and an error when that could not be found out.
func (s Smoke) RunSmoke(ctx context.Context, moment string, address promotion.Address, version string, log io.Writer) (bool, string, error) {
	options := s.Options
	options.Env = map[string]string{
		"PENSTOCK_URL":         address.URL,
		"BASE_URL":             address.URL,
		"PENSTOCK_VERSION_ID":  version,
		"PENSTOCK_ENVIRONMENT": s.Environment,
		"PENSTOCK_MOMENT":      moment,
		"PENSTOCK_HEADERS":     headerLines(address),
	}
	maps.Copy(options.Env, s.Options.Env)
	var mu sync.Mutex
	options.output = func(stage, line string) {
		mu.Lock()
		defer mu.Unlock()
		// The log is for people; a full disk under it is no reason to fail a smoke.
		_, _ = fmt.Fprintf(log, "%s | %s\n", stage, line)
	}
	outcome, err := RunStages(ctx, cmp.Or(s.When, pipelines.WhenSmoke), options)
	if err != nil {
		return false, "", err
	}
	var bad []string
	for _, result := range outcome.Results {
		if result.Outcome != event.Passed {
			bad = append(bad, sentence(result))
		}
	}
	summary := strings.Join(bad, "; ")
	switch outcome.Outcome {
	case event.Passed:
		return true, plural(len(outcome.Results), string(cmp.Or(s.When, pipelines.WhenSmoke))+" stage") + " passed", nil
	case event.Failed:
		return false, summary, nil
	default:
		if ctx.Err() != nil {
			return false, summary, fmt.Errorf("run the smoke stages: %w", context.Cause(ctx))
		}
		return false, summary, fmt.Errorf("run the smoke stages: %s", summary)
	}
}

// sentence says how a stage went that did not pass.
func sentence(result Result) string {
	text := "stage " + result.Stage + ": " + string(result.Outcome)
	if result.Outcome == event.Failed && !result.TimedOut {
		text += fmt.Sprintf(" with exit code %d", result.ExitCode)
	}
	if result.Why != "" {
		text += " (" + result.Why + ")"
	}
	if result.Log != "" {
		text += ", its output is in " + result.Log
	}
	return text
}

func headerLines(address promotion.Address) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(address.Header)) {
		for _, value := range address.Header[name] {
			lines = append(lines, name+": "+value)
		}
	}
	return strings.Join(lines, "\n")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
