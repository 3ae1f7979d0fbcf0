package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func value(n int) step[int] {
	return stepFunc[int](func(context.Context) (int, error) { return n, nil })
}

func TestTimeoutStep(t *testing.T) {
	t.Parallel()
	late := func(int, error) (int, error) { return -1, nil }
	if got, _ := (timeout[int]{step: value(1), after: time.Minute, late: late}).run(context.Background()); got != 1 {
		t.Errorf("in time: %d", got)
	}
	patient := stepFunc[int](func(ctx context.Context) (int, error) { <-ctx.Done(); return 2, nil })
	if got, _ := (timeout[int]{step: patient, after: time.Millisecond, late: late}).run(context.Background()); got != -1 {
		t.Errorf("too late: %d", got)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if got, _ := (timeout[int]{step: patient, after: time.Minute, late: late}).run(stopped); got != 2 {
		t.Errorf("a run that was stopped counts as a time-out: %d", got)
	}
}

func TestRetryStep(t *testing.T) {
	t.Parallel()
	var attempts []int
	failing := retry[int]{
		step: func(attempt int) step[int] {
			return stepFunc[int](func(context.Context) (int, error) {
				attempts = append(attempts, attempt)
				return attempt, errors.New("no")
			})
		},
		more: 2, pause: time.Microsecond, again: func(_ int, err error) bool { return err != nil },
	}
	if got, err := failing.run(context.Background()); got != 3 || err == nil || len(attempts) != 3 {
		t.Errorf("%d, %v after attempts %v", got, err, attempts)
	}
	attempts = nil
	failing.pause = time.Hour
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if got, _ := failing.run(ctx); got != 1 || len(attempts) != 1 {
		t.Errorf("stopped while it waits: %d after %v", got, attempts)
	}
}

func TestEnsureStep(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cleaned := 0
	cleanUp := func(ctx context.Context) error {
		cleaned++
		if ctx.Err() != nil {
			t.Error("the clean-up got a context that has ended")
		}
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the clean-up is not bounded")
		}
		return errors.New("not clean")
	}
	for _, inner := range []step[int]{value(1), stepFunc[int](func(context.Context) (int, error) { return 1, errors.New("failed") })} {
		_, err := ensure[int]{step: inner, cleanUp: cleanUp, grace: time.Minute}.run(ctx)
		if err == nil || !strings.Contains(err.Error(), "not clean") {
			t.Errorf("got %v", err)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = ensure[int]{step: stepFunc[int](func(context.Context) (int, error) { panic("x") }), cleanUp: cleanUp, grace: time.Minute}.run(ctx)
	}()
	if cleaned != 3 {
		t.Errorf("cleaned up %d times of 3", cleaned)
	}
}

func TestParallelStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, limit = 20, 3
		var running atomic.Int32
		turn := make(chan struct{})
		var steps []step[int]
		for i := range n {
			steps = append(steps, stepFunc[int](func(context.Context) (int, error) {
				running.Add(1)
				<-turn
				running.Add(-1)
				if i == 7 || i == 3 {
					return i, errors.New(strings.Repeat("x", i))
				}
				return i, nil
			}))
		}
		go func() {
			for left := n; left > 0; left-- {
				synctest.Wait() // whatever could begin has begun
				if at := int(running.Load()); at != min(limit, left) {
					t.Errorf("%d run at once with %d left, want %d", at, left, min(limit, left))
				}
				turn <- struct{}{}
			}
		}()
		answers, err := parallel[int]{steps: steps, limit: limit}.run(t.Context())
		for i, answer := range answers {
			if answer != i {
				t.Errorf("answer %d is %d", i, answer)
			}
		}
		if err == nil || err.Error() != "xxx" {
			t.Errorf("error %v", err)
		}
	})
}

func TestObserveStep(t *testing.T) {
	t.Parallel()
	var told []string
	_, _ = observe[int]{
		before: func() { told = append(told, "before") },
		step:   stepFunc[int](func(context.Context) (int, error) { told = append(told, "step"); return 0, nil }),
		after:  func(int, error) { told = append(told, "after") },
	}.run(context.Background())
	if got := strings.Join(told, " "); got != "before step after" {
		t.Errorf("told %s", got)
	}
}

func TestContainStep(t *testing.T) {
	t.Parallel()
	_, err := contain[int]{what: "the executor of stage x", step: stepFunc[int](func(context.Context) (int, error) { panic("boom") })}.run(context.Background())
	if err == nil || !strings.HasPrefix(err.Error(), "the executor of stage x panicked: boom\n") {
		t.Errorf("got %v", err)
	}
}

func TestAbandonStep(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	release := make(chan struct{})
	defer close(release)
	hanging := stepFunc[int](func(context.Context) (int, error) { <-release; return 1, nil })
	gaveUp := func() (int, error) { return -1, errors.New("gave up") }
	if got, err := (abandon[int]{step: hanging, grace: time.Millisecond, gaveUp: gaveUp}).run(ctx); got != -1 || err == nil {
		t.Errorf("%d, %v", got, err)
	}
	if got, err := (abandon[int]{step: value(1), grace: time.Minute, gaveUp: gaveUp}).run(ctx); got != 1 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}
