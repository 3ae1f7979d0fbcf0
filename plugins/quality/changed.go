package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// changes are the lines that the judged source has and its base has not.
type changes struct {
	base  string           // what was compared with, for people
	lines map[string][]int // by file, relative to the app's folder; line numbers of the judged source
}

// errNoBase says that the history does not tell what is new; the message says why.
var errNoBase = errors.New("nobody knows what is new")

// defaultBranches are where an app's default branch is looked for, the remote's own word first.
var defaultBranches = []string{
	"refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/main", "refs/heads/master",
}

// findChanges compares the source with where it left the branch or commit that wanted names; "" for the base that the run
// names, and for the default branch when it names none that the history holds.
//
// On the default branch itself that point is the commit that is judged. Then new is what is not committed yet, and if all is,
// what the last commit brought.
func findChanges(ctx context.Context, request *gates.Request, wanted string) (*changes, error) {
	if request.History == nil || request.SourceDir == "" {
		return nil, fmt.Errorf("%w: the app is in no git repository", errNoBase)
	}
	scratch, err := os.MkdirTemp("", "changed-")
	if err != nil {
		return nil, fmt.Errorf("compare the source with its history: %w", err)
	}
	defer os.RemoveAll(scratch)
	source, err := newSourceTree(ctx, request.History, request.SourceDir, scratch)
	if err != nil {
		return nil, err
	}
	head, err := source.commit(ctx, "HEAD")
	if err != nil {
		return nil, err
	}
	if head == "" {
		return nil, fmt.Errorf("%w: there is no commit yet", errNoBase)
	}
	if wanted == "" {
		base, told, err := source.named(ctx, head)
		if err != nil {
			return nil, err
		}
		if base != "" {
			found, err := source.since(ctx, base)
			return &changes{base: told, lines: found}, err
		}
	}
	base, told, err := source.base(ctx, head, wanted)
	if err != nil {
		return nil, err
	}
	if bases := request.History.Bases; wanted == "" && len(bases) > 0 {
		told += fmt.Sprintf(", because %s (%s) is not in this history", bases[0].Name, short(bases[0].Commit))
	}
	found, err := source.since(ctx, base)
	if err != nil || base != head || len(found) > 0 {
		return &changes{base: told, lines: found}, err
	}
	parent, err := source.commit(ctx, "HEAD^1")
	if err != nil {
		return nil, err
	}
	told = "the commit before"
	if parent == "" {
		if _, err := os.Stat(filepath.Join(request.History.Dir, "shallow")); err == nil {
			return nil, fmt.Errorf("%w: this is a shallow clone, which does not hold the commit before", errNoBase)
		}
		told = "nothing: this is the first commit"
	} else {
		told += " (" + short(parent) + ")"
	}
	found, err = source.since(ctx, parent)
	return &changes{base: told, lines: found}, err
}

// commit resolves a name; "" when there is no such commit.
func (s *sourceTree) commit(ctx context.Context, name string) (string, error) {
	hash, err := s.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil && ctx.Err() == nil {
		return "", nil // with --quiet, git's only way to say that there is none
	}
	return hash, err
}

// named returns the commit at which head left the first base of the run that the history holds, and what to call it; "" when
// it holds none.
func (s *sourceTree) named(ctx context.Context, head string) (commit, told string, err error) {
	for _, base := range s.history.Bases {
		tip, err := s.commit(ctx, base.Commit)
		if err != nil {
			return "", "", err
		}
		if tip == "" {
			continue
		}
		common, err := s.git(ctx, "merge-base", head, tip)
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		if err == nil {
			return common, fmt.Sprintf("%s (%s)", base.Name, short(common)), nil
		}
	}
	return "", "", nil
}

// base returns the commit at which head left the wanted branch, and what to call it.
func (s *sourceTree) base(ctx context.Context, head, wanted string) (commit, told string, err error) {
	names := defaultBranches
	if wanted != "" {
		names = []string{"refs/remotes/origin/" + wanted, "refs/remotes/" + wanted, "refs/heads/" + wanted, "refs/tags/" + wanted, wanted}
	}
	for _, name := range names {
		tip, err := s.commit(ctx, name)
		if err != nil {
			return "", "", err
		}
		if tip == "" {
			continue
		}
		if name == "refs/remotes/origin/HEAD" {
			name = "the default branch"
		}
		name = strings.TrimPrefix(strings.TrimPrefix(name, "refs/heads/"), "refs/remotes/")
		common, err := s.git(ctx, "merge-base", head, tip)
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		if err != nil {
			return "", "", fmt.Errorf("%w: the history shows no commit that this one and %s have in common", errNoBase, name)
		}
		return common, name + " (" + short(common) + ")", nil
	}
	if wanted != "" {
		return "", "", fmt.Errorf("%w: the history has no branch, tag or commit %q", errNoBase, wanted)
	}
	return "", "", fmt.Errorf("%w: the history has no default branch, neither main nor master", errNoBase)
}

func short(commit string) string { return commit[:min(len(commit), 10)] }

// since returns the lines that the source has and the app's folder in that commit has not; all of them when commit is "".
func (s *sourceTree) since(ctx context.Context, commit string) (map[string][]int, error) {
	before, err := s.folderIn(ctx, commit)
	if err != nil {
		return nil, err
	}
	patch, err := s.git(ctx, "diff", "--unified=0", "--find-renames", "--diff-algorithm=histogram", "--no-color", "--no-ext-diff", "--no-textconv",
		"--src-prefix=a/", "--dst-prefix=b/", before, s.tree)
	if err != nil {
		return nil, err
	}
	return readAdded(patch)
}

// folderIn returns the tree of the app's folder in a commit; the empty tree when it had none.
func (s *sourceTree) folderIn(ctx context.Context, commit string) (string, error) {
	if commit != "" {
		tree, err := s.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", commit+":"+s.history.Folder)
		if err == nil || ctx.Err() != nil {
			return tree, err
		}
	}
	return s.git(ctx, "hash-object", "-t", "tree", "-w", os.DevNull)
}

var errPatch = errors.New("git printed something that is no patch")

// readAdded reads which lines a patch without context adds. It goes by the counts in the hunks' headers, so that no line of
// a file is taken for a header.
func readAdded(patch string) (map[string][]int, error) {
	added := map[string][]int{}
	file := ""
	lines := strings.Split(patch, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, "diff --git "):
			file = ""
		case strings.HasPrefix(line, "+++ "):
			name := strings.TrimSuffix(strings.TrimPrefix(line, "+++ "), "\t")
			if strings.HasPrefix(name, `"`) {
				unquoted, err := strconv.Unquote(name)
				if err != nil {
					return nil, errPatch
				}
				name = unquoted
			}
			file = strings.TrimPrefix(name, "b/")
		case strings.HasPrefix(line, "@@ "):
			fields := strings.Fields(line)
			if len(fields) < 3 {
				return nil, errPatch
			}
			_, removed, err := hunkSide(fields[1], '-')
			if err != nil {
				return nil, err
			}
			first, count, err := hunkSide(fields[2], '+')
			if err != nil || file == "" {
				return nil, errPatch
			}
			for n := range count {
				added[file] = append(added[file], first+n)
			}
			for left := removed + count; left > 0; {
				if i++; i >= len(lines) {
					return nil, errPatch
				}
				if !strings.HasPrefix(lines[i], `\ `) { // "No newline at end of file" is not a line of it
					left--
				}
			}
		}
	}
	return added, nil
}

// hunkSide reads "+12,3" or "+12": from which line on, and how many.
func hunkSide(text string, sign byte) (first, count int, err error) {
	if text == "" || text[0] != sign {
		return 0, 0, errPatch
	}
	from, length, hasLength := strings.Cut(text[1:], ",")
	count = 1
	if first, err = strconv.Atoi(from); err == nil && hasLength {
		count, err = strconv.Atoi(length)
	}
	if err != nil || first < 0 || count < 0 {
		return 0, 0, errPatch
	}
	return first, count, nil
}

// judgeChanged adds to a verdict on the whole what the tests reach of the lines that are new.
func (c coverageConfig) judgeChanged(covered *coverage, kind gates.ReportKind, found *changes, verdict *gates.Verdict) {
	limit := *c.ChangedLines
	var total share
	missed := map[string][]int{}
	var findings []gates.Finding
	known := false
	for name, file := range covered.files {
		known = known || len(file.lines) > 0
		for _, line := range found.lines[name] {
			hits, counts := file.lines[line]
			if !counts {
				continue
			}
			total.found++
			if hits > 0 {
				total.hit++
			} else {
				missed[name] = append(missed[name], line)
			}
		}
	}
	if !known {
		c.unknown(verdict, "name a report with lines under reports: of the stage (istanbul, lcov or cobertura)",
			fmt.Sprintf("the %s report does not tell which lines are reached, so nobody knows about the changed ones", kind))
		return
	}
	if total.found == 0 {
		verdict.Summary += "; no changed line counts since " + found.base
		return
	}
	verdict.Measurements = append(verdict.Measurements, gates.Measurement{Name: "changed lines", Value: total.percent(), Unit: "%", Limit: &limit, Better: "higher"})
	verdict.Summary += fmt.Sprintf("; %s %% of the %s since %s, limit %s %%", percentText(total.percent()), gates.Counted(total.found, "changed line"), found.base, percentText(limit))
	if total.reaches(limit) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(missed)) {
		findings = append(findings, gates.Finding{
			Level: gates.LevelError, Rule: "coverage of changed lines", File: name, Line: missed[name][0],
			Message: "changed and not reached by any test: " + ranges(missed[name], 8),
		})
	}
	if verdict.Outcome != gates.Fail {
		verdict.NextStep = "test the lines that are listed: they are new and no test reaches them"
		verdict.Findings = nil // notes on old code are beside the point now
	}
	verdict.Outcome, verdict.Findings = gates.Fail, append(findings, verdict.Findings...)
}

// unknown turns a verdict that would let through into one that says what could not be found out.
func (c coverageConfig) unknown(verdict *gates.Verdict, nextStep, summary string) {
	verdict.Summary = summary + "; " + verdict.Summary
	if verdict.Outcome.Allows() {
		verdict.Outcome, verdict.NextStep = gates.Inconclusive, nextStep
	}
}
