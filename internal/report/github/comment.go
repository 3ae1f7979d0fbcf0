package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/internal/report/markdown"
)

// pullComment is what is known of ours on GitHub. Only the outbox's goroutine uses it.
type pullComment struct {
	id    int64
	login string // whose token this is; "" for an app's
	asked bool
}

// putComment queues the one comment on the pull request. It is written when there is something to decide by: after the gates
// began to answer, and at the end.
func (r *Reporter) putComment() {
	a := &r.account
	if r.options.Place.Pull == 0 {
		return
	}
	marker := fmt.Sprintf("<!-- penstock:%s -->\n", url.QueryEscape(a.Info.Environment))
	body := marker + markdown.Summary(a, r.links, markdown.Limit-len(marker))
	r.put("comment", "comment on the pull request", body, func(ctx context.Context, _ int) error {
		return r.sendComment(ctx, strings.TrimSuffix(marker, "\n"), body)
	})
}

func (r *Reporter) sendComment(ctx context.Context, marker, body string) error {
	if r.comment.id == 0 {
		if err := r.findComment(ctx, marker); err != nil {
			return err
		}
	}
	if r.comment.id != 0 {
		_, response, err := r.client.Issues.EditComment(ctx, r.owner, r.name, r.comment.id, &github.IssueComment{Body: &body})
		if err == nil || response == nil || response.StatusCode != http.StatusNotFound {
			return err
		}
		r.comment.id = 0 // somebody deleted it
	}
	made, _, err := r.client.Issues.CreateComment(ctx, r.owner, r.name, r.options.Place.Pull, &github.IssueComment{Body: &body})
	if err == nil {
		r.comment.id = made.GetID()
	}
	return err
}

// findComment looks through all pages for the comment of an earlier run. It must have been written by us: anybody can write
// the marker, and who wrote a comment can change it afterwards.
func (r *Reporter) findComment(ctx context.Context, marker string) error {
	if !r.comment.asked {
		me, _, err := r.client.Users.Get(ctx, "")
		if err == nil {
			r.comment.login = me.GetLogin()
		} else if fault, _ := diagnose(err, time.Now()); fault != notAllowed { // an app's token has no user
			return err
		}
		r.comment.asked = true
	}
	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for {
		page, response, err := r.client.Issues.ListComments(ctx, r.owner, r.name, r.options.Place.Pull, options)
		if err != nil {
			return err
		}
		for _, comment := range page {
			if strings.HasPrefix(comment.GetBody(), marker) && r.mine(comment.GetUser()) {
				r.comment.id = comment.GetID()
				return nil
			}
		}
		if response.NextPage == 0 {
			return nil
		}
		options.Page = response.NextPage
	}
}

// mine says whether a comment's author can be us. Only apps can act as a user of type Bot.
func (r *Reporter) mine(author *github.User) bool {
	if r.comment.login != "" {
		return author.GetLogin() == r.comment.login
	}
	return author.GetType() == "Bot"
}
