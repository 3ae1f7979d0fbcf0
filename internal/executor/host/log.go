package host

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// logFile is the whole output of a stage, made when there is some. It is bounded, and says where it was cut.
type logFile struct {
	path  string
	limit int64

	mu      sync.Mutex
	file    *os.File
	size    int64
	cut     bool
	failure error
}

// Write never fails: a stage is not stopped by a disk that has no room for what it says. close tells.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil || l.cut || len(p) == 0 {
		return len(p), nil
	}
	if l.file == nil {
		if l.failure = os.MkdirAll(filepath.Dir(l.path), 0o755); l.failure != nil {
			return len(p), nil
		}
		if l.file, l.failure = os.Create(l.path); l.failure != nil {
			return len(p), nil
		}
	}
	kept := p
	if room := l.limit - l.size; int64(len(kept)) > room {
		kept, l.cut = append(kept[:room:room], fmt.Sprintf("\n[penstock: the log ends here, at its limit of %d bytes]\n", l.limit)...), true
	}
	n, err := l.file.Write(kept)
	l.size += int64(n)
	l.failure = err
	return len(p), nil
}

// close returns the log's path, "" when nothing was said.
func (l *logFile) close() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return "", l.failure
	}
	if err := l.file.Close(); l.failure == nil {
		l.failure = err
	}
	return l.path, l.failure
}
