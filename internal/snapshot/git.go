package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// ErrNoGit is wrapped when there is no git on PATH.
var ErrNoGit = errors.New("git is needed to tell source files from others and is not on PATH; install git, and run again")

// listing is what git says of a folder.
type listing struct {
	paths  []string // relative to the folder, with forward slashes, in no order, perhaps twice
	commit string
	branch string
	dirty  bool
}

// errNoRepository: the folder belongs to no repository.
var errNoRepository = errors.New("not in a git repository")

// list asks git for the files of root, and again for each repository nested in it.
func list(ctx context.Context, root, stateDir string) (listing, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return listing{}, ErrNoGit
	}
	var result listing
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		result.paths, err = lsFiles(groupCtx, root, nil, "--cached")
		return err
	})
	group.Go(func() error { return status(groupCtx, root, &result) })
	err := group.Wait()
	if errors.Is(err, errNoRepository) {
		result = listing{}
		result.paths, err = listOutside(ctx, root, stateDir)
	}
	if err == nil {
		result.paths, err = withNested(ctx, root, stateDir, result.paths)
	}
	return result, err
}

// lsFiles lists untracked files that are not ignored, and what more adds.
func lsFiles(ctx context.Context, root string, before []string, more ...string) ([]string, error) {
	args := slices.Concat(before, []string{
		"ls-files", "-z", "--others", "--exclude-standard", "--exclude=node_modules",
	}, more, []string{"--", "."})
	out, err := git(ctx, root, args...)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// status fills in commit, branch and dirty.
func status(ctx context.Context, root string, into *listing) error {
	out, err := git(ctx, root, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", "--", ".")
	if err != nil {
		return err
	}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		switch {
		case strings.HasPrefix(entry, "# branch.oid "):
			if commit := strings.TrimPrefix(entry, "# branch.oid "); commit != "(initial)" {
				into.commit = commit
			}
		case strings.HasPrefix(entry, "# branch.head "):
			if branch := strings.TrimPrefix(entry, "# branch.head "); branch != "(detached)" {
				into.branch = branch
			}
		case entry != "" && !strings.HasPrefix(entry, "# "):
			into.dirty = true
		}
	}
	return nil
}

// listOutside lists a folder that belongs to no repository, by the same rules: an empty git folder elsewhere is told that
// this is its work tree.
func listOutside(ctx context.Context, root, stateDir string) ([]string, error) {
	scratch, remove, err := scratchRepository(ctx, root, stateDir)
	if err != nil {
		return nil, err
	}
	defer remove()
	return lsFiles(ctx, root, []string{"--git-dir=" + scratch, "--work-tree=" + root})
}

// scratchRepository makes the empty git folder, once for each state folder. It is only read after that.
func scratchRepository(ctx context.Context, root, stateDir string) (path string, remove func(), err error) {
	remove = func() {}
	if stateDir == "" {
		temporary, err := os.MkdirTemp("", "penstock-git-")
		if err != nil {
			return "", remove, fmt.Errorf("make an empty git folder: %w", err)
		}
		path, remove = filepath.Join(temporary, "empty.git"), func() { _ = os.RemoveAll(temporary) }
		_, err = git(ctx, root, "init", "--quiet", "--bare", "--template=", path)
		return path, remove, err
	}
	path = filepath.Join(stateDir, "snapshot", "empty.git")
	if _, err := os.Stat(filepath.Join(path, "HEAD")); err == nil {
		return path, remove, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", remove, fmt.Errorf("make an empty git folder: %w", err)
	}
	making, err := os.MkdirTemp(filepath.Dir(path), ".empty-git-")
	if err != nil {
		return "", remove, fmt.Errorf("make an empty git folder: %w", err)
	}
	defer os.RemoveAll(making) // gone once it has been renamed
	if _, err := git(ctx, root, "init", "--quiet", "--bare", "--template=", making); err != nil {
		return "", remove, err
	}
	if err := os.Rename(making, path); err != nil {
		if _, other := os.Stat(filepath.Join(path, "HEAD")); other == nil {
			return path, remove, nil // another process was first
		}
		return "", remove, fmt.Errorf("make an empty git folder: %w", err)
	}
	return path, remove, nil
}

// leaveOut removes Penstock's own state from the listing when it lies inside the app's folder.
func leaveOut(paths []string, root, stateDir string) []string {
	if stateDir == "" {
		return paths
	}
	state, err := absolute(stateDir)
	if err != nil {
		return paths // it does not exist yet
	}
	inside, err := filepath.Rel(root, state)
	if err != nil || !filepath.IsLocal(inside) || inside == "." {
		return paths
	}
	prefix := filepath.ToSlash(inside) + "/"
	return slices.DeleteFunc(paths, func(path string) bool { return strings.HasPrefix(path, prefix) })
}

// withNested leaves out what is not the app's, and replaces repositories within the listing (submodules, and clones that
// nobody added) by their files, which git lists as one entry each. Their state is not asked for: it decides nothing, and
// telling it can take programs that they name themselves.
func withNested(ctx context.Context, root, stateDir string, listed []string) ([]string, error) {
	var paths []string
	for _, path := range leaveOut(listed, root, stateDir) {
		folder := filepath.Join(root, filepath.FromSlash(strings.TrimSuffix(path, "/")))
		if info, err := os.Lstat(folder); err != nil || !info.IsDir() {
			paths = append(paths, path)
			continue
		}
		if _, err := os.Lstat(filepath.Join(folder, ".git")); err != nil {
			continue // a submodule that was never checked out: an empty folder
		}
		nested, err := lsFiles(ctx, folder, nil, "--cached")
		if err == nil {
			nested, err = withNested(ctx, folder, stateDir, nested)
		}
		if err != nil {
			return nil, fmt.Errorf("list the repository in %s: %w", path, err)
		}
		for _, inner := range nested {
			paths = append(paths, strings.TrimSuffix(path, "/")+"/"+inner)
		}
	}
	return paths, nil
}

// GitCommand is git in a folder that may be a stranger's: it takes no locks, is not led elsewhere by what a git hook may have
// put into the environment, and runs none of the programs that a repository can name to be run on the way. A folder that was
// committed in the shape of a bare repository brings a config of its own, and is therefore none. What remains is what
// .git/config says of filters, which git cannot tell the files' state without, and of how to reach a remote.
func GitCommand(ctx context.Context, folder string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{
		"-c", "safe.bareRepository=explicit", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "protocol.ext.allow=never",
	}, args...)...)
	cmd.Dir = folder
	cmd.Env = append(slices.DeleteFunc(os.Environ(), pointsElsewhere), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	return cmd
}

// git runs [GitCommand] and returns what it printed.
func git(ctx context.Context, root string, args ...string) ([]byte, error) {
	cmd := GitCommand(ctx, root, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		said := strings.TrimSpace(complaint.String())
		if strings.Contains(said, "not a git repository") {
			return nil, errNoRepository
		}
		if strings.Contains(said, "cannot use bare repository") {
			return nil, fmt.Errorf("%s is committed in the shape of a bare git repository, whose config could name programs to be run; "+
				"take its file HEAD away, or name another folder", root)
		}
		if strings.Contains(said, "dubious ownership") {
			return nil, fmt.Errorf("git does not trust the folder because it belongs to somebody else; run `git config --global --add safe.directory %s`", root)
		}
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, said)
	}
	return out.Bytes(), nil
}

// pointsElsewhere recognises variables that would make git look at another repository than the folder's own.
func pointsElsewhere(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	switch name {
	case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE":
		return true
	default:
		return false
	}
}
