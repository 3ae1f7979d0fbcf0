package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"github.com/penstock-ci/penstock/gates"
)

// selection says which files of an app are judged.
type selection struct {
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
}

// selectionSchema is the part of a gate's config schema that selection reads.
const selectionSchema = `
	"include": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}, "description": "globs of the files to judge; without it, the app's own source: no tests, scripts, configuration, packages or built files"},
	"exclude": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "globs of files to leave out"}`

// codebase is an app's parsed source. It does not change once it is loaded.
type codebase struct {
	judged  []*module // sorted by path
	modules map[string]*module
	unread  []unreadFile
	// uses are where each binding is read, in whichever module; members are all uses of properties, by name.
	uses    map[*binding][]*node
	members map[string][]*node
	methods map[string][]*function // of the app's classes, by name
}

// unreadFile is a file that should have been judged and could not be read.
type unreadFile struct{ path, why string }

// The bounds of what is read. An app's own source is far below; a bundle that somebody committed is not.
const (
	maxSourceFile  = 2 << 20
	maxSourceFiles = 20000
)

// Folders that hold no source of the running app: anywhere, and at the top.
var (
	neverSource = []string{"node_modules", "dist", "coverage", "test", "tests", "__tests__", "__mocks__", "e2e", "testdata"}
	notAtTop    = []string{"scripts", "build", "out", "bench", "tools", "public", "migrations"}
)

func (s selection) check() error {
	for _, glob := range slices.Concat(s.Include, s.Exclude) {
		if !doublestar.ValidatePattern(glob) {
			return fmt.Errorf("%q is not a glob that can be matched", glob)
		}
	}
	return nil
}

// judges reports whether a file is among those to judge, of which ordinary tells whether they are by default.
func (s selection) judges(name string, ordinary bool) bool {
	matches := func(glob string) bool { return doublestar.MatchUnvalidated(glob, name) }
	if slices.ContainsFunc(s.Exclude, matches) {
		return false
	}
	if len(s.Include) > 0 {
		return slices.ContainsFunc(s.Include, matches)
	}
	return ordinary
}

// isOrdinary reports whether a file is the running app's own source, as far as its name tells.
func isOrdinary(name string) bool {
	folders := strings.Split(path.Dir(name), "/")
	for i, folder := range folders {
		if slices.Contains(neverSource, folder) || (i == 0 && slices.Contains(notAtTop, folder)) {
			return false
		}
	}
	words := strings.Split(path.Base(name), ".")
	for _, word := range words[1:] {
		switch word {
		case "test", "spec", "config", "stories", "bench", "d", "min":
			return false
		}
	}
	return true
}

// loadSource finds and parses an app's source. A file that cannot be parsed is no error: it is told in unread.
func loadSource(ctx context.Context, root string, chosen selection) (*codebase, error) {
	if err := chosen.check(); err != nil {
		return nil, err
	}
	names, err := sourceFiles(ctx, root, chosen)
	if err != nil {
		return nil, fmt.Errorf("look through the source: %w", err)
	}
	modules, problems := make([]*module, len(names)), make([]error, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		group.Go(func() error {
			if ctx.Err() == nil {
				modules[i], problems[i] = readModule(root, name)
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	loaded := &codebase{modules: map[string]*module{}}
	for i, name := range names {
		judged := chosen.judges(name, isOrdinary(name))
		switch {
		case problems[i] == nil:
			loaded.modules[name] = modules[i]
			if judged {
				loaded.judged = append(loaded.judged, modules[i])
			}
		case judged:
			loaded.unread = append(loaded.unread, unreadFile{name, problems[i].Error()})
		}
	}
	loaded.index()
	return loaded, nil
}

// sourceFiles lists what is judged and what that may import.
func sourceFiles(ctx context.Context, root string, chosen selection) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() && file != root && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if _, known := loaders[path.Ext(name)]; !known || strings.HasSuffix(name, ".d.ts") {
			return nil
		}
		if ordinary := isOrdinary(name); ordinary || chosen.judges(name, ordinary) {
			names = append(names, name)
		}
		if len(names) > maxSourceFiles {
			return errors.New("there are too many files; name the app's own under include")
		}
		return nil
	})
	return names, err
}

func readModule(root, name string) (*module, error) {
	file := filepath.Join(root, filepath.FromSlash(name))
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSourceFile {
		return nil, fmt.Errorf("it has %d bytes, which nobody wrote by hand; exclude it if it is generated", info.Size())
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseModule(name, string(content))
}

// sourceOf loads the source that a request grants. The verdict is for when there is none to judge.
func sourceOf(ctx context.Context, request *gates.Request, chosen selection) (*codebase, *gates.Verdict, error) {
	if request.SourceDir == "" {
		return nil, gates.Undecided("let the gate read the source", "the gate was not given the source, so nobody knows"), nil
	}
	loaded, err := loadSource(ctx, request.SourceDir, chosen)
	if err != nil {
		return nil, nil, err
	}
	if len(loaded.judged)+len(loaded.unread) == 0 {
		return nil, gates.Undecided("name the app's own source under include of the gate's config",
			"no TypeScript or JavaScript of the app was found, so there is nothing to judge"), nil
	}
	return loaded, nil, nil
}

// unreadFindings names the files that could not be read, each with why.
func (s *codebase) unreadFindings() []gates.Finding {
	var findings []gates.Finding
	for _, file := range s.unread {
		findings = append(findings, gates.Finding{
			Level: gates.LevelError, Rule: "unread", File: file.path, Message: "could not be parsed: " + file.why,
		})
	}
	return findings
}
