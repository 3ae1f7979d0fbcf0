// Package githubtest is a GitHub in memory, for tests: the calls that Penstock makes, with their state, pages, permissions, rate
// limits and signed webhooks. Every request and every answer is held against GitHub's own published OpenAPI description, so
// that neither the client nor this fake can drift from it unseen. It shares no code with the client under test.
//
// api.github.com.json is cut by ./trim from generated/api.github.com.json of the npm package @octokit/openapi 23.0.2 (MIT,
// Copyright (c) 2020 Octokit contributors; it repackages github.com/github/rest-api-description, MIT, Copyright (c) GitHub).
// webhooks/ are payloads of the npm package @octokit/webhooks-examples 7.6.1 (MIT, Copyright (c) Octokit contributors), with the
// fields that GitHub has added since; deployment_protection_rule.json, which that lacks, is written after GitHub's schema.
package githubtest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

//go:embed api.github.com.json
var description []byte

// described is the description, read once: it takes a tenth of a second.
var described = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // the paths count, wherever they are served
	return doc, nil
})

// Token is somebody who may ask.
type Token struct {
	Value string
	Login string // github-actions[bot]
	App   bool   // an installation token: only such may write check runs, and has no user
	// Permissions are "read" or "write" by scope as in a workflow's permissions: statuses, checks, deployments, issues,
	// pull-requests, security-events, contents, actions.
	Permissions map[string]string
}

// WorkflowToken is what a workflow with every permission of Penstock's gets.
func WorkflowToken(value string) Token {
	return Token{Value: value, Login: "github-actions[bot]", App: true, Permissions: map[string]string{
		"statuses": "write", "checks": "write", "deployments": "write", "issues": "write", "pull-requests": "write",
		"security-events": "write", "contents": "write", "actions": "read",
	}}
}

// ForkToken is what a workflow for a fork's pull request gets, whatever it asks for.
func ForkToken(value string) Token {
	return Token{Value: value, Login: "github-actions[bot]", App: true, Permissions: map[string]string{
		"statuses": "read", "checks": "read", "deployments": "read", "issues": "read", "pull-requests": "read",
		"security-events": "read", "contents": "read", "actions": "read",
	}}
}

// Call is one request that arrived, with what was answered.
type Call struct {
	Method string
	Path   string // below the API's base
	Status int
	Token  string
}

// Fault is what GitHub answers in place of an answer; zero is none.
type Fault struct {
	Status  int
	Message string
	Header  map[string]string
	// Done lets the call have its effect before it is answered so: the reply was lost, not the request.
	Done bool
}

// PrimaryLimit is the answer to who has used up the hour's calls, until reset.
func PrimaryLimit(reset time.Time) Fault {
	return Fault{Status: 403, Message: "API rate limit exceeded for installation ID 1.", Header: map[string]string{
		"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(reset.Unix(), 10), "X-RateLimit-Resource": "core",
	}}
}

// SecondaryLimit is the answer to who asks too fast, to be obeyed for that many seconds.
func SecondaryLimit(seconds int) Fault {
	return Fault{Status: 403, Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.", Header: map[string]string{
		"Retry-After": strconv.Itoa(seconds),
	}}
}

// GitHub is one GitHub with one repository. Set Fault before or during a test through [GitHub.Break]; everything else is for
// one goroutine at a time, the server's own excepted.
type GitHub struct {
	URL string // the API's base, with a slash at its end
	t   testing.TB

	mu       sync.Mutex
	fault    func(*http.Request) Fault
	tokens   map[string]Token
	app      *app
	repo     string // owner/name
	calls    []Call
	problems []string // what the description forbids
	nextID   int64
	state

	router routers.Router
	mux    *http.ServeMux
	server *httptest.Server
}

// New starts a GitHub that holds the repository owner/name and knows the tokens. It ends with the test, which fails when a
// request or an answer was not as GitHub describes it.
func New(t testing.TB, repository string, tokens ...Token) *GitHub {
	t.Helper()
	doc, err := described()
	if err != nil {
		t.Fatalf("read GitHub's description: %v", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatalf("route GitHub's description: %v", err)
	}
	g := &GitHub{t: t, router: router, repo: repository, tokens: map[string]Token{}, nextID: 1000, mux: http.NewServeMux(), state: newState()}
	for _, token := range tokens {
		g.tokens[token.Value] = token
	}
	g.routes()
	g.server = httptest.NewServer(http.HandlerFunc(g.serve))
	g.URL = g.server.URL + "/"
	t.Cleanup(func() {
		g.server.Close()
		for _, problem := range g.Problems() {
			t.Error(problem)
		}
	})
	return g
}

// EnterpriseURL is the base URL as an Enterprise server has it.
func (g *GitHub) EnterpriseURL() string { return g.URL + "api/v3/" }

// Break makes every request meet what fault says of it; nil mends it.
func (g *GitHub) Break(fault func(*http.Request) Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = fault
}

// Calls returns what was asked so far.
func (g *GitHub) Calls() []Call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Call(nil), g.calls...)
}

// Count returns how many calls of that method had a path that contains part.
func (g *GitHub) Count(method, part string) int {
	count := 0
	for _, call := range g.Calls() {
		if call.Method == method && strings.Contains(call.Path, part) {
			count++
		}
	}
	return count
}

// Problems returns how requests and answers were not as GitHub describes them, and forgets them.
func (g *GitHub) Problems() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	problems := g.problems
	g.problems = nil
	return problems
}

func (g *GitHub) complain(format string, args ...any) {
	g.problems = append(g.problems, fmt.Sprintf(format, args...))
}

// serve is every request's way: fault, token, description, permission, state, description.
func (g *GitHub) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return
	}
	r.URL.Path = strings.TrimPrefix(r.URL.Path, "/api/v3")
	g.mu.Lock()
	defer g.mu.Unlock()
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	status, header, answer := g.answer(r, body, bearer)
	g.calls = append(g.calls, Call{Method: r.Method, Path: r.URL.Path, Status: status, Token: bearer})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	for name, value := range header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	if answer != nil {
		_, _ = w.Write(answer) // a client that went away has its reasons
	}
}

func (g *GitHub) answer(r *http.Request, body []byte, bearer string) (int, map[string]string, []byte) {
	var fault Fault
	if g.fault != nil {
		fault = g.fault(r)
	}
	if fault.Status != 0 && !fault.Done {
		return fault.Status, fault.Header, message(fault.Message)
	}
	route, parameters, err := g.router.FindRoute(&http.Request{Method: r.Method, URL: r.URL})
	if err != nil {
		g.complain("%s %s is no call of GitHub's that is known here: %v", r.Method, r.URL.Path, err)
		return 404, nil, message("Not Found")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, Route: route,
		Options: validation(),
	}
	if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
		g.complain("%s %s: GitHub's description forbids this request: %v", r.Method, r.URL.Path, err)
		return 422, nil, message("Validation Failed")
	}
	token, known := g.tokens[bearer]
	forApp := strings.HasPrefix(r.URL.Path, "/app/")
	if forApp {
		if problem := g.app.check(bearer); problem != "" {
			return 401, nil, message(problem)
		}
	} else if !known {
		return 401, nil, message("Bad credentials")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	recorder := httptest.NewRecorder()
	_, pattern := g.mux.Handler(r)
	if pattern == "" {
		g.complain("%s %s is described and not served here", r.Method, r.URL.Path)
		return 404, nil, message("Not Found")
	}
	if problem := token.may(pattern); problem != "" && !forApp {
		return 403, nil, message(problem)
	}
	g.mux.ServeHTTP(recorder, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
	if recorder.Body.Len() == 0 {
		return recorder.Code, nil, nil
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: recorder.Code, Header: http.Header{"Content-Type": {"application/json"}},
		Body:    io.NopCloser(bytes.NewReader(recorder.Body.Bytes())),
		Options: validation(),
	})
	if err != nil {
		g.complain("%s %s: GitHub's description forbids the fake's own answer %d: %v", r.Method, r.URL.Path, recorder.Code, err)
	}
	if fault.Status != 0 {
		return fault.Status, fault.Header, message(fault.Message)
	}
	header := map[string]string{
		"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10),
	}
	if link := recorder.Header().Get("Link"); link != "" {
		header["Link"] = link
	}
	return recorder.Code, header, recorder.Body.Bytes()
}

// validation checks everything but the signature, and says briefly what is wrong.
func validation() *openapi3filter.Options {
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, SkipSettingDefaults: true}
	options.WithCustomSchemaErrorFunc(briefly)
	return options
}

func briefly(err *openapi3.SchemaError) string {
	return "/" + strings.Join(err.JSONPointer(), "/") + ": " + err.Reason
}

type tokenKey struct{}

// caller is whose token asks.
func caller(r *http.Request) Token {
	token, _ := r.Context().Value(tokenKey{}).(Token)
	return token
}

// may says what GitHub answers to a token that lacks a permission; "" when it has it.
func (token Token) may(pattern string) string {
	method, path, _ := strings.Cut(pattern, " ")
	level := "write"
	if method == http.MethodGet {
		level = "read"
	}
	if strings.HasSuffix(path, "/user") {
		if token.App {
			return "Resource not accessible by integration"
		}
		return ""
	}
	scopes := []string{"contents"}
	for part, scope := range map[string][]string{
		"/statuses/{sha}": {"statuses"}, "check-runs": {"checks"}, "/deployments": {"deployments"}, "/comments": {"issues", "pull-requests"},
		"/sarifs": {"security-events"}, "/releases": {"contents"}, "pending_deployments": {"actions", "deployments"}, "deployment_protection_rule": {"deployments"},
	} {
		if strings.Contains(path, part) {
			scopes = scope
		}
	}
	for _, scope := range scopes {
		if held := token.Permissions[scope]; held == "write" || held == level {
			if scope == "checks" && level == "write" && !token.App {
				return "You must authenticate via a GitHub App."
			}
			return ""
		}
	}
	return "Resource not accessible by integration"
}

func message(text string) []byte {
	out, _ := json.Marshal(map[string]any{"message": text, "documentation_url": "https://docs.github.com/rest", "status": "0"})
	return out
}

// write answers with value as JSON.
func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if value != nil {
		_ = json.NewEncoder(w).Encode(value) // into memory
	}
}

// refuse answers with an error as GitHub words them.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(message(text))
}

// page cuts out what ?page and ?per_page ask for, and links to the next page as GitHub does.
func page[T any](w http.ResponseWriter, r *http.Request, base string, all []T) []T {
	size, number := 30, 1
	if n, err := strconv.Atoi(r.URL.Query().Get("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil && n > 0 {
		number = n
	}
	from, to := min((number-1)*size, len(all)), min(number*size, len(all))
	if to < len(all) {
		query := r.URL.Query()
		query.Set("page", strconv.Itoa(number+1))
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, strings.TrimSuffix(base, "/"), r.URL.Path, query.Encode()))
	}
	return all[from:to]
}
