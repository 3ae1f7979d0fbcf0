// Package bundle is the thing that is promoted: a Worker's modules and upload metadata as its own wrangler made them,
// named by one digest.
package bundle

import "encoding/json"

// Bundle is what the build made. It is immutable. Two bundles with the same digest are the same upload: the digest covers
// the canonical metadata and every module's name, type and content, and nothing of where or when it was built.
type Bundle struct {
	Digest string // "sha256:…"
	// Metadata is the upload's metadata part, canonical JSON (RFC 8785 in all that wrangler writes: sorted keys, no
	// insignificant space). Its binding ids are those of the wrangler config; a target may have to map them.
	Metadata json.RawMessage
	// Modules are sorted by name.
	Modules []Module
}

// Module is one file of the upload.
type Module struct {
	Name        string
	ContentType string
	Body        []byte
}

// Size is the sum of the modules' sizes in bytes.
func (b *Bundle) Size() int64 {
	var size int64
	for _, module := range b.Modules {
		size += int64(len(module.Body))
	}
	return size
}
