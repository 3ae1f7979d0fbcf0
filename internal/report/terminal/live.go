package terminal

import (
	"io"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/penstock-ci/penstock/internal/event"
)

// frame is how often the tree is drawn while nothing happens: often enough for a clock of tenths, cheap on two cores.
const frame = 100 * time.Millisecond

// Live draws a run as a tree that is kept up to date on a terminal, then replaces it by the summary.
//
// It takes neither input nor signals from the terminal: Ctrl-C reaches the run, not the drawing.
type Live struct {
	program *tea.Program
	summary io.Writer
	palette palette
	board   board
	ended   sync.WaitGroup
	width   func() int
}

// NewLive draws on screen and writes the summary to summary when the run has finished. width tells the terminal's width in
// columns.
func NewLive(screen, summary io.Writer, colour bool, width func() int) *Live {
	l := &Live{summary: summary, palette: newPalette(summary, colour), width: width}
	l.program = tea.NewProgram(&drawing{palette: newPalette(screen, colour), width: width}, tea.WithOutput(screen), tea.WithInput(nil), tea.WithoutSignalHandler())
	l.ended.Add(1)
	go func() {
		defer l.ended.Done()
		// A drawing that breaks must not break the run: the summary is written all the same.
		_, _ = l.program.Run()
	}()
	return l
}

// Observe implements [event.Observer].
func (l *Live) Observe(e event.Event) {
	l.board.apply(e)
	l.program.Send(e)
	if e.Type == event.RunFinished {
		l.Close()
		l.palette.summary(l.summary, &l.board, l.width())
	}
}

// Close stops drawing and gives the terminal its cursor back. Before the run has finished the tree stays as it was drawn
// last. It is safe to call more than once, and while events still come.
func (l *Live) Close() {
	l.program.Quit()
	l.ended.Wait()
}

// drawing is the bubbletea model: a board of its own, so that it and the observer never share memory.
type drawing struct {
	board   board
	palette palette
	width   func() int
	ended   bool
}

type tick time.Time

func nextTick() tea.Cmd { return tea.Tick(frame, func(t time.Time) tea.Msg { return tick(t) }) }

// Init implements tea.Model.
func (d *drawing) Init() tea.Cmd { return nextTick() }

// Update implements tea.Model.
func (d *drawing) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case event.Event:
		d.board.apply(message)
		d.ended = d.ended || message.Type == event.RunFinished
		return d, nil
	case tick:
		return d, nextTick()
	}
	return d, nil
}

// View implements tea.Model. When the run has finished it is empty: the summary takes the tree's place.
func (d *drawing) View() string {
	if d.ended || d.board.run == "" {
		return ""
	}
	return strings.TrimSuffix(d.palette.tree(&d.board, time.Now(), d.width()), "\n")
}
