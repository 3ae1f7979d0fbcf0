package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/github"
	"github.com/penstock-ci/penstock/internal/report/github/protection"
	"github.com/penstock-ci/penstock/internal/snapshot"
)

// askAgainAfter is how long a deployment waits before gates that wait are asked again.
const askAgainAfter = time.Minute

// deploymentJudge judges commits of one clone for a protection rule. It is asked by one goroutine at a time.
type deploymentJudge struct {
	shared     *common
	folder     string // the app's, in the clone
	repository string
	executor   string
}

// judge runs the stages of the request's commit in a worktree of its own and asks the build gates, and those of the plan where
// this server can see the environment. The pipeline, its gates and their pins are the default branch's.
func (j *deploymentJudge) judge(ctx context.Context, request protection.Request, token string, progress func(string)) (_ protection.Decision, err error) {
	progress("fetching the commit")
	if _, err := gitOutput(ctx, j.folder, "fetch", "--quiet", "--no-tags", "origin", request.Commit); err != nil {
		if _, known := gitOutput(ctx, j.folder, "rev-parse", "--verify", "--quiet", request.Commit+"^{commit}"); known != nil {
			return protection.Decision{}, fmt.Errorf("the commit %.12s cannot be fetched from origin", request.Commit)
		}
	}
	if _, err := gitOutput(ctx, j.folder, "fetch", "--quiet", "--no-tags", "origin", "+refs/heads/"+request.DefaultBranch+":refs/penstock/default"); err != nil {
		return protection.Decision{}, fmt.Errorf("the branch %s, whose pipeline judges, cannot be fetched from origin", request.DefaultBranch)
	}
	base, err := gitOutput(ctx, j.folder, "rev-parse", "--verify", "refs/penstock/default^{commit}")
	if err != nil {
		return protection.Decision{}, fmt.Errorf("the branch %s, whose pipeline judges, cannot be read", request.DefaultBranch)
	}
	top, err := snapshot.Top(ctx, j.folder)
	if err != nil {
		return protection.Decision{}, err
	}
	folder, err := os.MkdirTemp("", "penstock-protection-")
	if err != nil {
		return protection.Decision{}, err
	}
	defer func() { err = errors.Join(err, j.remove(ctx, folder)) }()
	tree := filepath.Join(folder, "tree")
	if _, err := gitOutput(ctx, j.folder, "worktree", "add", "--quiet", "--force", "--detach", tree, request.Commit); err != nil {
		return protection.Decision{}, fmt.Errorf("the commit %.12s cannot be checked out", request.Commit)
	}

	streams := *j.shared.streams
	streams.Out = streams.Err // the server's own output is for whoever started it
	shared := common{streams: &streams, folder: filepath.Join(tree, filepath.FromSlash(top)), hub: &hub{
		token: token, progress: progress,
		place: github.Place{
			Server: strings.TrimSuffix(cmp.Or(streams.Env("GITHUB_SERVER_URL"), "https://github.com"), "/"), API: j.shared.apiAddress(), Repository: j.repository,
			Commit: request.Commit, Tried: request.Commit, Event: "deployment_protection_rule", Base: base, BaseRef: request.DefaultBranch,
		},
	}}
	if request.Run != 0 {
		shared.hub.place.RunID = request.Run
		shared.hub.place.RunURL = fmt.Sprintf("%s/%s/actions/runs/%d", shared.hub.place.Server, j.repository, request.Run)
	}
	r, err := begin(ctx, &shared, runFlags{environment: request.Environment, executor: j.executor}, false)
	if err != nil {
		return protection.Decision{}, err
	}
	asked, cause := r.judgeDeployment(ctx)
	if cause == nil {
		cause = ctx.Err()
	}
	code, next := classify(cause)
	ended := r.finish(ctx, event.Result{}, cause)
	switch {
	case ctx.Err() != nil:
		return protection.Decision{}, context.Cause(ctx)
	case code == ExitDone && ended == nil:
		return protection.Decision{Approve: true, Comment: fmt.Sprintf("%d gates let it pass (run %s)", asked, r.id)}, nil
	case code == ExitWaiting:
		return protection.Decision{Again: askAgainAfter, Comment: cause.Error()}, nil
	case code == ExitBlocked || code == ExitStageFailed:
		comment := cause.Error()
		if next != "" {
			comment += "; next: " + next
		}
		return protection.Decision{Comment: r.hide(comment)}, nil
	default:
		return protection.Decision{}, errors.Join(cause, ended)
	}
}

// judgeDeployment builds, asks the build gates and, where the environment can be seen, those of the plan. asked counts gates.
func (r *run) judgeDeployment(ctx context.Context) (asked int, err error) {
	made, err := r.build(ctx)
	asked = len(made.judgement.Gates)
	if err != nil {
		return asked, err
	}
	if !r.hasGates(gates.PhasePlan) {
		return asked, nil
	}
	// A gate that cannot be asked blocks: without a token for the environment, this server cannot answer for it.
	if _, _, err := r.plan(ctx, made); err != nil {
		return asked, err
	}
	judgement, err := engine.Judge(ctx, r.judgeOptions(made, gates.PhasePlan))
	asked += len(judgement.Gates)
	switch {
	case err != nil:
		return asked, err
	case judgement.Waiting():
		return asked, fail(ExitWaiting, "", errors.New(blockedBy(judgement)))
	case judgement.Blocked():
		return asked, fail(ExitBlocked, "see the check run", errors.New(blockedBy(judgement)))
	default:
		return asked, nil
	}
}

// remove takes a worktree away again, also after a stop.
func (j *deploymentJudge) remove(ctx context.Context, folder string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	err := os.RemoveAll(folder)
	if _, pruned := gitOutput(ctx, j.folder, "worktree", "prune"); pruned != nil && err == nil {
		err = fmt.Errorf("git worktree prune in %s: %w", j.folder, pruned)
	}
	return err
}
