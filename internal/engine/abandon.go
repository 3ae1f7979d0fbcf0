package engine

import (
	"context"
	"time"
)

// abandon stops waiting for a step that does not come back although its context has ended: after the grace it answers
// with gaveUp instead. It is for steps that leave nothing behind on this machine; the goroutine itself stays until the
// step returns.
type abandon[T any] struct {
	step   step[T]
	grace  time.Duration
	gaveUp func() (T, error)
}

func (s abandon[T]) run(ctx context.Context) (T, error) {
	type reply struct {
		answer T
		err    error
	}
	replies := make(chan reply, 1)
	go func() {
		answer, err := s.step.run(ctx)
		replies <- reply{answer, err}
	}()
	select {
	case r := <-replies:
		return r.answer, r.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(s.grace)
	defer timer.Stop()
	select {
	case r := <-replies:
		return r.answer, r.err
	case <-timer.C:
		return s.gaveUp()
	}
}
