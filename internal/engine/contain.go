package engine

import (
	"context"
	"fmt"
	"runtime/debug"
)

// contain turns a panic of a step into an error that names what was being done, so that a bug in an executor or a
// gatekeeper is one stage's or one gate's error and never the process's end.
type contain[T any] struct {
	step step[T]
	what string
}

func (s contain[T]) run(ctx context.Context) (answer T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", s.what, cause, firstFrames(debug.Stack()))
		}
	}()
	return s.step.run(ctx)
}

// firstFrames bounds a stack trace to what a bug report needs.
func firstFrames(stack []byte) []byte {
	const enough = 4096
	return stack[:min(len(stack), enough)]
}
