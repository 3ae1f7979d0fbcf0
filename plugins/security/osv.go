package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"deps.dev/util/semver"

	"github.com/penstock-ci/penstock/gates"
)

// osvEntry is an advisory in OSV's format: https://ossf.github.io/osv-schema/.
type osvEntry struct {
	ID        string        `json:"id"`
	Aliases   []string      `json:"aliases"`
	Modified  time.Time     `json:"modified"`
	Withdrawn *time.Time    `json:"withdrawn"`
	Summary   string        `json:"summary"`
	Affected  []osvAffected `json:"affected"`
	Specific  osvSpecific   `json:"database_specific"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Versions []string   `json:"versions"`
	Ranges   []osvRange `json:"ranges"`
}

type osvRange struct {
	Type   string     `json:"type"`
	Events []osvEvent `json:"events"`
}

// osvEvent has one of its fields set.
type osvEvent struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
	Limit        string `json:"limit"`
}

// osvSpecific is where GitHub's advisories, which are npm's, say how severe they are.
type osvSpecific struct {
	Severity string `json:"severity"`
}

// osvAnswer is what a database says of the locked packages.
type osvAnswer struct {
	audit
	age time.Duration
	// incomparable are packages for which there are advisories whose versions cannot be compared with theirs.
	incomparable []string
}

// Bounds of what a database may hold; all of npm's is 250,000 entries of 4 kB.
const (
	maxOSVEntries = 2_000_000
	maxOSVEntry   = 4 << 20
)

// searchOSV compares the locked packages with every advisory of a database, a zip or a folder.
//
// The database's age is that of the advisory that was changed last: the export of all of npm changes every day, so this is
// when it was made; files' own times say when they were copied. An advisory from the future does not make a database young.
func searchOSV(ctx context.Context, database string, lock *packageLock, now time.Time) (*osvAnswer, error) {
	files, closeFiles, err := openOSV(database)
	if err != nil {
		return nil, err
	}
	defer closeFiles()
	found := &osvAnswer{}
	entries := 0
	var newest time.Time
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !entry.Type().IsRegular() || path.Ext(name) != ".json":
			return nil
		}
		advisory, err := readOSV(files, name)
		if err != nil {
			return fmt.Errorf("%s: %w", path.Base(name), err)
		}
		if !advisory.isNPM() {
			return nil
		}
		if entries++; entries > maxOSVEntries {
			return fmt.Errorf("it has more than %d entries", maxOSVEntries)
		}
		if advisory.Modified.After(newest) && advisory.Modified.Before(now.Add(24*time.Hour)) {
			newest = advisory.Modified
		}
		found.compare(advisory, lock)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case entries == 0:
		return nil, errors.New("it holds no advisory for npm")
	case newest.IsZero():
		return nil, errors.New("it does not say when its advisories were changed, so its age is not known")
	}
	found.age = max(now.Sub(newest), 0)
	found.source = fmt.Sprintf("%s in OSV's format, the newest %s old, for %s", advisories(entries), gates.Span(found.age), gates.Counted(len(lock.packages), "package"))
	slices.Sort(found.incomparable)
	found.incomparable = slices.Compact(found.incomparable)
	return found, nil
}

func advisories(n int) string {
	if n == 1 {
		return "1 advisory"
	}
	return fmt.Sprintf("%d advisories", n)
}

func openOSV(database string) (files fs.FS, closeFiles func(), err error) {
	info, err := os.Stat(database)
	if err != nil {
		return nil, nil, errors.New("it cannot be read")
	}
	if info.IsDir() {
		return os.DirFS(database), func() {}, nil
	}
	archive, err := zip.OpenReader(database)
	if err != nil {
		return nil, nil, fmt.Errorf("it is neither a folder nor a zip: %w", err)
	}
	return archive, func() { _ = archive.Close() }, nil
}

func readOSV(files fs.FS, name string) (*osvEntry, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, errors.New("it cannot be read")
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxOSVEntry+1))
	if err != nil || len(content) > maxOSVEntry {
		return nil, fmt.Errorf("it cannot be read, or is larger than %d MiB", maxOSVEntry>>20)
	}
	advisory := &osvEntry{}
	// What GitHub says beside the severity varies, and is not looked at.
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(advisory); err != nil {
		return nil, fmt.Errorf("it is no advisory: %w", err)
	}
	if advisory.ID == "" {
		return nil, errors.New("it is no advisory: it has no id")
	}
	return advisory, nil
}

func (e *osvEntry) isNPM() bool {
	return slices.ContainsFunc(e.Affected, func(affected osvAffected) bool { return affected.Package.Ecosystem == "npm" })
}

// compare adds to the answer what an advisory says of the locked packages.
func (a *osvAnswer) compare(entry *osvEntry, lock *packageLock) {
	if entry.Withdrawn != nil {
		return
	}
	for _, affected := range entry.Affected {
		if affected.Package.Ecosystem != "npm" {
			continue
		}
		for _, i := range lock.byName[affected.Package.Name] {
			locked := lock.packages[i]
			hit, err := affected.covers(locked.version)
			if err != nil {
				a.incomparable = append(a.incomparable, fmt.Sprintf("%s %q", locked.name, locked.version))
				continue
			}
			if hit {
				a.add(entry, &affected, locked, lock)
			}
		}
	}
}

func (a *osvAnswer) add(entry *osvEntry, affected *osvAffected, locked lockedPackage, lock *packageLock) {
	for i := range a.vulnerabilities {
		known := &a.vulnerabilities[i]
		if known.id == entry.ID && known.name == locked.name {
			known.paths = append(known.paths, locked.path)
			if !slices.Contains(known.versions, locked.version) {
				known.versions = append(known.versions, locked.version)
			}
			return
		}
	}
	a.vulnerabilities = append(a.vulnerabilities, vulnerability{
		id: entry.ID, aliases: entry.Aliases, name: locked.name, versions: []string{locked.version}, affected: affected.told(),
		severity: severityOf(entry.Specific.Severity), title: entry.Summary, url: "https://osv.dev/vulnerability/" + entry.ID,
		fix: affected.fix(locked.version), paths: []string{locked.path}, file: lock.file, line: lock.lines[locked.path],
	})
}

// covers reports whether a version is affected, by OSV's own algorithm: it is listed, or the last event at or before it,
// in the order of versions, leaves it affected. An npm range of the same words would answer differently for prereleases.
func (a *osvAffected) covers(version string) (bool, error) {
	if slices.Contains(a.Versions, version) {
		return true, nil
	}
	parsed, err := semver.NPM.Parse(version)
	if err != nil {
		return false, err
	}
	comparable := len(a.Versions) > 0
	for _, r := range a.Ranges {
		if r.Type != "SEMVER" && r.Type != "ECOSYSTEM" {
			continue // commits, which a package does not have
		}
		comparable = true
		if hit, err := r.covers(parsed); hit || err != nil {
			return hit, err
		}
	}
	if !comparable {
		return false, errors.New("it names no versions")
	}
	return false, nil
}

func (r *osvRange) covers(version *semver.Version) (bool, error) {
	type event struct {
		at      *semver.Version // nil is before all versions
		affects bool
		after   bool // takes effect only after the version
	}
	var events []event
	for _, e := range r.Events {
		if e.Introduced == "0" {
			events = append(events, event{affects: true})
			continue
		}
		for _, one := range []struct {
			text           string
			affects, after bool
		}{{e.Introduced, true, false}, {e.Fixed, false, false}, {e.LastAffected, false, true}, {e.Limit, false, false}} {
			if one.text == "" || one.text == "*" {
				continue
			}
			at, err := semver.NPM.Parse(one.text)
			if err != nil {
				return false, err
			}
			events = append(events, event{at, one.affects, one.after})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int {
		switch {
		case a.at == nil && b.at == nil:
			return 0
		case a.at == nil:
			return -1
		case b.at == nil:
			return 1
		default:
			return a.at.Compare(b.at)
		}
	})
	affected := false
	for _, e := range events {
		order := 1
		if e.at != nil {
			order = version.Compare(e.at)
		}
		if order > 0 || order == 0 && !e.after {
			affected = e.affects
		}
	}
	return affected, nil
}

// told writes the ranges as people do.
func (a *osvAffected) told() string {
	var parts []string
	for _, r := range a.Ranges {
		var part []string
		for _, e := range r.Events {
			switch {
			case e.Introduced == "0":
			case e.Introduced != "":
				part = append(part, ">="+e.Introduced)
			case e.Fixed != "":
				part = append(part, "<"+e.Fixed)
			case e.LastAffected != "":
				part = append(part, "<="+e.LastAffected)
			}
		}
		if len(part) > 0 {
			parts = append(parts, strings.Join(part, " "))
		}
	}
	if len(parts) == 0 {
		return "all versions"
	}
	return strings.Join(parts, " || ")
}

// fix is the smallest version above the installed one that mends it.
func (a *osvAffected) fix(version string) string {
	best := ""
	for _, r := range a.Ranges {
		for _, e := range r.Events {
			if e.Fixed != "" && semver.NPM.Compare(e.Fixed, version) > 0 && (best == "" || semver.NPM.Compare(e.Fixed, best) < 0) {
				best = e.Fixed
			}
		}
	}
	if best == "" {
		return ""
	}
	return "mended in " + best
}
