package snapshot

import (
	"strings"
	"testing"
	"time"
)

// A file written again in the tick of its file system's clock in which it was read keeps its stamp. Whether that can be
// provoked depends on the kernel, so the rule itself is tested: what is young is not kept.
func TestYoungFilesAreNotKept(t *testing.T) {
	t.Parallel()
	read := time.Now()
	digest := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		mtime, ctime time.Time
		kept         bool
	}{
		"old":                   {read.Add(-time.Hour), read.Add(-time.Hour), true},
		"written just now":      {read, read, false},
		"written a second ago":  {read.Add(-time.Second), read.Add(-time.Second), false},
		"its time was put back": {read.Add(-time.Hour), read, false},
		"from the future":       {read.Add(time.Hour), read.Add(-time.Hour), false},
	} {
		c1 := openStatCache(t.TempDir(), "/app")
		at := stamp{Size: 1, Mtime: c.mtime.UnixNano(), Ctime: c.ctime.UnixNano()}
		c1.record("f", at, digest, read)
		c2 := &statCache{old: decodeStatCache(encodeStatCache(c1.fresh)), fresh: map[string]statEntry{}}
		if got, ok := c2.lookup("f", at); ok != c.kept || (ok && got != digest) {
			t.Errorf("%s: kept %v, want %v", name, ok, c.kept)
		}
	}
}

func FuzzDecodeStatCache(f *testing.F) {
	f.Add(encodeStatCache(map[string]statEntry{"a/b": {stamp: stamp{1, 2, 3, 4}}}))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries := decodeStatCache(data)
		if again := decodeStatCache(encodeStatCache(entries)); len(again) != len(entries) {
			t.Fatalf("%d entries, then %d", len(entries), len(again))
		}
	})
}
