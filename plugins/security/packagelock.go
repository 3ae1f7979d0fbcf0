package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// packageLock is what npm's lock file says is installed.
type packageLock struct {
	file     string
	packages []lockedPackage
	byName   map[string][]int // indices into packages
	lines    map[string]int   // of the paths
}

type lockedPackage struct {
	path    string // node_modules/a/node_modules/b
	name    string // as the registry calls it, which is not what an alias says
	version string
}

// readPackageLock reads package-lock.json of npm 7 and later (lockfileVersion 2 and 3). Even when there is an error the
// result can be asked: it then knows no places.
func readPackageLock(source string) (*packageLock, error) {
	lock := &packageLock{byName: map[string][]int{}, lines: map[string]int{}}
	if source == "" {
		return lock, errors.New("the source was not granted")
	}
	var content []byte
	var err error
	// npm prefers the shrinkwrap when there are both.
	for _, name := range []string{"npm-shrinkwrap.json", "package-lock.json"} {
		lock.file = name
		if content, err = readBounded(filepath.Join(source, name)); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return lock, errors.New("there is no package-lock.json")
	}
	if err != nil {
		return lock, fmt.Errorf("%s cannot be read", lock.file)
	}
	for _, other := range []string{"pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"} {
		if _, err := os.Lstat(filepath.Join(source, other)); !errors.Is(err, fs.ErrNotExist) {
			return lock, fmt.Errorf("there is %s beside %s, and nobody knows which of them is installed", other, lock.file)
		}
	}
	return lock, lock.parse(content)
}

func (l *packageLock) parse(content []byte) error {
	var document struct {
		Version  int `json:"lockfileVersion"`
		Packages map[string]struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			Link    bool   `json:"link"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return fmt.Errorf("%s is not JSON: %w", l.file, err)
	}
	if document.Version < 2 || document.Version > 3 || document.Packages == nil {
		return fmt.Errorf("%s has the version %d, and 2 and 3 are understood", l.file, document.Version)
	}
	for path, entry := range document.Packages {
		at := strings.LastIndex(path, "node_modules/")
		if at < 0 || entry.Link {
			continue // the app itself, its workspaces, and links to them
		}
		name := entry.Name
		if name == "" {
			name = path[at+len("node_modules/"):]
		}
		l.packages = append(l.packages, lockedPackage{path: path, name: name, version: entry.Version})
	}
	slices.SortFunc(l.packages, func(a, b lockedPackage) int { return strings.Compare(a.path, b.path) })
	for i, locked := range l.packages {
		l.byName[locked.name] = append(l.byName[locked.name], i)
	}
	// npm writes each path as a key on a line of its own.
	for number, line := range bytes.Split(content, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if text, isKey := bytes.CutSuffix(line, []byte(": {")); isKey && bytes.HasPrefix(line, []byte(`"node_modules/`)) {
			if path, err := strconv.Unquote(string(text)); err == nil {
				l.lines[path] = number + 1
			}
		}
	}
	return nil
}

// locate adds to a vulnerability which versions are installed and where the lock file says so.
func (l *packageLock) locate(found *vulnerability) {
	for _, i := range l.byName[found.name] {
		locked := l.packages[i]
		if len(found.paths) > 0 && !slices.Contains(found.paths, locked.path) {
			continue
		}
		if !slices.Contains(found.versions, locked.version) {
			found.versions = append(found.versions, locked.version)
		}
		if found.line == 0 {
			found.file, found.line = l.file, l.lines[locked.path]
		}
	}
}
