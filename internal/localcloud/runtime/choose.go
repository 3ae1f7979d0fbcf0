package runtime

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

const (
	headerOverrides  = "Cloudflare-Workers-Version-Overrides"
	headerVersionKey = "Cloudflare-Workers-Version-Key"
)

// chooseVersion picks the version that answers a request: an override that names a version of the current deployment,
// else the sticky key's hash, else chance. An override that does not fit is ignored silently, as Cloudflare does.
func chooseVersion(script string, shares []Share, header http.Header) string {
	if values := header.Values(headerOverrides); len(values) > 0 {
		wanted, ok := dictionaryString(strings.Join(values, ","), script)
		if ok && slices.ContainsFunc(shares, func(s Share) bool { return s.VersionID == wanted }) {
			return wanted
		}
	}
	if key := header.Get(headerVersionKey); key != "" {
		return pickVersion(shares, keyPosition(key))
	}
	return pickVersion(shares, rand.Float64())
}

// pickVersion lays the shares end to end on [0, 1) in the deployment's order and returns the one at position. With the
// order kept, a later version that grows takes over new positions and keeps all that it had, so a sticky key moves at
// most once.
func pickVersion(shares []Share, position float64) string {
	var total float64
	for _, s := range shares {
		total += s.Percentage
	}
	edge := position * total
	picked := ""
	for _, s := range shares {
		if s.Percentage <= 0 {
			continue
		}
		picked = s.VersionID // the last one with a share also takes what rounding leaves
		if edge < s.Percentage {
			break
		}
		edge -= s.Percentage
	}
	return picked
}

// keyPosition spreads keys evenly over [0, 1).
func keyPosition(key string) float64 {
	sum := sha256.Sum256([]byte(key))
	const mantissa = 53 // bits that a float64 holds exactly
	return float64(binary.BigEndian.Uint64(sum[:])>>(64-mantissa)) / (1 << mantissa)
}
