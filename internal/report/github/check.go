package github

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/report/account"
	"github.com/penstock-ci/penstock/internal/report/markdown"
)

const (
	// perRequest is how many annotations GitHub takes at once.
	perRequest = 50
	// maxAnnotations bounds those of a run: beyond, nobody looks and every fifty cost a call. The rest is counted.
	maxAnnotations = 500
	// externalPrefix begins the external id of our check runs: penstock:<environment>:<run>.
	externalPrefix = "penstock:"
)

// RerunAction is what a check run's button says when it is pressed (the webhook check_run, action requested_action).
const RerunAction = "rerun"

// checkRun is what is known of ours on GitHub. Only the outbox's goroutine uses it.
type checkRun struct {
	id          int64
	annotations int // how many GitHub has
}

func checkName(environment string) string { return "penstock (" + environment + ")" }

// putCheckRun queues the check run as it stands. It is completed when the run ended, except when it waits: then it stays in
// progress, and the run that goes on takes it over.
func (r *Reporter) putCheckRun() {
	a := &r.account
	status, conclusion := "in_progress", ""
	if a.Result != nil && a.Ending() != account.Waiting {
		status, conclusion = "completed", conclude(a)
	}
	title, summary := markdown.Line(markdown.Headline(a), 200), markdown.Summary(a, r.links, markdown.Limit)
	if a.Result != nil && a.Result.Reason != "" {
		title = markdown.Line(title+": "+a.Result.Reason, 200)
	}
	var annotations []*github.CheckRunAnnotation
	if a.Result != nil {
		var left int
		if annotations, left = r.annotations(); left > 0 {
			summary = markdown.Summary(a, r.links, markdown.Limit-200) + fmt.Sprintf("\n%d findings are not annotated here: they have no place in a file, or are beyond %d.\n", left, maxAnnotations)
		}
	}
	name, external := checkName(a.Info.Environment), externalPrefix+a.Info.Environment+":"+a.Run
	r.put("check", "check run", status+conclusion+title+summary, func(ctx context.Context, attempt int) error {
		return r.sendCheckRun(ctx, attempt, name, external, status, conclusion, &github.CheckRunOutput{Title: &title, Summary: &summary}, annotations)
	})
}

// conclude never says neutral or skipped: GitHub lets a required check pass that ended so.
func conclude(a *account.Account) string {
	switch {
	case a.Ending() == account.Passed:
		return "success"
	case a.Result.Outcome == "interrupted", a.Result.Outcome == "busy":
		return "cancelled"
	default:
		return "failure"
	}
}

func (r *Reporter) sendCheckRun(ctx context.Context, attempt int, name, external, status, conclusion string, output *github.CheckRunOutput, annotations []*github.CheckRunAnnotation) error {
	if r.check.id == 0 || attempt > 1 {
		if err := r.findCheckRun(ctx, name, external); err != nil {
			return err
		}
	}
	var details *string
	if r.links.Run != "" {
		details = &r.links.Run
	}
	if r.check.id == 0 {
		made, _, err := r.client.Checks.CreateCheckRun(ctx, r.owner, r.name, github.CreateCheckRunOptions{
			Name: name, HeadSHA: r.options.Place.Commit, ExternalID: &external, DetailsURL: details, Status: github.String("in_progress"), Output: output,
		})
		if err != nil {
			return err
		}
		r.check = checkRun{id: made.GetID()}
		if status != "completed" && len(annotations) == 0 {
			return nil
		}
	}
	for {
		batch := annotations[min(r.check.annotations, len(annotations)):]
		batch = batch[:min(perRequest, len(batch))]
		last := r.check.annotations+len(batch) >= len(annotations)
		update := github.UpdateCheckRunOptions{
			Name: name, ExternalID: &external, DetailsURL: details, Status: github.String("in_progress"),
			Output: &github.CheckRunOutput{Title: output.Title, Summary: output.Summary, Annotations: batch},
		}
		if last {
			update.Status = &status
			if conclusion != "" {
				update.Conclusion = &conclusion
				update.Actions = []*github.CheckRunAction{{Label: "Judge again", Description: "Run stages and gates once more", Identifier: RerunAction}}
			}
		}
		if _, _, err := r.client.Checks.UpdateCheckRun(ctx, r.owner, r.name, r.check.id, update); err != nil {
			return err
		}
		r.check.annotations += len(batch)
		if last {
			return nil
		}
	}
}

// findCheckRun looks for the check run that this run, or one that it goes on for, has on GitHub: after a lost answer it may
// be there with more annotations than we know of, and an earlier run may have left it waiting.
func (r *Reporter) findCheckRun(ctx context.Context, name, external string) error {
	if r.check.id != 0 {
		found, _, err := r.client.Checks.GetCheckRun(ctx, r.owner, r.name, r.check.id)
		if err == nil {
			r.check.annotations = found.GetOutput().GetAnnotationsCount()
		}
		return err
	}
	options := &github.ListCheckRunsOptions{CheckName: &name, ListOptions: github.ListOptions{PerPage: 100}}
	for {
		page, response, err := r.client.Checks.ListCheckRunsForRef(ctx, r.owner, r.name, r.options.Place.Commit, options)
		if err != nil {
			return err
		}
		for _, run := range page.CheckRuns {
			ours := run.GetExternalID() == external
			waiting := run.GetStatus() != "completed" && strings.HasPrefix(run.GetExternalID(), externalPrefix)
			if ours || waiting {
				r.check = checkRun{id: run.GetID(), annotations: run.GetOutput().GetAnnotationsCount()}
				return nil
			}
		}
		if response.NextPage == 0 {
			return nil
		}
		options.Page = response.NextPage
	}
}

// annotations are the findings that have a place, as GitHub takes them; left counts the others.
func (r *Reporter) annotations() (annotations []*github.CheckRunAnnotation, left int) {
	for _, gate := range r.account.Gates {
		if gate.Verdict == nil {
			continue
		}
		for _, finding := range gate.Verdict.Findings {
			if finding.File == "" || len(annotations) == maxAnnotations {
				left++
				continue
			}
			line := max(finding.Line, 1)
			annotation := &github.CheckRunAnnotation{
				Path: github.String(r.options.Folder + finding.File), StartLine: &line, EndLine: &line, AnnotationLevel: github.String(annotationLevel(gate, finding)),
				Title: github.String(markdown.Line(strings.TrimSpace(gate.Name+" "+finding.Rule), 255)), Message: github.String(markdown.Cut(markdown.Plain(finding.Message), 8000)),
			}
			if finding.Column > 0 {
				annotation.StartColumn, annotation.EndColumn = github.Int(finding.Column), github.Int(finding.Column)
			}
			if finding.Detail != "" {
				annotation.RawDetails = github.String(markdown.Cut(markdown.Plain(finding.Detail), 8000))
			}
			if annotation.GetMessage() == "" {
				annotation.Message = annotation.Title
			}
			annotations = append(annotations, annotation)
		}
	}
	return annotations, left
}

func annotationLevel(gate account.Gate, finding gates.Finding) string {
	switch {
	case finding.Level == gates.LevelNote:
		return "notice"
	case finding.Level == gates.LevelError && gate.Blocks:
		return "failure"
	default:
		return "warning"
	}
}
