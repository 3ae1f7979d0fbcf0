package engine

import "context"

// observe tells of a step before it begins and after it ended.
type observe[T any] struct {
	step   step[T]
	before func()
	after  func(answer T, err error)
}

func (s observe[T]) run(ctx context.Context) (T, error) {
	s.before()
	answer, err := s.step.run(ctx)
	s.after(answer, err)
	return answer, err
}
