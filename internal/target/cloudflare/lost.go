package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// repeats is how often a change is asked for when each reply was lost and each look showed that nothing had happened.
const repeats = 3

// lookBeforeRepeating makes a change whose reply may be lost. After a lost reply it looks, for as long as the first
// attempt may still be at work, and asks again only when the change is not there.
func (t *Target) lookBeforeRepeating(ctx context.Context, change func() error, happened func() (bool, error)) error {
	for attempt := 1; ; attempt++ {
		err := change()
		if err == nil || !errors.Is(err, promotion.ErrUnreachable) {
			return err
		}
		done, lookErr := t.look(ctx, happened)
		if lookErr != nil {
			return fmt.Errorf("%w (and could not find out whether it was done: %w)", err, lookErr)
		}
		if done {
			t.note("the reply was lost, but the change was made: %v", err)
			return nil
		}
		if attempt == repeats {
			return err
		}
		t.note("no reply, and the change was not made; asking again: %v", err)
	}
}

// look asks several times, since a change whose reply was lost may not be done yet.
func (t *Target) look(ctx context.Context, happened func() (bool, error)) (bool, error) {
	for i := range t.pace.looks {
		if err := sleep(ctx, t.pace.settle<<i); err != nil {
			return false, err
		}
		done, err := happened()
		if err != nil || done {
			return done, err
		}
	}
	return false, nil
}

// repeatHarmless makes a change that may be made twice without harm, so that a lost reply needs no look.
func (t *Target) repeatHarmless(ctx context.Context, change func() error) error {
	for attempt := 1; ; attempt++ {
		err := change()
		if !errors.Is(err, promotion.ErrUnreachable) || attempt == repeats {
			return err
		}
		if err := sleep(ctx, t.pace.settle<<attempt); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
