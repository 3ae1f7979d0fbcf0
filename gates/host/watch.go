package host

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// watchEvery is how often a process is looked at. A disk takes some hundred MiB in that time, which is what a set may go over
// its bound before it is ended.
const watchEvery = 200 * time.Millisecond

// watch ends the process when it takes more than it may of what no kernel bounds for an ordinary user: disk, and the sum over
// the processes that it starts.
func (r *runner) watch(pid int) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-r.exited:
			return
		case <-ticker.C:
		}
		if excess := r.tooMuch(pid); excess != "" {
			r.excess.Store(&excess)
			fmt.Fprintf(r.output, "(%s)\n", excess)
			r.killTree()
			return
		}
	}
}

// tooMuch says what of its bounds the process is beyond; "" when of none.
func (r *runner) tooMuch(pid int) string {
	onDisk, files := r.folder.holds(r.limits.Files)
	taken := takenBy(pid, r.limits.Procs)
	switch {
	case files > r.limits.Files:
		return fmt.Sprintf("it made more than %d files", r.limits.Files)
	case onDisk+taken.unlinked > r.limits.Disk:
		return fmt.Sprintf("it wrote more than %d MiB to disk", r.limits.Disk>>20)
	case taken.processes > r.limits.Procs:
		return fmt.Sprintf("it started more than %d processes", r.limits.Procs)
	case taken.memory > r.limits.Memory:
		return fmt.Sprintf("it took more than %d MiB of memory, with all that it started", r.limits.Memory>>20)
	default:
		return ""
	}
}

// taken is what a process and those that it started have.
type taken struct {
	processes int
	memory    int64 // bytes of their own
	unlinked  int64 // bytes on disk in files that they hold open and that have no name any more
}

// holds returns the bytes on disk and the number of the files that the set made, and stops counting beyond most.
func (f folder) holds(most int) (bytes int64, files int) {
	for _, folder := range []string{f.work, f.scratch, f.sockets} {
		// What vanishes while it is looked at, or cannot be looked at, is not counted; it may be the next time.
		_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if path != folder {
				files++
			}
			if files > most {
				return fs.SkipAll
			}
			if info, err := entry.Info(); err == nil {
				bytes += diskSize(info)
			}
			return nil
		})
	}
	return bytes, files
}
