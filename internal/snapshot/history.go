package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// History is a view of the repository that a folder belongs to: its commits, branches and tags, without its config (where
// tokens lie: actions/checkout leaves one there), hooks, index and reflogs.
type History struct {
	Dir    string // a bare repository that borrows the objects of the real one; to be read only
	Folder string // the app's folder within the repository, with forward slashes; "" when it is the repository's top
}

// TakeHistory makes a view of the history of the repository to which the folder belongs. into must not exist; the caller
// removes it. It returns nil when the folder belongs to no repository.
//
// The view stands for the moment at which it was made: refs that move later do not move in it. It is as complete as the
// repository is: of a shallow clone it is shallow too, by the file in which git itself says so.
func TakeHistory(ctx context.Context, dir, into string) (*History, error) {
	root, err := absolute(dir)
	if err != nil {
		return nil, err
	}
	out, err := git(ctx, root, "rev-parse", "--path-format=absolute", "--git-common-dir", "--git-path", "objects",
		"--show-object-format", "--show-prefix")
	if errors.Is(err, errNoRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the history of %s: %w", root, err)
	}
	said := strings.Split(string(out), "\n")
	if len(said) < 4 {
		return nil, fmt.Errorf("find the history of %s: git said %q, which makes no sense", root, out)
	}
	repository, objects, format, folder := said[0], said[1], said[2], said[3]
	history := &History{Dir: into, Folder: strings.TrimSuffix(folder, "/")}

	refs, err := git(ctx, root, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return nil, fmt.Errorf("list the refs of %s: %w", root, err)
	}
	head, err := git(ctx, root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil {
		head = []byte("ref: refs/heads/none\n") // there is no commit yet, and git wants the file
	}
	stores, err := objectStores(objects)
	if err != nil {
		return nil, fmt.Errorf("find the objects of %s: %w", root, err)
	}
	shallow, err := os.ReadFile(filepath.Join(repository, "shallow"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("see whether the history is whole: %w", err)
	}

	files := map[string][]byte{
		"HEAD":                    head,
		"packed-refs":             refs,
		"config":                  config(format),
		"objects/info/alternates": []byte(strings.Join(stores, "\n") + "\n"),
		// A .gitattributes in the source must not decide what of it can be looked at; this file outweighs it.
		"info/attributes": []byte("* !diff\n"),
	}
	if len(bytes.TrimSpace(shallow)) > 0 {
		files["shallow"] = shallow
	}
	for _, folder := range []string{"refs", "objects/info", "info"} {
		if err := os.MkdirAll(filepath.Join(into, filepath.FromSlash(folder)), 0o755); err != nil {
			return nil, fmt.Errorf("make a view of the history: %w", err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(into, filepath.FromSlash(name)), content, 0o644); err != nil {
			return nil, fmt.Errorf("make a view of the history: %w", err)
		}
	}
	return history, nil
}

// config is what git must know of the view: nothing of the real repository's but the kind of its hashes.
func config(objectFormat string) []byte {
	if objectFormat == "sha1" {
		return []byte("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
	}
	return fmt.Appendf(nil, "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = %s\n", objectFormat)
}

// objectStores lists the folder of objects and those that it borrows from, through others too: all of them, so that who is
// to read the view can be granted what it needs.
func objectStores(folder string) ([]string, error) {
	const most = 64 // git itself follows five
	stores, seen := []string{}, map[string]bool{}
	queue := []string{folder}
	for len(queue) > 0 && len(stores) < most {
		next, err := filepath.EvalSymlinks(queue[0])
		queue = queue[1:]
		if errors.Is(err, fs.ErrNotExist) && len(stores) > 0 {
			continue // git warns of a store that is gone, and misses its objects when it needs them
		}
		if err != nil {
			return nil, err
		}
		if seen[next] {
			continue
		}
		seen[next] = true
		stores = append(stores, next)
		text, err := os.ReadFile(filepath.Join(next, "info", "alternates"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
			case filepath.IsAbs(line):
				queue = append(queue, line)
			default:
				queue = append(queue, filepath.Join(next, line))
			}
		}
	}
	return stores, nil
}
