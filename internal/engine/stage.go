package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// retryPause is the pause before a failed stage's second attempt. What a retry can cure is mostly a network.
const retryPause = 500 * time.Millisecond

// runStage runs one stage with all its attempts and always answers with a result.
func runStage(ctx context.Context, stage *pipelines.Stage, needs []*Result, options *Options, bus *Bus) Result {
	started := time.Now()
	result, _ := retry[Result]{
		step: func(attempt int) step[Result] {
			return attemptStep(stage, needs, options, bus, attempt)
		},
		more:  stage.Retries,
		pause: retryPause,
		again: func(result Result, _ error) bool {
			return result.Outcome == event.Failed || result.Outcome == event.Errored
		},
	}.run(ctx)
	if stage.Retries > 0 {
		result.Duration = time.Since(started)
	}
	return result
}

// attemptStep is one attempt: told, bounded, contained, and its answer checked.
func attemptStep(stage *pipelines.Stage, needs []*Result, options *Options, bus *Bus, attempt int) step[Result] {
	var started time.Time
	tag := &event.Stage{Name: stage.Name, Attempt: attempt}
	errTag := &event.Stage{Name: stage.Name, Attempt: attempt, Stderr: true}
	job := Job{
		Stage: stage, Needs: needs, Env: options.Env, NoCache: options.NoCache,
		Secrets: granted(stage, options.Secrets),
		Output: func(line string, stderr bool) {
			of := tag
			if stderr {
				of = errTag
			}
			bus.Observe(event.Event{Type: event.StageOutput, Stage: of, Text: line})
			if options.output != nil {
				options.output(stage.Name, line)
			}
		},
	}
	return observe[Result]{
		before: func() {
			started = time.Now()
			bus.Observe(event.Event{Type: event.StageStarted, Time: started, Stage: &event.Stage{
				Name: stage.Name, Title: stage.Title, Needs: stage.Needs, Moment: moment(stage), Attempt: attempt,
			}})
		},
		step: stepFunc[Result](func(ctx context.Context) (Result, error) {
			result, err := timeout[Result]{
				step: contain[Result]{
					what: fmt.Sprintf("the executor of stage %s", stage.Name),
					step: stepFunc[Result](func(ctx context.Context) (Result, error) { return options.Session.Run(ctx, job) }),
				},
				after: stage.Timeout,
				late:  func(result Result, err error) (Result, error) { return timedOut(stage, result, err) },
			}.run(ctx)
			return checked(stage, result, err, time.Since(started)), nil
		}),
		after: func(result Result, _ error) {
			bus.Observe(event.Event{Type: event.StageFinished, Stage: finishedEvent(stage, attempt, result)})
		},
	}
}

// granted picks the values of the secrets that the stage names.
func granted(stage *pipelines.Stage, secrets map[string]string) map[string]string {
	if len(stage.Secrets) == 0 {
		return nil
	}
	picked := make(map[string]string, len(stage.Secrets))
	for _, name := range stage.Secrets {
		if value, ok := secrets[name]; ok {
			picked[name] = value
		}
	}
	return picked
}

// timedOut is what an attempt comes to that its own timeout ended. A pass that came in the same moment is none: what it
// left may be half there.
func timedOut(stage *pipelines.Stage, result Result, err error) (Result, error) {
	if err != nil {
		return result, fmt.Errorf("stage %s ran into its time-out of %s: %w", stage.Name, stage.Timeout, err)
	}
	result.Outcome, result.TimedOut, result.ExitCode = event.Failed, true, -1
	result.Why = fmt.Sprintf("did not end within its time-out of %s", stage.Timeout)
	return result, nil
}

// checked turns what an executor answered into a result that holds together. An executor's word is not taken for a pass
// that contradicts itself.
func checked(stage *pipelines.Stage, result Result, err error, took time.Duration) Result {
	result.Stage = stage.Name
	if result.Duration == 0 {
		result.Duration = took
	}
	if err == nil {
		switch {
		case result.Outcome == event.Passed && result.ExitCode != 0:
			err = fmt.Errorf("the executor called stage %s passed and its exit code %d", stage.Name, result.ExitCode)
		case result.Outcome == event.Passed, result.Outcome == event.Failed, result.Outcome == event.Cancelled:
		case result.Outcome == event.Errored:
			err = errors.New(result.Why)
		default:
			err = fmt.Errorf("the executor ended stage %s with %q, which is no answer", stage.Name, result.Outcome)
		}
	}
	if err != nil {
		result.Outcome, result.Why, result.ExitCode = event.Errored, err.Error(), -1
	}
	if result.Outcome == event.Cancelled && result.Why == "" {
		result.Why = stopped
	}
	return result
}

func moment(stage *pipelines.Stage) string {
	if stage.When == "" {
		return string(pipelines.WhenBuild)
	}
	return string(stage.When)
}

func finishedEvent(stage *pipelines.Stage, attempt int, result Result) *event.Stage {
	return &event.Stage{
		Name: stage.Name, Title: stage.Title, Needs: stage.Needs, Moment: moment(stage), Attempt: attempt,
		Outcome: result.Outcome, ExitCode: result.ExitCode, Duration: result.Duration, Cached: result.Cached,
		Why: result.Why, Log: result.Log, TimedOut: result.TimedOut,
	}
}
