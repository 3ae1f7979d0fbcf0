package cli

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// What a dead promotion left keeps nobody from taking the app out of service, or from putting it back: a deployment, which would
// put it in order, refuses while maintenance is on.
func TestMaintenanceDoesNotWaitForWhatADeadPromotionLeft(t *testing.T) {
	t.Parallel()
	record, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	lease, err := record.Acquire(t.Context(), "app", "production", "p1")
	if err == nil {
		err = record.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: "p1", Run: "RUN1", State: promotion.Shifting, Step: "shift-50", Touched: true})
	}
	if err = errors.Join(err, record.Release(t.Context(), lease)); err != nil {
		t.Fatal(err)
	}
	r := &run{id: "RUN2", ledger: record, pipeline: &pipelines.Pipeline{Name: "app"}, environment: &pipelines.Environment{Name: "production"}}
	done := 0
	do := func(string) error { done++; return nil }
	if err := r.underLease(t.Context(), do); err == nil || done != 0 || !strings.Contains(err.Error(), "p1") {
		t.Errorf("other operations: %v, %d", err, done)
	}
	for range 2 { // on and off
		if err := r.besideUnfinished(t.Context(), func(id string, left []promotion.Checkpoint) error {
			if len(left) != 1 || left[0].Promotion != "p1" {
				t.Errorf("%+v", left)
			}
			return do(id)
		}); err != nil {
			t.Error(err)
		}
	}
	if done != 2 {
		t.Error(done)
	}
}

// TestARollbackSaysWhatStaysReadOnly: the version that traffic goes back to cannot write either.
func TestARollbackSaysWhatStaysReadOnly(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		on      cloudflare.Maintenance
		unknown error
		want    string // "" for nothing
	}{
		"in service":   {},
		"one table":    {on: cloudflare.Maintenance{Tables: []string{"d.a"}}, want: "1 table cannot be written"},
		"two":          {on: cloudflare.Maintenance{Tables: []string{"d.a", "d.b"}}, want: "2 tables cannot be written"},
		"nobody knows": {unknown: errors.New("the API is down"), want: "could not be found out: the API is down"},
	} {
		said := strings.Join(readOnlyMeanwhile(row.on, row.unknown, "production"), "\n")
		if (said == "") != (row.want == "") || !strings.Contains(said, row.want) || said != "" && !strings.Contains(said, "production") {
			t.Errorf("%s: %q does not say %q", name, said, row.want)
		}
	}
}

func TestWhatBecomesOfMessagesInMaintenance(t *testing.T) {
	t.Parallel()
	ten := 10
	said := queuesMeanwhile([]wrangler.QueueConsumer{
		{Queue: "jobs"}, {Queue: "mails", MaxRetries: &ten, DeadLetterQueue: "dead"}, {Queue: "pulled", Type: "http_pull"},
	}, 30*time.Minute)
	if len(said) != 2 {
		t.Fatalf("%q", said)
	}
	for i, wanted := range [][]string{
		{"queue jobs", "30 m, 3 times", "they are lost", "resume-delivery jobs"},
		{"queue mails", "10 times", "they go to queue dead", "pause-delivery mails"},
	} {
		for _, want := range wanted {
			if !strings.Contains(said[i], want) {
				t.Errorf("%q does not say %q", said[i], want)
			}
		}
	}
}

// TestDataThatCannotBePutBack is refused before a rollback begins.
func TestDataThatCannotBePutBack(t *testing.T) {
	t.Parallel()
	breaking := []promotion.Applied{{}}
	for name, row := range map[string]struct {
		planned promotion.Rollback
		choice  promotion.DataChoice
		says    string
	}{
		"nothing breaks":        {promotion.Rollback{}, promotion.DataRestored, "leave --restore-data out"},
		"it is forgotten":       {promotion.Rollback{Breaking: breaking}, promotion.DataRestored, "--code-only"},
		"there is a bookmark":   {promotion.Rollback{Breaking: breaking, Bookmark: "b"}, promotion.DataRestored, ""},
		"the data stays anyway": {promotion.Rollback{Breaking: breaking}, promotion.DataKept, ""},
	} {
		err := restorable(row.planned, row.choice)
		if code, next := classify(err); (err != nil) != (row.says != "") || (err != nil && code != ExitUsage) || !strings.Contains(next, row.says) {
			t.Errorf("%s: %v, next %q", name, err, next)
		}
	}
}
