package githubtest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// state is what one repository holds.
type state struct {
	commits     map[string]bool
	statuses    []Status
	checks      []*CheckRun
	deployments []*Deployment
	issues      map[int][]*Comment
	releases    map[int64]*Release
	sarifs      []SARIF
	noScanning  bool
	pending     map[int64][]*Pending // by workflow run
}

func newState() state {
	return state{commits: map[string]bool{}, issues: map[int][]*Comment{}, releases: map[int64]*Release{}, pending: map[int64][]*Pending{}}
}

// Status is a commit status.
type Status struct {
	SHA, Context, State, Description, URL string
}

// CheckRun is a check run with all its annotations.
type CheckRun struct {
	ID                                                                   int64
	SHA, Name, Status, Conclusion, ExternalID, Title, Summary, Text, URL string
	Annotations                                                          []Annotation
	Actions                                                              []string // identifiers
}

// Annotation is one of a check run's.
type Annotation struct {
	Path    string `json:"path"`
	Start   int    `json:"start_line"`
	End     int    `json:"end_line"`
	Level   string `json:"annotation_level"`
	Title   string `json:"title"`
	Message string `json:"message"`
	Details string `json:"raw_details"`
}

// Deployment is a deployment with its statuses, oldest first.
type Deployment struct {
	ID               int64
	SHA, Environment string
	Transient        bool
	Production       bool
	Payload          any
	Statuses         []DeploymentStatus
}

// DeploymentStatus is one of a deployment's.
type DeploymentStatus struct {
	ID                              int64
	State, Description, URL, LogURL string
}

// Comment is one on an issue or pull request.
type Comment struct {
	ID          int64
	Body, Login string
	App         bool
	Edits       int
}

// Release is a release.
type Release struct {
	ID        int64
	Tag, Body string
	Edits     int
}

// SARIF is an upload to code scanning, unpacked.
type SARIF struct {
	SHA, Ref, Text string
}

// Pending is an environment that a workflow run waits for.
type Pending struct {
	EnvironmentID int64
	Environment   string
	Reviewers     []string // logins
	State         string   // "", approved or rejected
	By            string
	Comments      []string
	Reports       int // without a state
	// Rule says that a protection rule decides, not a reviewer.
	Rule bool
}

// Commit makes commits known.
func (g *GitHub) Commit(shas ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, sha := range shas {
		g.commits[sha] = true
	}
}

// Pull opens the pull request or issue of that number.
func (g *GitHub) Pull(number int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.issues[number] = []*Comment{}
}

// Say adds somebody's comment.
func (g *GitHub) Say(number int, login, body string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.issues[number] = append(g.issues[number], &Comment{ID: g.id(), Body: body, Login: login})
}

// Publish adds a release.
func (g *GitHub) Publish(id int64, tag, body string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releases[id] = &Release{ID: id, Tag: tag, Body: body}
}

// WithoutScanning turns code scanning off, as in a private repository without the licence for it.
func (g *GitHub) WithoutScanning() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noScanning = true
}

// Wait lets a workflow run wait for an environment.
func (g *GitHub) Wait(run int64, pending Pending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending[run] = append(g.pending[run], &pending)
}

// StatusesOf returns the newest status of each context of a commit.
func (g *GitHub) StatusesOf(sha string) map[string]Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	latest := map[string]Status{}
	for _, status := range g.statuses {
		if status.SHA == sha {
			latest[status.Context] = status
		}
	}
	return latest
}

// History returns the states that a context of a commit went through.
func (g *GitHub) History(sha, context string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var states []string
	for _, status := range g.statuses {
		if status.SHA == sha && status.Context == context {
			states = append(states, status.State)
		}
	}
	return states
}

// Checks returns a commit's check runs.
func (g *GitHub) Checks(sha string) []CheckRun {
	g.mu.Lock()
	defer g.mu.Unlock()
	var runs []CheckRun
	for _, run := range g.checks {
		if run.SHA == sha {
			runs = append(runs, *run)
		}
	}
	return runs
}

// Deployments returns all deployments, oldest first.
func (g *GitHub) Deployments() []Deployment {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Deployment
	for _, deployment := range g.deployments {
		all = append(all, *deployment)
	}
	return all
}

// Deploy adds a deployment of somebody else, with one status that points to logURL.
func (g *GitHub) Deploy(sha, environment, state, logURL string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	deployment := &Deployment{ID: g.id(), SHA: sha, Environment: environment}
	deployment.Statuses = append(deployment.Statuses, DeploymentStatus{ID: g.id(), State: state, LogURL: logURL})
	g.deployments = append(g.deployments, deployment)
	return deployment.ID
}

// Comments returns those on an issue or pull request.
func (g *GitHub) Comments(number int) []Comment {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Comment
	for _, comment := range g.issues[number] {
		all = append(all, *comment)
	}
	return all
}

// Uploads returns what was sent to code scanning.
func (g *GitHub) Uploads() []SARIF {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.sarifs)
}

// ReleaseOf returns the release of that id.
func (g *GitHub) ReleaseOf(id int64) Release {
	g.mu.Lock()
	defer g.mu.Unlock()
	if release := g.releases[id]; release != nil {
		return *release
	}
	return Release{}
}

// PendingOf returns what a workflow run waits or waited for.
func (g *GitHub) PendingOf(run int64) []Pending {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Pending
	for _, pending := range g.pending[run] {
		all = append(all, *pending)
	}
	return all
}

func (g *GitHub) id() int64 {
	g.nextID++
	return g.nextID
}

const then = "2026-01-02T03:04:05Z"

func (g *GitHub) routes() {
	owner, name, _ := strings.Cut(g.repo, "/")
	repo := "/repos/" + owner + "/" + name
	handle := func(pattern string, serve http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.HasPrefix(path, "/app/") && path != "/user" {
			path = repo + path
		}
		g.mux.HandleFunc(method+" "+path, serve)
	}
	handle("GET /user", func(w http.ResponseWriter, r *http.Request) { write(w, 200, fullUser(caller(r).Login)) })
	handle("POST /statuses/{sha}", g.createStatus)
	handle("POST /check-runs", g.createCheck)
	handle("GET /check-runs/{id}", g.readCheck)
	handle("PATCH /check-runs/{id}", g.updateCheck)
	handle("GET /check-runs/{id}/annotations", g.readAnnotations)
	handle("GET /commits/{ref}/check-runs", g.listChecks)
	handle("GET /deployments", g.listDeployments)
	handle("POST /deployments", g.createDeployment)
	handle("GET /deployments/{id}/statuses", g.listDeploymentStatuses)
	handle("POST /deployments/{id}/statuses", g.createDeploymentStatus)
	handle("GET /issues/{number}/comments", g.listComments)
	handle("POST /issues/{number}/comments", g.createComment)
	handle("PATCH /issues/comments/{id}", g.updateComment)
	handle("POST /code-scanning/sarifs", g.uploadSARIF)
	handle("GET /releases/{id}", g.readRelease)
	handle("PATCH /releases/{id}", g.updateRelease)
	handle("GET /actions/runs/{id}/pending_deployments", g.listPending)
	handle("POST /actions/runs/{id}/pending_deployments", g.reviewPending)
	handle("POST /actions/runs/{id}/deployment_protection_rule", g.reviewRule)
	handle("POST /app/installations/{id}/access_tokens", g.createInstallationToken)
}

func (g *GitHub) url(format string, args ...any) string {
	return g.URL + "repos/" + g.repo + "/" + fmt.Sprintf(format, args...)
}

func (g *GitHub) createStatus(w http.ResponseWriter, r *http.Request) {
	var in struct{ State, Context, Description, Target_URL string }
	if !read(w, r, &in) {
		return
	}
	sha := r.PathValue("sha")
	switch {
	case !g.commits[sha]:
		refuse(w, 422, "No commit found for SHA: "+sha)
		return
	case len([]rune(in.Description)) > 140:
		refuse(w, 422, "Validation Failed: description is too long (maximum is 140 characters)")
		return
	}
	g.statuses = append(g.statuses, Status{sha, in.Context, in.State, in.Description, in.Target_URL})
	write(w, 201, map[string]any{
		"url": g.url("statuses/%s", sha), "avatar_url": nil, "id": g.id(), "node_id": "SC_1", "state": in.State, "description": in.Description,
		"target_url": in.Target_URL, "context": in.Context, "created_at": then, "updated_at": then, "creator": user(caller(r).Login),
	})
}

// checkInput is what a check run is made or changed with.
type checkInput struct {
	Name, Head_SHA, Status, Conclusion, External_ID, Details_URL string
	Output                                                       *struct {
		Title, Summary, Text string
		Annotations          []Annotation
	}
	Actions []struct{ Identifier string }
}

// apply changes run; it returns what is wrong with the input.
func (in checkInput) apply(run *CheckRun) string {
	if in.Status == "completed" && in.Conclusion == "" {
		return "Validation Failed: conclusion is required when status is completed"
	}
	if in.Name != "" {
		run.Name = in.Name
	}
	if in.Status != "" {
		run.Status = in.Status
		if in.Status != "completed" {
			run.Conclusion = ""
		}
	}
	if in.Conclusion != "" {
		run.Status, run.Conclusion = "completed", in.Conclusion
	}
	if in.External_ID != "" {
		run.ExternalID = in.External_ID
	}
	if in.Details_URL != "" {
		run.URL = in.Details_URL
	}
	if in.Output != nil {
		run.Title, run.Summary, run.Text = in.Output.Title, in.Output.Summary, in.Output.Text
		for _, annotation := range in.Output.Annotations {
			if annotation.Path == "" || strings.HasPrefix(annotation.Path, "/") || annotation.Start < 1 || annotation.End < annotation.Start {
				return "Validation Failed: an annotation has no place"
			}
		}
		run.Annotations = append(run.Annotations, in.Output.Annotations...)
	}
	if in.Actions != nil {
		run.Actions = nil
		for _, action := range in.Actions {
			run.Actions = append(run.Actions, action.Identifier)
		}
	}
	return ""
}

func (g *GitHub) createCheck(w http.ResponseWriter, r *http.Request) {
	var in checkInput
	if !read(w, r, &in) {
		return
	}
	if !g.commits[in.Head_SHA] {
		refuse(w, 422, "No commit found for SHA: "+in.Head_SHA)
		return
	}
	run := &CheckRun{ID: g.id(), SHA: in.Head_SHA, Status: "queued"}
	if problem := in.apply(run); problem != "" {
		refuse(w, 422, problem)
		return
	}
	g.checks = append(g.checks, run)
	write(w, 201, g.checkJSON(run))
}

func (g *GitHub) check(w http.ResponseWriter, r *http.Request) *CheckRun {
	for _, run := range g.checks {
		if strconv.FormatInt(run.ID, 10) == r.PathValue("id") {
			return run
		}
	}
	refuse(w, 404, "Not Found")
	return nil
}

func (g *GitHub) readCheck(w http.ResponseWriter, r *http.Request) {
	if run := g.check(w, r); run != nil {
		write(w, 200, g.checkJSON(run))
	}
}

func (g *GitHub) updateCheck(w http.ResponseWriter, r *http.Request) {
	run := g.check(w, r)
	if run == nil {
		return
	}
	var in checkInput
	if !read(w, r, &in) {
		return
	}
	changed := *run
	if problem := in.apply(&changed); problem != "" {
		refuse(w, 422, problem)
		return
	}
	*run = changed
	write(w, 200, g.checkJSON(run))
}

func (g *GitHub) readAnnotations(w http.ResponseWriter, r *http.Request) {
	run := g.check(w, r)
	if run == nil {
		return
	}
	all := []map[string]any{}
	for _, annotation := range run.Annotations {
		all = append(all, map[string]any{
			"path": annotation.Path, "blob_href": "https://github.com/x", "start_line": annotation.Start, "end_line": annotation.End, "start_column": nil,
			"end_column": nil, "annotation_level": annotation.Level, "title": annotation.Title, "message": annotation.Message, "raw_details": annotation.Details,
		})
	}
	write(w, 200, page(w, r, g.URL, all))
}

func (g *GitHub) listChecks(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{}
	for _, run := range slices.Backward(g.checks) {
		if run.SHA == r.PathValue("ref") && (r.URL.Query().Get("check_name") == "" || run.Name == r.URL.Query().Get("check_name")) {
			all = append(all, g.checkJSON(run))
		}
	}
	write(w, 200, map[string]any{"total_count": len(all), "check_runs": page(w, r, g.URL, all)})
}

func (g *GitHub) checkJSON(run *CheckRun) map[string]any {
	out := map[string]any{
		"id": run.ID, "node_id": "CR_1", "head_sha": run.SHA, "name": run.Name, "url": g.url("check-runs/%d", run.ID), "html_url": g.url("runs/%d", run.ID),
		"details_url": run.URL, "status": run.Status, "conclusion": nil, "started_at": then, "completed_at": nil, "external_id": run.ExternalID,
		"check_suite": map[string]any{"id": 5}, "app": integration(), "pull_requests": []any{},
		"output": map[string]any{
			"title": run.Title, "summary": run.Summary, "text": run.Text, "annotations_count": len(run.Annotations),
			"annotations_url": g.url("check-runs/%d/annotations", run.ID),
		},
	}
	if run.Conclusion != "" {
		out["conclusion"], out["completed_at"] = run.Conclusion, then
	}
	return out
}

func (g *GitHub) listDeployments(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	all := []map[string]any{}
	for _, d := range slices.Backward(g.deployments) {
		if (query.Get("sha") == "" || query.Get("sha") == d.SHA) && (query.Get("environment") == "" || query.Get("environment") == d.Environment) {
			all = append(all, g.deploymentJSON(d))
		}
	}
	write(w, 200, page(w, r, g.URL, all))
}

func (g *GitHub) createDeployment(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Ref, Environment       string
		Transient_Environment  bool
		Production_Environment bool
		Auto_Merge             *bool
		Required_Contexts      *[]string
		Payload                any
	}
	if !read(w, r, &in) {
		return
	}
	if !g.commits[in.Ref] {
		refuse(w, 422, "No ref found for: "+in.Ref)
		return
	}
	if in.Required_Contexts == nil { // then every status must be green, also the ones that this very run still writes
		latest := map[string]string{}
		for _, status := range g.statuses {
			if status.SHA == in.Ref {
				latest[status.Context] = status.State
			}
		}
		for _, state := range latest {
			if state != "success" {
				refuse(w, 409, "Conflict: Commit status checks failed for "+in.Ref)
				return
			}
		}
	}
	d := &Deployment{
		ID: g.id(), SHA: in.Ref, Environment: in.Environment, Transient: in.Transient_Environment, Production: in.Production_Environment, Payload: in.Payload,
	}
	g.deployments = append(g.deployments, d)
	write(w, 201, g.deploymentJSON(d))
}

func (g *GitHub) deploymentJSON(d *Deployment) map[string]any {
	payload := d.Payload
	if payload == nil {
		payload = ""
	}
	return map[string]any{
		"id": d.ID, "node_id": "DE_1", "sha": d.SHA, "ref": d.SHA, "task": "deploy", "environment": d.Environment, "creator": user("x"), "payload": payload,
		"description": "", "statuses_url": g.url("deployments/%d/statuses", d.ID), "repository_url": g.url(""), "url": g.url("deployments/%d", d.ID),
		"created_at": then, "updated_at": then, "transient_environment": d.Transient, "production_environment": d.Production,
	}
}

func (g *GitHub) deployment(w http.ResponseWriter, r *http.Request) *Deployment {
	for _, d := range g.deployments {
		if strconv.FormatInt(d.ID, 10) == r.PathValue("id") {
			return d
		}
	}
	refuse(w, 404, "Not Found")
	return nil
}

func (g *GitHub) listDeploymentStatuses(w http.ResponseWriter, r *http.Request) {
	d := g.deployment(w, r)
	if d == nil {
		return
	}
	all := []map[string]any{}
	for _, status := range slices.Backward(d.Statuses) {
		all = append(all, g.deploymentStatusJSON(d, status))
	}
	write(w, 200, page(w, r, g.URL, all))
}

func (g *GitHub) createDeploymentStatus(w http.ResponseWriter, r *http.Request) {
	d := g.deployment(w, r)
	if d == nil {
		return
	}
	var in struct {
		State, Description, Environment_URL, Log_URL string
		Auto_Inactive                                *bool
	}
	if !read(w, r, &in) {
		return
	}
	if len([]rune(in.Description)) > 140 {
		refuse(w, 422, "Validation Failed: description is too long (maximum is 140 characters)")
		return
	}
	status := DeploymentStatus{ID: g.id(), State: in.State, Description: in.Description, URL: in.Environment_URL, LogURL: in.Log_URL}
	d.Statuses = append(d.Statuses, status)
	if in.State == "success" && (in.Auto_Inactive == nil || *in.Auto_Inactive) {
		for _, other := range g.deployments {
			if other != d && other.Environment == d.Environment && !other.Transient && len(other.Statuses) > 0 && other.Statuses[len(other.Statuses)-1].State == "success" {
				other.Statuses = append(other.Statuses, DeploymentStatus{ID: g.id(), State: "inactive"})
			}
		}
	}
	write(w, 201, g.deploymentStatusJSON(d, status))
}

func (g *GitHub) deploymentStatusJSON(d *Deployment, status DeploymentStatus) map[string]any {
	out := map[string]any{
		"id": status.ID, "node_id": "DES_1", "state": status.State, "creator": user("x"), "description": status.Description,
		"deployment_url": g.url("deployments/%d", d.ID), "target_url": "", "repository_url": g.url(""), "url": g.url("deployments/%d/statuses/%d", d.ID, status.ID),
		"created_at": then, "updated_at": then, "environment": d.Environment, "environment_url": status.URL, "log_url": status.LogURL,
	}
	for _, key := range []string{"target_url", "environment_url", "log_url"} {
		if out[key] == "" { // the description wants a URI or nothing
			if key == "target_url" {
				out[key] = "https://github.com/"
			} else {
				delete(out, key)
			}
		}
	}
	return out
}

func (g *GitHub) listComments(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("number"))
	comments, found := g.issues[number]
	if !found {
		refuse(w, 404, "Not Found")
		return
	}
	all := []map[string]any{}
	for _, comment := range comments {
		all = append(all, g.commentJSON(comment))
	}
	write(w, 200, page(w, r, g.URL, all))
}

func (g *GitHub) createComment(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("number"))
	var in struct{ Body string }
	if !read(w, r, &in) {
		return
	}
	if _, found := g.issues[number]; !found {
		refuse(w, 404, "Not Found")
		return
	}
	if len(in.Body) > 65536 {
		refuse(w, 422, "Validation Failed: body is too long (maximum is 65536 characters)")
		return
	}
	comment := &Comment{ID: g.id(), Body: in.Body, Login: caller(r).Login, App: caller(r).App}
	g.issues[number] = append(g.issues[number], comment)
	write(w, 201, g.commentJSON(comment))
}

// updateComment lets whoever may write change anybody's comment, as GitHub does.
func (g *GitHub) updateComment(w http.ResponseWriter, r *http.Request) {
	var in struct{ Body string }
	if !read(w, r, &in) {
		return
	}
	for _, comments := range g.issues {
		for _, comment := range comments {
			if strconv.FormatInt(comment.ID, 10) == r.PathValue("id") {
				comment.Body = in.Body
				comment.Edits++
				write(w, 200, g.commentJSON(comment))
				return
			}
		}
	}
	refuse(w, 404, "Not Found")
}

func (g *GitHub) commentJSON(comment *Comment) map[string]any {
	return map[string]any{
		"id": comment.ID, "node_id": "IC_1", "html_url": g.url("issues/1#issuecomment-%d", comment.ID), "issue_url": g.url("issues/1"), "user": user(comment.Login),
		"url": g.url("issues/comments/%d", comment.ID), "created_at": then, "updated_at": then, "body": comment.Body, "author_association": "NONE",
	}
}

func (g *GitHub) uploadSARIF(w http.ResponseWriter, r *http.Request) {
	var in struct{ Commit_SHA, Ref, SARIF string }
	if !read(w, r, &in) {
		return
	}
	if g.noScanning {
		refuse(w, 403, "Advanced Security must be enabled for this repository to use code scanning.")
		return
	}
	packed, err := base64.StdEncoding.DecodeString(in.SARIF)
	var text []byte
	if err == nil {
		var unpack *gzip.Reader
		if unpack, err = gzip.NewReader(bytes.NewReader(packed)); err == nil {
			text, err = io.ReadAll(unpack)
		}
	}
	var file struct {
		Version string
		Runs    []struct {
			Tool struct{ Driver struct{ Name string } }
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil || file.Version != "2.1.0" || len(file.Runs) == 0 || file.Runs[0].Tool.Driver.Name == "" {
		refuse(w, 400, fmt.Sprintf("rejecting SARIF, as it cannot be read: %v", err))
		return
	}
	g.sarifs = append(g.sarifs, SARIF{in.Commit_SHA, in.Ref, string(text)})
	write(w, 202, map[string]any{"id": "47177e22-5596-11eb-80a1-c1e54ef945c6", "url": g.url("code-scanning/sarifs/47177e22-5596-11eb-80a1-c1e54ef945c6")})
}

func (g *GitHub) release(w http.ResponseWriter, r *http.Request) *Release {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if release := g.releases[id]; release != nil {
		return release
	}
	refuse(w, 404, "Not Found")
	return nil
}

func (g *GitHub) readRelease(w http.ResponseWriter, r *http.Request) {
	if release := g.release(w, r); release != nil {
		write(w, 200, g.releaseJSON(release))
	}
}

func (g *GitHub) updateRelease(w http.ResponseWriter, r *http.Request) {
	release := g.release(w, r)
	if release == nil {
		return
	}
	var in struct{ Body *string }
	if !read(w, r, &in) {
		return
	}
	if in.Body != nil {
		release.Body = *in.Body
	}
	release.Edits++
	write(w, 200, g.releaseJSON(release))
}

func (g *GitHub) releaseJSON(release *Release) map[string]any {
	return map[string]any{
		"assets_url": g.url("releases/%d/assets", release.ID), "upload_url": g.url("releases/%d/assets", release.ID), "tarball_url": nil, "zipball_url": nil,
		"created_at": then, "published_at": then, "draft": false, "id": release.ID, "node_id": "RE_1", "author": user("x"), "html_url": g.url("releases/%d", release.ID),
		"name": release.Tag, "prerelease": false, "tag_name": release.Tag, "target_commitish": "main", "assets": []any{}, "url": g.url("releases/%d", release.ID), "body": release.Body,
	}
}

func (g *GitHub) waiting(w http.ResponseWriter, r *http.Request) ([]*Pending, bool) {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	pending, found := g.pending[id]
	if !found {
		refuse(w, 404, "Not Found")
	}
	return pending, found
}

func (g *GitHub) listPending(w http.ResponseWriter, r *http.Request) {
	pending, found := g.waiting(w, r)
	if !found {
		return
	}
	all := []map[string]any{}
	for _, p := range pending {
		if p.State != "" {
			continue
		}
		reviewers := []any{}
		for _, login := range p.Reviewers {
			reviewers = append(reviewers, map[string]any{"type": "User", "reviewer": user(login)})
		}
		all = append(all, map[string]any{
			"environment": map[string]any{"id": p.EnvironmentID, "name": p.Environment, "node_id": "EN_1", "url": g.url("environments/%s", p.Environment), "html_url": g.url("x")},
			"wait_timer":  0, "wait_timer_started_at": nil, "current_user_can_approve": slices.Contains(p.Reviewers, caller(r).Login), "reviewers": reviewers,
		})
	}
	write(w, 200, all)
}

func (g *GitHub) reviewPending(w http.ResponseWriter, r *http.Request) {
	pending, found := g.waiting(w, r)
	if !found {
		return
	}
	var in struct {
		Environment_IDs []int64
		State, Comment  string
	}
	if !read(w, r, &in) {
		return
	}
	out := []map[string]any{}
	for _, id := range in.Environment_IDs {
		at := slices.IndexFunc(pending, func(p *Pending) bool { return p.EnvironmentID == id && p.State == "" })
		if at < 0 || !slices.Contains(pending[at].Reviewers, caller(r).Login) {
			refuse(w, 422, "There are no pending deployments that you may review")
			return
		}
		pending[at].State, pending[at].By, pending[at].Comments = in.State, caller(r).Login, append(pending[at].Comments, in.Comment)
		out = append(out, g.deploymentJSON(&Deployment{ID: g.id(), SHA: "x", Environment: pending[at].Environment}))
	}
	write(w, 200, out)
}

// maxReports is how many reports without a state GitHub takes for one deployment
// (docs.github.com, "Creating custom deployment protection rules").
const maxReports = 10

func (g *GitHub) reviewRule(w http.ResponseWriter, r *http.Request) {
	pending, found := g.waiting(w, r)
	if !found {
		return
	}
	var in struct{ Environment_Name, State, Comment string }
	if !read(w, r, &in) {
		return
	}
	at := slices.IndexFunc(pending, func(p *Pending) bool { return p.Environment == in.Environment_Name && p.Rule })
	if at < 0 || pending[at].State != "" {
		refuse(w, 422, "There is no pending deployment protection rule for this environment")
		return
	}
	p := pending[at]
	if in.State == "" {
		if p.Reports++; p.Reports > maxReports {
			refuse(w, 422, "Too many status reports for this deployment")
			return
		}
	}
	p.State, p.By = in.State, caller(r).Login
	p.Comments = append(p.Comments, in.Comment)
	w.WriteHeader(204)
}

// read decodes a body; it answers for itself when that does not go.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		refuse(w, 400, "Problems parsing JSON")
		return false
	}
	return true
}

func user(login string) map[string]any {
	out := map[string]any{"login": login, "id": 7, "node_id": "U_1", "gravatar_id": "", "site_admin": false, "type": "User"}
	if strings.HasSuffix(login, "[bot]") {
		out["type"] = "Bot"
	}
	for _, name := range []string{
		"avatar_url", "events_url", "followers_url", "following_url", "gists_url", "html_url", "organizations_url", "received_events_url", "repos_url",
		"starred_url", "subscriptions_url", "url",
	} {
		out[name] = "https://github.com/" + strings.TrimSuffix(login, "[bot]")
	}
	return out
}

func fullUser(login string) map[string]any {
	out := user(login)
	for _, name := range []string{"bio", "blog", "company", "email", "hireable", "location", "name"} {
		out[name] = nil
	}
	out["user_view_type"] = "public"
	out["followers"], out["following"], out["public_gists"], out["public_repos"], out["created_at"], out["updated_at"] = 0, 0, 0, 0, then, then
	return out
}

func integration() map[string]any {
	return map[string]any{
		"id": 15368, "slug": "github-actions", "node_id": "A_1", "owner": user("github"), "name": "GitHub Actions", "description": "", "external_url": "https://help.github.com",
		"html_url": "https://github.com/apps/github-actions", "created_at": then, "updated_at": then, "permissions": map[string]any{"checks": "write"}, "events": []any{},
	}
}

// expiry is when a token that is made now ends.
func expiry() string { return time.Now().Add(time.Hour).UTC().Format(time.RFC3339) }
