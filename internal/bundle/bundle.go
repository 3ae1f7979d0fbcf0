// Package bundle is the thing that is promoted: a Worker's modules and upload metadata as its own wrangler made them,
// named by one digest.
//
// [Parse] reads the multipart body that `wrangler deploy --dry-run --outfile FILE` writes; [Bundle.Encode] writes the
// body that Cloudflare's upload calls want. Between the two nothing of a build's circumstances survives: not the
// multipart boundary, not the order of the parts, not the folder.
package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
)

// Bundle is what the build made. It is immutable. Two bundles with the same digest are the same upload: the digest covers
// the canonical metadata, every module's name, type and content, and the static assets where there are some, and nothing of
// where or when it was built.
type Bundle struct {
	Digest string // "sha256:…"
	// Metadata is the upload's metadata part, canonical JSON (RFC 8785 in all that wrangler writes: sorted keys, no
	// insignificant space). Its binding ids are those of the wrangler config; a target may have to map them.
	Metadata json.RawMessage
	// Modules are sorted by name.
	Modules []Module
	// Assets are the static files that ship with it; nil when it has none.
	Assets *Assets
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

// Module returns the module of that name, or nil.
func (b *Bundle) Module(name string) *Module {
	for i := range b.Modules {
		if b.Modules[i].Name == name {
			return &b.Modules[i]
		}
	}
	return nil
}

// digest is SHA-256 over length-prefixed fields, so that no two different bundles have the same input. The first field
// names the format: another way to compute it would be another name.
func digest(metadata []byte, modules []Module) string {
	sum := sha256.New()
	field(sum, []byte("penstock bundle 1"))
	field(sum, metadata)
	for _, module := range modules {
		field(sum, []byte(module.Name))
		field(sum, []byte(module.ContentType))
		field(sum, module.Body)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func field(sum hash.Hash, value []byte) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(value)))
	_, _ = sum.Write(length[:]) // a hash never returns an error
	_, _ = sum.Write(value)
}
