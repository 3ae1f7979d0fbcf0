package host

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzManifest: a manifest is read as it was written, and one that was not written by us names nothing outside its tree.
func FuzzManifest(f *testing.F) {
	whole := &tree{nodes: []treeNode{
		{path: "a dir", kind: 'd', perm: 0o755},
		{path: "a dir/x\ny", kind: 'x', perm: 0o755, size: 3, mtime: -5, digest: "00"},
		{path: "l", kind: 'l', target: "../a b"},
	}}
	whole.sum()
	f.Add(whole.encode())
	f.Add([]byte("f 644 1 1 00\x00../escape\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := decodeTree(data)
		if err != nil {
			return
		}
		for _, node := range first.nodes {
			if !filepath.IsLocal(filepath.FromSlash(node.path)) {
				t.Fatalf("path %q", node.path)
			}
		}
		again, err := decodeTree(first.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.encode(), again.encode()); diff != "" || first.digest != again.digest {
			t.Fatal(diff)
		}
	})
}
