package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// FileChange is one file that differs from an earlier commit.
type FileChange struct {
	Path    string // relative to the app's folder, with forward slashes
	Added   int    // lines
	Deleted int
	Binary  bool // then lines were not counted
}

// commitForm keeps what comes from a record from being read as an option.
var commitForm = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// Compare lists the files of the app's folder, as it stands, that differ from that commit, in git's order, then those that git
// does not track yet. A renamed file counts as deleted and added. An error says that the commit is not to be had: it was
// made elsewhere, or the clone is shallow.
func Compare(ctx context.Context, dir, commit string) ([]FileChange, error) {
	if !commitForm.MatchString(commit) {
		return nil, fmt.Errorf("compare with %q: that is no commit", commit)
	}
	root, err := absolute(dir)
	if err != nil {
		return nil, err
	}
	if _, err := git(ctx, root, "cat-file", "-e", commit+"^{commit}"); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("commit %s is not in this clone; fetch it, or clone with the whole history", commit)
	}
	out, err := git(ctx, root, "diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative", commit, "--", ".")
	if err != nil {
		return nil, fmt.Errorf("compare with commit %s: %w", commit, err)
	}
	var changes []FileChange
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if entry == "" {
			continue
		}
		fields := strings.SplitN(entry, "\t", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("compare with commit %s: git said %q", commit, entry)
		}
		change := FileChange{Path: fields[2], Binary: fields[0] == "-"}
		if !change.Binary {
			var errs [2]error
			change.Added, errs[0] = strconv.Atoi(fields[0])
			change.Deleted, errs[1] = strconv.Atoi(fields[1])
			if errs[0] != nil || errs[1] != nil {
				return nil, fmt.Errorf("compare with commit %s: git said %q", commit, entry)
			}
		}
		changes = append(changes, change)
	}
	untracked, err := lsFiles(ctx, root, nil)
	if err != nil {
		return nil, fmt.Errorf("list what is not tracked: %w", err)
	}
	for _, path := range untracked {
		changes = append(changes, untrackedFile(root, path))
	}
	return changes, nil
}

// maxCounted is how large a file may be whose lines are counted: what is larger, nobody reads line by line.
const maxCounted = 64 << 20

// untrackedFile is a file that git does not know yet. What cannot be read as one, a link or a repository of its own, has no
// lines: a link may lead out of the folder, or to what never ends.
func untrackedFile(root, path string) FileChange {
	change := FileChange{Path: path}
	full := filepath.Join(root, filepath.FromSlash(path))
	info, err := os.Lstat(full)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxCounted {
		change.Binary = true
		return change
	}
	content, err := os.ReadFile(full)
	if err != nil || bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0 { // a 0 within 8000 bytes is git's own rule
		change.Binary = true
		return change
	}
	change.Added = bytes.Count(content, []byte("\n"))
	if len(content) > 0 && content[len(content)-1] != '\n' {
		change.Added++
	}
	return change
}
