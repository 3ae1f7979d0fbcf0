package engine

import "context"

// step is one thing to do that flow control can be wrapped around: a stage's attempt, a gate's question, a whole run.
// Timeout, retry, ensure, parallel and observe are more steps over the same interface, one small file each.
type step[T any] interface {
	// run does it once. It returns soon after ctx ends. err means that it could not be done, never that the answer is no.
	run(ctx context.Context) (T, error)
}

// stepFunc makes a function a step.
type stepFunc[T any] func(ctx context.Context) (T, error)

func (f stepFunc[T]) run(ctx context.Context) (T, error) { return f(ctx) }
