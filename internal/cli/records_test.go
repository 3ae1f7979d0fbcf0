package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/ledger/linetest"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// sharing is an app whose production is on a shared ledger of which this machine has seen a run that waits, and Cloudflare at an address.
type sharing struct {
	t      *testing.T
	folder string
	state  string
	env    map[string]string
}

const someAccount = "0123456789abcdef0123456789abcdef"

func newSharing(t *testing.T, address string) *sharing {
	t.Helper()
	s := &sharing{t: t, folder: app(t), state: t.TempDir()}
	write(t, filepath.Join(s.folder, "penstock.yaml"), "ledger: {d1: team-ledger, r2: team-vault}\nenvironments: {production: {approvers: [bea]}}\n")
	s.env = map[string]string{
		"PENSTOCK_STATE_DIR": s.state, "CLOUDFLARE_API_BASE_URL": address + "/client/v4", "CLOUDFLARE_API_TOKEN": "t0ken-of-bea", "CLOUDFLARE_ACCOUNT_ID": someAccount,
	}
	copied, err := ledger.OpenShared(t.Context(), filepath.Join(s.state, sharedDir, someAccount, "team-ledger", ledgerFile), linetest.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	for _, e := range []event.Event{
		{Type: event.RunStarted, Run: "r1-0001", RunInfo: &event.RunInfo{App: "small", Environment: "production", By: &event.Identity{Name: "ann"}}},
		{Type: event.RunFinished, Run: "r1-0001", Result: &event.Result{Outcome: "waiting", ExitCode: 5}},
	} {
		if err := copied.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := copied.Hold(t.Context(), promotion.Hold{
		Run: "r1-0001", Promotion: "p1", App: "small", Environment: "production", Expires: time.Now().Add(time.Hour),
		Author: &event.Identity{Name: "ann"}, Policy: promotion.Policy{Approvers: []string{"bea"}, Needed: 1},
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sharing) say(args ...string) told {
	s.t.Helper()
	var out, complaints bytes.Buffer
	code := Run(s.t.Context(), Streams{
		Args: append(args, "-C", s.folder), In: strings.NewReader(""), Out: &out, Err: &complaints, Executable: filepath.Join(s.t.TempDir(), "penstock"),
		Env: func(name string) string { return s.env[name] },
	})
	if strings.Contains(out.String()+complaints.String(), "t0ken") {
		s.t.Errorf("penstock %v tells the token:\n%s%s", args, out.String(), complaints.String())
	}
	return told{code, out.String(), complaints.String()}
}

// What a shared ledger says that cannot be asked is shown as it was last seen, and that is said; nothing is decided by it.
func TestASharedLedgerThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"success": false, "errors": [{"code": 10000, "message": "Authentication error"}]}`)
	}))
	t.Cleanup(refuses.Close)
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"success": true, "errors": [], "result": [{"uuid": "1", "name": "team-ledger-of-others"}]}`)
	}))
	t.Cleanup(empty.Close)
	for name, test := range map[string]struct {
		address string
		change  func(*sharing)
		code    ExitCode // of what decides
		says    string
	}{
		"no network":  {closed.URL, nil, ExitUnreachable, "cannot be reached"},
		"no right":    {refuses.URL, nil, ExitUsage, "Workers R2 Storage > Edit"},
		"no token":    {refuses.URL, func(s *sharing) { delete(s.env, "CLOUDFLARE_API_TOKEN") }, ExitUsage, "set CLOUDFLARE_API_TOKEN"},
		"no database": {empty.URL, nil, ExitUsage, "penstock provision --env production"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSharing(t, test.address)
			if test.change != nil {
				test.change(s)
			}
			for _, command := range [][]string{{"status"}, {"history"}, {"why"}, {"history", "0001"}} {
				got := s.say(command...)
				if got.code != ExitDone || !strings.Contains(got.out, "r1-0001") || !strings.Contains(got.err, "may be old") || !strings.Contains(got.err, test.says) {
					t.Errorf("%v: %+v", command, got)
				}
			}
			for _, command := range [][]string{
				{"approve", "0001", "--reason", "x", "--as", "bea"}, {"reject", "0001", "--reason", "x", "--as", "bea"}, {"waive", "0001", "a/b", "--reason", "x"},
				{"promote", "0001"}, {"rollback", "--env", "production"}, {"approve", "not-here", "--reason", "x"}, {"verify"},
			} {
				if got := s.say(command...); got.code != test.code || !strings.Contains(got.err, test.says) {
					t.Errorf("%v: %+v", command, got)
				}
			}
		})
	}
	t.Run("nothing was ever seen", func(t *testing.T) {
		t.Parallel()
		s := newSharing(t, closed.URL)
		s.env["PENSTOCK_STATE_DIR"] = t.TempDir()
		if got := s.say("status"); got.code != ExitDone || !strings.Contains(got.err, "never saw it") {
			t.Errorf("%+v", got)
		}
	})
}

// Who has a token for D1 alone may approve, and is told what the token lacks to go on with a run.
func TestATokenForD1Alone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/r2/") {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"success": false, "errors": [{"code": 10000, "message": "Authentication error"}]}`)
			return
		}
		fmt.Fprint(w, `{"success": true, "errors": [], "result": [{"uuid": "1", "name": "team-ledger"}]}`)
	}))
	defer server.Close()
	store, err := cloudflare.OpenStore(t.Context(), cloudflare.StoreOptions{
		BaseURL: server.URL + "/client/v4", Token: "t0ken", AccountID: someAccount, Database: "team-ledger", Bucket: "team-vault", Folder: "team-ledger",
	})
	if err != nil {
		t.Fatal(err)
	}
	from := &resumption{run: ledger.Run{RunSummary: ledger.RunSummary{ID: "r1", Bundle: "sha256:" + strings.Repeat("a", 64)}}}
	err = from.open(t.Context(), &record{dir: t.TempDir(), store: store}, t.TempDir())
	if code, next := classify(err); code != ExitUsage || !strings.Contains(next, "Workers R2 Storage") {
		t.Errorf("exit code %d, next %q: %v", code, next, err)
	}
}

// A source goes to the bucket whole: what holds secrets by its name does not go along unseen, be it because .gitignore lacks it.
func TestSecretsDoNotReachTheBucket(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]bool{
		".dev.vars": true, "apps/api/.dev.vars.staging": true, ".env.local": true, ".env.production.local": true,
		".dev.vars.example": false, ".env": false, ".env.production": false, "src/dev.vars": false,
	} {
		folder := app(t)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name), "TOKEN=x\n")
		source, err := snapshot.Take(t.Context(), folder, snapshot.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = mayBeShared(source)
		if code, next := classify(err); (err != nil) != secret || secret && (code != ExitUsage || !strings.Contains(next, ".gitignore") || !strings.Contains(err.Error(), name)) {
			t.Errorf("%s: exit code %d, next %q: %v", name, code, next, err)
		}
	}
}

// Without the key nobody is asked, and with a file that cannot be read it is not guessed which ledger is meant.
func TestWhichLedgerIsMeant(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	s := newSharing(t, server.URL)
	write(t, filepath.Join(s.folder, "penstock.yaml"), "environments: {production: {approvers: [bea]}}\n")
	if got := s.say("status"); got.code != ExitDone || strings.Contains(got.out, "r1-0001") || got.err != "" {
		t.Errorf("%+v", got)
	}
	if got := s.say("approve", "0001", "--reason", "x"); got.code != ExitUsage || !strings.Contains(got.err, "not in the ledger") {
		t.Errorf("%+v", got)
	}
	write(t, filepath.Join(s.folder, "penstock.yaml"), "ledger: {d1: team-ledger}\n")
	for _, command := range [][]string{{"status"}, {"approve", "0001", "--reason", "x"}} {
		if got := s.say(command...); got.code != ExitUsage || !strings.Contains(got.err, "R2 bucket") {
			t.Errorf("%v: %+v", command, got)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("Cloudflare was asked %d times", asked.Load())
	}
}
