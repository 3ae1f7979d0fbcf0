package engine

import (
	"context"
	"errors"
	"time"
)

// errTimedOut is the cause of a context that timeout ended, so that it can be told from a run that was stopped.
var errTimedOut = errors.New("the time-out was reached")

// timeout bounds a step. The step is asked to end through its context and waited for, so that nothing of it is left
// behind; what it then answered goes through late, which makes an answer of it that nobody can take for a success.
type timeout[T any] struct {
	step  step[T]
	after time.Duration // 0 is no bound
	late  func(answer T, err error) (T, error)
}

func (s timeout[T]) run(ctx context.Context) (T, error) {
	if s.after <= 0 {
		return s.step.run(ctx)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, s.after, errTimedOut)
	defer cancel()
	answer, err := s.step.run(bounded)
	if errors.Is(context.Cause(bounded), errTimedOut) {
		return s.late(answer, err)
	}
	return answer, err
}
