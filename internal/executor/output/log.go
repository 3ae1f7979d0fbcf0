package output

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Log is the whole output of a stage, made when there is some. It is bounded, and says where it was cut.
type Log struct {
	Path  string
	Limit int64 // in bytes

	mu      sync.Mutex
	file    *os.File
	size    int64
	cut     bool
	failure error
}

// Write never fails: a stage is not stopped by a disk that has no room for what it says. Close tells.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil || l.cut || len(p) == 0 {
		return len(p), nil
	}
	if l.file == nil {
		if l.failure = os.MkdirAll(filepath.Dir(l.Path), 0o755); l.failure != nil {
			return len(p), nil
		}
		if l.file, l.failure = os.Create(l.Path); l.failure != nil {
			return len(p), nil
		}
	}
	kept := p
	if room := l.Limit - l.size; int64(len(kept)) > room {
		kept, l.cut = append(kept[:room:room], fmt.Sprintf("\n[penstock: the log ends here, at its limit of %d bytes]\n", l.Limit)...), true
	}
	n, err := l.file.Write(kept)
	l.size += int64(n)
	l.failure = err
	return len(p), nil
}

// Close returns the log's path, "" when nothing was said.
func (l *Log) Close() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return "", l.failure
	}
	if err := l.file.Close(); l.failure == nil {
		l.failure = err
	}
	return l.Path, l.failure
}
