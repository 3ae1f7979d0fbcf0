package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/ledger/linetest"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
)

// machine opens a ledger on the line with a copy of its own.
func machine(t testing.TB, line ledger.Line) *ledger.Ledger {
	return at(t, filepath.Join(t.TempDir(), "ledger.db"), line)
}

func at(t testing.TB, path string, line ledger.Line) *ledger.Ledger {
	t.Helper()
	l, err := ledger.OpenShared(t.Context(), path, line)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func begin(t testing.TB, l *ledger.Ledger, run string) {
	t.Helper()
	if err := l.Record(t.Context(), began(run)); err != nil {
		t.Fatal(err)
	}
}

func began(run string) event.Event {
	return event.Event{Type: event.RunStarted, Run: run, RunInfo: &event.RunInfo{App: "app", Environment: "production"}}
}

// same pulls every machine and wants them to say the same, whole and in agreement with the line.
func same(t *testing.T, machines ...*ledger.Ledger) ledger.VerifyReport {
	t.Helper()
	var first ledger.VerifyReport
	for i, l := range machines {
		if err := l.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, err := l.Verify(t.Context())
		if err != nil || !report.OK {
			t.Fatalf("machine %d: %v, %v", i, report.Problems, err)
		}
		if differs, err := l.Compare(t.Context()); err != nil || len(differs) > 0 {
			t.Fatalf("machine %d: %v, %v", i, differs, err)
		}
		if i == 0 {
			first = report
		}
		if report.Head != first.Head {
			t.Fatalf("machine %d ends at %v, the first at %v", i, report.Head, first.Head)
		}
	}
	return first
}

func runs(t *testing.T, l *ledger.Ledger) []string {
	t.Helper()
	found, err := l.Runs(t.Context(), ledger.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, run := range found {
		ids = append(ids, run.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestALineInMemory(t *testing.T) {
	t.Parallel()
	linetest.Contract(t, linetest.NewMemory())
}

func TestASharedLedgerKeepsTheJournalsContract(t *testing.T) {
	t.Parallel()
	promotiontest.JournalContract(t, func(t *testing.T) promotion.Journal { return machine(t, linetest.NewMemory()) })
}

// TestStoriesOfASharedLedger tells the random stories of TestStories with a line besides.
func TestStoriesOfASharedLedger(t *testing.T) {
	t.Parallel()
	ledger.TellStories(t, func() *ledger.Ledger { return machine(t, linetest.NewMemory()) })
}

// The contract holds too while every second answer of the line is lost.
func TestTheJournalsContractOnABadNetwork(t *testing.T) {
	t.Parallel()
	var lines []*linetest.Memory
	promotiontest.JournalContract(t, func(t *testing.T) promotion.Journal {
		line := linetest.NewMemory()
		var n atomic.Int64
		line.Break(func(call string) linetest.Fault {
			if call != "append" {
				return linetest.None
			}
			return []linetest.Fault{linetest.LostAfter, linetest.None, linetest.LostBefore}[n.Add(1)%3]
		})
		lines = append(lines, line)
		return machine(t, line)
	})
	for _, line := range lines {
		same(t, machine(t, line), machine(t, line))
	}
}

func TestTwoMachinesTellTheSame(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	ann, bea := machine(t, line), machine(t, line)
	begin(t, ann, "r1")
	begin(t, bea, "r2") // which has not looked before
	begin(t, ann, "r3")
	same(t, ann, bea, machine(t, line))
	if got := runs(t, bea); !slices.Equal(got, []string{"r1", "r2", "r3"}) {
		t.Errorf("%q", got)
	}
}

// A write costs one call as long as nobody else writes, and three when somebody did.
func TestCallsOfAWrite(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	ann, bea := machine(t, line), machine(t, line)
	begin(t, ann, "r1")
	before := line.Calls()
	begin(t, ann, "r2")
	if got := line.Calls() - before; got != 1 {
		t.Errorf("%d calls", got)
	}
	before = line.Calls()
	begin(t, bea, "r3")
	if got := line.Calls() - before; got != 3 {
		t.Errorf("%d calls after others", got)
	}
	observer := ann.Observer()
	before = line.Calls()
	for range 100 {
		observer.Observe(event.Event{Type: event.StageFinished, Run: "r1", Stage: &event.Stage{Name: "test"}})
	}
	if err := observer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := line.Calls() - before; got > 3 {
		t.Errorf("%d calls for what was observed", got)
	}
}

// Many writers at once: each is told the truth about its own, and nothing is there twice or missing.
func TestMachinesWriteAtOnce(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	var n atomic.Int64
	line.Break(func(call string) linetest.Fault { // and the network drops what it can
		if call == "append" && n.Add(1)%5 == 0 {
			return linetest.LostAfter
		}
		return linetest.None
	})
	var all []*ledger.Ledger
	var writers sync.WaitGroup
	for i := range 4 {
		l := machine(t, line)
		all = append(all, l)
		writers.Go(func() {
			for k := range 10 {
				if err := l.Record(t.Context(), began(fmt.Sprintf("r%d-%d", i, k))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	report := same(t, all...)
	if report.Events != 40 || len(runs(t, all[0])) != 40 {
		t.Errorf("%d events, %d runs", report.Events, len(runs(t, all[0])))
	}
}

func TestOneOfTwoGetsTheLease(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	var got, busy atomic.Int64
	var writers sync.WaitGroup
	for i := range 5 {
		l := machine(t, line)
		writers.Go(func() {
			_, err := l.Acquire(t.Context(), "app", "production", fmt.Sprintf("p%d", i))
			switch {
			case err == nil:
				got.Add(1)
			case errors.Is(err, promotion.ErrBusy):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if got.Load() != 1 || busy.Load() != 4 {
		t.Errorf("%d got it, %d were told that it is taken", got.Load(), busy.Load())
	}
}

// What this machine decided by is what was true when it arrived, also when it did not know it before.
func TestADecisionRestsOnWhatIsTrue(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	ann, bea, cyd := machine(t, line), machine(t, line), machine(t, line)
	begin(t, ann, "r1")
	hold := promotion.Hold{
		Run: "r1", Promotion: "p1", App: "app", Environment: "production", Plan: "sha256:aa", Expires: time.Now().Add(time.Hour),
		Author: &event.Identity{Name: "ann"}, Policy: promotion.Policy{Approvers: []string{"bea", "cyd"}, Needed: 1},
	}
	if _, err := ann.Hold(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	decide := func(l *ledger.Ledger, who string, approve bool) error {
		_, err := l.Decide(t.Context(), promotion.Decision{
			ID: who, Run: "r1", Plan: "sha256:aa", Approve: approve, By: event.Identity{Name: who}, Reason: "seen", Time: time.Now(),
		})
		return err
	}
	for _, l := range []*ledger.Ledger{bea, cyd} {
		if err := l.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := decide(bea, "bea", false); err != nil {
		t.Fatal(err)
	}
	if _, refused := errors.AsType[*promotion.RefusedError](decide(cyd, "cyd", true)); !refused { // cyd has not heard of it
		t.Error("a run that was rejected elsewhere was approved")
	}
	held, err := cyd.Held(t.Context(), "r1")
	if err != nil || held.State != promotion.Rejected {
		t.Errorf("%+v, %v", held, err)
	}
	if err := decide(ann, "bea", true); err == nil {
		t.Error("approved after the rejection")
	}
	same(t, ann, bea, cyd)
}

// What is refused by what is old is asked again by what is new: here the lease was given back meanwhile.
func TestARefusalCountsOnlyAfterALook(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	ann, bea := machine(t, line), machine(t, line)
	lease, err := ann.Acquire(t.Context(), "app", "production", "p1")
	if err != nil {
		t.Fatal(err)
	}
	if err := bea.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ann.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if _, err := bea.Acquire(t.Context(), "app", "production", "p2"); err != nil {
		t.Error(err)
	}
}

func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		appends, sinces []linetest.Fault // what becomes of the calls, one after the other
		written         bool             // whether the call is told that it is
		arrived         bool
	}{
		"it arrived":                            {appends: []linetest.Fault{linetest.LostAfter}, written: true, arrived: true},
		"it did not arrive":                     {appends: []linetest.Fault{linetest.LostBefore}, written: true, arrived: true},
		"it arrived the second time":            {appends: []linetest.Fault{linetest.LostBefore, linetest.LostAfter}, written: true, arrived: true},
		"nothing arrives":                       {appends: slices.Repeat([]linetest.Fault{linetest.LostBefore}, 9)},
		"it arrived, and nobody can ask":        {appends: []linetest.Fault{linetest.LostAfter}, sinces: []linetest.Fault{linetest.LostBefore}, arrived: true},
		"it did not arrive, and nobody can ask": {appends: []linetest.Fault{linetest.LostBefore}, sinces: []linetest.Fault{linetest.LostBefore}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := linetest.NewMemory()
			l, other := machine(t, line), machine(t, line)
			begin(t, l, "r0")
			var mu sync.Mutex
			left := map[string][]linetest.Fault{"append": test.appends, "since": test.sinces}
			line.Break(func(call string) linetest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if len(left[call]) == 0 {
					return linetest.None
				}
				fault := left[call][0]
				left[call] = left[call][1:]
				return fault
			})
			err := l.Record(t.Context(), began("r1"))
			if (err == nil) != test.written {
				t.Errorf("it was told %v", err)
			}
			line.Break(nil)
			want := []string{"r0"}
			if test.arrived {
				want = append(want, "r1")
			}
			report := same(t, l, other)
			if got := runs(t, l); !slices.Equal(got, want) || report.Events != len(want) {
				t.Errorf("%q in %d events, want %q", got, report.Events, want)
			}
			begin(t, l, "r2")
			same(t, l, other)
		})
	}
}

// What was observed and arrived, though nobody could say so then, is not sent again.
func TestWhatWasObservedIsNotThereTwice(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	l := machine(t, line)
	observer := l.Observer()
	for i := range 20 { // more than fits a page
		observer.Observe(began(fmt.Sprintf("q%d", i)))
	}
	observer.Observe(began("r1"))
	broken := true
	line.Break(func(call string) linetest.Fault {
		switch {
		case broken && call == "append":
			return linetest.LostAfter
		case broken && call == "since":
			return linetest.LostBefore
		}
		return linetest.None
	})
	if err := l.Record(t.Context(), began("r2")); err == nil {
		t.Fatal("nobody can know that it arrived")
	}
	line.Break(nil)
	observer.Observe(began("r3"))
	if err := observer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report := same(t, l, machine(t, line)); report.Events != 23 {
		t.Errorf("%d events", report.Events)
	}
}

// What was observed while the line could not be reached is sent when it can.
func TestWhatWasObservedOfflineIsKept(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	l := machine(t, line)
	line.Break(func(string) linetest.Fault { return linetest.LostBefore })
	observer := l.Observer()
	observer.Observe(began("r1"))
	if err := l.Record(t.Context(), began("r2")); err == nil {
		t.Fatal("it cannot have been written")
	}
	line.Break(nil)
	if err := observer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := runs(t, pulled(t, line)); !slices.Equal(got, []string{"r1"}) {
		t.Errorf("%q", got)
	}
}

func pulled(t *testing.T, line ledger.Line) *ledger.Ledger {
	t.Helper()
	l := machine(t, line)
	if err := l.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// A machine that died between the append and its own commit finds what it wrote in the line.
func TestACrashBetweenAppendAndCommit(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := at(t, path, line)
	begin(t, l, "r1")
	// That the process is gone then is as if the answer never came and nobody asked.
	line.Break(func(call string) linetest.Fault {
		if call == "append" {
			return linetest.LostAfter
		}
		return linetest.LostBefore
	})
	if err := l.Record(t.Context(), began("r2")); err == nil {
		t.Fatal("it was told that it is written")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	line.Break(nil)
	again := at(t, path, line)
	if got := runs(t, again); !slices.Equal(got, []string{"r1"}) {
		t.Fatalf("%q before the pull", got)
	}
	same(t, again)
	if got := runs(t, again); !slices.Equal(got, []string{"r1", "r2"}) {
		t.Errorf("%q", got)
	}
}

// Each machine is a witness of what it has seen: it goes on with no line that lacks it or says otherwise.
func TestTampering(t *testing.T) {
	t.Parallel()
	body := func(i int) string {
		made, err := json.Marshal(map[string]any{"time": time.Unix(int64(i), 0), "kind": "claim", "claim": "forged"})
		if err != nil {
			t.Fatal(err)
		}
		return string(made)
	}
	for name, test := range map[string]struct {
		edit    func([]ledger.Link) []ledger.Link
		witness string // what a machine that has seen it says
		fresh   string // what one that has seen nothing says; "" when it cannot tell
	}{
		"the end is cut off": {func(all []ledger.Link) []ledger.Link { return all[:2] }, "is gone", ""},
		"all of it is gone":  {func([]ledger.Link) []ledger.Link { return nil }, "is gone", ""},
		"the end is another one": {func(all []ledger.Link) []ledger.Link {
			return append(all[:3:3], linetest.Chain(linetest.HeadOf(all[2]), body(1))...)
		}, "is another one", ""},
		"it was written anew, and is longer": {func([]ledger.Link) []ledger.Link {
			return linetest.Chain(ledger.Head{}, body(1), body(2), body(3), body(4), body(5))
		}, "is another one", ""},
		"what came last is no successor": {func(all []ledger.Link) []ledger.Link {
			forged := linetest.Chain(linetest.HeadOf(all[1]), "{}", "{}", "{}")
			return append(all, forged[2])
		}, "does not follow", "does not follow"},
		"an entry in the middle was changed": {func(all []ledger.Link) []ledger.Link {
			all[1].Body = strings.Replace(all[1].Body, "r2", "r9", 1)
			return all
		}, "", "does not follow"},
		"an entry in the middle is missing": {func(all []ledger.Link) []ledger.Link { return slices.Delete(all, 1, 2) }, "", "is missing"},
		"the first is missing":              {func(all []ledger.Link) []ledger.Link { return all[1:] }, "", "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := linetest.NewMemory()
			witness := machine(t, line)
			for i := range 4 {
				begin(t, witness, fmt.Sprintf("r%d", i+1))
			}
			line.Edit(test.edit)
			wants := func(who string, err error, what string) {
				t.Helper()
				_, is := errors.AsType[*ledger.TamperError](err)
				if what == "" && err != nil || what != "" && (!is || !strings.Contains(err.Error(), what)) {
					t.Errorf("%s: %v, want %q", who, err, what)
				}
			}
			wants("the witness", witness.Pull(t.Context()), test.witness)
			if test.witness != "" {
				wants("the witness writes", witness.Record(t.Context(), began("r9")), test.witness)
				if got := runs(t, witness); len(got) != 4 {
					t.Errorf("what it knows became %q", got)
				}
			}
			wants("a new machine", machine(t, line).Pull(t.Context()), test.fresh)
			// A look at all of it finds every one of them.
			if differs, err := witness.Compare(t.Context()); err != nil || len(differs) != 1 {
				t.Errorf("compared: %v, %v", differs, err)
			}
		})
	}
}

// A holder elsewhere is judged by the line's clock alone.
func TestAHolderElsewhere(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	ann, bea := machine(t, line), machine(t, line)
	ledger.Elsewhere(ann)
	lease, err := ann.Acquire(t.Context(), "app", "production", "p1")
	if err != nil {
		t.Fatal(err)
	}
	if err := ann.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: "p1", Run: "r1", State: promotion.Shifting}); err != nil {
		t.Fatal(err)
	}
	line.Pass(50 * time.Second)
	if err := line.Beat(t.Context(), 1); err != nil { // the lease is the first entry
		t.Fatal(err)
	}
	line.Pass(50 * time.Second)
	if _, err := bea.Acquire(t.Context(), "app", "production", "p2"); !errors.Is(err, promotion.ErrBusy) {
		t.Fatalf("it beat 50 s ago: %v", err)
	}
	if state, err := bea.Environment(t.Context(), "app", "production"); err != nil || state.Holder == nil || state.Holder.Promotion != "p1" {
		t.Errorf("%+v, %v", state.Holder, err)
	}
	line.Pass(11 * time.Second)
	taken, err := bea.Acquire(t.Context(), "app", "production", "p2")
	if err != nil || len(taken.Abandoned) != 1 || taken.Abandoned[0].Promotion != "p1" {
		t.Fatalf("%+v, %v", taken, err)
	}
	if err := ann.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: "p1", Run: "r1", State: promotion.Completed}); !errors.Is(err, promotion.ErrLeaseLost) {
		t.Errorf("with a lease that was taken over: %v", err)
	}
	// Whether it lives could not be found out, so that nothing is taken from it.
	line.Break(func(call string) linetest.Fault {
		if call == "silence" {
			return linetest.LostBefore
		}
		return linetest.None
	})
	cyd := machine(t, line)
	ledger.Elsewhere(cyd)
	if _, err := cyd.Acquire(t.Context(), "app", "production", "p3"); !errors.Is(err, linetest.ErrLost) {
		t.Errorf("nobody can say whether bea lives: %v", err)
	}
}

// What follows by its hash, and no Penstock could have written, is somebody's doing: it is said so, and is not taken over.
func TestEntriesThatCannotBeTakenOver(t *testing.T) {
	t.Parallel()
	waiver := `{"time":"2026-01-01T00:00:00Z","kind":"waiver","waiver":{"id":"w","app":"app","environment":"production"}}`
	for name, bodies := range map[string][]string{
		"a waiver twice":           {waiver, waiver},
		"deeper than tables read":  {`{"time":"2026-01-01T00:00:00Z","kind":"x","deep":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`},
		"no object":                {`[]`},
		"a time that is none":      {`{"time":"tomorrow","kind":"x"}`},
		"a number that has no end": {`{"kind":"lease","lease":{"token":99999999999999999999}}`},
	} {
		line := linetest.NewMemory()
		if err := line.Append(t.Context(), ledger.Head{}, linetest.Chain(ledger.Head{}, bodies...)); err != nil {
			t.Fatal(err)
		}
		l := machine(t, line)
		var tampered *ledger.TamperError
		if err := l.Pull(t.Context()); !errors.As(err, &tampered) {
			t.Errorf("%s: %v", name, err)
		}
		if report, err := l.Verify(t.Context()); err != nil || !report.OK || report.Events != 0 {
			t.Errorf("%s: this machine's copy is %+v, %v", name, report, err)
		}
	}
}

// bounds is a line that notes by when a beat must be over.
type bounds struct {
	*linetest.Memory
	until *time.Time
}

func (b bounds) Beat(ctx context.Context, _ int64) error {
	*b.until, _ = ctx.Deadline()
	return nil
}

// A beat that is never answered is given up before the next one is due: else one lost packet takes the lease from a holder that lives.
func TestABeatIsGivenUp(t *testing.T) {
	t.Parallel()
	var until time.Time
	ledger.BeatOnce(t.Context(), machine(t, bounds{linetest.NewMemory(), &until}), 1)
	if lasts := time.Until(until); until.IsZero() || lasts > 20*time.Second {
		t.Errorf("it may last until %s", until)
	}
}

// Of two machines that go on with a run one does, until it has been silent.
func TestAClaimElsewhere(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	ann, bea, cyd := machine(t, line), machine(t, line), machine(t, line)
	begin(t, ann, "r1")
	if err := ann.Record(t.Context(), event.Event{Type: event.RunFinished, Run: "r1", Result: &event.Result{Outcome: "waiting"}}); err != nil {
		t.Fatal(err)
	}
	ledger.Elsewhere(bea)
	if err := bea.Claim(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	begin(t, bea, "r1") // it tells of it again, from its beginning
	line.Pass(50 * time.Second)
	if err := cyd.Claim(t.Context(), "r1"); !errors.Is(err, promotion.ErrBusy) {
		t.Errorf("at work elsewhere: %v", err)
	}
	line.Pass(time.Minute)
	if err := cyd.Claim(t.Context(), "r1"); err != nil {
		t.Errorf("silent for long: %v", err)
	}
}

// A call that was cancelled before it began writes nothing.
func TestCancelled(t *testing.T) {
	t.Parallel()
	line := linetest.NewMemory()
	l := machine(t, line)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Record(ctx, began("r1")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if report := same(t, l); report.Events != 0 {
		t.Errorf("%d events", report.Events)
	}
}
