package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// BenchmarkWarmRun is what the ledger costs a run in which nothing changed: about 20 events, a lease, its checkpoints.
func BenchmarkWarmRun(b *testing.B) {
	l := fresh(b)
	ctx := context.Background()
	n := 0
	for b.Loop() {
		n++
		run := fmt.Sprintf("r%d", n)
		observer := l.Observer()
		events := aRun(run)
		for _, e := range events[:5] {
			observer.Observe(e)
			observer.Observe(e)
		}
		observer.Observe(events[5])
		observer.Observe(events[6])
		lease, err := l.Acquire(ctx, "guide", "local", run)
		if err != nil {
			b.Fatal(err)
		}
		step := event.Event{Type: event.StepFinished, Run: run, Step: &event.Step{Name: "check"}}
		for _, phase := range []promotion.Phase{promotion.Leased, promotion.Leased, promotion.Completed} {
			if err := l.Checkpoint(ctx, lease, promotion.Checkpoint{Promotion: run, State: phase, Version: "v"}, step); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.Release(ctx, lease); err != nil {
			b.Fatal(err)
		}
		observer.Observe(events[7])
		if err := observer.Close(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenAndClose(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ledger.db")
	l := open(b, path)
	for i := range 200 {
		tell(b, l, aRun(fmt.Sprintf("r%d", i))...)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := Open(context.Background(), path)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	l := fresh(b)
	e := aRun("r1")[4]
	for b.Loop() {
		if err := l.Record(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify1000Events(b *testing.B) {
	l := fresh(b)
	observer := l.Observer()
	for i := range 143 {
		for _, e := range aRun(fmt.Sprintf("r%d", i)) {
			observer.Observe(e)
		}
	}
	if err := observer.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		sound(b, l)
	}
}
