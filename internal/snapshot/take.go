package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say where a snapshot keeps what makes the next one cheap.
type Options struct {
	// StateDir holds the stat cache and, for folders outside any repository, an empty git folder. It is made when it does
	// not exist. Empty uses neither: every file is read, and outside a repository a temporary folder is used.
	StateDir string
}

// Take lists and digests the app's folder as it stands: what git tracks and is still there, plus untracked files that are
// not ignored. Untracked node_modules never count, ignored or not. Outside a repository .gitignore files hold all the same.
//
// The files themselves stay where they are: whoever reads them later must compare digests. A file that changes while it
// is read is read once more; if it changes again, that is an error.
func Take(ctx context.Context, dir string, options Options) (*Snapshot, error) {
	root, err := absolute(dir)
	if err != nil {
		return nil, err
	}
	listed, err := list(ctx, root, options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", root, err)
	}
	cache := openStatCache(options.StateDir, root)
	files, err := digestFiles(ctx, root, listed.paths, cache)
	if err != nil {
		return nil, err
	}
	// A cache that cannot be written costs the next snapshot time and nothing else.
	_ = cache.save()
	return &Snapshot{
		Root: root, Files: files, Digest: Digest(files),
		Commit: listed.commit, Branch: listed.branch, Dirty: listed.dirty,
	}, nil
}

func absolute(dir string) (string, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the app's folder: %w", err)
	}
	// Git answers with resolved paths, and so must everything that is compared with them.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", fmt.Errorf("find the app's folder: %w", err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", fmt.Errorf("find the app's folder: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder; name the app's folder with -C", root)
	}
	return root, nil
}

// Digest is "sha256:…" over the files' paths, kinds and contents. files must be sorted by path.
func Digest(files []File) string {
	hash := sha256.New()
	var line []byte
	for _, file := range files {
		line = append(line[:0], file.Path...)
		line = append(line, 0, kind(file.Mode), 0)
		line = append(line, file.Digest...)
		line = append(line, '\n')
		hash.Write(line)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))
}

func kind(mode fs.FileMode) byte {
	switch {
	case mode&fs.ModeSymlink != 0:
		return 'l'
	case mode&0o111 != 0:
		return 'x'
	default:
		return 'f'
	}
}

// digestFiles stats and, where the cache does not know them, reads the files. Paths that are gone are left out: deleted
// but still tracked.
func digestFiles(ctx context.Context, root string, paths []string, cache *statCache) ([]File, error) {
	slices.Sort(paths)
	paths = slices.Compact(paths) // an unmerged path is listed once for each side
	found := make([]*File, len(paths))
	err := forEach(ctx, len(paths), func(i int) error {
		file, err := readFile(root, paths[i], cache)
		found[i] = file
		return err
	})
	if err != nil {
		return nil, err
	}
	files := make([]File, 0, len(found))
	for _, file := range found {
		if file != nil {
			files = append(files, *file)
		}
	}
	return files, nil
}

// readFile digests one path; nil when there is no file or link of that name.
func readFile(root, path string, cache *statCache) (*File, error) {
	const attempts = 2
	full := filepath.Join(root, filepath.FromSlash(path))
	for range attempts {
		info, err := os.Lstat(full)
		if err != nil {
			if isGone(err) {
				return nil, nil
			}
			return nil, fmt.Errorf("look at %s: %w", path, err)
		}
		if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
			return nil, nil // a socket, a pipe, a folder in the place of a tracked file: git does not track these either
		}
		before := stampOf(info)
		if digest, ok := cache.lookup(path, before); ok {
			return &File{Path: path, Mode: keptMode(info.Mode()), Size: info.Size(), Digest: digest}, nil
		}
		file, settled, err := digestOnce(full, path, info, before, cache)
		if err != nil && !isGone(err) {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if settled {
			return file, nil
		}
	}
	return nil, fmt.Errorf("%s changed while it was being read; wait until whatever writes it is done, and run again", path)
}

// digestOnce reads the file and says whether it stayed the same meanwhile.
func digestOnce(full, path string, info fs.FileInfo, before stamp, cache *statCache) (_ *File, settled bool, _ error) {
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(full)
		if err != nil {
			return nil, false, err
		}
		target = filepath.ToSlash(target)
		sum := sha256.Sum256([]byte(target))
		return &File{
			Path: path, Mode: fs.ModeSymlink, Size: int64(len(target)), Digest: hex.EncodeToString(sum[:]), Target: target,
		}, true, nil
	}
	readAt := time.Now()
	f, err := os.Open(full)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return nil, false, err
	}
	after, err := os.Lstat(full)
	if err != nil {
		return nil, false, err
	}
	if stampOf(after) != before || size != info.Size() {
		return nil, false, nil
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	cache.record(path, before, digest, readAt)
	return &File{Path: path, Mode: keptMode(info.Mode()), Size: size, Digest: digest}, true, nil
}

// keptMode reduces a mode to what counts: whether anybody may execute the file.
func keptMode(mode fs.FileMode) fs.FileMode {
	if mode&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

func isGone(err error) bool {
	// ENOTDIR: a folder on the way was replaced by a file.
	return os.IsNotExist(err) || strings.Contains(err.Error(), "not a directory")
}
