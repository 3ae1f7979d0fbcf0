// Package lastrun remembers what the stages of an app ran with last, and says what changed since: why a result is known or
// not. Executors keep it beside their caches; nothing but explanations is lost with it.
package lastrun

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/wholefile"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// Explanation says what a stage's key is made of and what that means for its result.
type Explanation struct {
	Stage   string
	Key     string
	Decider string // who says whether the result is known, where that is told only when the stage is to run; else ""
	Cached  bool   // the result is known; false where there is a Decider
	Why     string // in words, as in [engine.Result]
	Parts   []Part
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

// Run is what a stage ran with the last time.
type Run struct {
	Key     string        `json:"key"`
	Parts   Parts         `json:"parts"`
	Outcome event.Outcome `json:"outcome"`
	Time    time.Time     `json:"time"`
	// Bare says that the stage needed no workspace and left nothing at all, so that this is its whole result. An entry of
	// its own in the cache would cost more than such a stage does.
	Bare bool   `json:"bare,omitempty"`
	Root string `json:"root,omitempty"` // of a bare result
	// Missing is what the stage did not leave, so that its result was not kept.
	Missing []string `json:"missing,omitempty"`
}

// Runs are the last runs of one app's stages: one small file, and listings of their inputs. What is lost with it is explained
// less, or run again. Safe for concurrent use.
type Runs struct {
	path    string
	inputs  string // folder of listings
	mu      sync.Mutex
	runs    map[string]*Run
	listed  map[string]bool
	changed bool
}

// Open reads what is known of the app in folder: from root/last and root/inputs. A torn file is no explanation, and neither
// is it a reason to stop.
func Open(root, app, folder string) *Runs {
	sum := sha256.Sum256([]byte(app + "\x00" + folder))
	l := &Runs{
		path:   filepath.Join(root, "last", hex.EncodeToString(sum[:8])+".json"),
		inputs: filepath.Join(root, "inputs"),
		runs:   map[string]*Run{}, listed: map[string]bool{},
	}
	if text, err := os.ReadFile(l.path); err == nil {
		if json.Unmarshal(text, &l.runs) != nil {
			l.runs = map[string]*Run{}
		}
	}
	return l
}

// Of is the last run of a stage; nil when none is known.
func (l *Runs) Of(stage string) *Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[stage]
}

// Record remembers that a stage ran, and lists its inputs for the next comparison.
func (l *Runs) Record(stage string, run *Run, set *inputs.Set) {
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

func (l *Runs) listing(digest string) string {
	return filepath.Join(l.inputs, strings.TrimPrefix(digest, "sha256:"))
}

// Save writes what was recorded. Of two runs of an app at once the later end stands.
func (l *Runs) Save() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.changed {
		return nil
	}
	text, err := json.Marshal(l.runs)
	if err != nil {
		return err
	}
	return wholefile.Write(l.path, text)
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
	_ = wholefile.Write(path, out)
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

// WhyNot says in words why a result is not known: what changed since the stage ran last. set are the inputs of now; gone is
// said when nothing did.
func (l *Runs) WhyNot(stage string, now Parts, set *inputs.Set, gone string) string {
	last := l.Of(stage)
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
		reasons = append(reasons, l.whichFiles(before.Inputs, set))
	}
	for _, tool := range differences(before.Tools, now.Tools) {
		reasons = append(reasons, fmt.Sprintf("%s %s→%s", tool, orNone(before.Tools[tool]), orNone(now.Tools[tool])))
	}
	var rerun []string
	for _, need := range differences(before.Needs, now.Needs) {
		if strings.HasPrefix(now.Needs[need], NoOutputs) && strings.HasPrefix(before.Needs[need], NoOutputs) {
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
	return "nothing changed, but " + gone
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
func (l *Runs) whichFiles(before string, set *inputs.Set) string {
	old, ok := readListing(l.listing(before))
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
