package runtime

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

// LogLine is one line that a worker printed, or that workerd printed about it.
type LogLine struct {
	Time time.Time
	Text string
}

const (
	logLines      = 500      // kept per script
	logLineLength = 16 << 10 // bytes; the rest of a longer line is dropped
)

// logTail keeps the last lines of a script. It is safe for concurrent use.
type logTail struct {
	mu    sync.Mutex
	lines []LogLine // a ring once full
	next  int
}

func (t *logTail) add(text string) {
	if isStackLine(text) {
		return
	}
	line := LogLine{Time: time.Now(), Text: text}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < logLines {
		t.lines = append(t.lines, line)
		return
	}
	t.lines[t.next] = line
	t.next = (t.next + 1) % logLines
}

func (t *logTail) last() []LogLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(append([]LogLine{}, t.lines[t.next:]...), t.lines[:t.next]...)
}

// isStackLine recognises workerd's own native stack: addresses in its binary, of no use to the app's author.
func isStackLine(text string) bool { return strings.HasPrefix(text, "stack: ") }

// lineWriter cuts a stream into lines. It never blocks on what it cannot hold: over-long lines are cut.
type lineWriter struct {
	emit    func(line string)
	partial []byte
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		if room := logLineLength - len(w.partial); len(line) > room {
			line = line[:room]
		}
		w.partial = append(w.partial, line...)
		if found {
			w.flush()
		}
		p = rest
	}
	return n, nil
}

func (w *lineWriter) flush() {
	if len(w.partial) > 0 {
		w.emit(strings.TrimSuffix(string(w.partial), "\r"))
		w.partial = w.partial[:0]
	}
}
