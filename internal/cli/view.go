package cli

import (
	"io"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/actions"
	"github.com/penstock-ci/penstock/internal/report/github"
	"github.com/penstock-ci/penstock/internal/report/jsonl"
	"github.com/penstock-ci/penstock/internal/report/terminal"
)

// fanOut tells several observers, each in turn.
type fanOut []event.Observer

// Observe implements [event.Observer].
func (f fanOut) Observe(e event.Event) {
	for _, observer := range f {
		observer.Observe(e)
	}
}

// newView chooses how a person or program sees the run: JSON lines when asked for, a live tree on a terminal, plain lines
// elsewhere.
func newView(shared *common) event.Observer {
	streams := shared.streams
	if shared.json {
		return jsonl.New(streams.Out)
	}
	if github.InActions(streams.Env) {
		return actions.NewView(streams.Err, streams.Out)
	}
	_, _, screen := terminalSize(streams.Err)
	_, _, results := terminalSize(streams.Out)
	look := terminal.Look{All: shared.verbose}
	if screen && streams.Env("CI") == "" && streams.Env("TERM") != "dumb" {
		look.Colour, look.Size = streams.colour(true), sizeOf(streams.Err)
		return terminal.NewLive(streams.Err, streams.Out, look)
	}
	look.Colour = streams.colour(results)
	if results {
		look.Size = sizeOf(streams.Out)
	}
	return terminal.NewPlain(streams.Err, streams.Out, look)
}

// sizeOf asks a terminal for its size each time: windows are resized.
func sizeOf(w io.Writer) func() (columns, rows int) {
	return func() (int, int) {
		columns, rows, _ := terminalSize(w)
		return columns, rows
	}
}

// tabulate writes rows below each other, with the last cell wrapped where the terminal is too narrow for it.
func (s *Streams) tabulate(rows [][]string) error {
	width, _, _ := terminalSize(s.Out)
	return terminal.Columns(s.Out, width, rows)
}

// list writes names for people: "a, b and c".
func list(names []string) string {
	switch len(names) {
	case 0:
		return "none"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
}
