package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/internal/executor/wholefile"
)

// cache keeps the results of stages that passed, by key. While it is open a shared lock keeps other runs from evicting.
type cache struct {
	root    string
	options Options
	lock    *flock.Flock
	stored  atomic.Int64 // bytes that this run added
}

// entry is one known result.
type entry struct {
	Stage        string        `json:"stage"`
	Key          string        `json:"key"`
	Made         time.Time     `json:"made"`
	Duration     time.Duration `json:"duration"`
	Root         string        `json:"root"`
	Parts        lastrun.Parts `json:"parts"`
	Blobs        string        `json:"blobs,omitempty"` // folder of log and reports, below blobs/
	Log          *blob         `json:"log,omitempty"`
	Reports      []blob        `json:"reports,omitempty"`
	Missing      []string      `json:"missing,omitempty"`
	Tree         string        `json:"tree,omitempty"`
	OutputDigest string        `json:"outputDigest,omitempty"`
}

// blob is a file that a stage left for people or gates.
type blob struct {
	Kind   gates.ReportKind `json:"kind,omitempty"`
	Name   string           `json:"name"` // within the entry's folder and within the run's
	Size   int64            `json:"size"`
	Digest string           `json:"digest"`
}

func unchangedSince(made time.Time) string {
	return "inputs unchanged since " + made.Local().Format("2006-01-02 15:04:05")
}

func openCache(root string, options Options) (*cache, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	c := &cache{root: root, options: options, lock: flock.New(filepath.Join(root, "lock"))}
	// Eviction holds this alone, and for a moment only.
	if err := c.lock.RLock(); err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	return c, nil
}

func (c *cache) entryPath(key string) string {
	name := strings.TrimPrefix(key, "sha256:")
	return filepath.Join(c.root, "stages", name[:2], name)
}

func (c *cache) blobPath(e *entry, b *blob) string {
	return filepath.Join(c.root, "blobs", e.Blobs, b.Name)
}

// lookup returns the entry of a key, nil when there is none. An error says that there was one and that it is damaged.
func (c *cache) lookup(key string) (*entry, error) {
	path := c.entryPath(key)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a cached result: %w", err)
	}
	sum, body, _ := bytes.Cut(text, []byte("\n"))
	if want := sha256.Sum256(body); string(sum) != hex.EncodeToString(want[:]) {
		return nil, errors.New("the cached result is damaged")
	}
	e := &entry{}
	if err := json.Unmarshal(body, e); err != nil {
		return nil, fmt.Errorf("the cached result is damaged: %w", err)
	}
	if e.Key != key || e.Parts.Key() != key {
		return nil, errors.New("the cached result belongs to another key")
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // in use, so not the next to be evicted
	return e, nil
}

// put publishes an entry whose blobs are in place. It is not synced: a torn one fails its checksum and counts as absent.
func (c *cache) put(e *entry) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode a result for the cache: %w", err)
	}
	sum := sha256.Sum256(body)
	text := append([]byte(hex.EncodeToString(sum[:])+"\n"), body...)
	if err := wholefile.Write(c.entryPath(e.Key), text); err != nil {
		return fmt.Errorf("write a result to the cache: %w", err)
	}
	return nil
}

// drop forgets a key.
func (c *cache) drop(key string) { _ = os.Remove(c.entryPath(key)) }

// keepBlob links a file of the run into the folder of an entry.
func (c *cache) keepBlob(e *entry, from string, kind gates.ReportKind, name string) (blob, error) {
	info, err := os.Stat(from)
	if err != nil {
		return blob{}, fmt.Errorf("keep %s: %w", name, err)
	}
	digest, err := hashFile(from)
	if err != nil {
		return blob{}, fmt.Errorf("keep %s: %w", name, err)
	}
	b := blob{Kind: kind, Name: name, Size: info.Size(), Digest: digest}
	to := c.blobPath(e, &b)
	if err := linkOrCopy(from, to); err != nil {
		return blob{}, fmt.Errorf("keep %s: %w", name, err)
	}
	c.stored.Add(b.Size)
	return b, nil
}

// takeBlob links a file of an entry into the run, after comparing its content.
func (c *cache) takeBlob(e *entry, b *blob, to string) error {
	from := c.blobPath(e, b)
	digest, err := hashFile(from)
	if err != nil || digest != b.Digest {
		return fmt.Errorf("the cached %s was changed", b.Name)
	}
	return linkOrCopy(from, to)
}

func linkOrCopy(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Link(from, to); err == nil {
		return nil
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return inputs.CopyFile(from, to, 0o644)
}
