package cli

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/pipelines"
)

// green is a running app with two versions: the header chooses, as at Cloudflare, and it may be ignored.
func green(t *testing.T, ignoreHeader bool) promotion.Address {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		version := "version-old"
		if request.Header.Get("Choose") == "version-new" && !ignoreHeader {
			version = "version-new"
		}
		if request.URL.Path == "/health" {
			fmt.Fprint(writer, version)
		}
	}))
	t.Cleanup(server.Close)
	return promotion.Address{URL: server.URL, Header: http.Header{"Choose": {"version-new"}}}
}

// asker is a gatekeeper whose gate asks the paths it is made with, and passes.
type asker struct {
	paths []string
	blind bool // the gate does not ask for the version

	mu  sync.Mutex
	run gates.Run
}

func (a *asker) Describe(context.Context, string) (engine.GateInfo, error) {
	return engine.GateInfo{Description: gates.Description{Needs: gates.Needs{Version: !a.blind}}}, nil
}

func (a *asker) Evaluate(_ context.Context, _ string, request gates.Request, _ func(string)) gates.Verdict {
	a.mu.Lock()
	a.run = request.Run
	a.mu.Unlock()
	for _, path := range a.paths {
		answer, err := http.Get(request.Run.URL + path)
		if err != nil {
			return gates.Verdict{Outcome: gates.Error, Summary: err.Error()}
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err != nil || answer.Body.Close() != nil {
			return gates.Verdict{Outcome: gates.Error, Summary: "broken off"}
		}
	}
	return gates.Verdict{Outcome: gates.Pass, Summary: "fine"}
}

func TestAGateJudgesTheVersionThatItAsked(t *testing.T) {
	t.Parallel()
	health := pipelines.Smoke{Version: pipelines.ProofRequired, Probes: []pipelines.Probe{{Path: "/health"}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := promotion.Address{URL: "http://" + listener.Addr().String()}
	listener.Close()
	for name, row := range map[string]struct {
		address promotion.Address
		smoke   pipelines.Smoke
		asker   *asker
		says    string // of a ruling that does not let it through; "" for one that does
	}{
		"the right version answered":               {green(t, false), health, &asker{paths: []string{"/", "/health"}}, ""},
		"a path does not show it, the probe does":  {green(t, false), health, &asker{paths: []string{"/"}}, ""},
		"only the old version answered":            {green(t, true), health, &asker{paths: []string{"/", "/health"}}, "none of 2 answers"},
		"proof is not asked for":                   {green(t, true), pipelines.Smoke{Version: pipelines.ProofIfShown}, &asker{paths: []string{"/"}}, ""},
		"nothing was asked":                        {green(t, false), health, &asker{}, "got no answer from it"},
		"nothing answers":                          {nowhere, health, &asker{paths: []string{"/health"}}, "did not answer any of 1 questions"},
		"no probe, and no path shows it":           {green(t, false), pipelines.Smoke{Version: pipelines.ProofRequired}, &asker{paths: []string{"/"}}, "none of 1 answers"},
		"a gate that does not ask for the version": {green(t, true), health, &asker{blind: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge := proxiedJudge{smoke: row.smoke, judge: engine.PromotionJudge{Options: engine.JudgeOptions{
				Gatekeeper: row.asker, Gates: []pipelines.GateRef{{Gate: "a/gate", Phase: gates.PhasePromote, Enforcement: pipelines.Overridable}},
			}}}
			ruling, err := judge.Judge(t.Context(), gates.PhasePromote, row.address, "version-new")
			if err != nil || ruling.Allowed != (row.says == "") || !strings.Contains(ruling.Summary, row.says) {
				t.Errorf("%+v, %v", ruling, err)
			}
			run := row.asker.run
			if run.PublicURL != row.address.URL || run.VersionID != "version-new" || (run.URL == run.PublicURL) != row.asker.blind {
				t.Errorf("the gate was told %+v", run)
			}
			if row.asker.blind {
				return
			}
			if _, err := http.Get(run.URL); err == nil {
				t.Error("the gate's address outlives the question")
			}
		})
	}
}

// TestAnAnswerOfAnotherVersionIsSeen is the deployment that arrives while gates are asked: the gate was answered by the old
// version, and the new one is there a moment later.
func TestAnAnswerOfAnotherVersionIsSeen(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked > 1 {
			fmt.Fprint(writer, "version-new")
		}
	}))
	defer server.Close()
	gate := &asker{paths: []string{"/page?x=1"}}
	keeper := versionKeeper{
		Gatekeeper: gate, address: promotion.Address{URL: server.URL}, version: "version-new",
		smoke: pipelines.Smoke{Version: pipelines.ProofRequired, Probes: []pipelines.Probe{{Path: "/health"}}},
	}
	verdict := keeper.Evaluate(t.Context(), "a/gate", gates.Request{}, nil)
	if verdict.Outcome != gates.Error || !strings.Contains(verdict.NextStep, "had not reached every place") {
		t.Errorf("%+v", verdict)
	}
	if _, err := http.Get(gate.run.URL); err == nil {
		t.Error("the gate's address outlives the question, within a run that goes on")
	}
}

// TestWhatGatesSayHidesTheRunsSecrets lets a gate repeat a file in which one of the run's secrets stands, which the gate was
// never given as a secret.
func TestWhatGatesSayHidesTheRunsSecrets(t *testing.T) {
	t.Parallel()
	folder := lockedChatty(t)
	if err := os.WriteFile(filepath.Join(folder, "settings.txt"), []byte("key=given-secret-1 token=invented-secret-2"), 0o600); err != nil {
		t.Fatal(err)
	}

	r := &run{secrets: secretValues{deployed: map[string]string{"KEY": "given-secret-1"}}}
	r.hides.Store(redact.New(r.secrets.all()))
	host, err := openLocked(folder, t.TempDir(), nil, r.hide)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(context.WithoutCancel(t.Context()))
	ask := func() string {
		return host.Evaluate(t.Context(), "chatty/source", gates.Request{Phase: gates.PhaseBuild, SourceDir: folder}, nil).Summary
	}
	if said := ask(); said != "key=*** token=invented-secret-2" {
		t.Errorf("it says %q", said)
	}
	r.secrets.deployed["TOKEN"] = "invented-secret-2" // as inventSecrets does in the course of a run
	r.hides.Store(redact.New(r.secrets.all()))
	if said := ask(); said != "key=*** token=***" {
		t.Errorf("with another secret it says %q", said)
	}
}

// lockedChatty is a folder with the gate set of testdata/chatty and a penstock.lock that pins it.
func lockedChatty(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "penstock-gates-chatty")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if output, err := exec.Command("go", "build", "-o", binary, "./testdata/chatty").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	lock := fmt.Sprintf("version: 1\nsets:\n  - {name: chatty, version: 1.0.0, path: %s, sha256: {%s/%s: %x}}\n",
		filepath.Base(binary), runtime.GOOS, runtime.GOARCH, sha256.Sum256(content))
	if err := os.WriteFile(filepath.Join(folder, "penstock.lock"), []byte(lock), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}
