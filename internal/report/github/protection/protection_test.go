package protection

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/githubtest"
)

const (
	secret = "a-secret-of-a-webhook"
	sha    = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
	app    = 4711
	run    = 12345 // of GitHub's example
)

// stage is a server with a GitHub and somebody who judges.
type stage struct {
	t      *testing.T
	g      *githubtest.GitHub
	key    *rsa.PrivateKey
	dir    string
	server *Server
	url    string

	mu  sync.Mutex
	log []string
}

func newStage(t *testing.T, judge Judge) *stage {
	t.Helper()
	s := &stage{t: t, g: githubtest.New(t, "o/r"), dir: t.TempDir()}
	block, _ := pem.Decode(s.g.App(app))
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.key = key
	s.g.Wait(run, githubtest.Pending{EnvironmentID: 1, Environment: "production", Rule: true})
	s.begin(judge)
	return s
}

func (s *stage) begin(judge Judge) {
	s.t.Helper()
	server, err := New(Options{
		Secret: []byte(secret), AppID: app, Key: s.key, API: s.g.URL, Repository: "o/r", Dir: s.dir, Judge: judge, Timeout: 20 * time.Second, Retries: []time.Duration{10 * time.Millisecond, 10 * time.Millisecond},
		Log: func(text string) { s.mu.Lock(); defer s.mu.Unlock(); s.log = append(s.log, text) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	s.server, s.url = server, listener.URL
	s.t.Cleanup(func() { listener.Close(); server.Close() })
}

func (s *stage) payload(change func(map[string]any)) []byte {
	return s.g.Payload("deployment_protection_rule", "deployment-protection-rule-requested", func(payload map[string]any) {
		payload["repository"].(map[string]any)["full_name"] = "o/r"
		if change != nil {
			change(payload)
		}
	})
}

// settled waits until the deployment is decided.
func (s *stage) settled() githubtest.Pending {
	s.t.Helper()
	for range 6000 {
		if pending := s.g.PendingOf(run)[0]; pending.State != "" {
			return pending
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Fatalf("it is never decided: %v", s.log)
	return githubtest.Pending{}
}

// TestDecisions: an approval, a rejection, what could not be found out, a judge that breaks, and one that has to ask again.
func TestDecisions(t *testing.T) {
	t.Parallel()
	asked := 0
	for _, row := range []struct {
		name  string
		judge Judge
		state string
		says  string
	}{
		{"approve", func(_ context.Context, request Request, token string, progress func(string)) (Decision, error) {
			if request.Commit != sha || request.Environment != "production" || request.DefaultBranch != "master" || request.Run != run || !strings.HasPrefix(token, "ghs_") {
				return Decision{}, errors.New("another request")
			}
			for range 30 {
				progress("asking quality/coverage")
			}
			return Decision{Approve: true, Comment: "12 gates passed"}, nil
		}, "approved", "12 gates passed"},
		{"reject", func(context.Context, Request, string, func(string)) (Decision, error) {
			return Decision{Comment: "blocked by quality/coverage\n::error::x"}, nil
		}, "rejected", "blocked by quality/coverage ::error::x"},
		{"cannot be found out", func(context.Context, Request, string, func(string)) (Decision, error) {
			return Decision{Approve: true}, errors.New("no such commit")
		}, "rejected", "could not be found out: no such commit"},
		{"breaks", func(context.Context, Request, string, func(string)) (Decision, error) { panic("oh") }, "rejected", "the judge broke"},
		{"nothing at all", func(context.Context, Request, string, func(string)) (Decision, error) { return Decision{}, nil }, "rejected", ""},
		{"later", func(context.Context, Request, string, func(string)) (Decision, error) {
			if asked++; asked < 3 {
				return Decision{Again: 5 * time.Millisecond, Comment: "release/soak waits for time"}, nil
			}
			return Decision{Approve: true, Comment: "soaked"}, nil
		}, "approved", "soaked"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, row.judge)
			answer := s.g.Deliver(s.url, "deployment_protection_rule", "00000000-0000-0000-0000-000000000001", secret, s.payload(nil))
			if answer.StatusCode != http.StatusAccepted {
				t.Fatalf("the delivery: %s", answer.Status)
			}
			got := s.settled()
			if got.State != row.state || got.By != "penstock[bot]" || !strings.Contains(got.Comments[len(got.Comments)-1], row.says) {
				t.Errorf("%+v", got)
			}
			if row.name == "later" && got.Reports == 0 {
				t.Error("nobody was told what it waits for")
			}
		})
	}
}

// TestForgeries: no signature, another secret's, another body's, a replay under the same id and under another one, another
// repository, and addresses that lead elsewhere. None of them is judged.
func TestForgeries(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	judged := 0
	s := newStage(t, func(context.Context, Request, string, func(string)) (Decision, error) {
		mu.Lock()
		defer mu.Unlock()
		judged++
		return Decision{Approve: true}, nil
	})
	body := s.payload(nil)
	post := func(body []byte, header map[string]string) int {
		request, err := http.NewRequest(http.MethodPost, s.url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-GitHub-Event", "deployment_protection_rule")
		request.Header.Set("X-GitHub-Delivery", "00000000-0000-0000-0000-00000000000f")
		for name, value := range header {
			request.Header.Set(name, value)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	for name, header := range map[string]map[string]string{
		"no signature": {}, "an empty one": {"X-Hub-Signature-256": "sha256="}, "one that is no hex": {"X-Hub-Signature-256": "sha256=zz"},
		"SHA-1": {"X-Hub-Signature": "sha1=00"}, "zeros": {"X-Hub-Signature-256": "sha256=" + strings.Repeat("0", 64)},
	} {
		if code := post(body, header); code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, code)
		}
	}
	deliver := func(delivery, key string, body []byte) int {
		return s.g.Deliver(s.url, "deployment_protection_rule", delivery, key, body).StatusCode
	}
	if code := deliver("00000000-0000-0000-0000-000000000002", "another secret of somebody", body); code != http.StatusUnauthorized {
		t.Errorf("another secret: %d", code)
	}
	for name, row := range map[string]struct {
		change func(map[string]any)
		code   int
	}{
		"another repository":         {func(p map[string]any) { p["repository"].(map[string]any)["full_name"] = "mallory/r" }, http.StatusUnprocessableEntity},
		"no run":                     {func(p map[string]any) { p["deployment_callback_url"] = "https://evil.example/" }, http.StatusUnprocessableEntity},
		"no commit":                  {func(p map[string]any) { p["deployment"].(map[string]any)["sha"] = "main; rm -rf /" }, http.StatusUnprocessableEntity},
		"a branch that is an option": {func(p map[string]any) { p["repository"].(map[string]any)["default_branch"] = "--upload-pack=x" }, http.StatusUnprocessableEntity},
	} {
		if code := deliver("00000000-0000-0000-0000-00000000000"+string(rune('a'+len(name)%6)), secret, s.payload(row.change)); code != row.code {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code := deliver("../../x", secret, body); code != http.StatusBadRequest {
		t.Errorf("a delivery that is a path: %d", code)
	}
	mu.Lock()
	if judged != 0 {
		t.Errorf("%d forgeries were judged", judged)
	}
	mu.Unlock()

	if code := deliver("00000000-0000-0000-0000-000000000003", secret, body); code != http.StatusAccepted {
		t.Fatalf("the real one: %d", code)
	}
	s.settled()
	for name, delivery := range map[string]string{"a replay": "00000000-0000-0000-0000-000000000003", "a replay under another id": "00000000-0000-0000-0000-000000000004"} {
		if code := deliver(delivery, secret, body); code != http.StatusConflict {
			t.Errorf("%s: %d", name, code)
		}
	}
	s.server.Close()
	mu.Lock()
	defer mu.Unlock()
	if judged != 1 {
		t.Errorf("judged %d times", judged)
	}
}

// TestAnAddressOfSomebodyElse: the token goes to the API that was configured, whatever address the payload names.
func TestAnAddressOfSomebodyElse(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { mu.Lock(); asked++; mu.Unlock() }))
	defer elsewhere.Close()
	s := newStage(t, func(context.Context, Request, string, func(string)) (Decision, error) {
		return Decision{Approve: true}, nil
	})
	body := s.payload(func(p map[string]any) {
		p["deployment_callback_url"] = elsewhere.URL + "/repos/o/r/actions/runs/12345/deployment_protection_rule"
	})
	s.g.Deliver(s.url, "deployment_protection_rule", "00000000-0000-0000-0000-000000000001", secret, body)
	if got := s.settled(); got.State != "approved" || asked != 0 {
		t.Errorf("%+v; the other address was asked %d times", got, asked)
	}
}

// TestItSurvivesItself: stopped in the middle of a judgement, and GitHub down at its end: the next server goes on, once.
func TestItSurvivesItself(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	s := newStage(t, func(ctx context.Context, _ Request, _ string, _ func(string)) (Decision, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return Decision{Approve: true}, nil // whoever is stopped has found out nothing
	})
	s.g.Deliver(s.url, "deployment_protection_rule", "00000000-0000-0000-0000-000000000001", secret, s.payload(nil))
	<-begun
	s.server.Close()
	if pending := s.g.PendingOf(run)[0]; pending.State != "" {
		t.Fatalf("a stopped server decided: %+v", pending)
	}
	approve := func(context.Context, Request, string, func(string)) (Decision, error) {
		return Decision{Approve: true}, nil
	}
	s.g.Break(func(r *http.Request) githubtest.Fault {
		if strings.Contains(r.URL.Path, "deployment_protection_rule") {
			return githubtest.Fault{Status: 502, Message: "Bad Gateway"}
		}
		return githubtest.Fault{}
	})
	s.begin(approve)
	s.server.work.Wait()
	s.g.Break(nil)
	s.begin(approve)
	if got := s.settled(); got.State != "approved" {
		t.Errorf("%+v", got)
	}
	s.server.work.Wait()
	if left, err := s.server.journal.open(); err != nil || len(left) > 0 {
		t.Errorf("left open: %v, %v", left, err)
	}
}

// TestACheckRunIsJudgedAgain when somebody presses its button, and nothing is decided by that.
func TestACheckRunIsJudgedAgain(t *testing.T) {
	t.Parallel()
	seen := make(chan Request, 4)
	s := newStage(t, func(_ context.Context, request Request, _ string, _ func(string)) (Decision, error) {
		seen <- request
		return Decision{Approve: true}, nil
	})
	again := func(action, external string) []byte {
		return s.g.Payload("check_run", "check-run-"+strings.ReplaceAll(action, "_", "-"), func(payload map[string]any) {
			payload["action"] = action
			payload["repository"].(map[string]any)["full_name"] = "o/r"
			payload["installation"] = map[string]any{"id": 77, "node_id": "x"}
			payload["check_run"].(map[string]any)["external_id"] = external
			if action == "requested_action" {
				payload["requested_action"] = map[string]any{"identifier": "rerun"}
			}
		})
	}
	for i, action := range []string{"rerequested", "requested_action"} {
		if code := s.g.Deliver(s.url, "check_run", "00000000-0000-0000-0000-00000000001"+string(rune('0'+i)), secret, again(action, "penstock:staging:RUN")).StatusCode; code != http.StatusAccepted {
			t.Fatalf("%s: %d", action, code)
		}
		if got := <-seen; got.Environment != "staging" || got.Run != 0 {
			t.Errorf("%s: %+v", action, got)
		}
	}
	if code := s.g.Deliver(s.url, "check_run", "00000000-0000-0000-0000-000000000020", secret, again("rerequested", "somebody else's")).StatusCode; code != http.StatusOK {
		t.Errorf("another's check run: %d", code)
	}
	s.server.work.Wait()
	if pending := s.g.PendingOf(run)[0]; pending.State != "" || s.g.Count("POST", "deployment_protection_rule") > 0 {
		t.Errorf("pressing a button decided: %+v", pending)
	}
}

// TestWhatANewServerRefuses: no secret, no key.
func TestWhatANewServerRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Secret: []byte("short"), AppID: 1, Key: &rsa.PrivateKey{}}); err == nil {
		t.Error("a secret that can be guessed")
	}
	if _, err := New(Options{Secret: []byte(secret)}); err == nil {
		t.Error("no key")
	}
}

// TestADeliveryThatCouldNotBeKeptIsTakenAgain: what was not written down was not taken, so GitHub's next delivery of it counts.
func TestADeliveryThatCouldNotBeKeptIsTakenAgain(t *testing.T) {
	t.Parallel()
	j := &journal{dir: t.TempDir()}
	request := Request{Delivery: "00000000-0000-0000-0000-000000000001", Environment: "production"}
	inTheWay := filepath.Join(j.dir, request.Delivery+".new")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if fresh, err := j.accept(request, "sha256=1"); err == nil || fresh {
		t.Fatalf("%v, %v", fresh, err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		if fresh, err := j.accept(request, "sha256=1"); err != nil || fresh != want {
			t.Errorf("delivery %d: %v, %v", i+2, fresh, err)
		}
	}
	request.Delivery = "00000000-0000-0000-0000-000000000002"
	if fresh, err := j.accept(request, "sha256=1"); err != nil || fresh {
		t.Errorf("a replay under another id: %v, %v", fresh, err)
	}
	if open, err := j.open(); err != nil || len(open) != 1 {
		t.Errorf("open: %v, %v", open, err)
	}
}
