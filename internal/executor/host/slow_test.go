package host_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
)

// Whoever is slow to listen does not cost the log its end.
func TestASlowListenerDoesNotCutTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stage := script("talks", `sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do printf "%02000d\n" $i; done'`)
	s := w.open(stage)
	job := s.job(&stage)
	heard := 0
	job.Output = func(string, bool) {
		if heard++; heard <= 20 {
			time.Sleep(120 * time.Millisecond)
		}
	}
	result, err := s.Run(context.Background(), job)
	if err != nil || result.Outcome != event.Passed {
		t.Fatalf("%+v, %v", result, err)
	}
	log, err := os.ReadFile(result.Log)
	if err != nil || strings.Count(string(log), "\n") != 30 || heard != 30 {
		t.Errorf("%d lines of 30 in the log, %d were heard; %v", strings.Count(string(log), "\n"), heard, err)
	}
}
