package github

import (
	"context"
	"net/url"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/internal/report/account"
	"github.com/penstock-ci/penstock/internal/report/markdown"
)

// maxNotes is GitHub's bound for the notes of a release.
const maxNotes = 125000

// putRelease queues the deployment's end for the notes of the release that started the run: the guide's notify-deployment.
// What people wrote there stays; only our own part of it, between two hidden marks, is replaced.
func (r *Reporter) putRelease() {
	a := &r.account
	if r.options.Place.Release == 0 || !a.Promotes() || a.Ending() == account.Waiting {
		return
	}
	text := markdown.Summary(a, r.links, 20000)
	environment := a.Info.Environment
	r.put("release", "notes of the release", text, func(ctx context.Context, _ int) error {
		release, _, err := r.client.Repositories.GetRelease(ctx, r.owner, r.name, r.options.Place.Release)
		if err != nil {
			return err
		}
		notes := withPart(release.GetBody(), environment, text)
		if len(notes) > maxNotes {
			return &impossible{"the notes are as long as GitHub takes them already"}
		}
		_, _, err = r.client.Repositories.EditRelease(ctx, r.owner, r.name, r.options.Place.Release, &github.RepositoryRelease{Body: &notes})
		return err
	})
}

// withPart puts text into the notes in the place of the part that was there, or at their end.
func withPart(notes, environment, text string) string {
	name := url.QueryEscape(environment)
	begin, end := "<!-- penstock:"+name+":begin -->", "<!-- penstock:"+name+":end -->"
	part := begin + "\n" + text + end
	if from := strings.Index(notes, begin); from >= 0 {
		if length := strings.Index(notes[from:], end); length >= 0 {
			return notes[:from] + part + notes[from+length+len(end):]
		}
	}
	if notes != "" {
		notes = strings.TrimRight(notes, "\n") + "\n\n"
	}
	return notes + part + "\n"
}
