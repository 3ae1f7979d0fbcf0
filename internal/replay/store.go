package replay

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is kept.
const (
	maxFile = 8 << 20             // one report or log
	maxAge  = 90 * 24 * time.Hour // of a run
	maxSize = 256 << 20           // all files together
)

// errNotKept says that a file is not kept, and why.
var errNotKept = errors.New("not kept")

// runShape is what a run's id may look like: it becomes a file name.
var runShape = regexp.MustCompile(`^[0-9A-Za-z]{1,40}$`)

// Store is a folder of what gates were asked: files by their SHA-256 under "files", one list of questions for each run
// under "runs". It is safe for concurrent use, also by several processes: files are written whole, and lists only grow.
type Store struct {
	dir string
	mu  sync.Mutex
}

// Open returns the store in dir, which need not exist.
func Open(dir string) *Store { return &Store{dir: dir} }

func (s *Store) file(digest string) string { return filepath.Join(s.dir, "files", digest) }
func (s *Store) list(run string) string    { return filepath.Join(s.dir, "runs", run) }

// put keeps a file without secrets and returns its digest.
func (s *Store) put(path string, hide func(string) string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: it was not there", errNotKept)
	case err != nil:
		return "", fmt.Errorf("keep %s: %w", path, err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%w: it is not a file", errNotKept)
	case info.Size() > maxFile:
		return "", fmt.Errorf("%w: it is larger than %d MiB", errNotKept, maxFile>>20)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	content = []byte(hide(string(content)))
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	target := s.file(digest)
	if _, err := os.Stat(target); err == nil {
		now := time.Now()
		return digest, os.Chtimes(target, now, now) // so that tidying up beside this does not take it
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(target), ".writing-")
	if err != nil {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), target)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("keep %s: %w", path, err), os.Remove(temporary.Name()))
	}
	return digest, nil
}

// get returns a kept file, or an error when it is gone or not what it was.
func (s *Store) get(digest string) ([]byte, error) {
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("%q is no digest", digest)
	}
	content, err := os.ReadFile(s.file(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it is no longer kept")
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
		return nil, errors.New("what is kept of it was changed")
	}
	return content, nil
}

// append adds one question to a run's list.
func (s *Store) append(run string, text []byte) error {
	if !runShape.MatchString(run) {
		return fmt.Errorf("keep what a gate was asked: %q is no run", run)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(filepath.Join(s.dir, "runs"), 0o700); err != nil {
		return fmt.Errorf("keep what a gate was asked: %w", err)
	}
	file, err := os.OpenFile(s.list(run), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keep what a gate was asked: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	return errors.Join(err, file.Close())
}

// Runs returns the ids of the kept runs, newest first: ids sort by time.
func (s *Store) Runs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "runs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list what gates were asked: %w", err)
	}
	var runs []string
	for _, entry := range entries {
		if runShape.MatchString(entry.Name()) {
			runs = append(runs, entry.Name())
		}
	}
	slices.Sort(runs)
	slices.Reverse(runs)
	return runs, nil
}

// Questions returns what the gates of a run were asked. A line that cannot be read, as after a crash, is left out.
func (s *Store) Questions(run string) ([]Question, error) {
	text, err := os.ReadFile(s.list(run))
	if err != nil {
		return nil, fmt.Errorf("read what gates were asked: %w", err)
	}
	var questions []Question
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxFile)
	for lines.Scan() {
		var question Question
		if json.Unmarshal(lines.Bytes(), &question) == nil && question.Gate != "" {
			questions = append(questions, question)
		}
	}
	return questions, lines.Err()
}

// Tidy forgets runs that are too old, and then the oldest until what is left is small enough. Files that no run names go,
// unless they are so new that a run may be about to name them.
func (s *Store) Tidy(now time.Time) error {
	runs, err := s.Runs()
	if err != nil || len(runs) == 0 {
		return err
	}
	named := map[string]bool{}
	size := int64(0)
	var problems []error
	for _, run := range runs {
		info, err := os.Stat(s.list(run))
		if err != nil {
			continue // gone meanwhile
		}
		digests, bytes, err := s.weigh(run, named)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if now.Sub(info.ModTime()) > maxAge || size+bytes > maxSize {
			problems = append(problems, os.Remove(s.list(run)))
			continue
		}
		size += bytes
		for _, digest := range digests {
			named[digest] = true
		}
	}
	return errors.Join(append(problems, s.sweep(named, now))...)
}

// weigh returns the files of a run, and how large those are together that no newer run named.
func (s *Store) weigh(run string, named map[string]bool) (digests []string, size int64, err error) {
	questions, err := s.Questions(run)
	if err != nil {
		return nil, 0, err
	}
	for _, question := range questions {
		for _, stage := range question.Stages {
			digests = append(digests, stage.Log)
		}
		for _, report := range question.Reports {
			digests = append(digests, report.Path)
		}
	}
	slices.Sort(digests)
	digests = slices.DeleteFunc(slices.Compact(digests), func(digest string) bool { return digest == "" })
	for _, digest := range digests {
		if info, err := os.Stat(s.file(digest)); err == nil && !named[digest] {
			size += info.Size()
		}
	}
	return digests, size, nil
}

// settling is how long a file may wait to be named.
const settling = time.Hour

func (s *Store) sweep(named map[string]bool, now time.Time) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "files"))
	if err != nil {
		return ignoreMissing(err)
	}
	var problems []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || (named[entry.Name()] && !strings.HasPrefix(entry.Name(), ".")) || now.Sub(info.ModTime()) < settling {
			continue
		}
		problems = append(problems, ignoreMissing(os.Remove(s.file(entry.Name()))))
	}
	return errors.Join(problems...)
}

// ignoreMissing is nil for what somebody else removed first.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
