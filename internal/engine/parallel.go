package engine

import (
	"context"
	"sync"
)

// parallel runs steps side by side, at most limit at a time, and answers with all answers in the order of the steps. It
// always waits for every step; one that errs does not stop the others. The error is that of the first step, in order,
// that had one.
type parallel[T any] struct {
	steps []step[T]
	limit int
}

func (s parallel[T]) run(ctx context.Context) ([]T, error) {
	answers := make([]T, len(s.steps))
	errs := make([]error, len(s.steps))
	slots := make(chan struct{}, max(1, s.limit))
	var running sync.WaitGroup
	for i, step := range s.steps {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			answers[i], errs[i] = step.run(ctx)
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return answers, err
		}
	}
	return answers, nil
}
