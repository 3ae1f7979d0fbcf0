package terminal

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/penstock-ci/penstock/internal/event"
)

// frame is how often the tree is drawn: often enough for a clock of tenths, cheap on two cores.
const frame = 100 * time.Millisecond

// Live draws a run as a tree that is kept up to date on a terminal, then replaces it by the summary.
//
// It takes neither input nor signals from the terminal, and asks it nothing: Ctrl-C reaches the run, not the drawing. Between two
// drawings the cursor is shown and stands below the tree, so that whoever is killed leaves a terminal that can be used.
type Live struct {
	screen, summary io.Writer
	look            Look
	palette         palette

	known sync.Mutex // guards board
	board board

	close  sync.Once
	closed chan struct{}
	ended  sync.WaitGroup

	// Of the one goroutine that draws.
	drawn []string
	width int
}

// NewLive draws on screen and writes the summary to summary when the run has finished.
func NewLive(screen, summary io.Writer, look Look) *Live {
	l := &Live{screen: screen, summary: summary, look: look, palette: newPalette(look.Colour), closed: make(chan struct{})}
	l.ended.Add(1)
	go l.drawing()
	return l
}

// Observe implements [event.Observer].
func (l *Live) Observe(e event.Event) {
	l.known.Lock()
	l.board.apply(e)
	l.known.Unlock()
	if e.Type == event.RunFinished {
		l.Close()
		width, _ := l.look.size()
		l.palette.summary(l.summary, &l.board, l.look.All, width)
	}
}

// Close stops drawing. Before the run has finished the tree stays as it was drawn last. It is safe to call more than once, and
// while events still come.
func (l *Live) Close() {
	l.close.Do(func() { close(l.closed) })
	l.ended.Wait()
}

func (l *Live) drawing() {
	defer l.ended.Done()
	clock := time.NewTicker(frame)
	defer clock.Stop()
	for {
		select {
		case <-l.closed:
			l.draw()
			return
		case <-clock.C:
			l.draw()
		}
	}
}

// draw brings the terminal from what was drawn last to how the run stands, in one write. Only lines that differ are written, so
// that nothing flickers and a calm run writes nothing. Lines do not wrap meanwhile: some terminals tell their new size a moment after
// they took it, and a line for the old one must not become two. When the run has finished the tree goes: the summary takes its place.
func (l *Live) draw() {
	width, rows := l.look.size()
	l.known.Lock()
	var lines []string
	if l.board.run != "" && l.board.result == nil {
		lines = l.palette.tree(&l.board, time.Now(), width, rows-1)
	}
	l.known.Unlock()
	var out strings.Builder
	if up := l.height(width); up > 0 {
		out.WriteString("\r" + ansi.CursorUp(up))
	}
	resized := width != l.width && len(l.drawn) > 0
	changed := len(lines) != len(l.drawn) || resized
	for i, line := range lines {
		if i >= len(l.drawn) || line != l.drawn[i] || resized {
			out.WriteString(line + ansi.EraseLineRight)
			changed = true
		}
		out.WriteString("\r\n")
	}
	l.drawn, l.width = lines, width
	if !changed {
		return
	}
	// A screen that cannot be written to costs the run nothing: the summary says it all again.
	_, _ = io.WriteString(l.screen, ansi.SetSynchronizedOutputMode+ansi.HideCursor+ansi.ResetAutoWrapMode+out.String()+ansi.EraseScreenBelow+
		ansi.SetAutoWrapMode+ansi.ShowCursor+ansi.ResetSynchronizedOutputMode)
}

// height is how many rows the last drawing takes on a terminal of this width: one that became narrower has wrapped it.
func (l *Live) height(width int) int {
	rows := len(l.drawn)
	if width <= 0 || width >= l.width {
		return rows
	}
	for _, line := range l.drawn {
		rows += (max(ansi.StringWidth(line), 1) - 1) / width
	}
	return rows
}
