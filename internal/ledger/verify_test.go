package ledger

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tampered makes a ledger of two runs, closes it, and changes it as somebody with a SQLite shell would.
func tampered(t *testing.T, statements ...string) *Ledger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	tell(t, l, aRun("r1")...)
	tell(t, l, aRun("r2")...)
	lease := acquire(t, l, "p1")
	if err := errors.Join(l.Release(t.Context(), lease), l.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range append([]string{"DROP TRIGGER events_are_not_changed", "DROP TRIGGER events_are_not_removed"}, statements...) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		statements []string
		first      int64
		want       string
	}{
		"changed": {[]string{"UPDATE events SET body = replace(body, '91', '99') WHERE seq = 4"}, 4, "changed"},
		"removed": {[]string{"DELETE FROM events WHERE seq = 5"}, 5, "missing"},
		"removed and closed up": {[]string{"DELETE FROM events WHERE seq = 5", "UPDATE events SET seq = -seq WHERE seq > 5",
			"UPDATE events SET seq = -seq - 1 WHERE seq < 0"}, 5, "does not follow"},
		"inserted": {[]string{"INSERT INTO events SELECT seq + 1, kind, run, body, hash FROM events WHERE seq = 16"}, 17, "does not follow"},
		"swapped": {[]string{"UPDATE events SET seq = 0 WHERE seq = 3", "UPDATE events SET seq = 3 WHERE seq = 4",
			"UPDATE events SET seq = 4 WHERE seq = 0"}, 3, "does not follow"},
		"filed elsewhere":           {[]string{"UPDATE events SET run = 'r2' WHERE seq = 3"}, 3, "filed as"},
		"cut off at the end":        {[]string{"DELETE FROM events WHERE seq > 14"}, 16, "gone"},
		"cut off with its own head": {[]string{"DELETE FROM events WHERE seq > 14", "UPDATE head SET seq = 14, hash = (SELECT hash FROM events WHERE seq = 14)"}, 16, "the head beside the ledger"},
		"a verdict in the tables":   {[]string{"UPDATE verdicts SET outcome = 'pass', verdict = '{}' WHERE run = 'r1'"}, 0, "table verdicts says of [r1"},
		"a run that nobody told":    {[]string{"INSERT INTO runs (id, app, environment, started_seq, started, info, process) VALUES ('r3', '', '', 1, '', '{}', '{}')"}, 0, "table runs holds [r3]"},
		"a run taken off the list":  {[]string{"DELETE FROM runs WHERE id = 'r1'"}, 0, "table runs lacks [r1]"},
		"a lease given back":        {[]string{"UPDATE leases SET token = 9"}, 0, "table leases"},
		"the ledger's own head":     {[]string{"UPDATE head SET seq = 3"}, 4, "behind the ledger's own head"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := tampered(t, test.statements...).Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if report.OK || len(report.Problems) == 0 {
				t.Fatal("not found")
			}
			if first := report.Problems[0]; first.Seq != test.first || !strings.Contains(first.What, test.want) {
				t.Errorf("first problem %q (event %d), want %q (event %d)", first.What, first.Seq, test.want, test.first)
			}
		})
	}
}

func TestALedgerThatWasOnlyOpenedVerifies(t *testing.T) {
	t.Parallel()
	report := sound(t, tampered(t))
	if report.Events != 16 || report.Head.Seq != 16 || !strings.Contains(report.Proven, "16 events") {
		t.Errorf("%+v", report)
	}
}

func TestTheHeadBesideTheLedger(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(path string) error
		want   string
	}{
		"missing": {func(path string) error { return os.Remove(headPath(path)) }, "missing"},
		"of another ledger": {func(path string) error {
			return writeHead(path, Head{Seq: 3, Hash: strings.Repeat("ab", 32)}, 0)
		}, "rewritten"},
		"garbage": {func(path string) error { return os.WriteFile(headPath(path), []byte("?"), 0o600) }, "read "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := fresh(t)
			tell(t, l, aRun("r1")...)
			if err := test.change(l.Path()); err != nil {
				t.Fatal(err)
			}
			report, err := l.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if report.OK || !strings.Contains(report.Problems[0].String(), test.want) {
				t.Errorf("%+v", report)
			}
		})
	}
}

// Rewriting both files is what cannot be seen from them alone; a head that was noted elsewhere shows it.
func TestAHeadNotedElsewhereShowsARewrite(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	tell(t, l, aRun("r1")...)
	noted := sound(t, l).Head
	tell(t, l, aRun("r2")...)
	if report, err := l.Verify(t.Context(), noted); err != nil || !report.OK {
		t.Fatalf("an earlier head of the same chain: %+v, %v", report, err)
	}
	other := fresh(t)
	tell(t, other, aRun("r3")...)
	tell(t, other, aRun("r4")...)
	if !sound(t, other).OK {
		t.Fatal("the rewritten ledger must look sound by itself")
	}
	report, err := other.Verify(t.Context(), noted)
	if err != nil || report.OK || report.Problems[0].Seq != noted.Seq {
		t.Errorf("%+v, %v", report, err)
	}
	empty := fresh(t)
	if report, err := empty.Verify(t.Context(), noted); err != nil || report.OK {
		t.Errorf("an emptied ledger: %+v, %v", report, err)
	}
}
