package dagger

import (
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/pipelines"
)

var _ lastrun.Explainer = (*Session)(nil)

// Explain says what the stage's key is made of and what changed since it ran last from this machine. Whether the result is
// known is the engine's to say, when the stage is to run: there is no way to ask it before.
func (s *Session) Explain(_ context.Context, stage *pipelines.Stage, needs []*engine.Result) (lastrun.Explanation, error) {
	parts, set, err := s.partsOf(engine.Job{Stage: stage, Needs: needs})
	if err != nil {
		return lastrun.Explanation{}, err
	}
	last := s.last.Of(stage.Name)
	e := lastrun.Explanation{
		Stage: stage.Name, Key: parts.Key(), Decider: "the engine", Why: s.last.WhyNot(stage.Name, parts, set, gone), Parts: parts.Since(last),
	}
	if last != nil && last.Key == e.Key && last.Outcome == event.Passed && len(last.Missing) == 0 {
		e.Why = "nothing changed since " + last.Time.Local().Format("2006-01-02 15:04:05")
	}
	return e, nil
}

// partsOf are what the stage's result depends on, as the host executor's are, with the image in place of the machine's tools
// and platform. Not secrets' values. The engine makes its own key, of the container.
func (s *Session) partsOf(job engine.Job) (lastrun.Parts, *inputs.Set, error) {
	set, err := s.inputs.Of(job.Stage.Inputs)
	if err != nil {
		return lastrun.Parts{}, nil, fmt.Errorf("select the inputs of stage %s: %w", job.Stage.Name, err)
	}
	parts := lastrun.Parts{Format: "dagger 1", Definition: lastrun.Define(job.Stage), Inputs: set.Digest, Needs: lastrun.Needs(job)}
	parts.Definition.Put("image", job.Stage.Image, false)
	return parts, set, nil
}

// remember keeps what the stage ran with for the next explanation.
func (s *Session) remember(ctx context.Context, run *stageRun, parts lastrun.Parts, result engine.Result, err error) {
	if ctx.Err() != nil {
		return
	}
	last := &lastrun.Run{Key: run.key, Parts: parts, Outcome: result.Outcome, Time: run.started, Missing: result.Missing}
	if err != nil {
		last.Outcome = event.Errored
	}
	s.last.Record(run.job.Stage.Name, last, run.set)
}
