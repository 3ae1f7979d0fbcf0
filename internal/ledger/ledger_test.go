package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func fresh(t testing.TB) *Ledger {
	return open(t, filepath.Join(t.TempDir(), "state", "ledger.db"))
}

// aRun is what a small run that ships tells.
func aRun(id string) []event.Event {
	limit := 80.0
	at := func(e event.Event, seconds int) event.Event {
		e.Run, e.Time = id, noon.Add(time.Duration(seconds)*time.Second)
		return e
	}
	return []event.Event{
		at(event.Event{Type: event.RunStarted, RunInfo: &event.RunInfo{App: "guide", Folder: "app", Environment: "local", SourceDigest: "sha256:ab", Executor: "host"}}, 0),
		at(event.Event{Type: event.StageStarted, Stage: &event.Stage{Name: "test", Moment: "build"}}, 1),
		at(event.Event{Type: event.StageOutput, Stage: &event.Stage{Name: "test"}, Text: "hunter2"}, 1),
		at(event.Event{Type: event.StageFinished, Stage: &event.Stage{Name: "test", Moment: "build", Outcome: event.Passed, Duration: time.Second}}, 2),
		at(event.Event{Type: event.GateFinished, Gate: &event.Gate{Name: "quality/coverage", Phase: gates.PhaseBuild, Enforcement: "mandatory",
			Verdict: &gates.Verdict{Outcome: gates.Pass, Summary: "91 % of 80 %", Measurements: []gates.Measurement{{Name: "lines", Value: 91, Limit: &limit}}}}}, 3),
		at(event.Event{Type: event.BundleBuilt, Bundle: &event.Bundle{Digest: "sha256:b0", Size: 10, Modules: 1}}, 4),
		at(event.Event{Type: event.PlanMade, Plan: &event.Plan{Digest: "sha256:a1"}}, 5),
		at(event.Event{Type: event.RunFinished, Result: &event.Result{Outcome: "done", Version: "v2", URL: "http://localhost"}}, 6),
	}
}

func tell(t testing.TB, l *Ledger, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if err := l.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func sound(t testing.TB, l *Ledger) VerifyReport {
	t.Helper()
	report, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK {
		t.Fatalf("the ledger does not verify: %v", report.Problems)
	}
	return report
}

func TestARunIsReadBackAsItWasTold(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	tell(t, l, aRun("r1")...)
	run, err := l.Run(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if run.State != "done" || run.Bundle != "sha256:b0" || run.Plan != "sha256:a1" || run.Result.URL != "http://localhost" {
		t.Errorf("summary: %+v", run.RunSummary)
	}
	if len(run.Stages) != 1 || run.Stages[0].Outcome != event.Passed {
		t.Errorf("stages: %+v", run.Stages)
	}
	if len(run.Gates) != 1 || *run.Gates[0].Verdict.Measurements[0].Limit != 80 {
		t.Errorf("gates: %+v", run.Gates)
	}
	if got := sound(t, l); got.Events != 7 || got.Head.Seq != 7 {
		t.Errorf("%d events, head %d; want 7 without the output", got.Events, got.Head.Seq)
	}
}

func TestRunsAreFilteredAndNewestFirst(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	for i := range 5 {
		events := aRun(fmt.Sprintf("r%d", i))
		if i == 2 {
			events[0].RunInfo.Environment = "production"
		}
		tell(t, l, events...)
	}
	ids := func(f Filter) string {
		runs, err := l.Runs(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, run := range runs {
			got = append(got, run.ID)
		}
		return strings.Join(got, " ")
	}
	for _, test := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "r4 r3 r2 r1 r0"},
		{Filter{Limit: 2}, "r4 r3"},
		{Filter{App: "guide", Environment: "production"}, "r2"},
		{Filter{App: "other"}, ""},
	} {
		if got := ids(test.filter); got != test.want {
			t.Errorf("%+v: %q, want %q", test.filter, got, test.want)
		}
	}
	if _, err := l.Run(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown run: %v", err)
	}
}

func TestOutputIsNeverRecorded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	tell(t, l, aRun("r1")...)
	observer := l.Observer()
	for _, e := range aRun("r2") {
		observer.Observe(e)
	}
	if err := observer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hunter2") {
		t.Error("a line of output is in the ledger's file")
	}
}

func TestObservedEventsComeBeforeLaterDurableOnes(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	observer := l.Observer()
	events := aRun("r1")
	observer.Observe(events[0])
	observer.Observe(events[5])
	lease, err := l.Acquire(t.Context(), "guide", "local", "p1")
	if err != nil {
		t.Fatal(err)
	}
	observer.Observe(event.Event{Type: event.StepStarted, Run: "r1", Step: &event.Step{Name: "lease"}}) // left to the promotion
	if err := l.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if err := observer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"run.started", "bundle.built", "lease", "release"}, kinds(t, l)); diff != "" {
		t.Error(diff)
	}
	sound(t, l)
}

func kinds(t testing.TB, l *Ledger) []string {
	t.Helper()
	rows, err := l.db.QueryContext(t.Context(), "SELECT kind FROM events ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			t.Fatal(err)
		}
		all = append(all, kind)
	}
	return all
}

// An event that cannot be encoded must not stand in the way of those after it.
func TestAnEventThatCannotBeEncodedIsSaidAndTheRestWritten(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	observer := l.Observer()
	events := aRun("r1")
	nan := events[4]
	nan.Gate.Verdict.Measurements[0].Value = zero() / zero()
	observer.Observe(nan)
	observer.Observe(events[0])
	if err := observer.Close(t.Context()); err == nil {
		t.Error("the event that was left out was not said")
	}
	if got := sound(t, l).Events; got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func zero() float64 { return 0 }

func TestTheSameRunToldTwiceDoesNotStopTheLedger(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	tell(t, l, aRun("r1")...)
	tell(t, l, aRun("r1")...)
	if got := sound(t, l).Events; got != 14 {
		t.Errorf("%d events", got)
	}
}

func TestWritersAtTheSameTimeKeepOneChain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	ledgers := make([]*Ledger, 4)
	var opened sync.WaitGroup
	for i := range ledgers { // also created at the same time
		opened.Go(func() {
			l, err := Open(context.Background(), path)
			if err != nil {
				t.Error(err)
				return
			}
			ledgers[i] = l
		})
	}
	opened.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var wrote sync.WaitGroup
	for i, l := range ledgers {
		wrote.Go(func() {
			for n := range 10 {
				for _, e := range aRun(fmt.Sprintf("r%d-%d", i, n))[:2] {
					if err := l.Record(context.Background(), e); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wrote.Wait()
	if got := sound(t, ledgers[0]).Events; got != 80 {
		t.Errorf("%d events, want 80", got)
	}
	for _, l := range ledgers {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStrangeFilesAreRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	ours := func(t *testing.T, path string) {
		l := open(t, path)
		tell(t, l, aRun("r1")...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"text": {func(t *testing.T, path string) {
			write(t, path, []byte(strings.Repeat("my novel ", 50)))
		}, "some other file"},
		"empty": {func(t *testing.T, path string) { write(t, path, nil) }, "too short"},
		"another program's database": {func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err == nil {
				_, err = db.Exec("CREATE TABLE music (title TEXT)")
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "another program"},
		"newer": {func(t *testing.T, path string) {
			ours(t, path)
			db, err := sql.Open("sqlite", path)
			if err == nil {
				_, err = db.Exec("PRAGMA user_version = 7")
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "newer Penstock (schema 7"},
		"headless": {func(t *testing.T, path string) {
			ours(t, path)
			db, err := sql.Open("sqlite", path)
			if err == nil {
				_, err = db.Exec("DELETE FROM head")
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "head is missing"},
		"damaged": {func(t *testing.T, path string) {
			ours(t, path)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 100; i < len(data); i++ {
				data[i] = 0xa5
			}
			write(t, path, data)
		}, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ledger.db")
			test.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(t.Context(), path)
			failure, ok := errors.AsType[*FileError](err)
			if !ok || !strings.Contains(failure.Why, test.want) || failure.NextStep == "" {
				t.Errorf("got %v, want a file error that says %q", err, test.want)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheEnvironmentRemembersWhatIsLive(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	promote := func(id, version string, end promotion.Phase) {
		t.Helper()
		lease, err := l.Acquire(t.Context(), "guide", "local", id)
		if err != nil {
			t.Fatal(err)
		}
		state := promotion.Checkpoint{Promotion: id, Run: "r-" + id, State: promotion.Leased, Version: version, Bundle: "sha256:" + version}
		if err := l.Checkpoint(t.Context(), lease, state); err != nil {
			t.Fatal(err)
		}
		state.State = end
		if err := l.Checkpoint(t.Context(), lease, state); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	promote("p1", "v1", promotion.Completed)
	first, err := l.Environment(t.Context(), "guide", "local")
	if err != nil {
		t.Fatal(err)
	}
	promote("p2", "v2", promotion.RolledBack)
	promote("p3", "v1", promotion.Completed) // found it live already
	again, err := l.Environment(t.Context(), "guide", "local")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" || first.Version != "v1" || first.Holder != nil {
		t.Errorf("%+v\n%s", first, diff)
	}
	promote("p4", "v4", promotion.Completed)
	all, err := l.Environments(t.Context(), "")
	if err != nil || len(all) != 1 || all[0].Version != "v4" {
		t.Errorf("%+v, %v", all, err)
	}
	sound(t, l)
}

// TestTold: what observers were told comes back in its order, but for what stages printed.
func TestTold(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	tell(t, l, append(aRun("r1"), aRun("r2")...)...)
	told, err := l.Told(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	var want []event.Event
	for _, e := range aRun("r1") {
		if e.Type != event.StageOutput {
			want = append(want, e)
		}
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := l.Told(t.Context(), "r3"); err != nil || len(none) > 0 {
		t.Errorf("of a run that is not there: %v, %v", none, err)
	}
}
