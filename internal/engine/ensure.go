package engine

import (
	"context"
	"errors"
	"time"
)

// ensure runs cleanUp after a step however it went: answered, failed, panicked or cancelled. cleanUp gets a context of
// its own that outlives the run's and is bounded by grace. Its error is added to the step's, never put in its place.
type ensure[T any] struct {
	step    step[T]
	cleanUp func(ctx context.Context) error
	grace   time.Duration
}

func (s ensure[T]) run(ctx context.Context) (answer T, err error) {
	defer func() {
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
		defer cancel()
		if cleanErr := s.cleanUp(fresh); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
	}()
	return s.step.run(ctx)
}
