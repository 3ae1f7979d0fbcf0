package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// treeStore keeps the outputs of stages, each tree as a folder named by the digest over all that is in it, with a manifest
// beside. A tree is never changed; workspaces get hard links to its files. A program that writes through such a link
// changes the tree for everybody, which shows in the file's size or time: then the tree is damaged and is dropped.
type treeStore struct {
	root        string
	parallelism int

	mu     sync.Mutex
	loaded map[string]*tree
}

// damagedError says that a tree is no longer what its manifest says.
type damagedError struct {
	digest string
	what   string
}

func (e *damagedError) Error() string { return "stored outputs were changed: " + e.what }

// collect moves the declared outputs out of a finished workspace into the store and names those that are not there. The
// tree is nil when none is.
func (s *treeStore) collect(ctx context.Context, workspace string, outputs []string) (*tree, []string, error) {
	var missing []string
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return nil, nil, fmt.Errorf("store outputs: %w", err)
	}
	making, err := os.MkdirTemp(s.root, ".making-")
	if err != nil {
		return nil, nil, fmt.Errorf("store outputs: %w", err)
	}
	defer runfolder.RemoveAll(making) // gone once it has been renamed
	moved := 0
	for _, output := range outputs {
		clean, err := outputPath(output)
		if err != nil {
			return nil, nil, err
		}
		from, to := filepath.Join(workspace, clean), filepath.Join(making, "files", clean)
		if _, err := os.Lstat(from); err != nil {
			if _, already := os.Lstat(to); already != nil { // not within another output that was moved
				missing = append(missing, output)
			}
			continue
		}
		if parent, err := filepath.EvalSymlinks(filepath.Dir(from)); err != nil || !within(workspace, parent) {
			return nil, nil, fmt.Errorf("store output %s: a link on the way to it leads out of the stage's folder", output)
		}
		if err := moveInto(from, to); err != nil {
			return nil, nil, fmt.Errorf("store output %s: %w", output, err)
		}
		moved++
	}
	if moved == 0 {
		return nil, missing, nil
	}
	t, err := s.describe(ctx, filepath.Join(making, "files"), workspace)
	if err != nil {
		return nil, nil, fmt.Errorf("store outputs: %w", err)
	}
	if err := os.WriteFile(filepath.Join(making, "manifest"), t.encode(), 0o644); err != nil {
		return nil, nil, fmt.Errorf("store outputs: %w", err)
	}
	return t, missing, s.publish(ctx, making, t)
}

// outputPath makes sure that an output lies within the app's folder and is not all of it.
func outputPath(output string) (string, error) {
	clean := filepath.Clean(filepath.FromSlash(output))
	if !filepath.IsLocal(clean) || clean == "." {
		return "", fmt.Errorf("output %q must be a file or folder within the app's folder", output)
	}
	return clean, nil
}

// moveInto renames from to to. When an output within it was moved before, the two are put together.
func moveInto(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err != nil {
		return os.Rename(from, to)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := moveInto(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// publish gives a tree its name. One of that name is the same tree, unless it was damaged.
func (s *treeStore) publish(ctx context.Context, making string, t *tree) error {
	final := filepath.Join(s.root, t.digest)
	for range 3 {
		err := os.Rename(making, final)
		if err == nil {
			s.mu.Lock()
			s.remember(t)
			s.mu.Unlock()
			return nil
		}
		if _, other := os.Lstat(final); other != nil {
			return fmt.Errorf("store outputs: %w", err)
		}
		if s.check(ctx, t.digest) == nil {
			return nil
		}
		s.drop(t.digest)
	}
	return fmt.Errorf("store outputs: %s cannot be replaced", final)
}

// describe walks a tree and digests its files. Absolute links into the workspace, which is about to go, become relative.
func (s *treeStore) describe(ctx context.Context, root, workspace string) (*tree, error) {
	t := &tree{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		node := treeNode{path: filepath.ToSlash(relative), perm: info.Mode().Perm()}
		switch {
		case info.IsDir():
			node.kind = 'd'
		case info.Mode()&fs.ModeSymlink != 0:
			node.kind = 'l'
			if node.target, err = relativeLink(path, root, workspace); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			node.kind, node.size, node.mtime = 'f', info.Size(), info.ModTime().UnixNano()
			if info.Mode()&0o111 != 0 {
				node.kind = 'x'
			}
		default:
			return nil // a socket or a pipe is of no use to a later stage
		}
		t.nodes = append(t.nodes, node)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = inputs.ForEach(ctx, s.parallelism, len(t.nodes), func(i int) error {
		node := &t.nodes[i]
		if node.kind != 'f' && node.kind != 'x' {
			return nil
		}
		var err error
		node.digest, err = hashFile(filepath.Join(root, filepath.FromSlash(node.path)))
		return err
	})
	if err != nil {
		return nil, err
	}
	t.sum()
	return t, nil
}

func relativeLink(path, root, workspace string) (string, error) {
	target, err := os.Readlink(path)
	if err != nil || !filepath.IsAbs(target) {
		return filepath.ToSlash(target), err
	}
	inside, err := filepath.Rel(workspace, target)
	if err != nil || !filepath.IsLocal(inside) {
		return target, nil
	}
	relative, err := filepath.Rel(filepath.Dir(path), filepath.Join(root, inside))
	if err != nil {
		return "", err
	}
	if err := os.Remove(path); err != nil {
		return "", err
	}
	return filepath.ToSlash(relative), os.Symlink(relative, path)
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// load reads a manifest and makes sure that it is the one of that name.
func (s *treeStore) load(digest string) (*tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.loaded[digest]; t != nil {
		return t, nil
	}
	data, err := os.ReadFile(filepath.Join(s.root, digest, "manifest"))
	if err != nil {
		return nil, &damagedError{digest, "the manifest is gone"}
	}
	t, err := decodeTree(data)
	if err != nil {
		return nil, &damagedError{digest, err.Error()}
	}
	if t.digest != digest {
		return nil, &damagedError{digest, "the manifest was changed"}
	}
	s.remember(t)
	return t, nil
}

// remember keeps a manifest in memory for the rest of the run. s.mu is held.
func (s *treeStore) remember(t *tree) {
	if s.loaded == nil {
		s.loaded = map[string]*tree{}
	}
	s.loaded[t.digest] = t
}

// has reports whether there is a tree of that name, without looking at its files, and marks it as used.
func (s *treeStore) has(digest string) bool {
	now := time.Now()
	return os.Chtimes(filepath.Join(s.root, digest, "manifest"), now, now) == nil
}

// drop removes a tree.
func (s *treeStore) drop(digest string) {
	s.mu.Lock()
	delete(s.loaded, digest)
	s.mu.Unlock()
	runfolder.RemoveAll(filepath.Join(s.root, digest))
}

// check compares sizes and times of all files.
func (s *treeStore) check(ctx context.Context, digest string) error {
	t, err := s.load(digest)
	if err != nil {
		return err
	}
	return inputs.ForEach(ctx, s.parallelism, len(t.nodes), func(i int) error { return s.checkNode(t, &t.nodes[i]) })
}

func (s *treeStore) checkNode(t *tree, node *treeNode) error {
	info, err := os.Lstat(s.file(t.digest, node.path))
	switch {
	case err != nil:
		return &damagedError{t.digest, node.path + " is gone"}
	case (node.kind == 'f' || node.kind == 'x') && (!info.Mode().IsRegular() || info.Size() != node.size ||
		info.ModTime().UnixNano() != node.mtime || (info.Mode()&0o111 != 0) != (node.kind == 'x')):
		return &damagedError{t.digest, node.path + " was written to"}
	}
	return nil
}

func (s *treeStore) file(digest, path string) string {
	return filepath.Join(s.root, digest, "files", filepath.FromSlash(path))
}

// verify compares the contents of everything at and below path, for those that take the stored file itself.
func (s *treeStore) verify(ctx context.Context, digest, path string) error {
	t, err := s.load(digest)
	if err != nil {
		return err
	}
	return inputs.ForEach(ctx, s.parallelism, len(t.nodes), func(i int) error {
		node := &t.nodes[i]
		if node.path != path && !strings.HasPrefix(node.path, path+"/") {
			return nil
		}
		if err := s.checkNode(t, node); err != nil || (node.kind != 'f' && node.kind != 'x') {
			return err
		}
		content, err := hashFile(s.file(digest, node.path))
		if err != nil || content != node.digest {
			return &damagedError{digest, node.path + " was written to"}
		}
		return nil
	})
}

// link puts the tree into a folder: hard links to files, or copies where the file system has none; links and folders anew.
// What is in the way of a file is replaced.
func (s *treeStore) link(ctx context.Context, digest, into string) error {
	t, err := s.load(digest)
	if err != nil {
		return err
	}
	s.has(digest)
	files := make([]int, 0, len(t.nodes))
	for i := range t.nodes {
		node := &t.nodes[i]
		if node.kind != 'd' {
			files = append(files, i)
			continue
		}
		if err := os.MkdirAll(filepath.Join(into, filepath.FromSlash(node.path)), 0o755); err != nil {
			return fmt.Errorf("put outputs into the workspace: %w", err)
		}
	}
	return inputs.ForEach(ctx, s.parallelism, len(files), func(i int) error {
		node := &t.nodes[files[i]]
		if err := s.checkNode(t, node); err != nil {
			return err
		}
		if err := s.place(t, node, filepath.Join(into, filepath.FromSlash(node.path))); err != nil {
			return fmt.Errorf("put outputs into the workspace: %w", err)
		}
		return nil
	})
}

func (s *treeStore) place(t *tree, node *treeNode, to string) error {
	from := s.file(t.digest, node.path)
	put := func() error {
		if node.kind == 'l' {
			return os.Symlink(filepath.FromSlash(node.target), to)
		}
		return os.Link(from, to)
	}
	err := put()
	if errors.Is(err, fs.ErrExist) {
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		err = put()
	}
	if errors.Is(err, fs.ErrNotExist) {
		// An output that is a single file has no folder in the manifest.
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		err = put()
	}
	if err == nil || node.kind == 'l' {
		return err
	}
	return inputs.CopyFile(from, to, node.perm)
}

// trees returns the names of all trees in the store.
func (s *treeStore) names() []string {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	slices.Sort(names)
	return names
}
