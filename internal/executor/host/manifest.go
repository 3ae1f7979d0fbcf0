package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tree is a manifest.
type tree struct {
	digest string // hex
	size   int64
	nodes  []treeNode // sorted by path, folders before what is in them
}

// treeNode is one file, folder or symbolic link of a tree.
type treeNode struct {
	path   string // with forward slashes
	kind   byte   // f, x (executable), l, d
	perm   fs.FileMode
	size   int64
	mtime  int64
	digest string
	target string
}

// holds reports whether there is something at path.
func (t *tree) holds(path string) bool {
	return slices.ContainsFunc(t.nodes, func(node treeNode) bool {
		return node.path == path || strings.HasPrefix(node.path, path+"/")
	})
}

// sum fills in digest and size. Times and permissions beyond "executable" are no part of what a tree is.
func (t *tree) sum() {
	hash := sha256.New()
	t.size = 0
	for _, node := range t.nodes {
		fmt.Fprintf(hash, "%s\x00%c\x00%s\x00%s\n", node.path, node.kind, node.digest, node.target)
		t.size += node.size
	}
	t.digest = hex.EncodeToString(hash.Sum(nil))
}

// encode writes a manifest: for each node "kind perm size mtime digest", path and target, each ended by a zero byte.
func (t *tree) encode() []byte {
	var out bytes.Buffer
	for _, n := range t.nodes {
		fmt.Fprintf(&out, "%c %o %d %d %s\x00%s\x00%s\x00", n.kind, n.perm, n.size, n.mtime, n.digest, n.path, n.target)
	}
	return out.Bytes()
}

func decodeTree(data []byte) (*tree, error) {
	t := &tree{}
	fields := strings.Split(string(data), "\x00")
	for ; len(fields) >= 3; fields = fields[3:] {
		facts := strings.Split(fields[0], " ")
		if len(facts) != 5 || len(facts[0]) != 1 || !strings.Contains("fxld", facts[0]) {
			return nil, errors.New("the manifest is damaged")
		}
		perm, err1 := strconv.ParseUint(facts[1], 8, 32)
		size, err2 := strconv.ParseInt(facts[2], 10, 64)
		mtime, err3 := strconv.ParseInt(facts[3], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("the manifest is damaged: %w", err)
		}
		if !filepath.IsLocal(filepath.FromSlash(fields[1])) {
			return nil, fmt.Errorf("the manifest is damaged: %q", fields[1])
		}
		t.nodes = append(t.nodes, treeNode{
			kind: facts[0][0], perm: fs.FileMode(perm), size: size, mtime: mtime, digest: facts[4], path: fields[1], target: fields[2],
		})
	}
	t.sum()
	return t, nil
}
