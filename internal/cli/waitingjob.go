package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/penstock-ci/penstock/internal/report/markdown"
	"github.com/penstock-ci/penstock/pipelines"
)

// mayPassOutput is the step's output by which action.yml lets the job of a run that waits end green, with `waiting: pass`.
const mayPassOutput = "may-pass"

// mayPass is "yes" where a job that ends green says nothing wrong of a run that waits, and otherwise one line why it would:
// nobody can go on with the run, or GitHub would show a deployment that did not happen. What could not be found out is no yes.
func (r *run) mayPass(ctx context.Context) string {
	const deploys = "GitHub would call the deployment that it made for this job a success: write `deployment: false` below the job's `environment:` (docs/github.md)"
	h := r.hub
	switch {
	case !r.held:
		return "nothing is kept of this run that could be gone on with"
	case r.environment.Ledger == (pipelines.SharedLedger{}) && within(r.shared.streams.Env("RUNNER_TEMP"), r.state):
		return "the record of this run ends with the job, so nobody can go on with it: share the ledger (docs/sharing.md), or give the action a `state` folder that outlives the job"
	case h.reporter == nil:
		return "whether GitHub made a deployment for this job, and would call it a success, cannot be found out: " + h.why
	}
	found, err := h.reporter.JobDeploys(context.WithoutCancel(ctx), h.jobs...)
	switch {
	case err != nil:
		return markdown.Line(fmt.Sprintf("whether GitHub made a deployment for this job, and would call it a success, cannot be found out (the token needs `deployments`): %v", err), 500)
	case found:
		return deploys
	default:
		return "yes"
	}
}

// within says whether a path is a folder or below it; nothing is within "".
func within(folder, path string) bool {
	if folder == "" {
		return false
	}
	relative, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(relative)
}
