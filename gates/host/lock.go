package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/penstock-ci/penstock/gates"
)

// LockName is the name of the lock file in an app's folder.
const LockName = "penstock.lock"

// lockFile is penstock.lock: the gate sets of strangers that an app uses, each by what it is, not by what it is called.
// JSON is YAML too, so either form is read.
type lockFile struct {
	Version int         `yaml:"version"`
	Sets    []lockedSet `yaml:"sets"`
}

type lockedSet struct {
	Name        string             `yaml:"name"`
	Version     string             `yaml:"version"`
	Path        string             `yaml:"path"`   // relative to the lock file
	SHA256      map[string]string  `yaml:"sha256"` // by platform: linux/amd64, darwin/arm64, …
	Interpreter *lockedInterpreter `yaml:"interpreter,omitempty"`
}

type lockedInterpreter struct {
	Name   string            `yaml:"name"`
	SHA256 map[string]string `yaml:"sha256"`
}

// platform is this machine's, as lock files name it.
func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// ReadLock reads penstock.lock. Every problem in it is told at once; a file with a problem yields no set at all. That a
// set has no checksum for this platform is told when it is asked, because another platform may run this app.
func ReadLock(path string) ([]PluginRef, error) {
	file, err := readLockFile(path)
	if err != nil {
		return nil, err
	}
	refs := make([]PluginRef, 0, len(file.Sets))
	for _, locked := range file.Sets {
		refs = append(refs, locked.ref(path))
	}
	return refs, nil
}

func readLockFile(path string) (*lockFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the lock file: %w", err)
	}
	if at := slices.IndexFunc(strings.Split(string(text), "\n"), isConflict); at >= 0 {
		return nil, fmt.Errorf("%s:%d: %w: a merge left both sides there: take one of them, then `penstock gates lock`", path, at+1, ErrLock)
	}
	// The version first: what else a later one says need not be known here.
	var head struct {
		Version int `yaml:"version"`
	}
	if err := yaml.Unmarshal(text, &head); err == nil && head.Version != 1 {
		return nil, fmt.Errorf("%s: %w: it has version %d, and this penstock reads version 1: update penstock, or lock again", path, ErrLock, head.Version)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var file lockFile
	if err := decoder.Decode(&file); err != nil {
		return nil, inLock(path, err)
	}
	if err := decoder.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w: it has a second part, after ---, which would count for nothing: remove it", path, ErrLock)
	}
	var problems []error
	seen := map[string]bool{}
	for _, locked := range file.Sets {
		for _, problem := range locked.problems(seen) {
			problems = append(problems, fmt.Errorf("%s: %w: set %q: %s", path, ErrLock, locked.Name, problem))
		}
		seen[locked.Name] = true
	}
	return &file, errors.Join(problems...)
}

// isConflict reports whether git left the line where two sides of a merge differ.
func isConflict(line string) bool {
	return strings.HasPrefix(line, "<<<<<<< ") || strings.HasPrefix(line, ">>>>>>> ")
}

// placed is how the YAML library begins what it says.
var placed = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

// inLock says what is wrong with the text, each thing with its line.
func inLock(path string, err error) error {
	said := []string{err.Error()}
	if several := (*yaml.TypeError)(nil); errors.As(err, &several) {
		said = several.Errors
	}
	var problems []error
	for _, one := range said {
		where := path
		if found := placed.FindStringSubmatch(one); found != nil {
			where, one = path+":"+found[1], found[2]
		}
		one = strings.TrimSuffix(strings.TrimPrefix(one, "yaml: "), " in type host.lockFile")
		problems = append(problems, fmt.Errorf("%s: %w: %s", where, ErrLock, one))
	}
	return errors.Join(problems...)
}

func (l lockedSet) problems(seen map[string]bool) []string {
	var problems []string
	if !gates.ValidName(l.Name) {
		problems = append(problems, "the name is not a lower-case word")
	}
	if seen[l.Name] {
		problems = append(problems, "it is locked twice: keep one of them")
	}
	if l.Path == "" {
		problems = append(problems, "the path of its binary is missing")
	}
	if len(l.SHA256) == 0 {
		problems = append(problems, "it has no sha256: add the checksum of its binary for each platform")
	}
	pinned := []map[string]string{l.SHA256}
	if l.Interpreter != nil {
		if l.Interpreter.Name == "" {
			problems = append(problems, "its interpreter has no name")
		}
		pinned = append(pinned, l.Interpreter.SHA256)
	}
	for _, digests := range pinned {
		for on, digest := range digests {
			if !validDigest(digest) {
				problems = append(problems, fmt.Sprintf("the sha256 for %s is not 64 hex digits", on))
			}
		}
	}
	return problems
}

// binary is where the set's binary lies when the lock file is at path.
func (l lockedSet) binary(path string) string {
	if filepath.IsAbs(l.Path) {
		return l.Path
	}
	return filepath.Join(filepath.Dir(path), filepath.FromSlash(l.Path))
}

func (l lockedSet) ref(path string) PluginRef {
	ref := PluginRef{
		Set: l.Name, Path: l.binary(path),
		Pin: Pin{Set: l.Name, Version: l.Version, SHA256: strings.ToLower(l.SHA256[platform()])},
	}
	if l.Interpreter != nil {
		ref.Pin.Interpreter = Interpreter{Name: l.Interpreter.Name, SHA256: strings.ToLower(l.Interpreter.SHA256[platform()])}
	}
	return ref
}
