package host

import (
	"cmp"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/internal/executor/wholefile"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// evictEvery is how often the cache is measured; looking at all of it takes longer than a warm run.
	evictEvery = time.Hour
	// evictAfter is how much a run may add before the cache is measured regardless.
	evictAfter = 64 << 20
)

// close gives the lock back, and evicts when it is time and no other run is open.
func (c *cache) close() error {
	defer c.lock.Close()
	stamp := filepath.Join(c.root, "measured")
	info, err := os.Stat(stamp)
	due := err != nil || time.Since(info.ModTime()) > evictEvery || c.stored.Load() > evictAfter
	if !due {
		return nil
	}
	if err := c.lock.Unlock(); err != nil {
		return err
	}
	if alone, err := c.lock.TryLock(); err != nil || !alone {
		return err
	}
	c.evict()
	return wholefile.Write(stamp, nil)
}

// thing is something in the cache that can be removed by itself.
type thing struct {
	path string
	size int64
	used time.Time
}

// evict removes what was not used for too long, then what was used longest ago until the rest fits. The lock is held
// alone: nobody reads what is removed here.
func (c *cache) evict() {
	things := slices.Concat(c.entries(), c.trees(), c.plain("inputs"), c.plain("last"))
	slices.SortFunc(things, func(a, b thing) int { return b.used.Compare(a.used) })
	oldest := time.Now().Add(-c.options.CacheAge)
	var total int64
	for _, t := range things {
		total += t.size
		if t.used.Before(oldest) || total > c.options.CacheSize {
			runfolder.RemoveAll(t.path)
		}
	}
	c.removeOrphans()
}

// entries are the results, each with the size of its blobs.
func (c *cache) entries() []thing {
	var things []thing
	_ = filepath.WalkDir(filepath.Join(c.root, "stages"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		size := info.Size()
		if e, _ := c.peek(path); e != nil {
			for _, b := range e.Reports {
				size += b.Size
			}
			if e.Log != nil {
				size += e.Log.Size
			}
		}
		things = append(things, thing{path, size, info.ModTime()})
		return nil
	})
	return things
}

// peek reads an entry without counting that as use.
func (c *cache) peek(path string) (*entry, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	e, err := c.lookup("sha256:" + filepath.Base(path))
	_ = os.Chtimes(path, info.ModTime(), info.ModTime())
	return e, err
}

func (c *cache) trees() []thing {
	store := treeStore{root: filepath.Join(c.root, "trees")}
	var things []thing
	for _, name := range store.names() {
		path := filepath.Join(store.root, name)
		info, err := os.Stat(filepath.Join(path, "manifest"))
		if err != nil {
			runfolder.RemoveAll(path) // left by a run that died while it made it
			continue
		}
		t, err := store.load(name)
		if err != nil {
			runfolder.RemoveAll(path)
			continue
		}
		things = append(things, thing{path, t.size, info.ModTime()})
	}
	return things
}

func (c *cache) plain(folder string) []thing {
	entries, err := os.ReadDir(filepath.Join(c.root, folder))
	if err != nil {
		return nil
	}
	var things []thing
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			things = append(things, thing{filepath.Join(c.root, folder, entry.Name()), info.Size(), info.ModTime()})
		}
	}
	return things
}

// removeOrphans removes blobs that no entry names.
func (c *cache) removeOrphans() {
	named := map[string]bool{}
	_ = filepath.WalkDir(filepath.Join(c.root, "stages"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if strings.HasPrefix(entry.Name(), ".writing-") {
			_ = os.Remove(path)
		} else if e, _ := c.peek(path); e != nil {
			named[e.Blobs] = true
		}
		return nil
	})
	folders, err := os.ReadDir(filepath.Join(c.root, "blobs"))
	if err != nil {
		return
	}
	slices.SortFunc(folders, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, folder := range folders {
		if !named[folder.Name()] {
			runfolder.RemoveAll(filepath.Join(c.root, "blobs", folder.Name()))
		}
	}
}
