package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/githubtest"
)

const (
	sha   = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
	merge = "1195f852bd8fca8fcc58a9a2d6c842781e32a200"
	// secret is the token of these tests: it must be seen nowhere.
	secret = "ghs_averysecrettoken0123456789"
)

// open makes a reporter of a push to a fake GitHub that knows its token, with short pauses.
func open(t *testing.T, g *githubtest.GitHub, change func(*Options)) *Reporter {
	t.Helper()
	options := Options{
		Place: Place{
			Server: "https://github.example", API: strings.TrimSuffix(g.URL, "/"), Repository: "o/r", Commit: sha, Tried: sha, Ref: "refs/heads/main", Event: "push",
			RunURL: "https://github.example/o/r/actions/runs/5", RunID: 5,
		},
		Token: secret, Version: "1.2.3", Folder: "apps/guide/", Deploys: true, Patience: 20 * time.Second, Pause: time.Millisecond,
	}
	if change != nil {
		change(&options)
	}
	r, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hub(t *testing.T) *githubtest.GitHub {
	t.Helper()
	g := githubtest.New(t, "o/r", githubtest.WorkflowToken(secret))
	g.Commit(sha, merge)
	return g
}

// story is a run in events. What is named in it can be changed.
type story struct {
	environment string
	steps       bool
	build       gates.Verdict // of quality/coverage, which blocks when it does not pass
	result      event.Result
	promote     bool // the promote gate was asked and passed
}

func (s story) events() []event.Event {
	limit := 80.0
	if s.build.Outcome == "" {
		s.build = gates.Verdict{Outcome: gates.Pass, Summary: "92 % of the lines", Measurements: []gates.Measurement{{Name: "lines", Value: 92.4, Unit: "%", Limit: &limit}}}
	}
	if s.environment == "" {
		s.environment = "production"
	}
	info := &event.RunInfo{
		App: "guide", Environment: s.environment, Stages: []event.Stage{{Name: "test", Moment: "build"}, {Name: "lint", Moment: "build"}},
		Gates: []event.Gate{{Name: "quality/coverage", Phase: gates.PhaseBuild, Enforcement: "mandatory"}},
	}
	if s.steps {
		info.Steps = []event.Step{{Name: "migrate"}, {Name: "switch"}}
		info.Gates = append(info.Gates, event.Gate{Name: "health/endpoint", Phase: gates.PhasePromote, Enforcement: "mandatory"})
	}
	gate := &event.Gate{Name: "quality/coverage", Phase: gates.PhaseBuild, Enforcement: "mandatory", Verdict: &s.build, Blocks: !s.build.Outcome.Allows()}
	events := []event.Event{
		{Type: event.RunStarted, RunInfo: info},
		{Type: event.StageStarted, Stage: &event.Stage{Name: "test", Moment: "build"}},
		{Type: event.StageOutput, Stage: &event.Stage{Name: "test", Moment: "build"}, Text: "line"},
		{Type: event.StageFinished, Stage: &event.Stage{Name: "test", Moment: "build", Outcome: event.Passed}},
		{Type: event.StageFinished, Stage: &event.Stage{Name: "lint", Moment: "build", Outcome: event.Passed, Cached: true}},
		{Type: event.GateStarted, Gate: &event.Gate{Name: "quality/coverage", Phase: gates.PhaseBuild}},
		{Type: event.GateFinished, Gate: gate},
	}
	if s.promote {
		passed := &event.Gate{Name: "health/endpoint", Phase: gates.PhasePromote, Enforcement: "mandatory", Verdict: &gates.Verdict{Outcome: gates.Pass, Summary: "answers"}}
		events = append(events,
			event.Event{Type: event.PlanMade, Plan: &event.Plan{Digest: "sha256:p", Changes: []event.Change{{Action: "update", Kind: "version", Name: "guide", From: "a", To: "b"}}}},
			event.Event{Type: event.StepStarted, Step: &event.Step{Name: "migrate"}}, event.Event{Type: event.StepFinished, Step: &event.Step{Name: "migrate"}},
			event.Event{Type: event.GateStarted, Gate: &event.Gate{Name: "health/endpoint", Phase: gates.PhasePromote}}, event.Event{Type: event.GateFinished, Gate: passed},
		)
	}
	events = append(events, event.Event{Type: event.RunFinished, Result: &s.result})
	for i := range events {
		events[i].Run, events[i].Time = "RUN", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	return events
}

var (
	done    = event.Result{Outcome: "done", URL: "https://guide.example"}
	blocked = event.Result{Outcome: "blocked", ExitCode: 4, Reason: "blocked by quality/coverage", NextStep: "write tests"}
	failing = gates.Verdict{Outcome: gates.Fail, Summary: "71 % of the lines", NextStep: "test src/a.ts", Findings: []gates.Finding{
		{Level: gates.LevelError, Rule: "uncovered", Message: "not covered", File: "src/a.ts", Line: 7, Column: 2}, {Level: gates.LevelNote, Message: "nowhere"},
	}}
)

// tell plays a story and closes; it returns what could not be sent.
func tell(t *testing.T, r *Reporter, s story) []string {
	t.Helper()
	for _, e := range s.events() {
		r.Observe(e)
	}
	return r.Close(t.Context())
}

func states(g *githubtest.GitHub, commit string) map[string]string {
	all := map[string]string{}
	for name, status := range g.StatusesOf(commit) {
		all[name] = status.State
	}
	return all
}

// TestADeploymentIsShown: a push that is deployed, everywhere where people look.
func TestADeploymentIsShown(t *testing.T) {
	t.Parallel()
	g := hub(t)
	if problems := tell(t, open(t, g, nil), story{steps: true, promote: true, result: done}); len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]string{
		"penstock/production/stages": "success", "penstock/production/gates-build": "success", "penstock/production/gates-promote": "success", "penstock/production/deploy": "success",
	}
	if diff := cmp.Diff(want, states(g, sha)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if url := g.StatusesOf(sha)["penstock/production/deploy"].URL; url != "https://github.example/o/r/actions/runs/5" {
		t.Errorf("a status leads to %q", url)
	}
	checks := g.Checks(sha)
	if len(checks) != 1 || checks[0].Conclusion != "success" || checks[0].Name != "penstock (production)" || checks[0].ExternalID != "penstock:production:RUN" ||
		!slices.Contains(checks[0].Actions, RerunAction) {
		t.Fatalf("check runs: %+v", checks)
	}
	for _, part := range []string{"quality/coverage", "92.4 %", "80 %", "mandatory", "guide.example", "sha256&#58;p"} {
		if !strings.Contains(checks[0].Summary, part) {
			t.Errorf("the check run does not say %q:\n%s", part, checks[0].Summary)
		}
	}
	deployments := g.Deployments()
	if len(deployments) != 1 || deployments[0].Environment != "production" || !deployments[0].Production {
		t.Fatalf("deployments: %+v", deployments)
	}
	last := deployments[0].Statuses[len(deployments[0].Statuses)-1]
	if last.State != "success" || last.URL != "https://guide.example" {
		t.Errorf("the deployment ended as %+v", last)
	}
	if uploads := g.Uploads(); len(uploads) != 1 || uploads[0].Ref != "refs/heads/main" {
		t.Errorf("uploads to code scanning: %+v", uploads)
	}
}

// TestABlockedRunIsShown: what a gate found is annotated in the repository's own paths, and nothing that was not asked is
// success.
func TestABlockedRunIsShown(t *testing.T) {
	t.Parallel()
	g := hub(t)
	if problems := tell(t, open(t, g, nil), story{steps: true, build: failing, result: blocked}); len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]string{
		"penstock/production/stages": "success", "penstock/production/gates-build": "failure", "penstock/production/deploy": "failure",
	}
	if diff := cmp.Diff(want, states(g, sha)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	check := g.Checks(sha)[0]
	if check.Conclusion != "failure" || !strings.Contains(check.Summary, "1 findings are not annotated") || !strings.Contains(check.Summary, "blob/"+sha+"/apps/guide/src/a.ts#L7") {
		t.Errorf("the check run: %s\n%s", check.Conclusion, check.Summary)
	}
	if diff := cmp.Diff([]githubtest.Annotation{{Path: "apps/guide/src/a.ts", Start: 7, End: 7, Level: "failure", Title: "quality/coverage uncovered", Message: "not covered"}}, check.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if d := g.Deployments()[0]; d.Statuses[len(d.Statuses)-1].State != "failure" {
		t.Errorf("the deployment: %+v", d.Statuses)
	}
	var file struct {
		Runs []struct {
			Results []struct {
				RuleID    string
				Level     string
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(g.Uploads()[0].Text), &file); err != nil {
		t.Fatal(err)
	}
	if results := file.Runs[0].Results; len(results) != 1 || results[0].RuleID != "quality/coverage/uncovered" || results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI != "apps/guide/src/a.ts" {
		t.Errorf("SARIF: %+v", file)
	}
}

// TestOnlyWhatPassedIsSuccess goes through the ends of a run: nothing but done may look like one.
func TestOnlyWhatPassedIsSuccess(t *testing.T) {
	t.Parallel()
	waiting := gates.Verdict{Outcome: gates.Pending, Summary: "not yet", Pending: &gates.Clearance{By: "@ops"}}
	for _, row := range []struct {
		name                      string
		story                     story
		gates, deploy, check, end string
	}{
		{"waits for a gate", story{build: waiting, result: event.Result{Outcome: "waiting", ExitCode: 5, Reason: "waits for ops"}}, "pending", "pending", "in_progress", "pending"},
		{"waits for people", story{result: event.Result{Outcome: "waiting", ExitCode: 5, Reason: "waits for ops"}}, "success", "pending", "in_progress", "pending"},
		{"rolled back", story{promote: true, result: event.Result{Outcome: "rolled back", ExitCode: 6, Reason: "smoke failed"}}, "success", "failure", "failure", "failure"},
		{"a gate that could not be asked", story{build: gates.Verdict{Outcome: gates.Error, Summary: "crashed"}, result: blocked}, "error", "failure", "failure", "failure"},
		{"a gate without data", story{build: gates.Verdict{Outcome: gates.Inconclusive, Summary: "no report"}, result: blocked}, "error", "failure", "failure", "failure"},
		{"busy", story{result: event.Result{Outcome: "busy", ExitCode: 7, Reason: "another promotion"}}, "success", "error", "cancelled", "inactive"},
		{"interrupted", story{result: event.Result{Outcome: "interrupted", ExitCode: 130, Reason: "stopped"}}, "success", "error", "cancelled", "error"},
		{"unreachable", story{result: event.Result{Outcome: "unreachable", ExitCode: 8, Reason: "no network"}}, "success", "error", "failure", "error"},
		{"an outcome that nobody knows", story{result: event.Result{Outcome: "splendid", ExitCode: 0}}, "success", "error", "failure", "error"},
		{"done with an exit code", story{result: event.Result{Outcome: "done", ExitCode: 1}}, "success", "error", "failure", "error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := hub(t)
			row.story.steps = true
			if problems := tell(t, open(t, g, nil), row.story); len(problems) > 0 {
				t.Fatal(problems)
			}
			all := states(g, sha)
			if all["penstock/production/gates-build"] != row.gates || all["penstock/production/deploy"] != row.deploy {
				t.Errorf("statuses: %v", all)
			}
			check := g.Checks(sha)[0]
			if got := check.Conclusion; got != row.check && check.Status != row.check {
				t.Errorf("the check run: %s %s", check.Status, check.Conclusion)
			}
			deployment := g.Deployments()[0]
			if last := deployment.Statuses[len(deployment.Statuses)-1]; last.State != row.end {
				t.Errorf("the deployment: %+v", last)
			}
			if _, shown := all["penstock/production/gates-promote"]; shown != row.story.promote {
				t.Errorf("gates that nobody asked have a status: %v", all)
			}
		})
	}
}

// TestTheNextRunTakesOver: a run that waits leaves its check run in progress; the one that goes on ends that one.
func TestTheNextRunTakesOver(t *testing.T) {
	t.Parallel()
	g := hub(t)
	tell(t, open(t, g, nil), story{steps: true, result: event.Result{Outcome: "waiting", ExitCode: 5, Reason: "waits for ops"}})
	tell(t, open(t, g, nil), story{steps: true, promote: true, result: done})
	if checks := g.Checks(sha); len(checks) != 1 || checks[0].Conclusion != "success" {
		t.Errorf("check runs: %+v", checks)
	}
}

// TestManyAnnotations: batches of fifty, a bound, and none twice when an answer is lost.
func TestManyAnnotations(t *testing.T) {
	t.Parallel()
	g := hub(t)
	many := gates.Verdict{Outcome: gates.Fail, Summary: "many"}
	for i := range 620 {
		many.Findings = append(many.Findings, gates.Finding{Level: gates.LevelWarning, Message: fmt.Sprint(i), File: "a.ts", Line: i + 1})
	}
	var mu sync.Mutex
	lost := 0
	g.Break(func(r *http.Request) githubtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "check-runs") {
			if lost++; lost == 3 || lost == 7 {
				return githubtest.Fault{Status: 502, Message: "Bad Gateway", Done: true}
			}
		}
		return githubtest.Fault{}
	})
	if problems := tell(t, open(t, g, nil), story{build: many, result: blocked}); len(problems) > 0 {
		t.Fatal(problems)
	}
	check := g.Checks(sha)[0]
	if len(check.Annotations) != maxAnnotations || check.Conclusion != "failure" || !strings.Contains(check.Summary, "120 findings are not annotated") {
		t.Errorf("%d annotations, %s", len(check.Annotations), check.Conclusion)
	}
	for i, annotation := range check.Annotations {
		if annotation.Start != i+1 {
			t.Fatalf("annotation %d is of line %d: one came twice or is missing", i, annotation.Start)
		}
	}
}

// TestAWaitingRunIsAnnotated also when GitHub takes its check run only at the end.
func TestAWaitingRunIsAnnotated(t *testing.T) {
	t.Parallel()
	g := hub(t)
	var once sync.Once
	g.Break(func(r *http.Request) githubtest.Fault {
		fault := githubtest.Fault{}
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/check-runs") {
			once.Do(func() { fault = githubtest.Fault{Status: 502, Message: "Bad Gateway"} })
		}
		return fault
	})
	warns := gates.Verdict{Outcome: gates.Warn, Summary: "a warning", Findings: failing.Findings}
	if problems := tell(t, open(t, g, nil), story{build: warns, result: event.Result{Outcome: "waiting", ExitCode: 5, Reason: "waits for ops"}}); len(problems) > 0 {
		t.Fatal(problems)
	}
	if checks := g.Checks(sha); len(checks) != 1 || len(checks[0].Annotations) != 1 || checks[0].Status != "in_progress" {
		t.Errorf("%+v", checks)
	}
}

// TestOneComment: kept up to date by every run, found on a later page, and never somebody else's that pretends to be ours.
func TestOneComment(t *testing.T) {
	t.Parallel()
	g := hub(t)
	g.Pull(7)
	g.Say(7, "mallory", "<!-- penstock:production -->\nall is well, trust me")
	for i := range 120 {
		g.Say(7, "mona", fmt.Sprint(i))
	}
	pull := func(o *Options) {
		o.Place.Pull, o.Place.Event, o.Place.Tried, o.Place.Ref = 7, "pull_request", merge, "refs/pull/7/merge"
	}
	for i := range 3 {
		if problems := tell(t, open(t, g, pull), story{build: failing, result: blocked}); len(problems) > 0 {
			t.Fatal(i, problems)
		}
	}
	comments := g.Comments(7)
	if len(comments) != 122 || !strings.Contains(comments[0].Body, "trust me") || comments[0].Edits != 0 {
		t.Fatalf("%d comments; the first: %+v", len(comments), comments[0])
	}
	ours := comments[121]
	if ours.Edits < 2 || !strings.HasPrefix(ours.Body, "<!-- penstock:production -->") || !strings.Contains(ours.Body, "write tests") {
		t.Errorf("our comment: %+v", ours)
	}
	if upload := g.Uploads()[0]; upload.SHA != merge || upload.Ref != "refs/pull/7/merge" {
		t.Errorf("code scanning got %s of %s", upload.SHA, upload.Ref)
	}
	// Another environment has a comment of its own.
	tell(t, open(t, g, pull), story{environment: "staging", result: event.Result{Outcome: "done"}})
	if len(g.Comments(7)) != 123 {
		t.Errorf("%d comments after staging", len(g.Comments(7)))
	}
}

// TestTheDeploymentOfTheJob: a job with an environment has a deployment that GitHub made; ours goes on with it.
func TestTheDeploymentOfTheJob(t *testing.T) {
	t.Parallel()
	g := hub(t)
	other := g.Deploy(sha, "production", "success", "https://github.example/o/r/actions/runs/55/job/1")
	job := g.Deploy(sha, "production", "in_progress", "https://github.example/o/r/actions/runs/5/job/9")
	tell(t, open(t, g, nil), story{steps: true, promote: true, result: done})
	deployments := g.Deployments()
	if len(deployments) != 2 || deployments[0].ID != other || deployments[1].ID != job {
		t.Fatalf("deployments: %+v", deployments)
	}
	if states := deployments[1].Statuses; states[len(states)-1].State != "success" {
		t.Errorf("the job's deployment: %+v", states)
	}
	if states := deployments[0].Statuses; states[len(states)-1].State != "inactive" {
		t.Errorf("the one before: %+v", states)
	}
}

// TestARollback takes the newest deployment back, and says nothing of the commit that happens to be checked out.
func TestARollback(t *testing.T) {
	t.Parallel()
	g := hub(t)
	tell(t, open(t, g, nil), story{steps: true, promote: true, result: done})
	before := len(g.StatusesOf(sha))
	for _, harmless := range []string{"backup", "smoke"} { // they change nothing about what is live
		r := open(t, g, nil)
		r.Observe(event.Event{Type: event.RunStarted, Run: "LOOK", RunInfo: &event.RunInfo{App: "guide", Environment: "production", Command: harmless}})
		r.Observe(event.Event{Type: event.RunFinished, Run: "LOOK", Result: &event.Result{Outcome: "done", Version: "new"}})
		if problems := r.Close(t.Context()); len(problems) > 0 {
			t.Fatal(problems)
		}
		if states := g.Deployments()[0].Statuses; states[len(states)-1].State != "success" {
			t.Errorf("after a %s: %+v", harmless, states)
		}
	}
	r := open(t, g, nil)
	r.Observe(event.Event{Type: event.RunStarted, Run: "BACK", RunInfo: &event.RunInfo{App: "guide", Environment: "production", Command: "rollback", Steps: []event.Step{{Name: "switch"}}}})
	r.Observe(event.Event{Type: event.RunFinished, Run: "BACK", Result: &event.Result{Outcome: "done", Version: "old", Previous: "new"}})
	if problems := r.Close(t.Context()); len(problems) > 0 {
		t.Fatal(problems)
	}
	states := g.Deployments()[0].Statuses
	if last := states[len(states)-1]; last.State != "inactive" || last.Description != "rollback: version old is live" {
		t.Errorf("the deployment: %+v", states)
	}
	if len(g.Deployments()) != 1 || len(g.StatusesOf(sha)) != before || len(g.Checks(sha)) != 1 {
		t.Error("a rollback reported about a commit")
	}
}

// TestReleaseNotes: people's words stay, our part is replaced.
func TestReleaseNotes(t *testing.T) {
	t.Parallel()
	g := hub(t)
	g.Publish(9, "v1", "Thanks to **everybody**.")
	release := func(o *Options) { o.Place.Release, o.Place.Event, o.Place.Ref = 9, "release", "refs/tags/v1" }
	for range 2 {
		if problems := tell(t, open(t, g, release), story{steps: true, promote: true, result: done}); len(problems) > 0 {
			t.Fatal(problems)
		}
	}
	notes := g.ReleaseOf(9).Body
	if !strings.HasPrefix(notes, "Thanks to **everybody**.\n\n<!-- penstock:production:begin -->") || strings.Count(notes, "Deployed guide") != 1 || g.ReleaseOf(9).Edits != 2 {
		t.Errorf("notes:\n%s", notes)
	}
}

// TestNothingStopsARun: whatever GitHub does, the events are taken at once, Close ends in time, and what it says is true
// and holds no token.
func TestNothingStopsARun(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		token githubtest.Token
		fault func(*http.Request) githubtest.Fault
		fork  bool
		says  string
	}{
		{"down", githubtest.WorkflowToken(secret), func(*http.Request) githubtest.Fault {
			return githubtest.Fault{Status: 500, Message: "Server Error"}
		}, false, "not sent, GitHub answered 500"},
		{"used up", githubtest.WorkflowToken(secret), func(*http.Request) githubtest.Fault {
			return githubtest.PrimaryLimit(time.Now().Add(time.Hour))
		}, false, "GitHub limits this token until"},
		{"too fast", githubtest.WorkflowToken(secret), func(*http.Request) githubtest.Fault { return githubtest.SecondaryLimit(3600) }, false, "GitHub limits this token until"},
		{"a token that is not valid", githubtest.WorkflowToken("another"), nil, false, "does not accept the token"},
		{"a fork's token", githubtest.ForkToken(secret), nil, true, "comes from a fork"},
		{"no permissions", githubtest.ForkToken(secret), nil, false, "`permissions:`"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := githubtest.New(t, "o/r", row.token)
			g.Commit(sha)
			g.Pull(7)
			g.Break(row.fault)
			r := open(t, g, func(o *Options) { o.Patience, o.Place.Pull, o.Place.Fork = 3*time.Second, 7, row.fork })
			problems := tell(t, r, story{steps: true, promote: true, result: done})
			text := strings.Join(problems, "\n")
			if !strings.Contains(text, row.says) {
				t.Errorf("does not say %q: %q", row.says, problems)
			}
			if strings.Contains(text, secret) {
				t.Error("the token is in what is told")
			}
			if len(g.StatusesOf(sha))+len(g.Checks(sha))+len(g.Deployments()) > 0 {
				t.Error("something was reported")
			}
			if strings.HasPrefix(row.name, "used") || strings.HasPrefix(row.name, "too") {
				if calls := len(g.Calls()); calls != 1 {
					t.Errorf("%d calls although the first was answered with a limit", calls)
				}
			}
		})
	}
}

// TestALimitIsWaitedOut: GitHub said how long, and that is what is waited; then everything arrives.
func TestALimitIsWaitedOut(t *testing.T) {
	t.Parallel()
	g := hub(t)
	var mu sync.Mutex
	var first time.Time
	early := 0
	g.Break(func(*http.Request) githubtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if first.IsZero() {
			first = time.Now()
			return githubtest.SecondaryLimit(2)
		}
		if time.Since(first) < 1900*time.Millisecond {
			early++
		}
		return githubtest.Fault{}
	})
	if problems := tell(t, open(t, g, nil), story{steps: true, promote: true, result: done}); len(problems) > 0 {
		t.Fatal(problems)
	}
	if early > 0 || states(g, sha)["penstock/production/deploy"] != "success" {
		t.Errorf("%d calls came before the limit was over; %v", early, states(g, sha))
	}
}

// TestLostAnswers: every write's first answer is lost although it had its effect; nothing is there twice.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	g := hub(t)
	g.Pull(7)
	var mu sync.Mutex
	lost := map[string]bool{}
	g.Break(func(r *http.Request) githubtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		key := r.Method + r.URL.Path
		if r.Method == http.MethodGet || lost[key] {
			return githubtest.Fault{}
		}
		lost[key] = true
		return githubtest.Fault{Status: 502, Message: "Bad Gateway", Done: true}
	})
	r := open(t, g, func(o *Options) { o.Place.Pull = 7 })
	if problems := tell(t, r, story{steps: true, promote: true, result: done}); len(problems) > 0 {
		t.Fatal(problems)
	}
	if len(g.Checks(sha)) != 1 || len(g.Deployments()) != 1 || len(g.Comments(7)) != 1 {
		t.Errorf("%d check runs, %d deployments, %d comments", len(g.Checks(sha)), len(g.Deployments()), len(g.Comments(7)))
	}
}

// TestEnterprise: another base address, and code scanning that is not licensed is said and harms nothing else.
func TestEnterprise(t *testing.T) {
	t.Parallel()
	g := hub(t)
	g.WithoutScanning()
	problems := tell(t, open(t, g, func(o *Options) { o.Place.API = strings.TrimSuffix(g.EnterpriseURL(), "/") }), story{steps: true, promote: true, result: done})
	if len(problems) != 1 || !strings.Contains(problems[0], "code scanning: GitHub answered 403 Advanced Security must be enabled") {
		t.Errorf("told: %q", problems)
	}
	if states(g, sha)["penstock/production/deploy"] != "success" {
		t.Errorf("statuses: %v", states(g, sha))
	}
}

// TestInjection: names, messages and paths that try to be markup, mentions, table rows or HTML arrive as text.
func TestInjection(t *testing.T) {
	t.Parallel()
	g := hub(t)
	g.Pull(7)
	evil := "x](https://evil.example) ![i](https://evil.example/p.png) <img src=x onerror=alert(1)> @everyone #1 | a | b |\n# Big\r::add-mask::x\n```\n<!-- penstock:production --> https://evil.example www.evil.example `code` $x$ \u202etxt\u202c"
	verdict := gates.Verdict{Outcome: gates.Fail, Summary: evil, NextStep: evil, Findings: []gates.Finding{{Level: gates.LevelError, Rule: evil, Message: evil, File: "a](https://evil.example)<b>.ts\n", Line: 1, Detail: evil}}}
	s := story{environment: "prod-->uction", build: verdict, result: event.Result{Outcome: "blocked", ExitCode: 4, Reason: evil, NextStep: evil}}
	if problems := tell(t, open(t, g, func(o *Options) { o.Place.Pull = 7 }), s); len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, text := range map[string]string{"comment": g.Comments(7)[0].Body, "check run": g.Checks(sha)[0].Summary} {
		body := strings.TrimPrefix(text, "<!-- penstock:prod--%3Euction -->\n")
		for _, bad := range []string{"](https://evil", "![", "<img", "@everyone", "https://evil", "www.evil", "\n# Big", "\r", "::add-mask", "```", "<!--", "\u202e", "`code`", "<b>", "$x$"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s lets %q through:\n%s", name, bad, text)
			}
		}
		for _, line := range strings.Split(body, "\n") {
			if strings.HasPrefix(line, "|") && strings.Count(line, "|") != 8 && strings.Count(line, "|") != 5 {
				t.Errorf("%s has a row of its own making: %s", name, line)
			}
		}
	}
}

// TestPlaces: what Actions says of a run, for the events that we are started by, from GitHub's own examples.
func TestPlaces(t *testing.T) {
	t.Parallel()
	g := githubtest.New(t, "o/r")
	write := func(payload []byte) string {
		path := filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(path, payload, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	find := func(vars map[string]string) (Place, error) {
		all := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "Codertocat/Hello-World", "GITHUB_SHA": merge, "GITHUB_RUN_ID": "5", "GITHUB_ACTOR": "mona"}
		for name, value := range vars {
			all[name] = value
		}
		return FindPlace(func(name string) string { return all[name] })
	}
	pull := map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/2/merge", "GITHUB_EVENT_PATH": write(g.Payload("pull_request", "pull-request-opened", nil))}
	place, err := find(pull)
	if err != nil || place.Pull != 2 || place.Fork || place.Commit != "ec26c3e57ca3a959ca5aad62de7213c562f8c821" || place.Tried != merge || place.Base != "f95f852bd8fca8fcc58a9a2d6c842781e32a215e" ||
		place.BaseRef != "master" || place.RunURL != "https://github.com/Codertocat/Hello-World/actions/runs/5" || place.API != "https://api.github.com" {
		t.Errorf("a pull request: %+v, %v", place, err)
	}
	for name, change := range map[string]func(head map[string]any){
		"a fork":                  func(head map[string]any) { head["repo"].(map[string]any)["full_name"] = "mallory/Hello-World" },
		"a fork that was deleted": func(head map[string]any) { head["repo"] = nil },
	} {
		text := g.Payload("pull_request", "pull-request-opened", nil)
		var payload map[string]any
		if err := json.Unmarshal(text, &payload); err != nil {
			t.Fatal(err)
		}
		change(payload["pull_request"].(map[string]any)["head"].(map[string]any))
		text, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		if place, err := find(map[string]string{"GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_EVENT_PATH": write(text)}); err != nil || !place.Fork {
			t.Errorf("%s: %+v, %v", name, place, err)
		}
	}
	if place, err := find(map[string]string{"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": write(g.Payload("push", "push", nil))}); err != nil || place.Pull != 0 || place.Commit != merge || place.Release != 0 {
		t.Errorf("a push: %+v, %v", place, err)
	}
	if place, err := find(map[string]string{"GITHUB_EVENT_NAME": "release", "GITHUB_EVENT_PATH": write(g.Payload("release", "release-published", nil))}); err != nil || place.Release != 17372790 {
		t.Errorf("a release: %+v, %v", place, err)
	}
	for name, vars := range map[string]map[string]string{
		"a pull request without its event": {"GITHUB_EVENT_NAME": "pull_request"},
		"a repository that is none":        {"GITHUB_REPOSITORY": "o/r/../../x"},
		"a commit that is none":            {"GITHUB_SHA": "main; rm -rf /"},
		"an event that is no JSON":         {"GITHUB_EVENT_PATH": write([]byte("no"))},
		"an event that is not there":       {"GITHUB_EVENT_PATH": filepath.Join(t.TempDir(), "none")},
		"a server that is no address":      {"GITHUB_API_URL": "javascript:alert(1)"},
	} {
		if place, err := find(vars); err == nil {
			t.Errorf("%s: %+v", name, place)
		}
	}
}
