// Package runfolder gives each run of an executor on this machine a folder to work in, which goes with the run, and one for
// its logs and reports, of which the latest are kept.
package runfolder

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// keptRuns is how many runs' logs and reports are kept.
const keptRuns = 50

// Folder is where one run works and where it leaves its logs and reports. As long as it is open a lock says so: what
// lies in the work folder without a locked lock belonged to a run that died.
type Folder struct {
	ID   string
	Work string // workspaces; removed by close
	Keep string // logs and reports; made when the first one is written
	Temp string // for TMPDIR: below the system's own, since paths of sockets must be short
	lock *flock.Flock

	tempOnce sync.Once
	tempErr  error

	mu        sync.Mutex
	discarded []string // to be removed, by one goroutine at a time
	removing  bool

	background sync.WaitGroup
}

// Open makes the folder of a new run and starts to sweep those of dead ones.
func Open(state string) (*Folder, error) {
	all := filepath.Join(state, "work")
	if err := os.MkdirAll(all, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder for the run: %w", err)
	}
	var random [2]byte
	for {
		_, _ = rand.Read(random[:]) // never fails (crypto/rand since Go 1.24)
		id := time.Now().Format("060102-150405-") + hex.EncodeToString(random[:])
		// The lock comes before the folder, so that no folder is ever seen without it.
		lock := flock.New(filepath.Join(all, id+".lock"))
		locked, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock the folder for the run: %w", err)
		}
		if !locked {
			continue
		}
		f := &Folder{
			ID: id, Work: filepath.Join(all, id), Keep: filepath.Join(state, "runs", id), Temp: tempOf(id), lock: lock,
		}
		if err := os.Mkdir(f.Work, 0o755); err != nil {
			_ = lock.Close()
			if os.IsExist(err) {
				continue
			}
			return nil, fmt.Errorf("make the folder for the run: %w", err)
		}
		f.background.Go(func() { sweep(all, id) })
		return f, nil
	}
}

// MakeTemp makes the run's folder for temporary files once. That it must not exist yet keeps others from preparing it.
func (f *Folder) MakeTemp() error {
	f.tempOnce.Do(func() { f.tempErr = os.Mkdir(f.Temp, 0o700) })
	return f.tempErr
}

func tempOf(id string) string { return filepath.Join(os.TempDir(), "penstock-"+id) }

// sweep removes what dead runs left. What cannot be removed now is left to the next run.
func sweep(all, own string) {
	entries, err := os.ReadDir(all)
	if err != nil {
		return
	}
	for _, entry := range entries {
		id := strings.TrimSuffix(entry.Name(), ".lock")
		if id == own {
			continue
		}
		lock := flock.New(filepath.Join(all, id+".lock"))
		if locked, err := lock.TryLock(); err != nil || !locked {
			continue
		}
		RemoveAll(filepath.Join(all, id))
		RemoveAll(tempOf(id))
		release(lock)
	}
}

// release gives a lock up and removes its file. Where an open file can be removed that comes first, so that nobody locks a
// file that is about to go; on Windows it cannot.
func release(lock *flock.Flock) {
	if runtime.GOOS == "windows" {
		_ = lock.Close()
		_ = os.Remove(lock.Path())
		return
	}
	_ = os.Remove(lock.Path())
	_ = lock.Close()
}

// Discard removes folders of this run without making anybody wait; close does.
func (f *Folder) Discard(paths ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.discarded = append(f.discarded, paths...)
	if f.removing {
		return
	}
	f.removing = true
	f.background.Go(func() {
		for {
			f.mu.Lock()
			paths := f.discarded
			f.discarded = nil
			f.removing = len(paths) > 0
			f.mu.Unlock()
			if len(paths) == 0 {
				return
			}
			for _, path := range paths {
				RemoveAll(path)
			}
		}
	})
}

// Close removes the work folder and forgets all but the latest runs' logs.
func (f *Folder) Close() {
	f.background.Wait()
	RemoveAll(f.Work)
	RemoveAll(f.Temp)
	release(f.lock)
	f.forget()
}

func (f *Folder) forget() {
	runs := filepath.Dir(f.Keep)
	entries, err := os.ReadDir(runs)
	if err != nil || len(entries) <= keptRuns {
		return
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	slices.Sort(names) // ids begin with the time
	for _, name := range names[:len(names)-keptRuns] {
		RemoveAll(filepath.Join(runs, name))
	}
}

// RemoveAll removes a tree, also one in which a program took the write permission from folders (Go's module cache does).
func RemoveAll(path string) {
	if os.RemoveAll(path) == nil {
		return
	}
	_ = filepath.WalkDir(path, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(path)
}

// FileName makes a stage's name one that can name a file.
func FileName(stage string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|%`, r) {
			return '_'
		}
		return r
	}, stage)
	if clean != stage || strings.HasPrefix(clean, ".") {
		clean += "~" + hex.EncodeToString([]byte(stage))
	}
	return clean[:min(len(clean), 120)]
}
