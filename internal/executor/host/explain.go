package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// Explanation says what a stage's cache key is made of and what that means for its result.
type Explanation struct {
	Stage  string
	Key    string
	Cached bool   // the result is known
	Why    string // in words, as in [engine.Result]
	Parts  []Part
}

// Part is one thing on which a stage's result depends.
type Part struct {
	Name   string // "inputs", "tool node", "need install", "definition run", "platform"
	Value  string
	Before string // at the last run; "" when there was none
}

// Changed reports whether the part was different at the last run.
func (p Part) Changed() bool { return p.Before != "" && p.Before != p.Value }

// Explainer is implemented by sessions that can say why a result is cached or not; for --explain-cache.
type Explainer interface {
	// Explain must be asked before the stage runs: afterwards the last run is this one.
	Explain(ctx context.Context, stage *pipelines.Stage, needs []*engine.Result) (Explanation, error)
}

var _ Explainer = (*Session)(nil)

// Explain says what the stage's key is made of and what changed since it ran last.
func (s *Session) Explain(_ context.Context, stage *pipelines.Stage, needs []*engine.Result) (Explanation, error) {
	p, set, err := s.partsOf(engine.Job{Stage: stage, Needs: needs})
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Stage: stage.Name, Key: p.key()}
	last := s.last.of(stage.Name)
	e.Why = s.whyNot(p, set, last)
	if last.isResult(stage, e.Key) {
		e.Cached, e.Why = true, unchangedSince(last.Time)
	} else if entry, err := s.cache.lookup(e.Key); err == nil && entry != nil {
		if problem := s.usable(stage, entry); problem != nil {
			e.Why = problem.Error() + ", so it runs again"
		} else {
			e.Cached, e.Why = true, unchangedSince(entry.Made)
		}
	}
	before := map[string]string{}
	if last != nil {
		before = last.Parts.flat()
	}
	now := p.flat()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		e.Parts = append(e.Parts, Part{Name: name, Value: now[name], Before: before[name]})
	}
	return e, nil
}

// flat lists the parts by name.
func (p parts) flat() map[string]string {
	all := map[string]string{"platform": p.Platform, "inputs": p.Inputs, "format": p.Format}
	for name, value := range p.Definition {
		all["definition "+name] = value
	}
	for name, value := range p.Tools {
		all["tool "+name] = value
	}
	for name, value := range p.Needs {
		all["need "+name] = value
	}
	return all
}

// lastRun is what a stage ran with the last time.
type lastRun struct {
	Key     string        `json:"key"`
	Parts   parts         `json:"parts"`
	Outcome event.Outcome `json:"outcome"`
	Time    time.Time     `json:"time"`
	// Bare says that the stage needed no workspace and left nothing at all, so that this is its whole result. An entry of
	// its own in the cache would cost more than such a stage does.
	Bare bool   `json:"bare,omitempty"`
	Root string `json:"root,omitempty"` // of a bare result
	// Missing is what the stage did not leave, so that its result was not kept.
	Missing []string `json:"missing,omitempty"`
}

// lastRuns remembers what the stages of one app ran with last, for explanations and for results that are nothing but
// "passed". It is one small file for the app: what is lost with it is explained less, or run again.
type lastRuns struct {
	path    string
	inputs  string // folder of listings
	mu      sync.Mutex
	runs    map[string]*lastRun
	listed  map[string]bool
	changed bool
}

// isResult reports whether the last run is the whole result of that key. Where results grow old, entries say how old.
func (l *lastRun) isResult(stage *pipelines.Stage, key string) bool {
	return l != nil && l.Bare && l.Outcome == event.Passed && l.Key == key && stage.MaxAge == 0
}

func openLastRuns(cacheRoot, app, folder string) *lastRuns {
	sum := sha256.Sum256([]byte(app + "\x00" + folder))
	l := &lastRuns{
		path:   filepath.Join(cacheRoot, "last", hex.EncodeToString(sum[:8])+".json"),
		inputs: filepath.Join(cacheRoot, "inputs"),
		runs:   map[string]*lastRun{}, listed: map[string]bool{},
	}
	if text, err := os.ReadFile(l.path); err == nil {
		// A torn file is no explanation, and neither is it a reason to stop.
		if json.Unmarshal(text, &l.runs) != nil {
			l.runs = map[string]*lastRun{}
		}
	}
	return l
}

func (l *lastRuns) of(stage string) *lastRun {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[stage]
}

// record remembers that a stage ran, and lists its inputs for the next comparison.
func (l *lastRuns) record(stage string, run *lastRun, set *inputs.Set) {
	l.mu.Lock()
	l.runs[stage] = run
	l.changed = true
	listed := l.listed[set.Digest]
	l.listed[set.Digest] = true
	l.mu.Unlock()
	if !listed {
		writeListing(l.listing(set.Digest), set.Files)
	}
}

func (l *lastRuns) listing(digest string) string {
	return filepath.Join(l.inputs, strings.TrimPrefix(digest, "sha256:"))
}

// save writes what was recorded, together with what another run of this app recorded meanwhile.
func (l *lastRuns) save() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.changed {
		return nil
	}
	text, err := json.Marshal(l.runs)
	if err != nil {
		return err
	}
	return writeWhole(l.path, text)
}

// writeListing writes the files of an input set, one "digest kind path" a record. It is named by its content, so one that
// is there need not be written.
func writeListing(path string, files []snapshot.File) {
	if _, err := os.Stat(path); err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // in use, so not to be forgotten
		return
	}
	var out []byte
	for _, file := range files {
		out = fmt.Appendf(out, "%s %o\x00%s\x00", file.Digest, file.Mode, file.Path)
	}
	_ = writeWhole(path, out)
}

func readListing(path string) (map[string]string, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	files := map[string]string{}
	fields := strings.Split(string(text), "\x00")
	for ; len(fields) >= 2; fields = fields[2:] {
		files[fields[1]] = fields[0]
	}
	return files, true
}

// whyNot says in words why a result is not known: what changed since the stage ran last.
func (s *Session) whyNot(now parts, set *inputs.Set, last *lastRun) string {
	if last == nil {
		return "first run"
	}
	before := last.Parts
	var reasons []string
	if before.Format != now.Format {
		reasons = append(reasons, "this Penstock runs stages differently")
	}
	if before.Platform != now.Platform {
		reasons = append(reasons, "platform "+before.Platform+"→"+now.Platform)
	}
	if changed := differences(before.Definition, now.Definition); len(changed) > 0 {
		reasons = append(reasons, "stage definition changed ("+strings.Join(changed, ", ")+")")
	}
	if before.Inputs != now.Inputs {
		reasons = append(reasons, s.whichFiles(before.Inputs, set))
	}
	for _, tool := range differences(before.Tools, now.Tools) {
		reasons = append(reasons, fmt.Sprintf("%s %s→%s", tool, orNone(before.Tools[tool]), orNone(now.Tools[tool])))
	}
	var rerun []string
	for _, need := range differences(before.Needs, now.Needs) {
		if strings.HasPrefix(now.Needs[need], noOutputs) && strings.HasPrefix(before.Needs[need], noOutputs) {
			rerun = append(rerun, need)
			continue
		}
		reasons = append(reasons, "what "+need+" made changed")
	}
	if len(reasons) == 0 && len(rerun) > 0 {
		// A cause of its own only where there is no other: mostly the same files are inputs of both.
		reasons = append(reasons, "what it waits for was different: "+strings.Join(rerun, ", "))
	}
	if len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	if last.Outcome != event.Passed {
		return "nothing changed, but the last run did not pass"
	}
	if len(last.Missing) > 0 {
		return "nothing changed, but the last run did not leave " + strings.Join(last.Missing, ", ")
	}
	return "nothing changed, but the result is no longer in the cache"
}

func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}

// differences returns the names whose values differ, sorted.
func differences(before, now map[string]string) []string {
	var names []string
	for name, value := range now {
		if was, ok := before[name]; !ok || was != value {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := now[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// whichFiles names the input files that changed: one fully, several with their number, many not to the last.
func (s *Session) whichFiles(before string, set *inputs.Set) string {
	old, ok := readListing(s.last.listing(before))
	if !ok {
		return "input files changed"
	}
	var changed []string
	verbs := map[string]string{}
	for _, file := range set.Files {
		was, known := old[file.Path]
		delete(old, file.Path)
		switch {
		case !known:
			verbs[file.Path] = "was added"
		case was != fmt.Sprintf("%s %o", file.Digest, file.Mode):
			verbs[file.Path] = "changed"
		default:
			continue
		}
		changed = append(changed, file.Path)
	}
	for path := range old {
		changed, verbs[path] = append(changed, path), "was removed"
	}
	slices.Sort(changed)
	const named = 3
	switch {
	case len(changed) == 0:
		return "input files changed"
	case len(changed) == 1:
		return changed[0] + " " + verbs[changed[0]]
	case len(changed) <= named:
		return fmt.Sprintf("%d files changed: %s", len(changed), strings.Join(changed, ", "))
	default:
		return fmt.Sprintf("%d files changed: %s and %d more", len(changed), strings.Join(changed[:named], ", "), len(changed)-named)
	}
}
