package engine

import (
	"context"
	"time"
)

// maxPause bounds the pause between two attempts, however many there were.
const maxPause = 10 * time.Second

// retry runs a step again while again says so, at most more times after the first, with a pause that doubles. What the
// last attempt answered is the answer. Once ctx has ended there are no more attempts.
type retry[T any] struct {
	step  func(attempt int) step[T] // attempts count from 1
	more  int
	pause time.Duration
	again func(answer T, err error) bool
}

func (s retry[T]) run(ctx context.Context) (T, error) {
	pause := s.pause
	for attempt := 1; ; attempt++ {
		answer, err := s.step(attempt).run(ctx)
		if attempt > s.more || ctx.Err() != nil || !s.again(answer, err) {
			return answer, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		}
		pause = min(2*pause, maxPause)
	}
}
