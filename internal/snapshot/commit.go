package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ErrNoCommit is wrapped when the repository does not hold the commit and cannot get it.
var ErrNoCommit = errors.New("the repository does not hold that commit")

// maxCommitFile bounds a file of a commit that is written out.
const maxCommitFile = 64 << 20

var commitID = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// WriteCommit writes the folder dir as it is in the commit (a whole object id) into a folder that must not exist; the caller
// removes it. The folder's own state is not looked at, and neither its git attributes nor filters can leave anything out or
// change it. A commit that a shallow clone lacks is fetched from origin. A folder that the commit has not is written empty.
func WriteCommit(ctx context.Context, dir, commit, into string) error {
	root, err := absolute(dir)
	if err != nil {
		return err
	}
	if !commitID.MatchString(commit) {
		return fmt.Errorf("%q is no commit", commit)
	}
	prefix, err := git(ctx, root, "rev-parse", "--show-prefix")
	if err != nil {
		return fmt.Errorf("find the repository of %s: %w", root, err)
	}
	if err := haveCommit(ctx, root, commit); err != nil {
		return err
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return fmt.Errorf("write out commit %s: %w", commit, err)
	}
	tree := commit + ":" + strings.TrimSuffix(strings.TrimSpace(string(prefix)), "/")
	if _, err := git(ctx, root, "rev-parse", "--verify", "--quiet", tree); err != nil && ctx.Err() == nil {
		return nil // the commit does not have the folder
	}
	// --full-tree: dir may be a folder within the repository, and the tree that is listed is its own already.
	// In git's own form, because paths in one that is asked for are quoted.
	listed, err := git(ctx, root, "ls-tree", "-r", "-z", "--full-tree", tree)
	if err != nil {
		return fmt.Errorf("list commit %s: %w", commit, err)
	}
	var files []treeFile
	for line := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		if line == "" {
			continue
		}
		about, path, _ := strings.Cut(line, "\t")
		fields := strings.Fields(about) // mode, type, object
		if len(fields) != 3 {
			return fmt.Errorf("list commit %s: git said %q", commit, line)
		}
		if fields[1] != "blob" { // a submodule is another repository
			continue
		}
		if !filepath.IsLocal(filepath.FromSlash(path)) {
			return fmt.Errorf("commit %s has a file of the name %q", commit, path)
		}
		files = append(files, treeFile{mode: fields[0], object: fields[2], path: path})
	}
	if err := writeObjects(ctx, root, files, into); err != nil {
		return fmt.Errorf("write out commit %s: %w", commit, err)
	}
	return nil
}

type treeFile struct{ mode, object, path string }

func haveCommit(ctx context.Context, root, commit string) error {
	if _, err := git(ctx, root, "rev-parse", "--verify", "--quiet", commit+"^{commit}"); err == nil {
		return nil
	} else if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fetch := []string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules"}
	shallow, err := git(ctx, root, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return fmt.Errorf("see whether the clone is whole: %w", err)
	}
	if strings.TrimSpace(string(shallow)) == "true" {
		fetch = append(fetch, "--depth=1") // it would make a shallow clone of a whole one
	}
	if _, err := git(ctx, root, append(fetch, "origin", commit)...); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %s; it could not be fetched from origin either (%w)", ErrNoCommit, commit, err)
	}
	return nil
}

// writeObjects reads all objects through one process, as stored.
func writeObjects(ctx context.Context, root string, files []treeFile, into string) error {
	cmd := GitCommand(ctx, root, "cat-file", "--batch", "--buffer")
	var ask, complaint bytes.Buffer
	for _, file := range files {
		ask.WriteString(file.object + "\n")
	}
	cmd.Stdin, cmd.Stderr = &ask, &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	reader := bufio.NewReader(out)
	var problem error
	for _, file := range files {
		if problem = writeObject(reader, file, into); problem != nil {
			break
		}
	}
	_, _ = io.Copy(io.Discard, out) // so that git can end
	if err := cmd.Wait(); err != nil && problem == nil {
		problem = fmt.Errorf("git cat-file: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return problem
}

func writeObject(reader *bufio.Reader, file treeFile, into string) error {
	header, err := reader.ReadString('\n')
	if err != nil {
		return fmt.Errorf("%s: git ended early: %w", file.path, err)
	}
	fields := strings.Fields(header)
	if len(fields) != 3 || fields[1] != "blob" {
		return fmt.Errorf("%s: git said %q", file.path, strings.TrimSpace(header))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return fmt.Errorf("%s: git said %q", file.path, strings.TrimSpace(header))
	}
	if size > maxCommitFile { // nothing that decides is that large
		_, err := io.CopyN(io.Discard, reader, size+1)
		return err
	}
	content := make([]byte, size+1) // and the line end that git adds
	if _, err := io.ReadFull(reader, content); err != nil {
		return fmt.Errorf("%s: git ended early: %w", file.path, err)
	}
	path := filepath.Join(into, filepath.FromSlash(file.path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if file.mode == "120000" {
		return nil // a link is written as nothing: where it leads is not part of the commit
	}
	mode := os.FileMode(0o644)
	if file.mode == "100755" {
		mode = 0o755
	}
	return os.WriteFile(path, content[:size], mode)
}

// Top returns the folder's place within its repository, with a slash at its end; "" at the top and where there is none.
func Top(ctx context.Context, dir string) (string, error) {
	root, err := absolute(dir)
	if err != nil {
		return "", err
	}
	prefix, err := git(ctx, root, "rev-parse", "--show-prefix")
	if errors.Is(err, errNoRepository) {
		return "", nil
	}
	return strings.TrimSpace(string(prefix)), err
}
