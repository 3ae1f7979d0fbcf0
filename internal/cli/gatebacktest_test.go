package cli

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/replay"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestBacktest puts what was kept to the real set quality.
func TestBacktest(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "penstock-gates-quality")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../plugins/quality")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	ref, err := gatehost.Trusting(binary)
	if err != nil {
		t.Fatal(err)
	}
	host := gatehost.New(gatehost.Options{Sets: []gatehost.PluginRef{ref}, ScratchDir: t.TempDir()})
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})

	// An app in a repository, and a run of its commit.
	folder := app(t)
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first"}} {
		command := exec.CommandContext(t.Context(), "git", args...)
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	taken, err := snapshot.Take(t.Context(), folder, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lcov := filepath.Join(t.TempDir(), "lcov.info")
	if err := os.WriteFile(lcov, []byte("SF:index.js\nDA:1,1\nDA:2,1\nDA:3,1\nDA:4,0\nLF:4\nLH:3\nend_of_record\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	request := gates.Request{
		Phase: gates.PhaseBuild, Config: json.RawMessage(`{"limit": 70}`),
		Run:       gates.Run{ID: "01RUN", App: "small", Commit: taken.Commit, SourceDigest: taken.Digest},
		Stages:    []gates.Stage{{Name: "test", Outcome: "passed", Root: folder}},
		Reports:   []gates.Report{{Kind: gates.ReportLCOV, Stage: "test", Path: lcov, Root: folder}},
		SourceDir: folder,
	}
	store := replay.Open(t.TempDir())
	keeper := keepingAsked{Gatekeeper: host, store: store, hide: func(text string) string { return text }, complain: func(err error) { t.Error(err) }}
	if verdict := keeper.Evaluate(t.Context(), "quality/coverage", request, nil); verdict.Outcome != gates.Pass {
		t.Fatalf("%+v", verdict)
	}
	questions, err := store.Questions("01RUN")
	if err != nil || len(questions) != 1 {
		t.Fatal(questions, err)
	}

	for name, row := range map[string]struct {
		config  string
		edit    func(*replay.Question)
		now     gates.Outcome
		notSaid string
	}{
		"as it was":          {"", func(*replay.Question) {}, gates.Pass, ""},
		"a stricter limit":   {`{"limit": 80}`, func(*replay.Question) {}, gates.Fail, ""},
		"it answered else":   {`{"limit": 80}`, func(q *replay.Question) { q.Outcome = gates.Fail }, "", "with the config of then it answers pass"},
		"no commit":          {"", func(q *replay.Question) { q.Run.Commit = "" }, "", "in no commit"},
		"commit unknown":     {"", func(q *replay.Question) { q.Run.Commit, q.Run.SourceDigest = strings.Repeat("1", 40), "x" }, "", "is not to be had"},
		"uncommitted source": {"", func(q *replay.Question) { q.Run.SourceDigest = "sha256:other" }, "", "which had changes besides commit"},
		"another set":        {"", func(q *replay.Question) { q.SetDigest = "sha256:other" }, "", "git history"},
		"a report is gone":   {"", func(q *replay.Question) { q.Reports[0].Path = strings.Repeat("0", 64) }, "", "no longer kept"},
		"left out":           {"", func(q *replay.Question) { q.Omitted = []string{"the report lcov: too large"} }, "", "too large"},
		"no such gate":       {"", func(q *replay.Question) { q.Gate = "quality/none" }, "", "cannot be described"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again, err := store.Questions("01RUN")
			if err != nil {
				t.Fatal(err)
			}
			row.edit(&again[0])
			scratch := t.TempDir()
			asking := &backtesting{host: host, store: store, folder: folder, scratch: scratch, sources: map[string]source{}}
			if row.config != "" {
				asking.config = json.RawMessage(row.config)
			}
			told := asking.again(t.Context(), again[0], filepath.Join(scratch, "question"))
			if told.Now != row.now || (row.notSaid == "") != (told.NotAsked == "") || !strings.Contains(told.NotAsked, row.notSaid) {
				t.Errorf("%+v", told)
			}
			if told.WouldBlock != (row.now == gates.Fail) {
				t.Errorf("would block: %+v", told)
			}
		})
	}
}

func TestWhatCannotBeAskedAgain(t *testing.T) {
	t.Parallel()
	for says, needs := range map[string]gates.Needs{
		"version that ran": {Version: true}, "network": {Hosts: []string{"example.com"}}, "secrets": {Secrets: []string{"T"}},
	} {
		if why := notReplayable(gates.Description{Needs: needs}, replay.Question{}, true); !strings.Contains(why, says) {
			t.Errorf("%+v: %q", needs, why)
		}
	}
	pipeline := pipelines.Pipeline{
		Environments: []pipelines.Environment{{Name: "local"}, {Name: "production"}},
		Gates: []pipelines.GateRef{
			{Gate: "q/strict", Enforcement: pipelines.Overridable, EnforcementIn: map[string]pipelines.Enforcement{"local": pipelines.Advisory}},
			{Gate: "q/tried", Enforcement: pipelines.Mandatory, DryRun: true},
		},
	}
	for _, row := range []struct {
		gate, environment string
		want              bool
	}{{"q/strict", "local", true}, {"q/strict", "production", false}, {"q/strict", "gone", false}, {"q/tried", "production", true}, {"q/unasked", "local", false}} {
		if got := blocksNothing(pipeline, replay.Question{Gate: row.gate, Run: gates.Run{Environment: row.environment}}); got != row.want {
			t.Errorf("%s in %s: %v", row.gate, row.environment, got)
		}
	}
	var told backtest
	told.add(backtested{WouldBlock: true, Ended: "done", Then: gates.Pass, Now: gates.Fail})
	told.add(backtested{WouldBlock: true, Ended: "rolled back", Then: gates.Pass, Now: gates.Fail})
	told.add(backtested{NotAsked: "it needs secrets"})
	if told.WouldBlock != 2 || told.FalseAlarms != 1 || told.Asked != 2 || told.NotAsked != 1 {
		t.Errorf("%+v", told)
	}
}
