package protection

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/internal/report/markdown"
)

const (
	// maxReports is how many reports without a decision we send of the ten that GitHub takes for a deployment.
	maxReports = 8
	// maxComment bounds a comment: it is a line or two under the waiting job.
	maxComment = 1000
	// callTime bounds one call.
	callTime = 20 * time.Second
)

// Decision is what a judge came to. The zero value rejects.
type Decision struct {
	Approve bool
	// Again is not zero when it cannot be decided yet: ask again after that.
	Again   time.Duration
	Comment string
}

// Judge judges one request. token may report about it; progress is told to people. An error says that it could not be found
// out, which rejects; when ctx ended, the request stays open instead.
type Judge func(ctx context.Context, request Request, token string, progress func(string)) (Decision, error)

// Options of a [Server]; all must be set, except where zero says something.
type Options struct {
	Secret     []byte          // of the webhook
	AppID      int64           // of the GitHub App
	Key        *rsa.PrivateKey // of the GitHub App
	API        string          // https://api.github.com
	Repository string          // owner/name: the only one that is judged for
	Dir        string          // where accepted requests are kept
	Judge      Judge
	Log        func(string)
	// Timeout ends a judgement that takes too long, waiting included, with a rejection. 24 hours when zero: GitHub itself
	// gives up after 30 days.
	Timeout time.Duration
	// Retries are the pauses after which a decision that GitHub did not take is sent again; nil means 2 s to 5 min.
	Retries []time.Duration
}

// ReadKey reads the private key that GitHub made for an app.
func ReadKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM(text)
	if err != nil { // the parser's own words could quote the file
		return nil, fmt.Errorf("%s is no RSA private key in PEM", path)
	}
	return key, nil
}

// Server is the webhook's handler and what judges after it.
type Server struct {
	options Options
	journal *journal
	ctx     context.Context //nolint:containedctx // the life of the server, not of a call
	stop    context.CancelFunc
	turn    chan struct{} // one judgement at a time: stages need the machine
	work    sync.WaitGroup

	mu     sync.Mutex
	tokens map[int64]*github.InstallationToken
}

// New makes a server and goes on with what an earlier one left open. Close it.
func New(options Options) (*Server, error) {
	switch {
	case len(options.Secret) < 16:
		return nil, errors.New("the webhook's secret is missing or shorter than 16 characters: anybody could sign with it")
	case options.Key == nil || options.AppID <= 0:
		return nil, errors.New("the GitHub App's id or private key is missing")
	case options.Judge == nil || options.Repository == "" || options.Dir == "":
		return nil, errors.New("a protection server needs a judge, a repository and a folder")
	}
	if options.Timeout == 0 {
		options.Timeout = 24 * time.Hour
	}
	if options.Retries == nil {
		options.Retries = []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute}
	}
	if options.Log == nil {
		options.Log = func(string) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		options: options, journal: &journal{dir: options.Dir}, ctx: ctx, stop: stop, turn: make(chan struct{}, 1), tokens: map[int64]*github.InstallationToken{},
	}
	left, err := s.journal.open()
	if err != nil {
		stop()
		return nil, fmt.Errorf("read what an earlier server left open: %w", err)
	}
	for _, request := range left {
		s.log("going on with %s, for %s", request.Delivery, request.Environment)
		s.start(request)
	}
	return s, nil
}

// Close stops judging; what is not decided stays open for the next server.
func (s *Server) Close() {
	s.stop()
	s.work.Wait()
}

func (s *Server) log(format string, args ...any) {
	s.options.Log(markdown.Line(fmt.Sprintf(format, args...), 500))
}

func (s *Server) start(request Request) {
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		if err := s.decide(request); err != nil {
			s.log("%s for %s: %v", request.Delivery, request.Environment, err)
		}
	}()
}

// decide judges a request to its end. It stays open when the server stops first, or when GitHub does not take the decision.
func (s *Server) decide(request Request) error {
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.options.Timeout, errTooLong)
	defer cancel()
	decision, err := s.judge(ctx, request)
	if s.ctx.Err() != nil {
		return nil
	}
	if err != nil {
		decision = Decision{Comment: "It could not be found out: " + err.Error()}
	}
	s.log("%s for %s at %.12s: approve=%v %s", request.Delivery, request.Environment, request.Commit, decision.Approve, decision.Comment)
	if request.Run != 0 {
		state := "rejected"
		if decision.Approve {
			state = "approved"
		}
		if err := s.answer(s.ctx, request, state, decision.Comment); err != nil {
			return fmt.Errorf("GitHub did not take the decision, it is sent again by the next server: %w", err)
		}
	}
	return s.journal.decided(request)
}

var errTooLong = errors.New("judging took too long")

// judge asks the judge until it can tell.
func (s *Server) judge(ctx context.Context, request Request) (_ Decision, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the judge broke: %v", cause)
		}
	}()
	reports, last := 0, ""
	progress := func(text string) {
		text = markdown.Line(text, maxComment)
		if request.Run == 0 || reports == maxReports || text == last {
			return
		}
		reports, last = reports+1, text
		if err := s.report(ctx, request, text); err != nil {
			s.log("report progress: %v", err)
		}
	}
	for {
		token, err := s.token(ctx, request)
		if err != nil {
			return Decision{}, err
		}
		decision, err := s.ask(ctx, request, token, progress)
		if ctx.Err() != nil {
			return Decision{}, context.Cause(ctx)
		}
		if err != nil || decision.Again == 0 {
			return decision, err
		}
		progress("waiting: " + decision.Comment)
		timer := time.NewTimer(decision.Again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Decision{}, context.Cause(ctx)
		}
	}
}

// ask asks the judge when it is this request's turn.
func (s *Server) ask(ctx context.Context, request Request, token string, progress func(string)) (Decision, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return Decision{}, context.Cause(ctx)
	}
	return s.options.Judge(ctx, request, token, progress)
}

// answer sends the decision until GitHub takes it.
func (s *Server) answer(ctx context.Context, request Request, state, comment string) error {
	body := map[string]string{"environment_name": request.Environment, "state": state, "comment": markdown.Line(comment, maxComment)}
	var err error
	for _, pause := range append([]time.Duration{0}, s.options.Retries...) {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		if err = s.post(ctx, request, body); err == nil {
			return nil
		}
		var answered *github.ErrorResponse
		if errors.As(err, &answered) && answered.Response.StatusCode == http.StatusUnprocessableEntity {
			// It was decided: by an earlier attempt whose answer was lost, or by an administrator.
			s.log("%s: GitHub waits for no decision any more", request.Delivery)
			return nil
		}
	}
	return err
}

// report tells people how far it is, without a decision.
func (s *Server) report(ctx context.Context, request Request, text string) error {
	return s.post(ctx, request, map[string]string{"environment_name": request.Environment, "comment": text})
}

// post is a call that go-github v60 lacks. The address is made here and not taken from the payload.
func (s *Server) post(ctx context.Context, request Request, body any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	token, err := s.token(ctx, request)
	if err != nil {
		return err
	}
	client, err := s.client(token)
	if err != nil {
		return err
	}
	call, err := client.NewRequest(http.MethodPost, fmt.Sprintf("repos/%s/actions/runs/%d/deployment_protection_rule", s.options.Repository, request.Run), body)
	if err != nil {
		return err
	}
	response, err := client.Do(ctx, call, nil)
	if response != nil && response.StatusCode == http.StatusUnauthorized { // it was revoked before its time
		s.mu.Lock()
		delete(s.tokens, request.Installation)
		s.mu.Unlock()
	}
	return err
}

func (s *Server) client(token string) (*github.Client, error) {
	address, err := url.Parse(strings.TrimSuffix(s.options.API, "/") + "/")
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("%q is no address of GitHub's API", s.options.API)
	}
	client := github.NewClient(&http.Client{Timeout: callTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).WithAuthToken(token)
	client.BaseURL = address
	return client, nil
}

// token is one of the installation, for this repository only, with what the app was granted; it is made anew before it expires.
func (s *Server) token(ctx context.Context, request Request) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.tokens[request.Installation]; held != nil && time.Until(held.GetExpiresAt().Time) > 10*time.Minute {
		return held.GetToken(), nil
	}
	now := time.Now()
	// GitHub takes at most ten minutes, and clocks differ (docs.github.com, "Generating a JSON Web Token").
	claims := jwt.RegisteredClaims{Issuer: fmt.Sprint(s.options.AppID), IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(9 * time.Minute))}
	signedClaims, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(s.options.Key)
	if err != nil {
		return "", fmt.Errorf("sign as the app: %w", err)
	}
	client, err := s.client(signedClaims)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, name, _ := strings.Cut(s.options.Repository, "/")
	made, _, err := client.Apps.CreateInstallationToken(ctx, request.Installation, &github.InstallationTokenOptions{
		Repositories: []string{name},
	})
	if err != nil {
		return "", fmt.Errorf("get a token of the app's installation: %w", err)
	}
	s.tokens[request.Installation] = made
	return made.GetToken(), nil
}
