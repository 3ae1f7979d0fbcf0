package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// sourceTree is the judged source as a tree object beside the history, so that git itself compares the two, renames and all.
// What git writes for that lies in a scratch folder: the history is only read.
type sourceTree struct {
	history *gates.History
	scratch string // holds git's index and the new objects
	tree    string // hash of the source as a tree
}

// newSourceTree takes the source, which is what git tracks and what it does not ignore. The caller removes scratch.
func newSourceTree(ctx context.Context, history *gates.History, source, scratch string) (*sourceTree, error) {
	s := &sourceTree{history: history, scratch: scratch}
	if err := os.MkdirAll(scratch+"/objects", 0o700); err != nil {
		return nil, fmt.Errorf("compare the source with its history: %w", err)
	}
	// --force: what is ignored and lies here all the same is part of the source.
	if _, err := s.git(ctx, "--work-tree="+source, "add", "--all", "--force", "."); err != nil {
		return nil, err
	}
	tree, err := s.git(ctx, "write-tree")
	s.tree = tree
	return s, err
}

// git runs git on the history, hearing nothing but its arguments: no config of the machine or the user, no pager, no
// replaced objects. It returns what git printed, without the last newline.
func (s *sourceTree) git(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", append([]string{
		"--no-pager", "--no-replace-objects", "--literal-pathspecs", "--git-dir=" + s.history.Dir,
		"-c", "core.bare=false", "-c", "core.quotePath=false", "-c", "core.autocrlf=false", "-c", "gc.auto=0",
	}, arguments...)...)
	command.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_ATTR_NOSYSTEM=1", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0",
		"GIT_NO_LAZY_FETCH=1", "LC_ALL=C",
		"GIT_INDEX_FILE="+s.scratch+"/index", "GIT_OBJECT_DIRECTORY="+s.scratch+"/objects",
		"GIT_ALTERNATE_OBJECT_DIRECTORIES="+s.history.Dir+"/objects")
	var complaint bytes.Buffer
	command.Stderr = &complaint
	output, err := command.Output()
	switch said, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n"); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("there is no git to read the history with: %w", err)
	case err != nil && said != "":
		return "", fmt.Errorf("git %s: %w: %s", verbOf(arguments), err, said)
	case err != nil:
		return "", fmt.Errorf("git %s: %w", verbOf(arguments), err)
	}
	return strings.TrimSuffix(string(output), "\n"), nil
}

// verbOf is the git command among arguments, for messages.
func verbOf(arguments []string) string {
	for _, argument := range arguments {
		if !strings.HasPrefix(argument, "-") {
			return argument
		}
	}
	return ""
}
