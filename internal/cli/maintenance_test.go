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

// TestARollbackInMaintenanceSaysSo: people may see something else than the version that traffic goes back to.
func TestARollbackInMaintenanceSaysSo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		on      cloudflare.Maintenance
		unknown error
		want    []string // one a warning
	}{
		"in service":      {},
		"a page":          {on: cloudflare.Maintenance{Routes: []string{"a.example.com/*"}, Domains: []string{"b.example.com"}}, want: []string{"the maintenance page at a.example.com/* and b.example.com"}},
		"a version":       {on: cloudflare.Maintenance{Version: "v9"}, want: []string{"the rollback ends it"}},
		"read-only":       {on: cloudflare.Maintenance{Tables: []string{"d.a", "d.b"}}, want: []string{"2 tables cannot be written"}},
		"page and tables": {on: cloudflare.Maintenance{Routes: []string{"a/*"}, Tables: []string{"d.a"}}, want: []string{"the maintenance page", "1 table cannot be written"}},
		"nobody knows":    {unknown: errors.New("the API is down"), want: []string{"could not be found out: the API is down"}},
	} {
		said := maintenanceMeanwhile(row.on, row.unknown, "production")
		if len(said) != len(row.want) {
			t.Errorf("%s: %q", name, said)
			continue
		}
		for i, want := range row.want {
			if !strings.Contains(said[i], want) || !strings.Contains(said[i], "production") {
				t.Errorf("%s: %q does not say %q", name, said[i], want)
			}
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
