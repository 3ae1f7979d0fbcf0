package ledger

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
)

func acquire(t testing.TB, l *Ledger, id string) promotion.Lease {
	t.Helper()
	lease, err := l.Acquire(t.Context(), "guide", "local", id)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// heldBy makes another process the holder of the environment's lease, as that process would have written it.
func heldBy(t testing.TB, l *Ledger, holder Process, heartbeat time.Time) {
	t.Helper()
	me := l.me
	l.me = holder
	lease := acquire(t, l, "theirs")
	l.me = me
	if err := l.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: "theirs", State: promotion.Shifting, Touched: true, Version: "v9"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.db.Exec("UPDATE leases SET heartbeat = ?", stamp(heartbeat)); err != nil {
		t.Fatal(err)
	}
}

func TestWhoHoldsALease(t *testing.T) {
	t.Parallel()
	me := thisProcess()
	with := func(change func(*Process)) Process {
		p := me
		change(&p)
		return p
	}
	now := time.Now()
	long := now.Add(-time.Hour)
	for name, test := range map[string]struct {
		holder    Process
		heartbeat time.Time
		busy      bool
	}{
		"a living process, even one that has not beaten for long": {me, long, true},
		"a process that is gone, however fresh its beat":          {with(func(p *Process) { p.PID = 1 << 30 }), now, false},
		"a pid that was used again":                               {with(func(p *Process) { p.Start = "1" }), now, false},
		"another host that beats":                                 {with(func(p *Process) { p.Host = "elsewhere"; p.PID = 1 << 30 }), now, true},
		"another host that stopped beating":                       {with(func(p *Process) { p.Host = "elsewhere" }), long, false},
		"an earlier boot that beat just now":                      {with(func(p *Process) { p.Boot = "earlier" }), now, true},
		"an earlier boot":                                         {with(func(p *Process) { p.Boot = "earlier" }), long, false},
		"another container on this host":                          {with(func(p *Process) { p.Namespace = "pid:[1]"; p.PID = 1 << 30 }), now, true},
		"a process whose start is not known":                      {with(func(p *Process) { p.Start = "" }), now, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := fresh(t)
			heldBy(t, l, test.holder, test.heartbeat)
			lease, err := l.Acquire(t.Context(), "guide", "local", "mine")
			busy, isBusy := errors.AsType[*promotion.BusyError](err)
			if isBusy != test.busy || (err != nil) != test.busy {
				t.Fatalf("got %v, busy should be %v", err, test.busy)
			}
			if isBusy {
				if busy.Promotion != "theirs" || !errors.Is(err, promotion.ErrBusy) {
					t.Errorf("%+v", busy)
				}
				return
			}
			if lease.Token != 2 || len(lease.Abandoned) != 1 || lease.Abandoned[0].Version != "v9" {
				t.Errorf("%+v", lease)
			}
			sound(t, l)
		})
	}
}

func TestAnOutdatedLeaseChangesNothing(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	old := acquire(t, l, "p1")
	again := acquire(t, l, "p1") // the reply to the first was lost
	if again.Token != old.Token+1 {
		t.Errorf("tokens %d, %d", old.Token, again.Token)
	}
	state := promotion.Checkpoint{Promotion: "p1", State: promotion.Leased}
	if err := l.Checkpoint(t.Context(), old, state); !errors.Is(err, promotion.ErrLeaseLost) {
		t.Errorf("with the old token: %v", err)
	}
	if err := l.Release(t.Context(), old); err != nil {
		t.Errorf("release of a lost lease: %v", err)
	}
	if err := l.Checkpoint(t.Context(), again, state); err != nil {
		t.Errorf("with the new token: %v", err)
	}
	for range 2 {
		if err := l.Release(t.Context(), again); err != nil {
			t.Error(err)
		}
	}
	if err := l.Checkpoint(t.Context(), again, state); !errors.Is(err, promotion.ErrLeaseLost) {
		t.Errorf("after the release: %v", err)
	}
	sound(t, l)
}

func TestAnEndIsFinal(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	lease := acquire(t, l, "p1")
	state := promotion.Checkpoint{Promotion: "p1", State: promotion.RolledBack}
	for range 2 { // the same end again is what follows a lost reply
		if err := l.Checkpoint(t.Context(), lease, state); err != nil {
			t.Fatal(err)
		}
	}
	state.State = promotion.Completed
	if err := l.Checkpoint(t.Context(), lease, state); err == nil {
		t.Error("a promotion that was rolled back became completed")
	}
}

func TestWaitingPromotionsAreNotAbandoned(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	for _, phase := range []promotion.Phase{promotion.AwaitingApproval, promotion.Shifting, promotion.Baking} {
		lease := acquire(t, l, string(phase))
		if err := l.Checkpoint(t.Context(), lease, promotion.Checkpoint{Promotion: string(phase), State: phase}); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	lease := acquire(t, l, "next")
	if len(lease.Abandoned) != 2 || lease.Abandoned[0].State != promotion.Baking || lease.Abandoned[1].State != promotion.Shifting {
		t.Errorf("%+v", lease.Abandoned)
	}
}

func TestARunWhoseProcessIsGoneIsInterrupted(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	me := l.me
	for i, process := range []Process{me, {Host: me.Host, PID: 1 << 30, Start: "1", Boot: me.Boot, Namespace: me.Namespace}, {Host: "elsewhere", PID: 1, Start: "1"}} {
		l.me = process
		tell(t, l, aRun(string(rune('a' + i)))[0])
	}
	l.me = me
	runs, err := l.Runs(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if runs[2].State != Running || runs[1].State != Interrupted || runs[0].State != Unknown {
		t.Errorf("%s, %s, %s", runs[2].State, runs[1].State, runs[0].State)
	}
}

func TestHeartbeatsKeepALease(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	lease := acquire(t, l, "p1")
	l.beat(t.Context(), lease, noon)
	held, found, err := readLease(t.Context(), l.db, "guide", "local")
	if err != nil || !found || !held.heartbeat.Equal(noon) {
		t.Errorf("%+v, %v", held, err)
	}
	sound(t, l) // a heartbeat is not part of what the events say
}

func TestThisProcessIsAlive(t *testing.T) {
	t.Parallel()
	me := thisProcess()
	if me.PID != os.Getpid() || me.lifeOf(me) == dead {
		t.Errorf("%+v", me)
	}
	if me.Start == "" {
		t.Skip("this platform does not tell when a process began")
	}
	if me.lifeOf(me) != alive {
		t.Errorf("%+v is not alive to itself", me)
	}
	data, err := json.Marshal(me)
	var back Process
	if err := errors.Join(err, json.Unmarshal(data, &back)); err != nil || back != me {
		t.Errorf("%v, %v", back, err)
	}
}

func TestTheLedgerCannotBeEditedBySQL(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	tell(t, l, aRun("r1")...)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{"DELETE FROM events", "UPDATE events SET body = '{}'"} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}
