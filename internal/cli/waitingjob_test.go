package cli

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/githubtest"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestWhatWaitsIsNoSuccess: whatever the job of a run that waits may end as, GitHub shows the run as pending; and the job may
// end green only where that stays so and somebody can go on with the run.
func TestWhatWaitsIsNoSuccess(t *testing.T) {
	t.Parallel()
	const aJob = "https://github.com/o/r/actions/runs/5/job/9"
	shared := pipelines.SharedLedger{D1: "penstock-ledger", R2: "penstock-vault"}
	for name, row := range map[string]struct {
		change func(j job, g *githubtest.GitHub, head string)
		says   string // the step's output
		told   bool   // GitHub could be told
	}{
		"with a shared ledger": {func(j job, _ *githubtest.GitHub, _ string) { j.run.environment.Ledger = shared }, "yes", true},
		"with a state folder that stays": {func(j job, _ *githubtest.GitHub, _ string) {
			j.variable["RUNNER_TEMP"] = filepath.Join(j.run.state, "temp")
		}, "yes", true},
		"whose record ends with the job": {func(j job, _ *githubtest.GitHub, _ string) {
			j.variable["RUNNER_TEMP"] = filepath.Dir(j.run.state)
		}, "nobody can go on with it", true},
		"that was not kept": {func(j job, _ *githubtest.GitHub, _ string) { j.run.held = false }, "nothing is kept of this run", true},
		"in a job with a deployment of its own": {func(j job, g *githubtest.GitHub, head string) {
			j.run.environment.Ledger = shared
			g.Deploy(head, "production", "in_progress", aJob)
		}, "deployment: false", true},
		"when it is not known whether the job has one": {func(j job, g *githubtest.GitHub, _ string) {
			j.run.environment.Ledger = shared
			g.Break(func(r *http.Request) githubtest.Fault {
				if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/deployments") && r.URL.Query().Get("environment") == "" {
					return githubtest.Fault{Status: 403, Message: "Resource not accessible by integration"}
				}
				return githubtest.Fault{}
			})
		}, "cannot be found out (the token needs `deployments`)", true},
		"without a token": {func(j job, _ *githubtest.GitHub, _ string) {
			j.run.environment.Ledger = shared
			delete(j.variable, "GITHUB_TOKEN")
		}, "cannot be found out", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, head := repository(t)
			g := githubtest.New(t, "o/r", githubtest.WorkflowToken(hubToken))
			g.Commit(head)
			j := newJob(t, g, folder, head, "", false)
			j.run.held, j.run.state = true, t.TempDir()
			row.change(j, g, head)
			err := j.play(t, event.Result{ExitCode: int(ExitWaiting), Reason: "waits for 1 of bea@example.com to approve plan p", NextStep: "`penstock approve RUN`"})
			if code, _ := classify(err); code != ExitWaiting {
				t.Errorf("exit code %d: %v", code, err)
			}
			outputs, summary, log := file(t, j.outputs), file(t, j.summary), j.err.String()
			if _, value, _ := strings.Cut(outputs, mayPassOutput+"<<"); !strings.Contains(value, row.says) || (row.says != "yes" && strings.Contains(value, "\nyes\n")) {
				t.Errorf("the step's outputs do not say %q:\n%s", row.says, outputs)
			}
			if !strings.Contains(outputs, "\nwaiting\n") || strings.Contains(outputs, "\ndone\n") {
				t.Errorf("the outcome:\n%s", outputs)
			}
			for where, text := range map[string]string{"summary": summary, "log": log} {
				for _, want := range []string{"Nothing of this run is live yet, and nothing failed", "RUN", "bea"} {
					if !strings.Contains(text, want) {
						t.Errorf("the %s does not say %q:\n%s", where, want, text)
					}
				}
			}
			if !strings.Contains(log, "::notice title=penstock%3A waiting::") || strings.Contains(log, "::error") {
				t.Errorf("the annotations:\n%s", log)
			}
			if !row.told {
				return
			}
			if got := g.StatusesOf(head)["penstock/production/deploy"]; got.State != "pending" {
				t.Errorf("the status: %+v", got)
			}
			for _, check := range g.Checks(head) {
				if check.Status != "in_progress" || check.Conclusion != "" {
					t.Errorf("the check run: %s %s", check.Status, check.Conclusion)
				}
			}
			deployments := g.Deployments()
			if len(deployments) != 1 || len(g.Checks(head)) != 1 {
				t.Error("there is no deployment, or no check run, that waits")
			}
			for _, deployment := range deployments {
				if last := deployment.Statuses[len(deployment.Statuses)-1]; last.State != "pending" {
					t.Errorf("the deployment: %+v", last)
				}
			}
		})
	}
}
