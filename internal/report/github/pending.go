package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/internal/report/markdown"
)

// Pending is an environment for whose reviewers a workflow run waits.
type Pending struct {
	ID          int64    `json:"id"`
	Environment string   `json:"environment"`
	MayReview   bool     `json:"mayReview"` // the token's owner
	Reviewers   []string `json:"reviewers"`
}

// Reviews asks and answers for the reviewers of environments, as the owner of a token. Its calls are safe for concurrent use.
type Reviews struct {
	client     *github.Client
	repository string
}

// NewReviews works on owner/name, at the API's base address.
func NewReviews(api, repository, token, version string) (*Reviews, error) {
	if !repositoryName.MatchString(repository) {
		return nil, fmt.Errorf("%q is no owner/name of a repository", repository)
	}
	if token == "" {
		return nil, errors.New("there is no token")
	}
	client, err := newClient(nil, api, token, version)
	return &Reviews{client, repository}, err
}

// waiting is GitHub's answer, which go-github v60 has no type for.
type waiting struct {
	Environment struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	} `json:"environment"`
	CurrentUserCanApprove bool `json:"current_user_can_approve"`
	Reviewers             []struct {
		Reviewer struct {
			Login string `json:"login"`
			Slug  string `json:"slug"` // of a team
		} `json:"reviewer"`
	} `json:"reviewers"`
}

// Pending lists what a workflow run waits for.
func (r *Reviews) Pending(ctx context.Context, run int64) ([]Pending, error) {
	call, err := r.client.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/actions/runs/%d/pending_deployments", r.repository, run), nil)
	if err != nil {
		return nil, err
	}
	var answer []waiting
	if _, err := r.client.Do(ctx, call, &answer); err != nil {
		return nil, fmt.Errorf("ask what workflow run %d waits for: %s", run, brief(err))
	}
	all := make([]Pending, 0, len(answer))
	for _, one := range answer {
		pending := Pending{ID: one.Environment.ID, Environment: one.Environment.Name, MayReview: one.CurrentUserCanApprove, Reviewers: []string{}}
		for _, reviewer := range one.Reviewers {
			if name := reviewer.Reviewer.Login; name != "" {
				pending.Reviewers = append(pending.Reviewers, name)
			} else {
				pending.Reviewers = append(pending.Reviewers, reviewer.Reviewer.Slug)
			}
		}
		all = append(all, pending)
	}
	return all, nil
}

// Review approves or rejects one environment for a workflow run.
func (r *Reviews) Review(ctx context.Context, run int64, pending Pending, approve bool, comment string) error {
	state := "rejected"
	if approve {
		state = "approved"
	}
	call, err := r.client.NewRequest(http.MethodPost, fmt.Sprintf("repos/%s/actions/runs/%d/pending_deployments", r.repository, run), map[string]any{
		"environment_ids": []int64{pending.ID}, "state": state, "comment": markdown.Cut(markdown.Plain(comment), 1000),
	})
	if err != nil {
		return err
	}
	if _, err := r.client.Do(ctx, call, nil); err != nil {
		return fmt.Errorf("review %s of workflow run %d: %s", pending.Environment, run, brief(err))
	}
	return nil
}
