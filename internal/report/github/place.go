package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Place is what a run is about, on GitHub.
type Place struct {
	Server     string // https://github.com
	API        string // https://api.github.com
	Repository string // owner/name
	Commit     string // whose statuses are written: a pull request's head, never the commit that GitHub merged to try it
	Tried      string // what was checked out: of a pull request the commit that GitHub merged to try it
	Ref        string // the ref of Tried: refs/heads/main, refs/pull/7/merge
	Event      string // push, pull_request, release, …
	Actor      string
	RunURL     string // the log in Actions; "" elsewhere
	RunID      int64  // of the workflow run; 0 elsewhere

	Pull    int    // number of the pull request; 0 for none
	Fork    bool   // its branch is in another repository
	Base    string // the commit that it wants to change: gates and policy are those of this one
	BaseRef string // and its branch

	Release int64 // id of the release that was published; 0 for none
}

var (
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)
	commitName     = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// maxPayload bounds the event's file: GitHub caps payloads at 25 MB.
const maxPayload = 25 << 20

// payload is what is read of an event.
type payload struct {
	Number      int `json:"number"`
	PullRequest *struct {
		Number int `json:"number"`
		Head   struct {
			SHA  string `json:"sha"`
			Repo *struct {
				FullName string `json:"full_name"`
			} `json:"repo"`
		} `json:"head"`
		Base struct {
			SHA  string `json:"sha"`
			Ref  string `json:"ref"`
			Repo struct {
				FullName string `json:"full_name"`
			} `json:"repo"`
		} `json:"base"`
	} `json:"pull_request"`
	Release *struct {
		ID int64 `json:"id"`
	} `json:"release"`
	CheckRun *struct {
		HeadSHA string `json:"head_sha"`
	} `json:"check_run"`
}

// InActions reports whether this process is a step of GitHub Actions.
func InActions(env func(string) string) bool { return env("GITHUB_ACTIONS") == "true" }

// FindPlace reads what GitHub Actions says of the run in GITHUB_* and in the event's file
// (docs.github.com, "Variables reference"). Elsewhere GITHUB_REPOSITORY and GITHUB_SHA are enough. A pull request about
// which the event does not say everything is an error: its base is what it is judged by.
func FindPlace(env func(string) string) (Place, error) {
	place := Place{
		Server: strings.TrimSuffix(env("GITHUB_SERVER_URL"), "/"), API: strings.TrimSuffix(env("GITHUB_API_URL"), "/"), Repository: env("GITHUB_REPOSITORY"),
		Commit: env("GITHUB_SHA"), Ref: env("GITHUB_REF"), Event: env("GITHUB_EVENT_NAME"), Actor: env("GITHUB_ACTOR"),
	}
	if place.Server == "" {
		place.Server = "https://github.com"
	}
	if place.API == "" {
		place.API = "https://api.github.com"
	}
	for name, address := range map[string]string{"GITHUB_SERVER_URL": place.Server, "GITHUB_API_URL": place.API} {
		if parsed, err := url.Parse(address); err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") {
			return Place{}, fmt.Errorf("%s is no address: %q", name, address)
		}
	}
	if !repositoryName.MatchString(place.Repository) {
		return Place{}, fmt.Errorf("GITHUB_REPOSITORY is no owner/name: %q", place.Repository)
	}
	if run := env("GITHUB_RUN_ID"); run != "" && InActions(env) {
		id, err := strconv.ParseInt(run, 10, 64)
		if err != nil {
			return Place{}, fmt.Errorf("GITHUB_RUN_ID is no number: %q", run)
		}
		place.RunID = id
		place.RunURL = fmt.Sprintf("%s/%s/actions/runs/%d", place.Server, place.Repository, id)
	}
	event, err := readPayload(env("GITHUB_EVENT_PATH"))
	if err != nil {
		return Place{}, err
	}
	place.Tried = place.Commit
	if strings.HasPrefix(place.Event, "pull_request") && event.PullRequest == nil {
		return Place{}, errors.New("the event is a pull request, and GITHUB_EVENT_PATH does not say which")
	}
	if pull := event.PullRequest; pull != nil {
		place.Pull, place.Commit, place.Base, place.BaseRef = pull.Number, pull.Head.SHA, pull.Base.SHA, pull.Base.Ref
		// A fork that was deleted has no name any more, and is none the less one.
		place.Fork = pull.Head.Repo == nil || !strings.EqualFold(pull.Head.Repo.FullName, pull.Base.Repo.FullName)
		if !commitName.MatchString(place.Base) {
			return Place{}, fmt.Errorf("the event names no commit that pull request %d is based on", place.Pull)
		}
	}
	if event.Release != nil && place.Event == "release" {
		place.Release = event.Release.ID
	}
	if event.CheckRun != nil && place.Event == "check_run" {
		place.Commit = event.CheckRun.HeadSHA
	}
	for _, commit := range []string{place.Commit, place.Tried} {
		if commit != "" && !commitName.MatchString(commit) {
			return Place{}, fmt.Errorf("GITHUB_SHA or the event names no commit: %q", commit)
		}
	}
	return place, nil
}

func readPayload(path string) (payload, error) {
	var event payload
	if path == "" {
		return event, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return event, fmt.Errorf("read the event at GITHUB_EVENT_PATH: %w", err)
	}
	if info.Size() > maxPayload {
		return event, fmt.Errorf("the event at GITHUB_EVENT_PATH is larger than GitHub makes them: %d bytes", info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return event, fmt.Errorf("read the event at GITHUB_EVENT_PATH: %w", err)
	}
	if err := json.Unmarshal(text, &event); err != nil {
		return event, fmt.Errorf("the event at GITHUB_EVENT_PATH is no JSON: %w", err)
	}
	return event, nil
}
