package cloudflare

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// TestWaitingSecretsAreKnownWhoeverPutThem: a plan that does not know of one would take the very bundle for up to date.
func TestWaitingSecretsAreKnownWhoeverPutThem(t *testing.T) {
	t.Parallel()
	state := promotion.State{
		Shares: []promotion.Share{{Version: "v3", Percentage: 100}},
		Versions: []promotion.Version{
			{ID: "v8", Number: 8, Message: `Deleted secret "OLD"`},
			{ID: "v7", Number: 7, Message: "Bulk updated 2 secrets"},
			{ID: "v6", Number: 6, Message: `Updated secret "TOKEN"`},
			{ID: "v5", Number: 5, Message: secretMessage + "JWT", Tag: secretTag + "01p"},
			{ID: "v4", Number: 4, Message: `we Updated secret "NOT_THIS" by hand`},
			{ID: "v3", Number: 3, Message: "live"},
			{ID: "v2", Number: 2, Message: `Updated secret "LIVE_ALREADY"`},
		},
	}
	var names []string
	for _, change := range waitingSecrets(state) {
		names = append(names, change.Name+": "+change.To)
	}
	if diff := cmp.Diff([]string{
		"OLD: a value that was deleted by wrangler since, in version v8", "several: a value that was put by wrangler since, in version v7",
		"TOKEN: a value that was put by wrangler since, in version v6", "JWT: a value that was put since, in version v5",
	}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
