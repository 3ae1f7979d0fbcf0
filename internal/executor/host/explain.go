package host

import (
	"context"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/pipelines"
)

var _ lastrun.Explainer = (*Session)(nil)

// gone is why a result is not known when nothing changed.
const gone = "the result is no longer in the cache"

// Explain says what the stage's key is made of and what changed since it ran last.
func (s *Session) Explain(_ context.Context, stage *pipelines.Stage, needs []*engine.Result) (lastrun.Explanation, error) {
	p, set, err := s.partsOf(engine.Job{Stage: stage, Needs: needs})
	if err != nil {
		return lastrun.Explanation{}, err
	}
	last := s.last.Of(stage.Name)
	e := lastrun.Explanation{Stage: stage.Name, Key: p.Key(), Why: s.last.WhyNot(stage.Name, p, set, gone), Parts: p.Since(last)}
	if isResult(last, stage, e.Key) {
		e.Cached, e.Why = true, unchangedSince(last.Time)
	} else if entry, err := s.cache.lookup(e.Key); err == nil && entry != nil {
		if problem := s.usable(stage, entry); problem != nil {
			e.Why = problem.Error() + ", so it runs again"
		} else {
			e.Cached, e.Why = true, unchangedSince(entry.Made)
		}
	}
	return e, nil
}

// isResult reports whether the last run is the whole result of that key. Where results grow old, entries say how old.
func isResult(last *lastrun.Run, stage *pipelines.Stage, key string) bool {
	return last != nil && last.Bare && last.Outcome == event.Passed && last.Key == key && stage.MaxAge == 0
}
