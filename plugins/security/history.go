package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/penstock-ci/penstock/gates"
)

// errIncomplete says that the history is not all there, so that nobody knows what the rest of it holds.
var errIncomplete = errors.New("the history is incomplete")

// commitRange is which commits to search, in words that git rev-list and git log understand alike.
type commitRange struct {
	words []string
	most  int    // commits that are wanted at most; 0 all
	told  string // for people
}

// searchHistory looks for credentials in what the commits of a range added to the app's folder. Git is asked twice: for the
// list of commits, which shows whether the history is whole, and for their patches, which must be as many.
func searchHistory(ctx context.Context, rules *scanner, history *gates.History, wanted commitRange, into *searched) error {
	commits, err := listCommits(ctx, history, wanted)
	if err != nil || len(commits) == 0 {
		return err
	}
	if err := checkWhole(history, wanted, commits); err != nil {
		return err
	}

	arguments := []string{
		"-c", "core.quotePath=false", "-c", "core.bigFileThreshold=64m", // what is larger is treated as binary
		"log", "--patch", "--unified=0", "--format=%x00commit %H", "--diff-merges=first-parent", "--diff-algorithm=myers",
		"--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-notes", "--submodule=short", "--ignore-submodules=all",
		"--src-prefix=a/", "--dst-prefix=b/",
	}
	if history.Folder != "" {
		arguments = append(arguments, "--relative="+history.Folder+"/")
	} else {
		arguments = append(arguments, "--no-relative")
	}
	command, complaint := gitCommand(ctx, history, slices.Concat(arguments, wanted.words))
	output, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run git: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("run git: %w", err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	read, err := readPatches(output, func(added addition) error {
		group.Go(func() error {
			return inPieces(added.text, func(piece string, firstLine int) error {
				leaks, err := into.scan(groupCtx, rules, added.file, piece, added.line+firstLine-1)
				for i := range leaks {
					leaks[i].commit, leaks[i].age = added.commit, added.age
				}
				into.add(leaks)
				return err
			})
		})
		return groupCtx.Err()
	})
	if err != nil {
		_ = command.Process.Kill() // it may still be printing; the error that matters is the one above
	}
	ended := command.Wait()
	if err := errors.Join(err, group.Wait()); err != nil {
		return fmt.Errorf("look through the history: %w", err)
	}
	if err := gitProblem(ctx, ended, complaint); err != nil {
		return err
	}
	into.commits, into.binaries = read.commits, into.binaries+read.binaries
	if read.commits != len(commits) {
		return fmt.Errorf("%w: git lists %d commits and shows the changes of %d", errIncomplete, len(commits), read.commits)
	}
	return nil
}

// listCommits returns the hashes of the commits of a range, the newest first.
func listCommits(ctx context.Context, history *gates.History, wanted commitRange) ([]string, error) {
	command, complaint := gitCommand(ctx, history, append([]string{"rev-list"}, wanted.words...))
	output, err := command.Output()
	if err := gitProblem(ctx, err, complaint); err != nil {
		return nil, err
	}
	return strings.Fields(string(output)), nil
}

// checkWhole finds out whether a shallow clone holds all that is wanted. The commits at its edge look as if they had no
// parents.
func checkWhole(history *gates.History, wanted commitRange, commits []string) error {
	text, err := os.ReadFile(filepath.Join(history.Dir, "shallow"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("see whether the history is whole: %w", err)
	}
	edge := strings.Fields(string(text))
	if wanted.most > 0 && len(commits) == wanted.most {
		return nil
	}
	for _, commit := range commits {
		if slices.Contains(edge, commit) {
			return fmt.Errorf("%w: this is a shallow clone with %s of %s", errIncomplete, gates.Counted(len(commits), "commit"), wanted.told)
		}
	}
	return nil
}

// gitCommand prepares a call of git on the history that hears nothing but its arguments: no config of the machine or the
// user, no pager, no replaced objects.
func gitCommand(ctx context.Context, history *gates.History, arguments []string) (*exec.Cmd, *bytes.Buffer) {
	command := exec.CommandContext(ctx, "git", append([]string{"--no-pager", "--no-replace-objects", "--git-dir=" + history.Dir}, arguments...)...)
	command.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_ATTR_NOSYSTEM=1", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0",
		"GIT_NO_LAZY_FETCH=1", "LC_ALL=C")
	complaint := &bytes.Buffer{}
	command.Stderr = complaint
	return command, complaint
}

// gitProblem says what kept git from answering. Whatever git complains of makes its answer incomplete: with missing objects
// it goes on, and has exited 0.
func gitProblem(ctx context.Context, err error, complaint *bytes.Buffer) error {
	said := strings.TrimSpace(complaint.String())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("there is no git to read the history with: %w", err)
	case err != nil && said == "":
		return fmt.Errorf("git could not read the history: %w", err)
	case said != "":
		first, _, _ := strings.Cut(said, "\n")
		return fmt.Errorf("%w: git says %q", errIncomplete, first)
	default:
		return nil
	}
}
