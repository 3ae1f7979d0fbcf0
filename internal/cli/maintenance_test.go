package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/wrangler"
)

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
		{"queue jobs", "30m0s, 3 times", "they are lost", "resume-delivery jobs"},
		{"queue mails", "10 times", "they go to queue dead", "pause-delivery mails"},
	} {
		for _, want := range wanted {
			if !strings.Contains(said[i], want) {
				t.Errorf("%q does not say %q", said[i], want)
			}
		}
	}
}
