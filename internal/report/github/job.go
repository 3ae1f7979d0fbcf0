package github

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"
)

// mostDeployments bounds the deployments of one commit that are looked through for the job's own.
const mostDeployments = 100

// JobDeploys says whether GitHub made a deployment for the job that this process is a step of, as it does for one with
// `environment:` (docs.github.com, "Control deployments"). GitHub ends that deployment itself, as a success when the job ends
// green, whatever was reported to it before. commits are those that GitHub may have made it for. A deployment of another job
// of the same workflow run that is still open counts too: nothing that a step is told tells them apart.
func (r *Reporter) JobDeploys(ctx context.Context, commits ...string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Patience)
	defer cancel()
	seen := map[string]bool{"": true}
	for _, commit := range commits {
		if seen[commit] {
			continue
		}
		seen[commit] = true
		made, _, err := r.client.Repositories.ListDeployments(ctx, r.owner, r.name, &github.DeploymentsListOptions{SHA: commit, ListOptions: github.ListOptions{PerPage: mostDeployments}})
		if err != nil {
			return false, err
		}
		if len(made) == mostDeployments {
			return false, fmt.Errorf("commit %.12s has %d deployments or more", commit, mostDeployments)
		}
		for _, deployment := range made {
			if open, err := r.openInThisWorkflow(ctx, deployment); err != nil || open {
				return open, err
			}
		}
	}
	return false, nil
}

// openInThisWorkflow says whether a deployment is one that GitHub made in this workflow run and has not ended.
func (r *Reporter) openInThisWorkflow(ctx context.Context, deployment *github.Deployment) (bool, error) {
	var payload struct{ Penstock string }
	if json.Unmarshal(deployment.Payload, &payload) == nil && payload.Penstock != "" {
		return false, nil // ours, and nobody else ends it
	}
	statuses, _, err := r.client.Repositories.ListDeploymentStatuses(ctx, r.owner, r.name, deployment.GetID(), &github.ListOptions{PerPage: mostDeployments})
	if err != nil {
		return false, err
	}
	here, newest := false, &github.DeploymentStatus{}
	for _, status := range statuses {
		log := status.GetLogURL()
		here = here || log == r.links.Run || strings.HasPrefix(log, r.links.Run+"/")
		if status.GetID() > newest.GetID() {
			newest = status
		}
	}
	switch newest.GetState() {
	case "success", "failure", "error", "inactive":
		return false, nil
	default:
		return here, nil
	}
}
