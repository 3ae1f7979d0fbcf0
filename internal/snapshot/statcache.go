package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// stamp is what of a file's metadata changes when its content does.
type stamp struct {
	Size  int64
	Mtime int64  // nanoseconds
	Ctime int64  // nanoseconds; 0 where the platform has none
	Inode uint64 // 0 where the platform has none
}

// racyWindow is how much older than the reading a file's time must be for its digest to be trusted later. A file written
// again in the same tick of its file system's clock, right after it was read, has the same stamp and other content (git
// calls such an entry racily clean); 2 seconds is FAT's tick, the coarsest in use.
const racyWindow = 2 * time.Second

// statCache maps a path's stamp to the digest that the file had then.
type statCache struct {
	path  string // "" keeps nothing
	old   map[string]statEntry
	mu    sync.Mutex
	fresh map[string]statEntry
	dirty bool
}

type statEntry struct {
	stamp  stamp
	digest [sha256.Size]byte
}

// magic names the format; a file with another one is ignored.
const magic = "penstock stat cache 1\n"

// openStatCache reads the cache of one folder. One that is missing or damaged is an empty one.
func openStatCache(stateDir, root string) *statCache {
	c := &statCache{fresh: map[string]statEntry{}}
	if stateDir == "" {
		return c
	}
	sum := sha256.Sum256([]byte(root))
	c.path = filepath.Join(stateDir, "snapshot", hex.EncodeToString(sum[:8])+".stat")
	if data, err := os.ReadFile(c.path); err == nil {
		c.old = decodeStatCache(data)
	}
	return c
}

// lookup returns the digest of a file whose stamp is still the same.
func (c *statCache) lookup(path string, now stamp) (string, bool) {
	entry, ok := c.old[path]
	if !ok || entry.stamp != now {
		return "", false
	}
	c.mu.Lock()
	c.fresh[path] = entry
	c.mu.Unlock()
	return hex.EncodeToString(entry.digest[:]), true
}

// record remembers a digest, unless the file is so young that its stamp proves nothing.
func (c *statCache) record(path string, at stamp, digest string, readAt time.Time) {
	youngest := readAt.Add(-racyWindow).UnixNano()
	if at.Mtime > youngest || at.Ctime > youngest {
		return
	}
	entry := statEntry{stamp: at}
	if _, err := hex.Decode(entry.digest[:], []byte(digest)); err != nil {
		return
	}
	c.mu.Lock()
	c.fresh[path] = entry
	c.dirty = true
	c.mu.Unlock()
}

// save writes the cache when it changed. It is not synced: a torn file fails its checksum and is ignored.
func (c *statCache) save() error {
	if c.path == "" || (!c.dirty && len(c.fresh) == len(c.old)) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), ".stat-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it has been renamed
	if _, err := f.Write(encodeStatCache(c.fresh)); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.path)
}

func encodeStatCache(entries map[string]statEntry) []byte {
	out := []byte(magic)
	for path, e := range entries {
		out = binary.AppendUvarint(out, uint64(len(path)))
		out = append(out, path...)
		for _, number := range []uint64{uint64(e.stamp.Size), uint64(e.stamp.Mtime), uint64(e.stamp.Ctime), e.stamp.Inode} {
			out = binary.BigEndian.AppendUint64(out, number)
		}
		out = append(out, e.digest[:]...)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// decodeStatCache returns nil for anything that it did not write itself.
func decodeStatCache(data []byte) map[string]statEntry {
	if len(data) < len(magic)+sha256.Size || string(data[:len(magic)]) != magic {
		return nil
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(want[:], sum) {
		return nil
	}
	const fixed = 4*8 + sha256.Size
	entries := map[string]statEntry{}
	for rest := body[len(magic):]; len(rest) > 0; {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) || uint64(len(rest)-n)-length < fixed {
			return nil
		}
		path := string(rest[n : n+int(length)])
		rest = rest[n+int(length):]
		var e statEntry
		e.stamp.Size = int64(binary.BigEndian.Uint64(rest))
		e.stamp.Mtime = int64(binary.BigEndian.Uint64(rest[8:]))
		e.stamp.Ctime = int64(binary.BigEndian.Uint64(rest[16:]))
		e.stamp.Inode = binary.BigEndian.Uint64(rest[24:])
		copy(e.digest[:], rest[32:])
		entries[path] = e
		rest = rest[fixed:]
	}
	return entries
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), Mtime: info.ModTime().UnixNano()}
	s.Ctime, s.Inode = identity(info)
	return s
}
