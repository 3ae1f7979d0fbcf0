package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/terminal"
)

// TestHistoryFitsTheTerminal: nothing is wider than the terminal, and what a person needs to go on stays.
func TestHistoryFitsTheTerminal(t *testing.T) {
	t.Parallel()
	entries := []historyEntry{
		{ID: "01M8A3QJ1C3NSTE1C1FWK92MJC", Started: time.Date(2026, 11, 25, 19, 43, 11, 0, time.Local), App: "atomic-guide", Environment: "production", Command: "deploy",
			State: "rolled back", Duration: 104 * time.Second, Version: "6e011200-9d02-4a11-a85b-49c39e186225", Reason: "gate health/alerts: the error rate was 12 % for five minutes, limit 5 %"},
		{ID: "01M8A3NNTF1GR99N17W99QSBKY", Started: time.Date(2026, 11, 25, 19, 42, 10, 0, time.Local), App: "atomic-guide", Environment: "local", Command: "maintenance", State: "done", Duration: time.Second},
	}
	shown := func(width int) string {
		var out bytes.Buffer
		if err := terminal.Columns(&out, width, historyRows(entries, width)); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for _, width := range []int{64, 80, 100, 120, 200} {
		told := shown(width)
		for line := range strings.Lines(told) {
			if wide := utf8.RuneCountInString(strings.TrimRight(line, "\n")); wide > width {
				t.Errorf("a line of %d columns on a terminal of %d: %q", wide, width, line)
			}
		}
		for _, want := range []string{"01M8A3QJ1C", "19:43", "production", "deploy", "rolled back", "12 %", "maintenance", "done"} {
			if !strings.Contains(told, want) {
				t.Errorf("%d columns do not say %q:\n%s", width, want, told)
			}
		}
	}
	for _, width := range []int{0, 200} { // a file or a pipe, and a terminal with room
		for _, want := range []string{entries[0].ID, "2026-11-25 19:43:11", "atomic-guide", "6e011200", "WHY"} {
			if told := shown(width); !strings.Contains(told, want) {
				t.Errorf("with %d columns %q is cut off:\n%s", width, want, told)
			}
		}
	}
	entries[1].App = "another"
	if told := shown(80); !strings.Contains(told, "another") {
		t.Errorf("which app a run is of is not said:\n%s", told)
	}
}

// TestHistoryNamesTheCommand: what only looked must not pass for a deployment.
func TestHistoryNamesTheCommand(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		info event.RunInfo
		want string
	}{
		{event.RunInfo{Command: "rollback"}, "rollback"},
		{event.RunInfo{Purpose: "plan"}, "plan"},
		{event.RunInfo{Steps: []event.Step{{Name: "lease"}}}, "deploy"},
		{event.RunInfo{}, ""}, // it may have been any of several
	} {
		if got := commandOf(row.info); got != row.want {
			t.Errorf("%+v was %q, want %q", row.info, got, row.want)
		}
	}
}
