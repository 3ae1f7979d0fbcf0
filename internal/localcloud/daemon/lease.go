package daemon

import (
	"bufio"
	"io"
	"strings"
	"sync"
)

// keepWord, on a line of its own, makes a process outlive whoever started it.
const keepWord = "keep"

// lease counts the runs that hold the daemon. When the last one goes and nobody said keep, it calls end, once.
type lease struct {
	end func()

	mutex   sync.Mutex
	holders int
	kept    bool
}

func newLease(end func()) *lease {
	return &lease{end: sync.OnceFunc(end)}
}

// watch holds the lease for the parent process, until its pipe closes.
func (l *lease) watch(parent io.Reader) {
	l.take()
	lines := bufio.NewScanner(parent)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == keepWord {
			l.keep()
		}
	}
	l.release()
}

func (l *lease) take() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.holders++
}

func (l *lease) keep() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.kept = true
}

func (l *lease) release() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.holders--
	if l.holders == 0 && !l.kept {
		l.end()
	}
}
