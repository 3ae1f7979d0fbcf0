package cli

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/buildinfo"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// heldRun is the state folder of a machine on which ann's run r1 waits for bea.
func heldRun(t *testing.T) (shared *common, state string) {
	t.Helper()
	ctx, state := t.Context(), t.TempDir()
	shared = &common{streams: &Streams{Env: func(name string) string {
		if name == "PENSTOCK_STATE_DIR" {
			return state
		}
		return ""
	}}, folder: t.TempDir()}
	source, err := snapshot.Take(ctx, app(t), snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := bundle.Parse(strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"main_module\":\"i.js\"}\r\n"+
		"--b\r\nContent-Disposition: form-data; name=\"i.js\"; filename=\"i.js\"\r\nContent-Type: application/javascript+module\r\n\r\nx\r\n--b--\r\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(vaultIn(state).KeepBundle(made), vaultIn(state).KeepSource(source, source.Root)); err != nil {
		t.Fatal(err)
	}
	author := event.Identity{Kind: event.IdentityGit, Name: "ann"}
	inLedger(t, state, func(record *ledger.Ledger) {
		tell := func(e event.Event) {
			e.Run, e.Time = "r1-0001", time.Now()
			if err := record.Record(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		tell(event.Event{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "small", Environment: "production", SourceDigest: source.Digest, By: &author, Folder: "gone", Stages: []event.Stage{}, Gates: []event.Gate{}}})
		tell(event.Event{Type: event.BundleBuilt, Bundle: &event.Bundle{Digest: made.Digest}})
		if _, err := record.Hold(ctx, promotion.Hold{
			Run: "r1-0001", Promotion: "p1", App: "small", Environment: "production", Plan: "sha256:plan",
			Planned: []byte(`{"changes": [{"action": "keep", "kind": "var", "name": "A"}, {"action": "create", "kind": "route", "name": "a.example/*"}]}`), Bundle: made.Digest, Source: source.Digest, Author: &author,
			Policy: promotion.Policy{Approvers: []string{"bea"}, Needed: 1}, Since: time.Now(), Expires: time.Now().Add(time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
		tell(event.Event{Type: event.RunFinished, Result: &event.Result{Outcome: ExitWaiting.Outcome(), ExitCode: int(ExitWaiting)}})
	})
	return shared, state
}

func inLedger(t *testing.T, state string, do func(*ledger.Ledger)) {
	t.Helper()
	record, err := openLedger(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	do(record)
	if err := record.Close(); err != nil {
		t.Fatal(err)
	}
}

// goOn opens what was held, and lets go of it again.
func goOn(ctx context.Context, shared *common, name string) (*resumption, error) {
	again, err := shared.resume(ctx, name, "")
	if err == nil {
		err = os.RemoveAll(again.source.Root)
	}
	return again, err
}

func TestAHeldRunIsOpened(t *testing.T) {
	t.Parallel()
	shared, state := heldRun(t)
	for _, name := range []string{"r1-0001", "R1-0", "0001"} {
		again, err := goOn(t.Context(), shared, name)
		if err != nil || again.run.ID != "r1-0001" || again.held == nil || len(again.source.Files) != 3 || again.bundle == nil {
			t.Errorf("%s: %v, %+v", name, err, again)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(state, "vault", "open", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := goOn(t.Context(), shared, "001"); err == nil {
		t.Error("three letters name a run")
	}
}

// TestForgedRunsLeadNowhere: who writes to a ledger that machines share names neither a folder nor a file of another machine.
func TestForgedRunsLeadNowhere(t *testing.T) {
	t.Parallel()
	for name, forged := range map[string]struct{ id, place string }{
		"its id is a path": {"../../r2-forged", ""}, "its place is above the source": {"r2-forged", "../../.."}, "its place is absolute": {"r2-forged", "/etc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, state := heldRun(t)
			inLedger(t, state, func(record *ledger.Ledger) {
				e := event.Event{Type: event.RunStarted, Run: forged.id, RunInfo: &event.RunInfo{App: "small", Environment: "production", Place: forged.place}}
				if err := record.Record(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			})
			_, err := goOn(t.Context(), shared, "forged")
			if code, _ := classify(err); code != ExitBlocked || !strings.Contains(err.Error(), "none that penstock could have begun") {
				t.Errorf("exit code %d: %v", code, err)
			}
		})
	}
}

// TestForgedApprovalsStopARun: somebody writes to the ledger's tables what nobody decided.
func TestForgedApprovalsStopARun(t *testing.T) {
	t.Parallel()
	forged := `{"id":"x","run":"r1-0001","plan":"sha256:plan","approve":true,"by":{"kind":"git","name":"bea"},"reason":"sure","time":"2026-01-01T00:00:00Z"}`
	for name, statements := range map[string][]string{
		"a decision":               {`INSERT INTO decisions (seq, run, plan, decision) VALUES (99, 'r1-0001', 'sha256:plan', '` + forged + `')`},
		"a decision and its state": {`INSERT INTO decisions (seq, run, plan, decision) VALUES (99, 'r1-0001', 'sha256:plan', '` + forged + `')`, `UPDATE holds SET state = 'approved'`},
		// What the chain does not say, with the chain as it was:
		"another beginner":          {`UPDATE runs SET info = json_set(info, '$.by', json('{"kind":"git","name":"eve"}'))`},
		"a longer time to wait":     {`UPDATE holds SET hold = json_set(hold, '$.expires', '2999-01-01T00:00:00Z')`},
		"nobody to be asked":        {`UPDATE holds SET hold = json_set(hold, '$.policy.needed', 0)`},
		"another plan":              {`UPDATE holds SET plan = 'sha256:other', hold = json_set(hold, '$.plan', 'sha256:other')`},
		"other changes to be shown": {`UPDATE holds SET hold = json_set(hold, '$.planned.changes', json('[]'))`},
		"another bundle":            {`UPDATE runs SET bundle = 'sha256:other'`},
		"other rules":               {`UPDATE runs SET info = json_set(info, '$.rules', '')`},
		"a newer run that is no":    {`DELETE FROM environments`, `INSERT INTO environments (app, name, version, bundle, promotion, run, url, since) VALUES ('small', 'staging', 'v', 'b', 'p', 'r', 'u', 's')`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, state := heldRun(t)
			db, err := sql.Open("sqlite", filepath.Join(state, ledgerFile))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range statements {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			_, err = goOn(t.Context(), shared, "r1-0001")
			if code, _ := classify(err); code != ExitBlocked || !strings.Contains(err.Error(), "the ledger was changed") {
				t.Errorf("exit code %d: %v", code, err)
			}
			// Nor is anybody asked to decide on what it says now.
			shared.streams.Out = io.Discard
			inLedger(t, state, func(record *ledger.Ledger) {
				run, err := findRun(t.Context(), record, "r1-0001")
				if err != nil {
					t.Fatal(err)
				}
				decided := shared.decide(t.Context(), record, run, true, decideFlags{reason: "sure", as: "bea"})
				waived := shared.waive(t.Context(), record, run, "quality/coverage", waiveFlags{reason: "sure", as: "bea"}, time.Hour)
				for _, err := range []error{decided, waived} {
					if code, _ := classify(err); code != ExitBlocked || !strings.Contains(err.Error(), "the ledger was changed") {
						t.Errorf("exit code %d: %v", code, err)
					}
				}
			})
		})
	}
}

func TestWhatCannotGoOn(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(t *testing.T, state string)
		says   string
	}{
		"the bundle is gone": {func(t *testing.T, state string) {
			if err := os.RemoveAll(filepath.Join(state, "vault", "bundles")); err != nil {
				t.Fatal(err)
			}
		}, "not kept any more"},
		"the source is gone": {func(t *testing.T, state string) {
			if err := os.RemoveAll(filepath.Join(state, "vault", "sources")); err != nil {
				t.Fatal(err)
			}
		}, "not kept any more"},
		"something newer was promoted": {func(t *testing.T, state string) {
			inLedger(t, state, func(record *ledger.Ledger) {
				ctx := t.Context()
				err := record.Record(ctx, event.Event{Type: event.RunStarted, Run: "r2", Time: time.Now(), RunInfo: &event.RunInfo{App: "small", Environment: "production"}})
				lease, leaseErr := record.Acquire(ctx, "small", "production", "p2")
				err = errors.Join(err, leaseErr, record.Checkpoint(ctx, lease, promotion.Checkpoint{Promotion: "p2", Run: "r2", State: promotion.Completed, Version: "v"}), record.Release(ctx, lease))
				if err != nil {
					t.Fatal(err)
				}
			})
		}, "superseded"},
		"it was rejected": {func(t *testing.T, state string) {
			inLedger(t, state, func(record *ledger.Ledger) {
				_, err := record.Decide(t.Context(), promotion.Decision{ID: "d", Run: "r1-0001", Plan: "sha256:plan", By: event.Identity{Name: "bea"}, Reason: "no", Time: time.Now()})
				if err != nil {
					t.Fatal(err)
				}
			})
		}, "rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, state := heldRun(t)
			row.change(t, state)
			_, err := goOn(t.Context(), shared, "r1-0001")
			code, next := classify(err)
			if code != ExitBlocked || next == "" || !strings.Contains(err.Error(), row.says) {
				t.Errorf("exit code %d, next %q: %v; want %q", code, next, err, row.says)
			}
		})
	}
}

// TestTheFolderHasAWord: whoever can write the record, or wrote it long ago, does not decide alone what is asked of whom.
func TestTheFolderHasAWord(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		yaml   string // of the folder in which it is gone on with; the run's own source has none
		shared bool
		change func(*resumption)
		says   string
	}{
		"the record is shared since": {"ledger: {d1: team-ledger, r2: team-vault}\n", false, nil, "newer runs may be"},
		"made up without approvers":  {"environments: {production: {approvers: [bea]}}\n", true, nil, "who must approve"},
		"of another app":             {"name: other\n", true, func(a *resumption) { a.shared = "other" }, "is of small"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, _ := heldRun(t)
			shared.folder = app(t)
			write(t, filepath.Join(shared.folder, "penstock.yaml"), row.yaml)
			shared.streams.Out, shared.streams.Err = io.Discard, io.Discard
			again, err := shared.resume(t.Context(), "r1-0001", "")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(again.source.Root)
			if row.shared {
				again.shared = "small"
			}
			if row.change != nil {
				row.change(again)
			}
			_, err = beginFrom(t.Context(), shared, runFlags{environment: "production"}, true, again)
			if code, next := classify(err); (code != ExitBlocked && code != ExitUsage) || next == "" || !strings.Contains(err.Error(), row.says) {
				t.Errorf("exit code %d, next %q: %v; want %q", code, next, err, row.says)
			}
		})
	}
}

// TestOnlyWhatWasPromotedGoesFurther: a check ends well too, and was nowhere.
func TestOnlyWhatWasPromotedGoesFurther(t *testing.T) {
	t.Parallel()
	run := ledger.Run{RunSummary: ledger.RunSummary{ID: "r1", State: ExitDone.Outcome(), Info: event.RunInfo{Environment: "staging"}}}
	if err := (&resumption{run: run}).wasPromoted(); err == nil {
		t.Error("a run that was never promoted goes further")
	}
	run.Promotions = []promotion.Checkpoint{{State: promotion.Completed, Kind: promotion.KindMigration}}
	if err := (&resumption{run: run}).wasPromoted(); err == nil {
		t.Error("a run that migrated the data and brought no version goes further")
	}
	run.Promotions = []promotion.Checkpoint{{State: promotion.Failed}, {State: promotion.Completed}}
	if err := (&resumption{run: run}).wasPromoted(); err != nil {
		t.Error(err)
	}
}

// TestBothValuesOfASecretAreHidden: a stage's token can have the name of the app's, and another value.
func TestBothValuesOfASecretAreHidden(t *testing.T) {
	t.Parallel()
	values := secretValues{stages: map[string]string{"TOKEN": "of-the-stages", "OTHER": "x"}, deployed: map[string]string{"TOKEN": "of-the-worker"}}
	said := redact.New(values.all()).String("of-the-stages of-the-worker")
	if strings.Contains(said, "of-the") {
		t.Errorf("shown: %s", said)
	}
}

func TestSymptoms(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[gates.Outcome]int{gates.Fail: 1, gates.Error: 1, gates.Inconclusive: 0, gates.Warn: 0} {
		run := ledger.Run{Gates: []event.Gate{{Name: "health/alerts", Verdict: &gates.Verdict{Outcome: outcome, Summary: "Memory Usage High cannot be judged"}}}}
		if got := symptomsOf(run); len(got) != want {
			t.Errorf("a gate that answers %s: %d symptoms, want %d", outcome, len(got), want)
		}
	}
	for says, want := range map[string]string{
		"p95 of 1400 ms is above the limit of 1000 ms":        "high latency",
		"the version answered with error 1102":                "memory errors",
		"12 of 20 answers were 429":                           "rate limiting",
		"D1_ERROR: database is locked":                        "database locks",
		"queue_backlog > 1000 for 5m":                         "queue backlog",
		"78 % of lines are covered, and the limit is 80 %":    "",
		"version 1429 answered 1015 requests within the time": "",
	} {
		run := ledger.Run{RunSummary: ledger.RunSummary{Result: &event.Result{ExitCode: int(ExitBlocked), Reason: says}}}
		var got []string
		for _, known := range symptomsOf(run) {
			got = append(got, known.Issue)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q looks like %q, want %q", says, got, want)
		}
	}
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	streams := &Streams{Env: func(name string) string { return env[name] }}
	if who := streams.whoami(t.Context(), t.TempDir(), " bea "); who.Kind != event.IdentityClaimed || who.Name != "bea" || !strings.Contains(who.String(), "says") {
		t.Errorf("%+v", who)
	}
	env["GITHUB_ACTIONS"], env["GITHUB_ACTOR"] = "true", "octocat"
	if who := streams.whoami(t.Context(), t.TempDir(), ""); who.Kind != event.IdentityGitHub || who.Name != "octocat" {
		t.Errorf("%+v", who)
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"7d": 168 * time.Hour, "0.5d": 12 * time.Hour, "90m": 90 * time.Minute} {
		if got, err := parseDays(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "7", "d", "-1d", "0d", "NaNd", "1e9d", "-5m", "soon"} {
		if got, err := parseDays(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// TestWaitingDoesNotChangeTheJudge: a pull request that was judged by its base is judged by it also when it goes on.
func TestWaitingDoesNotChangeTheJudge(t *testing.T) {
	t.Parallel()
	folder, state := app(t), t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	rules := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "penstock.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "--quiet")
	rules("environments: {production: {approvers: bea}}\n")
	git("add", "-A")
	git("commit", "--quiet", "-m", "base")
	base := git("rev-parse", "HEAD")
	rules("environments: {production: {selfApproval: true}}\n")

	for commit, want := range map[string]string{base: "approvers: bea", "": "selfApproval"} {
		r := &run{folder: folder, root: folder, resumes: &resumption{run: ledger.Run{RunSummary: ledger.RunSummary{Info: event.RunInfo{Rules: commit}}}}}
		judge, err := r.judgedBy(t.Context(), state)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(judge, "penstock.yaml"))
		if err != nil || !strings.Contains(string(text), want) || r.rulesCommit != commit {
			t.Errorf("judged by %q at %q (%v), want %q", text, r.rulesCommit, err, want)
		}
		if err := r.end(t.Context()); err != nil {
			t.Error(err)
		}
	}
	r := &run{folder: folder, root: folder, resumes: &resumption{run: ledger.Run{RunSummary: ledger.RunSummary{Info: event.RunInfo{Rules: strings.Repeat("0", 40)}}}}}
	if _, err := r.judgedBy(t.Context(), state); err == nil {
		t.Error("a base that is gone judges")
	}
	if err := r.end(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWaitingDoesNotChangeTheGates: who changes the folder's pins while a run waits does not choose the gates that go on judging it.
func TestWaitingDoesNotChangeTheGates(t *testing.T) { // not in parallel: it sets the pins of this build
	pins := buildinfo.GatePins
	buildinfo.GatePins = ""
	for _, set := range []string{"quality", "security", "cloudflare", "data", "health", "release"} { // that nothing on this machine is
		buildinfo.GatePins += set + "=" + strings.Repeat("0", 64) + ","
	}
	t.Cleanup(func() { buildinfo.GatePins = pins })
	folder, state := app(t), t.TempDir()
	shared := &common{streams: &Streams{Out: io.Discard, Err: io.Discard, Env: func(name string) string {
		return map[string]string{"PENSTOCK_STATE_DIR": state, "PATH": os.Getenv("PATH"), "HOME": state}[name]
	}}, folder: folder, json: true}
	kept := func() *snapshot.Snapshot {
		t.Helper()
		source, err := snapshot.Take(t.Context(), app(t), snapshot.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
	locked := func(at string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(at, "penstock.lock"), []byte("version: 1\nsets: [{name: quality}]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	goOn := func(source *snapshot.Snapshot) error {
		from := &resumption{source: source, dir: state, run: ledger.Run{RunSummary: ledger.RunSummary{ID: "01JD2QK7", Info: event.RunInfo{Folder: folder, Environment: "production"}}}}
		r, err := beginFrom(t.Context(), shared, runFlags{environment: "production", executor: executorHost, hub: hubFlags{off: true}}, true, from)
		if err == nil {
			err = r.end(t.Context())
		}
		return err
	}
	inLedger(t, state, func(record *ledger.Ledger) {
		started := event.Event{Type: event.RunStarted, Run: "01JD2QK7", RunInfo: &event.RunInfo{App: "small", Environment: "production"}}
		ended := event.Event{Type: event.RunFinished, Run: "01JD2QK7", Result: &event.Result{Outcome: ExitWaiting.Outcome()}}
		if err := errors.Join(record.Record(t.Context(), started), record.Record(t.Context(), ended)); err != nil {
			t.Fatal(err)
		}
	})
	locked(folder)
	if err := goOn(kept()); err != nil {
		t.Errorf("the pins that the folder has now were read: %v", err)
	}
	if err := goOn(kept()); !errors.Is(err, promotion.ErrBusy) {
		t.Errorf("two go on with one run: %v", err)
	}
	source := kept()
	locked(source.Root)
	if err := goOn(source); err == nil || !strings.Contains(err.Error(), "penstock.lock") {
		t.Errorf("the pins that were kept were not read: %v", err)
	}
}

// TestGatesAreBroughtNoFurther: a link in a kept source does not lead what is copied into it to another folder.
func TestGatesAreBroughtNoFurther(t *testing.T) {
	t.Parallel()
	from, into, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	lock := []byte("version: 1\nsets: [{name: x, version: '1', path: tools/gate, sha256: {linux/amd64: " + strings.Repeat("0", 64) + "}}]\n")
	err := errors.Join(os.MkdirAll(filepath.Join(from, "tools"), 0o755), os.WriteFile(filepath.Join(from, "tools", "gate"), []byte("x"), 0o755),
		os.WriteFile(filepath.Join(into, "penstock.lock"), lock, 0o644), os.Symlink(elsewhere, filepath.Join(into, "tools")))
	if err != nil {
		t.Fatal(err)
	}
	err = bringGates(from, into)
	if written, _ := os.ReadDir(elsewhere); err == nil || len(written) > 0 {
		t.Errorf("%v, and elsewhere there is %v", err, written)
	}
	if err := errors.Join(os.Remove(filepath.Join(into, "tools")), bringGates(from, into)); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(into, "tools", "gate")); err != nil || string(text) != "x" {
		t.Errorf("not brought: %q, %v", text, err)
	}
}

// TestAJudgeThatDoesNotFit: outside of GitHub, too, a pipeline that cannot judge a run that goes on is told in words.
func TestAJudgeThatDoesNotFit(t *testing.T) {
	t.Parallel()
	r := &run{folder: "a", root: "a", rules: "b", rulesCommit: strings.Repeat("a", 40), resumes: &resumption{run: ledger.Run{RunSummary: ledger.RunSummary{ID: "r1"}}}}
	if err := r.unfitPolicy(errors.New("penstock.yaml: nonsense")); err == nil || !strings.Contains(err.Error(), "run r1") || !strings.Contains(err.Error(), "nonsense") {
		t.Error(err)
	}
}

// TestWaiversCountByTheRulesOfTheRunThatUsesThem: what was waived where nobody is asked does not pass where somebody is, and
// what nobody waived passes nowhere.
func TestWaiversCountByTheRulesOfTheRunThatUsesThem(t *testing.T) {
	t.Parallel()
	ctx, path := t.Context(), filepath.Join(t.TempDir(), ledgerFile)
	record, err := ledger.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	verdict := gates.Verdict{Outcome: gates.Fail, Summary: "no"}
	given := promotion.Waiver{
		ID: "w1", App: "small", Environment: "production", Gate: "quality/coverage", Phase: gates.PhaseBuild, Bundle: "sha256:b", Verdict: promotion.Fingerprint(verdict),
		Outcome: gates.Fail, Reason: "mine", By: event.Identity{Kind: event.IdentityClaimed, Name: "eve"}, Time: time.Now(), Expires: time.Now().Add(time.Hour),
	}
	if err := record.Waive(ctx, given); err != nil {
		t.Fatal(err)
	}
	passes := func(approvers ...string) (bool, error) {
		t.Helper()
		r := &run{
			ledger: record, rules: t.TempDir(), pipeline: &pipelines.Pipeline{Name: "small"}, environment: &pipelines.Environment{Name: "production", Approvers: approvers},
			begun: promotion.Beginning{By: &event.Identity{Name: "ann"}},
		}
		r.bus = engine.NewBus("r", event.ObserverFunc(func(event.Event) {}))
		defer r.bus.Close(ctx)
		if err := r.trustRecord(ctx, false); err != nil {
			return false, err
		}
		_, passed := r.waiver("sha256:b")(pipelines.GateRef{Gate: "quality/coverage", Enforcement: pipelines.Overridable}, gates.PhaseBuild, verdict)
		return passed, nil
	}
	if passed, err := passes(); err != nil || !passed {
		t.Errorf("where nobody is asked: %v, %v", passed, err)
	}
	if passed, err := passes("bea"); err != nil || passed {
		t.Errorf("where bea is asked, eve's waiver counts: %v, %v", passed, err)
	}
	// The clock was set back by two hours since this was written: what lasts for one hour is over.
	if err := record.Record(ctx, event.Event{Type: event.Note, Time: time.Now().Add(2 * time.Hour), Text: "later"}); err != nil {
		t.Fatal(err)
	}
	if passed, err := passes(); err != nil || passed {
		t.Errorf("with the clock set back: %v, %v", passed, err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, `INSERT INTO waivers (id, app, environment, gate, seq, waiver) SELECT 'w2', app, environment, gate, 99, replace(replace(waiver, 'eve', 'bea'), '"expires":"20', '"expires":"29') FROM waivers`); err != nil {
		t.Fatal(err)
	}
	_, err = passes("bea")
	if code, _ := classify(err); code != ExitBlocked || !strings.Contains(err.Error(), "the ledger was changed") {
		t.Errorf("a forged waiver: %v", err)
	}
}

// TestWhyExplainsWhatWaits: what would change, what is missing, who can clear it, and what to do.
func TestWhyExplainsWhatWaits(t *testing.T) {
	t.Parallel()
	_, state := heldRun(t)
	inLedger(t, state, func(record *ledger.Ledger) {
		run, err := record.Run(t.Context(), "r1-0001")
		if err != nil {
			t.Fatal(err)
		}
		told, err := explain(t.Context(), record, run)
		if err != nil {
			t.Fatal(err)
		}
		if told.State != "awaiting-approval" || len(told.Unmet) != 1 || told.Unmet[0].Who != "bea" || !strings.Contains(told.Unmet[0].Do, "penstock approve r1-0001") {
			t.Errorf("%+v", told)
		}
		if len(told.Changes) != 1 || told.Changes[0].Kind != "route" {
			t.Errorf("it would change %+v", told.Changes)
		}
		var out strings.Builder
		told.Scripts = []event.Script{{Database: "db", File: "migrations/0002_age.sql", SQL: "ALTER TABLE users ADD COLUMN age INTEGER;"}}
		showWhy(&Streams{Out: &out, Env: func(string) string { return "" }}, told)
		for _, want := range []string{"create  route  a.example/*", "0 of 1 given", "who:  bea", "it waits until", "ADD COLUMN age"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, out.String())
			}
		}
	})
}

// TestWhyKnowsWhatExpired: it does not say of what is over that it waits.
func TestWhyKnowsWhatExpired(t *testing.T) {
	t.Parallel()
	_, state := heldRun(t)
	inLedger(t, state, func(record *ledger.Ledger) {
		ctx := t.Context()
		if err := record.Record(ctx, event.Event{Type: event.RunStarted, Run: "r2-late", Time: time.Now(), RunInfo: &event.RunInfo{App: "late", Environment: "production"}}); err != nil {
			t.Fatal(err)
		}
		hold := promotion.Hold{
			Run: "r2-late", Promotion: "p2", App: "late", Environment: "production", Plan: "sha256:plan", Planned: []byte(`{"changes": []}`), Bundle: "sha256:b", Source: "sha256:s",
			Policy: promotion.Policy{Approvers: []string{"bea"}, Needed: 1}, Since: time.Now().Add(-2 * time.Hour), Expires: time.Now().Add(-time.Hour),
		}
		if _, err := record.Hold(ctx, hold); err != nil {
			t.Fatal(err)
		}
		ended := &event.Result{Outcome: ExitWaiting.Outcome(), ExitCode: int(ExitWaiting)}
		if err := record.Record(ctx, event.Event{Type: event.RunFinished, Run: "r2-late", Time: time.Now(), Result: ended}); err != nil {
			t.Fatal(err)
		}
		run, err := record.Run(ctx, "r2-late")
		if err != nil {
			t.Fatal(err)
		}
		told, err := explain(ctx, record, run)
		if err != nil || told.State != string(promotion.Expired) || !told.Expires.IsZero() {
			t.Errorf("%+v, %v", told, err)
		}
	})
}

// TestWhyKnowsTheSQLOfThePlan: that of the plan which waits, not of one that was made before it.
func TestWhyKnowsTheSQLOfThePlan(t *testing.T) {
	t.Parallel()
	_, state := heldRun(t)
	inLedger(t, state, func(record *ledger.Ledger) {
		for digest, sql := range map[string]string{"sha256:before": "DROP TABLE users", "sha256:plan": "ALTER TABLE users"} {
			plan := &event.Plan{Digest: digest, Changes: []event.Change{}, Scripts: []event.Script{{SQL: sql}}}
			if err := record.Record(t.Context(), event.Event{Type: event.PlanMade, Run: "r1-0001", Time: time.Now(), Plan: plan}); err != nil {
				t.Fatal(err)
			}
		}
		run, err := record.Run(t.Context(), "r1-0001")
		if err != nil {
			t.Fatal(err)
		}
		told, err := explain(t.Context(), record, run)
		if err != nil || len(told.Scripts) != 1 || told.Scripts[0].SQL != "ALTER TABLE users" {
			t.Errorf("%+v, %v", told.Scripts, err)
		}
	})
}

// TestWhyPassesOverWhatIsDone: a backup after a run that waits must not stand before it.
func TestWhyPassesOverWhatIsDone(t *testing.T) {
	t.Parallel()
	shared, state := heldRun(t)
	inLedger(t, state, func(opened *ledger.Ledger) {
		observer := opened.Observer()
		observer.Observe(event.Event{Type: event.RunStarted, Time: time.Now(), Run: "backup-1", RunInfo: &event.RunInfo{App: "small", Environment: "production", Command: "backup"}})
		observer.Observe(event.Event{Type: event.RunFinished, Time: time.Now(), Run: "backup-1", Result: &event.Result{Outcome: ExitDone.Outcome()}})
		if err := observer.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		looked := opened.Observer()
		looked.Observe(event.Event{Type: event.RunStarted, Time: time.Now(), Run: "plan-1", RunInfo: &event.RunInfo{App: "small", Environment: "production", Purpose: "plan"}})
		looked.Observe(event.Event{Type: event.RunFinished, Time: time.Now(), Run: "plan-1", Result: &event.Result{Outcome: ExitDone.Outcome()}})
		if err := looked.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, run, err := shared.whichRun(t.Context(), []*record{{Ledger: opened}}, nil, "")
		if err != nil || run.ID != "r1-0001" {
			t.Errorf("it is about %q: %v", run.ID, err)
		}
	})
}

func TestHistoryNamesVersions(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := showHistory(&Streams{Out: &out}, []historyEntry{{ID: "r1", Version: "090d32a9-c09b-41fb-8e29-ba5fd5f73a15"}})
	if err != nil || !strings.Contains(out.String(), "VERSION") || !strings.Contains(out.String(), "090d32a9") || strings.Contains(out.String(), "c09b") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// TestHistoryShowsARun: by its first letters, in full, also while it has no end; and says so when there is none.
func TestHistoryShowsARun(t *testing.T) {
	t.Parallel()
	shared, state := heldRun(t)
	var id string
	inLedger(t, state, func(record *ledger.Ledger) {
		runs, err := record.Runs(t.Context(), ledger.Filter{})
		if err != nil || len(runs) != 1 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		id = runs[0].ID
	})
	var out bytes.Buffer
	shared.streams.Out = &out
	if err := shared.showRun(t.Context(), id[:len(id)-1]); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"run " + id, "waiting"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	out.Reset()
	shared.json = true
	if err := shared.showRun(t.Context(), id); err != nil || !strings.Contains(out.String(), `"id": "`+id+`"`) {
		t.Errorf("as JSON: %v\n%s", err, out.String())
	}
	if code, next := classify(shared.showRun(t.Context(), "nobody")); code != ExitUsage || next == "" {
		t.Errorf("a run that is not there: exit code %d, next %q", code, next)
	}
}
