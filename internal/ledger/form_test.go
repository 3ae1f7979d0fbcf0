package ledger_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// TestTheFormOfRecordsStays: verify makes the tables again from the events and compares them as text. A key that is renamed, taken away or
// left out where it was written says of every ledger that is there that somebody changed it. New keys must be left out while they
// are empty.
func TestTheFormOfRecordsStays(t *testing.T) {
	t.Parallel()
	for want, record := range map[string]any{
		`{"app":"","folder":"","sourceDigest":"","files":0,"executor":"","stages":null,"gates":null}`: event.RunInfo{},
		`{"name":""}`: event.Stage{},
		`{"name":"","phase":"","enforcement":""}`:  event.Gate{},
		`{"name":"","title":""}`:                   event.Step{},
		`{"outcome":"","exitCode":0,"duration":0}`: event.Result{},
		`{"digest":"","changes":null}`:             event.Plan{},
		`{"digest":"","size":0,"modules":0}`:       event.Bundle{},
		`{"promotion":"","state":"","previous":null,"plan":"","updatedAt":"2026-01-02T00:00:00Z"}`: promotion.Checkpoint{UpdatedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
	} {
		if got, err := json.Marshal(record); err != nil || string(got) != want {
			t.Errorf("%T is written as\n%s, and ledgers have\n%s (%v)", record, got, want, err)
		}
	}
}
