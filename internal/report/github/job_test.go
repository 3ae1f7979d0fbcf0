package github

import (
	"net/http"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/githubtest"
)

// TestJobDeploys finds the deployment that GitHub made for the job and will end, and no other.
func TestJobDeploys(t *testing.T) {
	t.Parallel()
	const here, job = "https://github.example/o/r/actions/runs/5", "https://github.example/o/r/actions/runs/5/job/9"
	waits := event.Result{Outcome: "waiting", ExitCode: 5, Reason: "waits for ops"}
	for name, row := range map[string]struct {
		made func(g *githubtest.GitHub)
		want bool
	}{
		"none but ours":                     {func(*githubtest.GitHub) {}, false},
		"of another workflow run":           {func(g *githubtest.GitHub) { g.Deploy(sha, "production", "in_progress", here+"5/job/1") }, false},
		"of a job before, which has ended":  {func(g *githubtest.GitHub) { g.Deploy(sha, "staging", "success", job) }, false},
		"of the job":                        {func(g *githubtest.GitHub) { g.Deploy(sha, "production", "in_progress", job) }, true},
		"of the job, by another name":       {func(g *githubtest.GitHub) { g.Deploy(sha, "prod", "in_progress", job) }, true},
		"of the job, for the merged commit": {func(g *githubtest.GitHub) { g.Deploy(merge, "production", "in_progress", job) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := hub(t)
			row.made(g)
			r := open(t, g, nil)
			if problems := tell(t, r, story{steps: true, result: waits}); len(problems) > 0 {
				t.Fatal(problems)
			}
			if got, err := r.JobDeploys(t.Context(), sha, merge, sha, ""); err != nil || got != row.want {
				t.Errorf("%v, %v", got, err)
			}
			g.Break(func(*http.Request) githubtest.Fault { return githubtest.Fault{Status: 403, Message: "Forbidden"} })
			if _, err := r.JobDeploys(t.Context(), sha); err == nil {
				t.Error("what GitHub did not tell counts as an answer")
			}
		})
	}
	g := hub(t)
	for range mostDeployments {
		g.Deploy(sha, "x", "success", "")
	}
	if _, err := open(t, g, nil).JobDeploys(t.Context(), sha); err == nil {
		t.Error("what is behind the deployments that were looked at counts as not there")
	}
}
