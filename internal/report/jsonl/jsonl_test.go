package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/event"
)

// TestEachEventIsALine: what is read back is what was told, and markup in it stays readable.
func TestEachEventIsALine(t *testing.T) {
	t.Parallel()
	events := []event.Event{
		{Type: event.StageOutput, Run: "r", Stage: &event.Stage{Name: "test"}, Text: "a < b && \"c\"\nd"},
		{Type: event.RunFinished, Run: "r", Result: &event.Result{Outcome: "failed", ExitCode: 3}},
	}
	var out bytes.Buffer
	writer := New(&out)
	for _, e := range events {
		writer.Observe(e)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(events) || !strings.Contains(lines[0], `a < b && \"c\"\nd`) {
		t.Fatalf("got %q", lines)
	}
	for i, line := range lines {
		var got event.Event
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(events[i], got); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
}

type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) { b.writes++; return 0, errors.New("the reader went away") }

func TestAReaderThatWentAwayIsLeftAlone(t *testing.T) {
	t.Parallel()
	var pipe broken
	writer := New(&pipe)
	writer.Observe(event.Event{Type: event.Note})
	writer.Observe(event.Event{Type: event.Note})
	if pipe.writes != 1 {
		t.Errorf("%d writes to a reader that went away", pipe.writes)
	}
}
