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
			{ID: "v7", Number: 7, Message: `Updated secret "TOKEN"`},
			{ID: "v6", Number: 6, Message: `Updated secret "OLD"`},
			{ID: "v5", Number: 5, Message: secretMessage + "JWT", Tag: secretTag + "01p"},
			{ID: "v4", Number: 4, Message: `we Updated secret "NOT_THIS" by hand`},
			{ID: "v3", Number: 3, Message: "live"},
			{ID: "v2", Number: 2, Message: `Updated secret "LIVE_ALREADY"`},
		},
	}
	said := func() []string {
		var changes []string
		for _, change := range waitingSecrets(state) {
			changes = append(changes, change.Action+" "+change.Name+": "+change.To)
		}
		return changes
	}
	want := []string{
		"remove OLD: deleted by wrangler since, in version v8", "update TOKEN: a value that was put by wrangler since, in version v7",
		"update JWT: a value that was put since, in version v5",
	}
	if diff := cmp.Diff(want, said()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Cloudflare lists a hundred versions. A live one that is older than all of them is the oldest.
	state.Versions = state.Versions[:5]
	if diff := cmp.Diff(want, said()); diff != "" {
		t.Errorf("of a live version that is not listed any more (-want +got):\n%s", diff)
	}
	state.Shares = nil
	if waiting := said(); len(waiting) > 0 {
		t.Errorf("before anything is live: %v", waiting)
	}
}
