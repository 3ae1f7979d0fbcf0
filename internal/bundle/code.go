package bundle

import (
	"crypto/sha256"
	"encoding/hex"
)

// Code is "sha256:…" over the modules and the static files, without the metadata, which is of one environment: two bundles of the same code
// for two environments have the same.
func (b *Bundle) Code() string {
	sum := sha256.New()
	field(sum, []byte("penstock code 1"))
	for _, module := range b.Modules {
		field(sum, []byte(module.Name))
		field(sum, []byte(module.ContentType))
		field(sum, module.Body)
	}
	if b.Assets != nil {
		field(sum, b.Assets.encodeFiles())
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}
