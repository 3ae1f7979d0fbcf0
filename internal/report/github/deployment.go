package github

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/internal/report/account"
	"github.com/penstock-ci/penstock/internal/report/markdown"
)

// deployment is what is known of ours on GitHub. Only the outbox's goroutine uses it.
type deployment struct{ id int64 }

// putDeployment queues the deployment's state: queued while stages and gates run, in_progress while it is promoted, then
// what it came to. What waits for people is pending. GitHub itself makes the deployment before inactive.
func (r *Reporter) putDeployment() {
	a := &r.account
	if !r.options.Deploys || !a.Promotes() {
		return
	}
	state, says := "queued", "stages and gates"
	for _, step := range a.Steps {
		if step.Began {
			state, says = "in_progress", step.Name
		}
	}
	if a.Result != nil {
		says = a.Result.Reason
		switch a.Ending() {
		case account.Passed:
			state = "success"
		case account.Waiting:
			state = "pending"
		case account.Failed:
			state = "failure"
		case account.Running, account.Unknown:
			state = "error"
		}
		if a.Result.Outcome == "busy" { // somebody else deploys: nothing of this is, or will be, live
			state = "inactive"
		}
	}
	if says == "" {
		says = markdown.Headline(a)
	}
	says = markdown.Line(says, maxDescription)
	status := &github.DeploymentStatusRequest{State: &state, Description: &says, AutoInactive: github.Bool(true)}
	if r.links.Run != "" {
		status.LogURL = &r.links.Run
	}
	if a.Result != nil && a.Result.URL != "" && state == "success" {
		status.EnvironmentURL = github.String(a.Result.URL)
	}
	environment, run := a.Info.Environment, a.Run
	r.put("deployment", "deployment", state+says, func(ctx context.Context, _ int) error {
		if err := r.openDeployment(ctx, environment, run); err != nil {
			return err
		}
		_, _, err := r.client.Repositories.CreateDeploymentStatus(ctx, r.owner, r.name, r.deployment.id, status)
		return err
	})
}

// putOperation queues what an operation on the environment that deploys no commit (a rollback) means for its deployments: the
// newest is what it took back.
func (r *Reporter) putOperation() {
	a := &r.account
	if a.Result == nil || a.Ending() != account.Passed || !r.options.Deploys {
		return
	}
	// A secret that was put makes a new version live too, and takes nothing back.
	if a.Info.Command != "rollback" || a.Result.Previous == "" || a.Result.Previous == a.Result.Version {
		return
	}
	says := markdown.Line(a.Info.Command+": version "+a.Result.Version+" is live", maxDescription)
	environment := a.Info.Environment
	r.put("operation", "deployment", says, func(ctx context.Context, _ int) error {
		newest, _, err := r.client.Repositories.ListDeployments(ctx, r.owner, r.name, &github.DeploymentsListOptions{
			Environment: environment, ListOptions: github.ListOptions{PerPage: 1},
		})
		if err != nil || len(newest) == 0 {
			return err
		}
		status := &github.DeploymentStatusRequest{State: github.String("inactive"), Description: &says}
		if r.links.Run != "" {
			status.LogURL = &r.links.Run
		}
		_, _, err = r.client.Repositories.CreateDeploymentStatus(ctx, r.owner, r.name, newest[0].GetID(), status)
		return err
	})
}

// openDeployment finds the deployment of this run, or makes it. A job with `environment:` has one already, which GitHub made;
// a second beside it would only confuse.
func (r *Reporter) openDeployment(ctx context.Context, environment, run string) error {
	if r.deployment.id != 0 {
		return nil
	}
	found, _, err := r.client.Repositories.ListDeployments(ctx, r.owner, r.name, &github.DeploymentsListOptions{
		SHA: r.options.Place.Commit, Environment: environment, ListOptions: github.ListOptions{PerPage: 20},
	})
	if err != nil {
		return err
	}
	for _, old := range found {
		if r.madeHere(ctx, old, run) {
			r.deployment.id = old.GetID()
			return nil
		}
	}
	made, _, err := r.client.Repositories.CreateDeployment(ctx, r.owner, r.name, &github.DeploymentRequest{
		Ref: github.String(r.options.Place.Commit), Environment: &environment, Task: github.String("deploy"), Description: github.String("Penstock"),
		AutoMerge: github.Bool(false),
		// None: Penstock's own gates decide, and its own statuses are pending right now.
		RequiredContexts:      &[]string{},
		Payload:               map[string]string{"penstock": run},
		ProductionEnvironment: github.Bool(environment == "production"),
	})
	if err != nil {
		return err
	}
	r.deployment.id = made.GetID()
	return nil
}

// madeHere says whether a deployment is of this run: by what we put into it, or by its first status, which points into the
// workflow run that we are part of.
func (r *Reporter) madeHere(ctx context.Context, old *github.Deployment, run string) bool {
	var payload struct{ Penstock string }
	if json.Unmarshal(old.Payload, &payload) == nil && payload.Penstock != "" {
		return payload.Penstock == run
	}
	if r.links.Run == "" {
		return false
	}
	statuses, _, err := r.client.Repositories.ListDeploymentStatuses(ctx, r.owner, r.name, old.GetID(), &github.ListOptions{PerPage: 20})
	if err != nil {
		return false
	}
	for _, status := range statuses {
		if log := status.GetLogURL(); log == r.links.Run || strings.HasPrefix(log, r.links.Run+"/") {
			return true
		}
	}
	return false
}
