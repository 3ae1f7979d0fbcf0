// Package inputs selects what a stage sees of the source, and copies it out of a copy that stays as the run found it.
package inputs

import (
	"fmt"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

// Set is the part of the snapshot that a stage sees.
type Set struct {
	Files  []snapshot.File
	Digest string // "sha256:…" over the files, as of a snapshot
}

// Sets selects them, each different list of globs once.
type Sets struct {
	Source *snapshot.Snapshot
	mu     sync.Mutex
	sets   map[string]*Set
}

// Of selects by globs relative to the app's folder, all files when there are none. Safe for concurrent use.
func (s *Sets) Of(globs []string) (*Set, error) {
	name := strings.Join(globs, "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.sets[name]; set != nil {
		return set, nil
	}
	set := &Set{Files: s.Source.Files, Digest: s.Source.Digest}
	if len(globs) > 0 {
		selected, err := selectFiles(s.Source.Files, globs)
		if err != nil {
			return nil, err
		}
		set = &Set{Files: selected, Digest: snapshot.Digest(selected)}
	}
	if s.sets == nil {
		s.sets = map[string]*Set{}
	}
	s.sets[name] = set
	return set, nil
}

// selectFiles applies globs as .gitignore readers would expect: a pattern that names a folder selects what is in it, and
// one that begins with "!" takes files away whatever else selects them. Only such patterns select from all files.
func selectFiles(files []snapshot.File, globs []string) ([]snapshot.File, error) {
	var in, out []string
	for _, glob := range globs {
		pattern, excludes := strings.CutPrefix(glob, "!")
		pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "./"), "/")
		if !doublestar.ValidatePattern(pattern) {
			return nil, fmt.Errorf("input %q is no valid glob", glob)
		}
		if excludes {
			out = append(out, pattern)
		} else {
			in = append(in, pattern)
		}
	}
	var selected []snapshot.File
	for _, file := range files {
		if (len(in) == 0 || matchesAny(in, file.Path)) && !matchesAny(out, file.Path) {
			selected = append(selected, file)
		}
	}
	return selected, nil
}

func matchesAny(patterns []string, path string) bool {
	for _, pattern := range patterns {
		if pattern == "." || doublestar.MatchUnvalidated(pattern, path) || doublestar.MatchUnvalidated(pattern+"/**", path) {
			return true
		}
	}
	return false
}
