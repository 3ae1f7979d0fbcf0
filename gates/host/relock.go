package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// LockState says how a set's entry in the lock file stands to its binary.
type LockState string

// The lock states.
const (
	LockSame    LockState = "same"
	LockAdded   LockState = "added"   // it is not in the lock file yet
	LockChanged LockState = "changed" // the binary, or what runs it, is another
	LockMissing LockState = "missing" // the lock file names a binary that is not there
)

// LockChange is what locking does to one set's entry.
type LockChange struct {
	Set        string    `json:"set"`
	Path       string    `json:"path"`
	State      LockState `json:"state"`
	Platform   string    `json:"platform"`
	OldVersion string    `json:"oldVersion,omitempty"`
	Version    string    `json:"version,omitempty"`
	OldSHA256  string    `json:"oldSHA256,omitempty"`
	SHA256     string    `json:"sha256,omitempty"`
	Dropped    []string  `json:"dropped,omitempty"` // platforms whose checksums were of the version before
	Changed    []string  `json:"changed,omitempty"` // what is another, in words
	Silent     bool      `json:"silent,omitempty"`  // the binary is another and calls itself by the same version
}

// Relock is what the lock file would be.
type Relock struct {
	Path    string
	Changes []LockChange
	text    []byte
}

// PlanLock compares the lock file at path, which need not exist, with the binaries that it names, and with those in add,
// which are sets that it may not name yet. Binaries that are new or changed are started, confined like any, to learn their
// version; that takes scratch, a folder. Nothing is written.
func PlanLock(ctx context.Context, path string, add []string, scratch string) (*Relock, error) {
	file, err := readLockFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = &lockFile{Version: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, binary := range add {
		if err := file.place(path, binary); err != nil {
			return nil, err
		}
	}
	plan := &Relock{Path: path}
	for i := range file.Sets {
		change, err := file.Sets[i].relock(ctx, path, scratch)
		if err != nil {
			return nil, err
		}
		plan.Changes = append(plan.Changes, change)
	}
	var text bytes.Buffer
	text.WriteString("# The gate sets of others that this app uses, by checksum. `penstock gates lock` writes this file.\n")
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(file), encoder.Close()); err != nil {
		return nil, fmt.Errorf("write the lock file: %w", err)
	}
	plan.text = text.Bytes()
	return plan, nil
}

// place makes room for a binary: a new entry, or another path of the one that has its name.
func (f *lockFile) place(path, binary string) error {
	name, err := setName(binary)
	if err != nil {
		return err
	}
	absolute, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(absolute); err != nil {
		return fmt.Errorf("lock the gate set %s: %w", name, err)
	}
	where := absolute
	if relative, err := filepath.Rel(filepath.Dir(path), absolute); err == nil && filepath.IsLocal(relative) {
		where = filepath.ToSlash(relative)
	}
	for i := range f.Sets {
		if f.Sets[i].Name == name {
			f.Sets[i].Path = where
			return nil
		}
	}
	f.Sets = append(f.Sets, lockedSet{Name: name, Path: where})
	return nil
}

// relock brings one entry up to date for this platform and says what changed.
func (l *lockedSet) relock(ctx context.Context, path, scratch string) (LockChange, error) {
	old := l.ref(path)
	change := LockChange{Set: l.Name, Path: l.Path, Platform: platform(), OldVersion: l.Version, OldSHA256: old.Pin.SHA256}
	now, err := Trusting(l.binary(path))
	if errors.Is(err, fs.ErrNotExist) {
		change.State, change.Version = LockMissing, l.Version
		return change, nil
	}
	if err != nil {
		return change, err
	}
	change.SHA256 = now.Pin.SHA256
	if old.Pin.SHA256 == now.Pin.SHA256 && old.Pin.Interpreter == now.Pin.Interpreter {
		change.State, change.Version = LockSame, l.Version
		return change, nil
	}
	if change.Version, err = versionOf(ctx, now, scratch); err != nil {
		return change, err
	}

	change.State = LockChanged
	switch {
	case len(l.SHA256) == 0:
		change.State = LockAdded
	case old.Pin.SHA256 == "":
		change.Changed = append(change.Changed, "locked for "+platform()+" too")
	case old.Pin.SHA256 != now.Pin.SHA256:
		change.Changed = append(change.Changed, "the binary")
		change.Silent = change.Version == l.Version
	}
	if change.State == LockChanged && old.Pin.Interpreter != now.Pin.Interpreter {
		change.Changed = append(change.Changed, "what runs it")
	}
	if l.SHA256 == nil || change.Version != l.Version {
		for other := range l.SHA256 {
			if other != platform() {
				change.Dropped = append(change.Dropped, other)
			}
		}
		slices.Sort(change.Dropped)
		l.SHA256, l.Interpreter = map[string]string{}, nil
	}
	l.Version = change.Version
	l.SHA256[platform()] = now.Pin.SHA256
	l.pinInterpreter(now.Pin.Interpreter)
	return change, nil
}

func (l *lockedSet) pinInterpreter(interpreter Interpreter) {
	if interpreter == (Interpreter{}) {
		l.Interpreter = nil
		return
	}
	digests := map[string]string{}
	if l.Interpreter != nil && l.Interpreter.Name == interpreter.Name {
		digests = maps.Clone(l.Interpreter.SHA256)
	}
	digests[platform()] = interpreter.SHA256
	l.Interpreter = &lockedInterpreter{Name: interpreter.Name, SHA256: digests}
}

// versionOf starts a set that nobody has locked yet, to ask which version it is.
func versionOf(ctx context.Context, ref PluginRef, scratch string) (version string, err error) {
	h := New(Options{Sets: []PluginRef{ref}, ScratchDir: scratch})
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	info, err := h.DescribeSet(ctx, ref.Set)
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", ref.Path, err)
	}
	return info.Version, nil
}

// UpToDate reports whether the lock file says already what is there.
func (r *Relock) UpToDate() bool {
	return !slices.ContainsFunc(r.Changes, func(change LockChange) bool { return change.State != LockSame })
}

// Silent names the sets whose binary changed while their version did not: whoever changed them did not say so.
func (r *Relock) Silent() []string {
	var names []string
	for _, change := range r.Changes {
		if change.Silent {
			names = append(names, change.Set)
		}
	}
	return names
}

// Write replaces the lock file as a whole: a reader sees the old one or the new one.
func (r *Relock) Write() error {
	temporary, err := os.CreateTemp(filepath.Dir(r.Path), "."+LockName+"-")
	if err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	defer os.Remove(temporary.Name()) // gone already when all went well
	_, err = temporary.Write(r.text)
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), r.Path)
	}
	if err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	return nil
}

// Shown is one line for people: what happens to the set's entry.
func (c LockChange) Shown() string {
	short := func(digest string) string { return digest[:min(len(digest), 12)] }
	switch c.State {
	case LockSame:
		return "as it was"
	case LockMissing:
		return "its binary is not there"
	case LockAdded:
		return fmt.Sprintf("added: version %s, %s for %s", c.Version, short(c.SHA256), c.Platform)
	default:
		text := strings.Join(c.Changed, " and ")
		if c.OldSHA256 != "" && c.OldSHA256 != c.SHA256 {
			text += fmt.Sprintf(": %s → %s", short(c.OldSHA256), short(c.SHA256))
		}
		if c.OldVersion != c.Version {
			text += fmt.Sprintf(", version %s → %s", c.OldVersion, c.Version)
		}
		if len(c.Dropped) > 0 {
			text += "; to be locked anew on " + strings.Join(c.Dropped, ", ")
		}
		return text
	}
}
