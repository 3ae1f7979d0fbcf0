package github

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/githubtest"
)

// TestReviews: who may review does, with a reason; who may not is told so, and nothing is decided.
func TestReviews(t *testing.T) {
	t.Parallel()
	may := map[string]string{"actions": "write", "deployments": "write"}
	g := githubtest.New(t, "o/r", githubtest.Token{Value: "mona", Login: "mona", Permissions: may}, githubtest.Token{Value: "hubot", Login: "hubot", Permissions: may})
	g.Wait(5, githubtest.Pending{EnvironmentID: 3, Environment: "production", Reviewers: []string{"mona"}})
	as := func(token string) *Reviews {
		reviews, err := NewReviews(g.URL, "o/r", token, "1")
		if err != nil {
			t.Fatal(err)
		}
		return reviews
	}
	pending, err := as("hubot").Pending(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Pending{{ID: 3, Environment: "production", Reviewers: []string{"mona"}}}, pending); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := as("hubot").Review(t.Context(), 5, pending[0], true, "x"); err == nil || !strings.Contains(err.Error(), "may review") {
		t.Errorf("somebody else reviews: %v", err)
	}
	if err := as("mona").Review(t.Context(), 5, pending[0], false, "not on a Friday"); err != nil {
		t.Fatal(err)
	}
	if got := g.PendingOf(5)[0]; got.State != "rejected" || got.By != "mona" || got.Comments[0] != "not on a Friday" {
		t.Errorf("%+v", got)
	}
	if _, err := as("mona").Pending(t.Context(), 99); err == nil {
		t.Error("a run that is not there")
	}
	if _, err := NewReviews(g.URL, "o/r/../x", "t", "1"); err == nil {
		t.Error("a repository that is a path")
	}
}
