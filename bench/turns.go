package main

import (
	"context"
	"fmt"
	"time"
)

// contender is one of several that do the same work.
type contender struct {
	Name string
	Does string // what it really does, in half a sentence
	// run does the work once. It is nil when the contender is not there, and Missing says why.
	run func(context.Context) (sample, error)
	// none does the same with nothing to do; nil where that is no work at all.
	none    func(context.Context) (sample, error)
	Missing string
}

// outcome is what a contender's runs came to.
type outcome struct {
	wall  figure
	extra figure // what each run took beyond one of none just before it
	peak  int64
	floor int64 // what peak could not have been below
}

const (
	fewestRuns = 3
	mostRuns   = 15
)

// takeTurns runs every contender fewestRuns times, and further until the time for this comparison is used up or each had
// mostRuns. They take turns, and every round begins with another one, so that none always meets the same neighbour.
func takeTurns(ctx context.Context, contenders []contender, share time.Duration) ([]outcome, error) {
	walls := make([][]time.Duration, len(contenders))
	extras := make([][]time.Duration, len(contenders))
	outcomes := make([]outcome, len(contenders))
	began := time.Now()
	for round := 0; round < mostRuns && (round < fewestRuns || time.Since(began) < share); round++ {
		for turn := range contenders {
			i := (round + turn) % len(contenders)
			if contenders[i].run == nil {
				continue
			}
			floor := peakFloor()
			none, err := noneOf(ctx, contenders[i])
			if err != nil {
				return nil, err
			}
			whole, err := contenders[i].run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", contenders[i].Name, err)
			}
			walls[i] = append(walls[i], whole.wall)
			extras[i] = append(extras[i], whole.wall-none.wall)
			outcomes[i].peak = max(outcomes[i].peak, whole.peak)
			outcomes[i].floor = max(outcomes[i].floor, floor)
		}
	}
	for i := range contenders {
		if len(walls[i]) > 0 {
			outcomes[i].wall, outcomes[i].extra = summarise(walls[i]), summarise(extras[i])
		}
	}
	return outcomes, nil
}

func noneOf(ctx context.Context, c contender) (sample, error) {
	if c.none == nil {
		return sample{}, nil
	}
	taken, err := c.none(ctx)
	if err != nil {
		return sample{}, fmt.Errorf("%s, with nothing to do: %w", c.Name, err)
	}
	return taken, nil
}

// against gives each contender the one of the same place that has nothing to do.
func against(none, contenders []contender) []contender {
	for i := range contenders {
		contenders[i].none = none[i].run
	}
	return contenders
}
