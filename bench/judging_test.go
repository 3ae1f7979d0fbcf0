package main

import (
	"testing"
	"time"
)

// TestSetStartedByHandShakesHands: what a set wants of its host changes with the wire; a measurement that had not followed
// would end in an error, after all that was measured before it.
func TestSetStartedByHandShakesHands(t *testing.T) {
	t.Parallel()
	b := &bench{root: "..", scratch: t.TempDir()}
	sets, err := b.buildSets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := startByHand(t.Context(), sets[:2], 2)
	if err != nil {
		t.Fatal(err)
	}
	if taken.wall <= 0 || taken.wall > time.Minute {
		t.Errorf("two starts took %s", taken.wall)
	}
}
