package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/account"
	"github.com/penstock-ci/penstock/internal/report/markdown"
)

const (
	// betweenStates is how long a thing on GitHub keeps its state before the next is sent: an hour's calls are counted.
	betweenStates = 3 * time.Second
	// patience is how long [Reporter.Close] sends, at most.
	patience = 30 * time.Second
)

// Options say where and as whom to report.
type Options struct {
	Place Place
	Token string
	// Version of Penstock, for the tool's entry in code scanning and the user agent.
	Version string
	// Folder is the app's folder within the repository, with a slash at its end; "" at the root.
	Folder string
	// Deploys says that the run's environment is one that others can see: it gets a deployment on GitHub.
	Deploys bool
	// Patience bounds Close; 30 seconds when zero. Pause is the least time between two states of one thing; 3 seconds when zero.
	Patience, Pause time.Duration
	// Client is nil for the usual one.
	Client *http.Client
}

// Reporter shows one run on GitHub. It is an [event.Observer].
type Reporter struct {
	options     Options
	client      *github.Client
	owner, name string
	links       markdown.Links
	account     account.Account
	box         *outbox
	shown       map[string]string // the last state put of each thing, so that nothing is sent twice

	check      checkRun
	deployment deployment
	comment    pullComment
}

// New makes a reporter; nothing is sent before the first event.
func New(options Options) (*Reporter, error) {
	if options.Token == "" {
		return nil, errors.New("there is no token to report to GitHub with")
	}
	if !commitName.MatchString(options.Place.Commit) {
		return nil, fmt.Errorf("%q is no commit to report about", options.Place.Commit)
	}
	client, err := newClient(options.Client, options.Place.API, options.Token, options.Version)
	if err != nil {
		return nil, err
	}
	if options.Pause == 0 {
		options.Pause = betweenStates
	}
	if options.Patience == 0 {
		options.Patience = patience
	}
	r := &Reporter{options: options, client: client, box: newOutbox(), shown: map[string]string{}}
	r.owner, r.name, _ = strings.Cut(options.Place.Repository, "/")
	r.links = markdown.Links{
		Run: options.Place.RunURL, Folder: options.Folder,
		Source: fmt.Sprintf("%s/%s/blob/%s/", options.Place.Server, options.Place.Repository, options.Place.Commit),
	}
	return r, nil
}

// newClient is go-github's, at the API's base address: api.github.com, or https://HOST/api/v3 of an Enterprise server.
func newClient(base *http.Client, api, token, version string) (*github.Client, error) {
	address, err := url.Parse(strings.TrimSuffix(api, "/") + "/")
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("GITHUB_API_URL is no address: %q", api)
	}
	if base == nil {
		base = &http.Client{Timeout: callTime, CheckRedirect: stayHome}
	}
	client := github.NewClient(base).WithAuthToken(token)
	client.BaseURL, client.UserAgent = address, "penstock/"+version
	return client, nil
}

// stayHome lets a redirection lead to the same host only: the token goes with it.
func stayHome(request *http.Request, via []*http.Request) error {
	if request.URL.Host != via[0].URL.Host || len(via) > 3 {
		return errors.New("GitHub redirected to another host")
	}
	return nil
}

// Observe implements [event.Observer]. It only queues.
func (r *Reporter) Observe(e event.Event) {
	switch e.Type {
	case event.StageOutput, event.GateProgress, event.StepProgress:
		return // the log has them
	case event.RunStarted, event.StageStarted, event.StageFinished, event.GateStarted, event.GateFinished, event.BundleBuilt, event.PlanMade,
		event.StepStarted, event.StepFinished, event.Note, event.RunFinished:
	}
	r.account.Apply(e)
	if r.account.Info.App == "" {
		return // the run has not said what it is
	}
	if r.account.Info.Command != "" { // it is not this commit that goes live
		r.putOperation()
		return
	}
	r.statuses()
	r.putDeployment()
	r.putCheckRun()
	r.putComment()
	if e.Type == event.RunFinished {
		r.putScanning()
		r.putRelease()
	}
}

// Close sends what is queued, within the bound of the options. It returns what could not be sent, in words for people.
func (r *Reporter) Close(ctx context.Context) []string {
	return r.explain(r.box.close(ctx, r.options.Patience))
}

// explain adds what to do about it.
func (r *Reporter) explain(problems []string) []string {
	const lacks = "not accessible by integration"
	var told []string
	denied := false
	for _, problem := range problems {
		if strings.Contains(problem, lacks) {
			denied = true
		}
		told = append(told, problem)
	}
	switch {
	case denied && r.options.Place.Fork:
		told = append(told, "this pull request comes from a fork, so GitHub gives the job a token that may only read: the verdicts are in the job's summary and log")
	case denied:
		told = append(told, "give the job `permissions:` statuses, checks, deployments, pull-requests and security-events: write (docs/github.md)")
	}
	return told
}

// put queues a state of a thing, unless it is the one that was put last.
func (r *Reporter) put(key, kind, state string, send func(ctx context.Context, attempt int) error) {
	if r.shown[key] == state {
		return
	}
	r.shown[key] = state
	pause := r.options.Pause
	if key == "check" || key == "comment" { // they change with every event, and each change is a whole text
		pause *= 5
	}
	r.box.put(&parcel{key: key, kind: kind, send: send, pause: pause})
}

// oneLine is for texts that GitHub and terminals show as they are.
func oneLine(s string) string { return markdown.Line(s, 300) }
